/* SPDX-License-Identifier: Apache-2.0 */
/* pagefile/pagefile.c - the file: birth, opening, checked pages. The window is in window.c. */
#include "pagefile/pagefile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "object/file.h"
#include "pagefile/sum.h"
#include "sys/lock.h"

_Static_assert(sizeof(struct superblock) == 4096, "docs/format.md, section 3");
_Static_assert(offsetof(struct superblock, sum) == 4088, "docs/format.md, section 3");
_Static_assert(
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian, and written as it lies");

static uint64_t data_at(const struct superblock *head, uint64_t page)
{
	return head->data_offset + page * PAGE_BYTES;
}

static uint64_t sum_at(const struct superblock *head, uint64_t page)
{
	return head->sums_offset + page * sizeof(uint64_t);
}

static int allocate(const struct disk *disk, const struct superblock *head, uint64_t from, uint64_t to)
{
	int r = disk_allocate(disk, sum_at(head, from), sum_at(head, to));

	return r < 0 ? r : disk_allocate(disk, data_at(head, from), data_at(head, to));
}

/* ---- birth ---- */

static int write_first(
	const struct disk *disk, const struct superblock *head, uint64_t pages, const void *page0)
{
	uint64_t sum = sum_page(0, page0);
	int r;

	r = allocate(disk, head, 0, pages);
	if (r == 0)
		r = disk_write(disk, head, sizeof(*head), 0);
	if (r == 0)
		r = disk_write(disk, &sum, sizeof(sum), sum_at(head, 0));
	if (r == 0)
		r = disk_write(disk, page0, PAGE_BYTES, data_at(head, 0));
	return r;
}

int pagefile_create(
	const char *path, const struct superblock *like, uint64_t pages, const void *page0, uint32_t mode)
{
	/* 2 MiB: where the filesystem keeps large folios, the kernel can map them as huge pages. */
	enum { DATA_ALIGN = 2 << 20 };
	struct superblock head = *like;
	struct disk disk = { .path = NULL };
	int r;

	head.magic = PAGEFILE_MAGIC;
	head.version = PAGEFILE_VERSION;
	head.page_bytes = PAGE_BYTES;
	head.sums_offset = PAGE_BYTES;
	head.data_offset = align_up(sum_at(&head, head.pages_max), DATA_ALIGN);
	head.sum = sum_bytes(&head, offsetof(struct superblock, sum));
	r = disk_create_begin(&disk, path, "", mode);
	if (r < 0)
		return r;
	r = write_first(&disk, &head, pages, page0);
	if (r == 0)
		r = disk_create_finish(&disk, false);
	disk_create_undo(&disk); /* closes it; a finished one has its name */
	return r;
}

/* ---- opening ---- */

static int check_head(const struct pagefile *file)
{
	const struct superblock *head = &file->head;
	const char *path = file->disk.path;

	if (head->magic != PAGEFILE_MAGIC)
		return error_set(-EBADMSG, "%s is no region of Quire's", path);
	if (head->version != PAGEFILE_VERSION || head->page_bytes != PAGE_BYTES)
		return error_set(-EBADMSG,
			"%s: format version %" PRIu32 " with pages of %" PRIu32 " bytes is not known", path,
			head->version, head->page_bytes);
	if (head->sum != sum_bytes(head, offsetof(struct superblock, sum)))
		return error_set(-EBADMSG, "%s: the superblock is damaged (its checksum is wrong)", path);
	if (head->pages_max == 0 || head->pages_max > (uint64_t)1 << 40 || head->sums_offset != PAGE_BYTES ||
		head->data_offset < sum_at(head, head->pages_max) || head->data_offset > (uint64_t)1 << 60 ||
		!is_aligned(head->data_offset, PAGE_BYTES) || !is_aligned(head->address, PAGE_BYTES))
		return error_set(-EBADMSG, "%s: the superblock makes no sense", path);
	return 0;
}

int pagefile_open(struct pagefile *file, const char *path, bool write)
{
	uint64_t bytes;
	int r;

	*file = (struct pagefile){ .writable = write, .track = { .uffd = -1, .pagemap = -1 } };
	r = disk_open(&file->disk, path, "", write ? DISK_WRITE : 0, 0);
	if (r < 0)
		return r;
	r = disk_size(&file->disk, &bytes);
	if (r == 0)
		r = disk_read(&file->disk, &file->head, sizeof(file->head), 0);
	if (r == -ENODATA)
		r = error_set(-EBADMSG, "%s is too short to be a region", path);
	if (r == 0)
		r = check_head(file);
	if (r == 0 && bytes < data_at(&file->head, 1))
		r = error_set(-ENODATA,
			"%s was truncated: it has %" PRIu64 " bytes, and its first page ends at %" PRIu64
			"; restore it from a copy",
			path, bytes, data_at(&file->head, 1));
	if (r == 0)
		r = file_from_fd(file->disk.fd, &file->object);
	if (r < 0)
		disk_close(&file->disk);
	return r;
}

int pagefile_claim(const struct pagefile *file)
{
	enum { BYTE_WRITER = 1 }; /* docs/format.md, section 6 */
	int r = sys_lock_take(file->disk.fd, BYTE_WRITER, 1, true);

	if (r == -EAGAIN) {
		int pid = sys_lock_holder(file->disk.fd, BYTE_WRITER);

		return error_set(-EBUSY,
			"%s: process %d%s has it open for writing, and its lock file was removed or replaced: end it first",
			file->disk.path, pid > 0 ? pid : 0, pid > 0 ? "" : " (this user cannot see which)");
	}
	return r < 0 ? error_set(r, "%s cannot be locked: %s", file->disk.path, strerror(-r)) : 0;
}

/* ---- checked pages ---- */

int pagefile_grow(struct pagefile *file, uint64_t pages)
{
	uint64_t bytes;
	uint64_t have;
	int r = disk_size(&file->disk, &bytes);

	if (r < 0)
		return r;
	have = bytes <= file->head.data_offset ? 0 : (bytes - file->head.data_offset) / PAGE_BYTES;
	if (pages <= have)
		return 0;
	r = allocate(&file->disk, &file->head, have, pages);
	if (disk_is_full(r)) /* the last blocks were taken first: others need them */
		disk_cut(&file->disk, bytes);
	return r;
}

int pagefile_flush(const struct pagefile *file)
{
	return disk_flush(&file->disk);
}

int pagefile_put(const struct pagefile *file, struct pages_run run, const void *bytes, const uint64_t *sums)
{
	int r = disk_write(&file->disk, bytes, run.count * PAGE_BYTES, data_at(&file->head, run.first));

	if (r == 0 && !MUTANT("skip-page-sum"))
		r = disk_write(&file->disk, sums, run.count * sizeof(*sums), sum_at(&file->head, run.first));
	return r;
}

static bool all_zero(const unsigned char *bytes)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE_BYTES - 1) == 0;
}

int pagefile_verify(const struct pagefile *file, uint64_t page, void *bytes)
{
	uint64_t sum = 0;
	int r = disk_read(&file->disk, bytes, PAGE_BYTES, data_at(&file->head, page));

	if (r == 0)
		r = disk_read(&file->disk, &sum, sizeof(sum), sum_at(&file->head, page));
	if (r < 0)
		return r;
	if (sum == 0 ? all_zero(bytes) : sum == sum_page(page, bytes))
		return 0;
	return error_set(-EBADMSG,
		"%s: page %" PRIu64 " (offset %" PRIu64 ") is damaged: its checksum is wrong",
		file->disk.path, page, data_at(&file->head, page));
}
