/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/limit.h"

#include <errno.h>

int sys_limit(int resource, uint64_t *soft)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return -errno;
	*soft = limit.rlim_cur == RLIM_INFINITY ? SYS_NO_LIMIT : limit.rlim_cur;
	return 0;
}
