/* SPDX-License-Identifier: Apache-2.0 */
/* sys/limit.h - resource limits, as -errno. */
#ifndef SYS_LIMIT_H
#define SYS_LIMIT_H

#include <stdint.h>
#include <sys/resource.h>

#define SYS_NO_LIMIT UINT64_MAX

int sys_limit(int resource, uint64_t *soft);

#endif
