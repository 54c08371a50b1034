/* SPDX-License-Identifier: Apache-2.0 */
#include "pagefile/pins.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "pagefile/sum.h"
#include "sys/lock.h"

enum { BYTE_PUBLISHED = 0, BYTE_WRITER = 1, BYTE_EPOCHS = 4096 };

#define LIVE_MAGIC UINT64_C(0x4556494c52495551) /* "QUIRLIVE" */

_Static_assert(sizeof(struct pins_live) == 40, "docs/format.md, section 6");

int pins_open(struct pins *pins, const char *path, bool write, uint32_t mode)
{
	int r = disk_open(&pins->disk, path, ".lock", DISK_CREATE | (write ? DISK_WRITE : 0), mode);

	if (r == -EACCES && !write) {
		r = disk_open(&pins->disk, path, ".lock", 0, mode);
		if (r == -ENOENT)
			return error_set(-EACCES,
				"%s.lock is missing, and we may not make it: open the region once with permission to write in its folder",
				path);
	}
	return r == -EROFS && !write ? 0 : r;
}

void pins_close(struct pins *pins)
{
	disk_close(&pins->disk);
}

int pins_look(const struct pins *pins, struct pins_live *live)
{
	uint64_t taken;
	int r;

	if (pins->disk.path == NULL)
		return PINS_NO_WRITER;
	r = sys_lock_test(pins->disk.fd, BYTE_PUBLISHED, 1, &taken);
	if (r < 0)
		return r;
	if (r == 0) {
		r = sys_lock_test(pins->disk.fd, BYTE_WRITER, 1, &taken);
		return r <= 0 ? r : PINS_STARTING;
	}
	r = disk_read(&pins->disk, live, sizeof(*live), 0);
	if (r < 0)
		return r;
	if (live->magic != LIVE_MAGIC || live->sum != sum_bytes(live, offsetof(struct pins_live, sum)))
		return -EAGAIN;
	return PINS_WRITER;
}

/* ---- the writer ---- */

int pins_become_writer(struct pins *pins)
{
	struct pins_live live = { .pid = 0 };
	int r = sys_lock_take(pins->disk.fd, BYTE_WRITER, 1, true);

	if (r == 0)
		return 0;
	if (r != -EAGAIN)
		return error_set(r, "%s cannot be locked: %s", pins->disk.path, strerror(-r));
	r = sys_lock_holder(pins->disk.fd, BYTE_WRITER);
	if (r <= 0 && pins_look(pins, &live) == PINS_WRITER)
		r = (int)live.pid;
	if (r <= 0)
		return error_set(-EBUSY,
			"%s: another process has it open for writing (this user cannot see which)",
			pins->disk.path);
	return error_set(-EBUSY, "%s: process %d has it open for writing%s", pins->disk.path, r,
		r == disk_process() ? ": this one" : "; others may open it read-only");
}

int pins_publish(struct pins *pins, uint64_t sealed, uint64_t floor)
{
	struct pins_live live = {
		.magic = LIVE_MAGIC, .sealed = sealed, .floor = floor, .pid = (uint64_t)disk_process()
	};
	int r;

	live.sum = sum_bytes(&live, offsetof(struct pins_live, sum));
	r = disk_write(&pins->disk, &live, sizeof(live), 0);
	if (r == 0 && !pins->published)
		r = sys_lock_take(pins->disk.fd, BYTE_PUBLISHED, 1, true);
	pins->published = pins->published || r == 0;
	return r;
}

int pins_close_below(struct pins *pins, uint64_t want, uint64_t *got)
{
	uint64_t taken;
	int r = 0;

	while (want > pins->closed) {
		r = sys_lock_take(pins->disk.fd, BYTE_EPOCHS, want, true);
		if (r != -EAGAIN)
			break;
		r = sys_lock_test(pins->disk.fd, BYTE_EPOCHS, want, &taken);
		if (r < 0)
			break;
		if (r == 1) /* the kernel names any lock in the way; a lower one is met in the next round */
			want = taken - BYTE_EPOCHS;
	}
	if (r < 0)
		return error_set(r, "%s cannot be locked: %s", pins->disk.path, strerror(-r));
	if (want > pins->closed)
		pins->closed = want;
	*got = pins->closed;
	return 0;
}

int pins_holder(const struct pins *pins, uint64_t epoch)
{
	return sys_lock_holder(pins->disk.fd, BYTE_EPOCHS + epoch);
}

unsigned int pins_count(const struct pins *pins, uint64_t from, uint64_t to, uint64_t *oldest)
{
	enum { LOOK_AT_MOST = 4096 }; /* a system call each */
	unsigned int n = 0;
	uint64_t taken;

	if (pins->disk.path == NULL)
		return 0;
	if (to - from > LOOK_AT_MOST)
		from = to - LOOK_AT_MOST;
	for (uint64_t epoch = from; epoch <= to; epoch++)
		if (sys_lock_test(pins->disk.fd, BYTE_EPOCHS + epoch, 1, &taken) == 1 && n++ == 0)
			*oldest = epoch;
	return n;
}

/* ---- readers ---- */

int pins_take(struct pins *pins, uint64_t epoch)
{
	int r;

	if (pins->disk.path == NULL)
		return 0;
	r = sys_lock_take(pins->disk.fd, BYTE_EPOCHS + epoch, 1, false);
	return r == -EAGAIN ? -ESTALE : r;
}

void pins_give(struct pins *pins, uint64_t epoch)
{
	if (pins->disk.path != NULL)
		(void)sys_lock_give(pins->disk.fd, BYTE_EPOCHS + epoch, 1);
}
