/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/pids.h"

#include <fcntl.h>

#include "inspect/lines.h"
#include "sys/directory.h"
#include "sys/file.h"

int pids_open(struct pids *pids)
{
	int fd = sys_open("/proc", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	pids->directory = fd;
	pids->at = pids->filled = 0;
	return 0;
}

int pids_next(struct pids *pids)
{
	struct sys_name name;
	ssize_t n;
	int pid;

	for (;;) {
		while (sys_next_name(pids->names, pids->filled, &pids->at, &name)) {
			pid = read_pid(name.name);
			if (pid != 0)
				return pid;
		}
		n = sys_getdents(pids->directory, pids->names, sizeof(pids->names));
		if (n <= 0)
			return (int)n;
		pids->at = 0;
		pids->filled = (size_t)n;
	}
}

void pids_close(struct pids *pids)
{
	sys_close(pids->directory);
}
