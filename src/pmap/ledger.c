/* SPDX-License-Identifier: Apache-2.0 */
#include "pmap/ledger.h"

#include <fcntl.h>
#include <stddef.h>

#include "base/align.h"
#include "base/tally.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/uapi.h"

static size_t bytes_of(uint32_t room)
{
	return (size_t)align_up(ledger_bytes(room), PAGE_BYTES);
}

static int make_file(uint32_t room, int *fd)
{
	int r;

	*fd = sys_memfd_create(LEDGER_FILE, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return *fd;
	r = sys_truncate(*fd, bytes_of(room));
	if (r < 0) {
		sys_close(*fd);
		*fd = -1;
	}
	return r;
}

int ledger_open(uint32_t room, bool published, struct ledger **ledger, int *fd)
{
	int flags = published ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	uintptr_t address = 0;
	int r = 0;

	*fd = -1;
	if (published)
		r = make_file(room, fd);
	if (r == 0)
		r = sys_mmap(
			0, bytes_of(room), PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, *fd, 0, &address);
	/* After our own mapping was made, which stays writable. */
	if (r == 0 && published)
		r = sys_add_seals(*fd, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	if (r < 0) {
		ledger_close((struct ledger *)address, room, *fd);
		return r;
	}
	(void)sys_madvise(address, bytes_of(room), MADV_DONTDUMP);
	*ledger = (struct ledger *)address;
	return 0;
}

void ledger_close(struct ledger *ledger, uint32_t room, int fd)
{
	if (ledger != NULL)
		(void)sys_munmap((uintptr_t)ledger, bytes_of(room));
	if (fd >= 0)
		sys_close(fd);
}
