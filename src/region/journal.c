/* SPDX-License-Identifier: Apache-2.0 */
#include "region/journal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "base/mutant.h"
#include "pagefile/sum.h"

_Static_assert(sizeof(struct journal_header) == 4096, "docs/format.md, section 4");
_Static_assert(offsetof(struct journal_header, sum) == 4088, "docs/format.md, section 4");
_Static_assert(offsetof(struct record_head, sum) == 56, "docs/format.md, section 5");
_Static_assert(sizeof(struct record_head) == 64, "docs/format.md, section 5");

static const char suffix[] = ".journal";

/* ---- the ring ---- */

static uint64_t offset_of(const struct journal *journal, uint64_t position)
{
	const struct journal_header *h = &journal->header;

	return (h->tail_offset + (position - h->tail_position)) % journal->ring_bytes;
}

static int ring_write(const struct journal *journal, uint64_t offset, const void *bytes, size_t length)
{
	uint64_t at = offset % journal->ring_bytes;
	size_t first = MUTANT("forget-wrap") ? length : min_u64(length, journal->ring_bytes - at);
	int r = disk_write(&journal->disk, bytes, first, JOURNAL_RING_AT + at);

	if (r == 0 && first < length)
		r = disk_write(&journal->disk, (const char *)bytes + first, length - first, JOURNAL_RING_AT);
	return r;
}

static int ring_read(const struct journal *journal, uint64_t offset, void *bytes, size_t length)
{
	uint64_t at = offset % journal->ring_bytes;
	size_t first = min_u64(length, journal->ring_bytes - at);
	int r = disk_read(&journal->disk, bytes, first, JOURNAL_RING_AT + at);

	if (r == 0 && first < length)
		r = disk_read(&journal->disk, (char *)bytes + first, length - first, JOURNAL_RING_AT);
	return r;
}

uint64_t journal_image_offset(const struct journal *journal, const struct record *record, uint32_t image)
{
	return (record->offset + (record->head_pages + (uint64_t)image) * PAGE_BYTES) % journal->ring_bytes;
}

int journal_get_image(const struct journal *journal, uint64_t offset, void *page)
{
	assert(is_aligned(offset, PAGE_BYTES));
	return ring_read(journal, offset, page, PAGE_BYTES);
}

/* ---- headers ---- */

static int put_header(const struct disk *disk, struct journal_header *header)
{
	header->sum = sum_bytes(header, offsetof(struct journal_header, sum));
	return disk_write(
		disk, header, sizeof(*header), MUTANT("one-header") ? 0 : header->sequence % 2 * PAGE_BYTES);
}

void journal_uncreate(const char *path)
{
	disk_remove_orphan(path, suffix);
}

int journal_create(const char *path, const uint8_t *uuid, uint64_t ring_bytes, uint32_t mode)
{
	struct journal_header header = {
		.magic = JOURNAL_MAGIC,
		.version = JOURNAL_VERSION,
		.page_bytes = PAGE_BYTES,
		.sequence = 1,
		.ring_bytes = ring_bytes,
	};
	struct disk disk = { .path = NULL };
	int r;

	memcpy(header.uuid, uuid, UUID_BYTES);
	r = disk_create_begin(&disk, path, suffix, mode);
	if (r < 0)
		return r;
	/* Zeros and not blocks alone: a first write into allocated blocks would change metadata at each commit. */
	r = disk_zero(&disk, 0, JOURNAL_RING_AT + ring_bytes);
	if (r == 0)
		r = put_header(&disk, &header);
	if (r == 0)
		r = disk_create_finish(
			&disk, true); /* a crash may have left one whose region was never born */
	disk_create_undo(&disk);
	return r;
}

static bool header_is_whole(const struct journal_header *h)
{
	const uint64_t least_nonsense = UINT64_C(1)
		<< 62; /* sums of two of these do not go round, and locks reach them */

	return h->magic == JOURNAL_MAGIC && h->version == JOURNAL_VERSION && h->page_bytes == PAGE_BYTES &&
		h->sum == sum_bytes(h, offsetof(struct journal_header, sum)) && h->ring_bytes >= PAGE_BYTES &&
		is_aligned(h->ring_bytes, PAGE_BYTES) && h->tail_offset < h->ring_bytes &&
		h->ring_bytes < least_nonsense && h->tail_position < least_nonsense &&
		h->tail_epoch < least_nonsense && is_aligned(h->tail_offset | h->tail_position, PAGE_BYTES);
}

int journal_reread(struct journal *journal)
{
	struct journal_header two[2];
	const struct journal_header *best = NULL;
	int r = disk_read(&journal->disk, two, sizeof(two), 0);

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++)
		if (header_is_whole(&two[i]) && (best == NULL || two[i].sequence > best->sequence))
			best = &two[i];
	if (best == NULL)
		return error_set(-EBADMSG, "%s: both headers are damaged", journal->disk.path);
	if (memcmp(best->uuid, journal->header.uuid, UUID_BYTES) != 0)
		return error_set(-EBADMSG, "%s belongs to another region", journal->disk.path);
	journal->header = *best;
	journal->ring_bytes = best->ring_bytes;
	return 0;
}

int journal_open(struct journal *journal, const char *path, const uint8_t *uuid, bool write)
{
	int r;

	*journal = (struct journal){ .limit_bytes = 0 };
	r = disk_open(&journal->disk, path, suffix, write ? DISK_WRITE : 0, 0);
	if (r < 0)
		return r;
	memcpy(journal->header.uuid, uuid, UUID_BYTES);
	r = journal_reread(journal);
	if (r < 0) {
		disk_close(&journal->disk);
		return r;
	}
	journal->head = journal->header.tail_position;
	return 0;
}

void journal_forget(struct journal *journal)
{
	while (journal->first != NULL) {
		struct record *record = journal->first;

		journal->first = record->next;
		free(record);
	}
	journal->last = NULL;
	journal->head = journal->header.tail_position;
}

void journal_close(struct journal *journal)
{
	journal_forget(journal);
	disk_close(&journal->disk);
}

/* ---- reading records ---- */

static uint32_t head_pages_for(uint32_t image_count)
{
	return (uint32_t)((sizeof(struct record_head) + image_count * sizeof(struct entry) + PAGE_BYTES - 1) /
		PAGE_BYTES);
}

uint64_t journal_bytes(uint32_t image_count)
{
	return (head_pages_for(image_count) + (uint64_t)image_count) * PAGE_BYTES;
}

static uint64_t tail_epoch_of_last(const struct journal *journal)
{
	return journal->last == NULL ? journal->header.tail_epoch : journal->last->epoch;
}

uint64_t journal_free(const struct journal *journal)
{
	return journal->header.ring_bytes - (journal->head - journal->header.tail_position);
}

struct record *journal_record_new(uint32_t image_count)
{
	struct record *record = malloc(sizeof(*record) + image_count * sizeof(struct entry));

	if (record == NULL)
		return NULL;
	*record = (struct record){ .head_pages = head_pages_for(image_count), .image_count = image_count };
	return record;
}

/* Does this page begin the record that has to come next, and does the record fit? */
static bool head_fits(const struct journal *journal, const struct record_head *head)
{
	bool is_next = head->epoch == tail_epoch_of_last(journal) + 1 && head->position == journal->head;

	return head->magic == RECORD_MAGIC && (is_next || MUTANT("replay-any-age")) &&
		memcmp(head->uuid, journal->header.uuid, UUID_BYTES) == 0 &&
		head->image_count < journal->header.ring_bytes / PAGE_BYTES &&
		head->head_pages == head_pages_for(head->image_count) &&
		journal_bytes(head->image_count) <= journal_free(journal);
}

/* 1, 0, or what the disk says: that an image cannot be read does not mean that it was never sealed. */
static int images_are_whole(const struct journal *journal, const struct record *record, void *page)
{
	for (uint32_t i = 0; i < record->image_count; i++) {
		const struct entry *entry = &record->entries[i];
		int r = journal_get_image(journal, journal_image_offset(journal, record, i), page);

		if (r < 0)
			return r;
		if (entry->page >= record->region_pages ||
			(sum_page(entry->page, page) != entry->sum && !MUTANT("skip-image-checksum")))
			return 0;
	}
	return 1;
}

/* 1 and the record, 0 when there is none, or an error of ours (not of the bytes). */
static int read_record(
	const struct journal *journal, struct record_head *head, void *page, struct record **out)
{
	struct record *record;
	uint64_t sum = head->sum;
	int r;

	head->sum = 0;
	if (sum_bytes(head, head->head_pages * PAGE_BYTES) != sum)
		return 0;
	record = journal_record_new(head->image_count);
	if (record == NULL)
		return error_set(-ENOMEM, "no memory to read the journal");
	record->epoch = head->epoch;
	journal_place(journal, record);
	record->region_pages = head->region_pages;
	memcpy(record->entries, head->entries, head->image_count * sizeof(struct entry));
	r = images_are_whole(journal, record, page);
	if (r == 1)
		*out = record;
	else
		free(record);
	return r;
}

/* 1 when a record was read and appended. */
static int scan_one(struct journal *journal, void *page, uint64_t last)
{
	struct record_head *head;
	struct record *record = NULL;
	size_t bytes;
	int r;

	if (tail_epoch_of_last(journal) >= last || journal_free(journal) < PAGE_BYTES)
		return 0;
	if (MUTANT("replay-stops-early") && tail_epoch_of_last(journal) >= journal->header.tail_epoch + 2)
		return 0;
	r = ring_read(journal, offset_of(journal, journal->head), page, PAGE_BYTES);
	if (r < 0)
		return r;
	head = page;
	if (!head_fits(journal, head))
		return 0;

	bytes = head->head_pages * PAGE_BYTES;
	head = malloc(bytes);
	if (head == NULL)
		return error_set(-ENOMEM, "no memory to read the journal");
	r = ring_read(journal, offset_of(journal, journal->head), head, bytes);
	if (r == 0 &&
		head_fits(journal, head)) /* a writer may be at work: what was checked is what was read now */
		r = read_record(journal, head, page, &record);
	free(head);
	if (r == 1 && record != NULL)
		journal_append(journal, record);
	return r;
}

int journal_scan(struct journal *journal, uint64_t last)
{
	void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	int r;

	if (page == NULL)
		return error_set(-ENOMEM, "no memory to read the journal");
	do
		r = scan_one(journal, page, last);
	while (r == 1);
	free(page);
	return r;
}

enum { LOOK_BYTES = 64 << 10 }; /* stays in the processor's cache */

/* later: what the part of the ring that should be free tells of records behind the last valid one */
struct later {
	uint64_t good;     /* in: epoch of the last valid one */
	uint64_t newest;   /* epoch of the newest; 0: there is none */
	bool newer_header; /* one was written under another header than ours */
};

/* head: what stands at this position. Under our header a record is written nowhere else, and not into the tail. */
static void look_for_later(
	const struct journal *journal, uint64_t position, const struct record_head *head, struct later *later)
{
	uint64_t end = journal->header.tail_position + journal->ring_bytes;
	bool at_home = head->position == position;
	bool last = position == journal->head; /* where the one lies that ends the journal: torn, or rotten */

	if (head->magic != RECORD_MAGIC || memcmp(head->uuid, journal->header.uuid, UUID_BYTES) != 0 ||
		head->position < journal->head || head->epoch <= later->good)
		return;
	if ((at_home && last) || ((at_home || last) && head->epoch == later->good + 1))
		return;
	later->newest = max_u64(later->newest, head->epoch);
	later->newer_header = later->newer_header || !at_home ||
		position + journal_bytes(head->image_count) > end;
}

static int say_damage(const struct journal *journal, const struct later *later)
{
	uint64_t good = later->good;

	if (later->newer_header) {
		error_set(-EBADMSG,
			"%s: the newer of its two headers is damaged: the other one ends at epoch %" PRIu64
			", but epoch %" PRIu64 " was committed; restore the region from a copy",
			journal->disk.path, good, later->newest);
		return JOURNAL_HEADER_DAMAGED;
	}
	error_set(-EBADMSG,
		"%s: the record of epoch %" PRIu64 " at offset %" PRIu64
		" is damaged, but it was committed, for epoch %" PRIu64
		" lies behind it: restore the region from a copy, or give those up and open it at epoch %" PRIu64
		" with QUIRE_REGION_LAST_WHOLE (quire region recover --last-whole)",
		journal->disk.path, good + 1, JOURNAL_RING_AT + offset_of(journal, journal->head),
		later->newest, good);
	return JOURNAL_RECORD_DAMAGED;
}

/* The ring has grown, and the header that says so is damaged: then the next record is whole when all of the file is taken
 * for the ring. Records lie where they lay, as long as they do not go round. */
static int look_behind_ring(const struct journal *journal, struct later *later)
{
	struct journal longer = { .disk = journal->disk, .header = journal->header, .head = journal->head };
	uint64_t bytes;
	int r = disk_size(&journal->disk, &bytes);

	if (r < 0 || bytes < JOURNAL_RING_AT + journal->ring_bytes + PAGE_BYTES)
		return r;
	longer.ring_bytes = longer.header.ring_bytes = (bytes - JOURNAL_RING_AT) / PAGE_BYTES * PAGE_BYTES;
	longer.header.tail_epoch = later->good;
	r = journal_scan(&longer, later->good + 1);
	if (longer.last != NULL) {
		later->newest = max_u64(later->newest, longer.last->epoch);
		later->newer_header = true;
	}
	journal_forget(&longer);
	return r;
}

int journal_end(const struct journal *journal, void *stage, size_t stage_bytes)
{
	struct later later = { .good = tail_epoch_of_last(journal) };
	uint64_t end = journal->header.tail_position + journal->ring_bytes;
	int r = look_behind_ring(journal, &later);

	if (r < 0)
		return r;
	stage_bytes = min_u64(stage_bytes, LOOK_BYTES);
	for (uint64_t at = journal->head; at < end; at += stage_bytes) {
		size_t n = min_u64(stage_bytes, end - at);

		r = ring_read(journal, offset_of(journal, at), stage, n);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i += PAGE_BYTES)
			look_for_later(journal, at + i, (const void *)((const char *)stage + i), &later);
	}
	return later.newest == 0 ? JOURNAL_ENDS : say_damage(journal, &later);
}

int journal_rewrite(struct journal *journal, void *stage, size_t stage_bytes)
{
	uint64_t behind = min_u64(PAGE_BYTES, journal_free(journal));
	uint64_t end = journal->head + behind;
	uint64_t at = journal->last == NULL ? journal->head : journal->last->position; /* J5 */
	int r = 0;

	for (; r == 0 && at < end; at += stage_bytes) {
		size_t n = min_u64(stage_bytes, end - at);

		r = ring_read(journal, offset_of(journal, at), stage, n);
		if (r == 0 && !MUTANT("recovery-believes-records"))
			r = ring_write(journal, offset_of(journal, at), stage, n);
	}
	if (r == 0 && !MUTANT("recovery-believes-header"))
		r = put_header(&journal->disk, &journal->header);
	return r < 0 ? r : disk_flush(&journal->disk);
}

/* ---- writing ---- */

static bool unwrapped(const struct journal *journal)
{
	uint64_t used = journal->head - journal->header.tail_position;

	return journal->header.tail_offset + used <= journal->header.ring_bytes;
}

int journal_put_tail(const struct journal *journal, struct journal_header *next)
{
	int r;

	next->sequence = journal->header.sequence + 1;
	r = put_header(&journal->disk, next);
	return r < 0 || MUTANT("drop-header-flush") ? r : disk_flush(&journal->disk);
}

int journal_extend(const struct journal *journal, uint64_t bytes, struct journal_header *next, bool *broken)
{
	uint64_t had = journal->ring_bytes;
	uint64_t used = journal->head - journal->header.tail_position;
	uint64_t want = max_u64(align_up(used + bytes, PAGE_BYTES), min_u64(2 * had, journal->limit_bytes));
	int r;

	if (used + bytes > journal->limit_bytes)
		return used == 0 ? -EFBIG : -EAGAIN;
	*next = journal->header;
	if (used == 0) /* nothing lies in it: it may as well begin anew */
		next->tail_offset = 0;
	else if (!unwrapped(journal))
		return -EAGAIN;
	r = disk_zero(&journal->disk, JOURNAL_RING_AT + had, JOURNAL_RING_AT + want);
	if (disk_is_full(r)) /* others need the last blocks; zeros that stay behind the ring harm nobody */
		disk_cut(&journal->disk, JOURNAL_RING_AT + had);
	if (disk_is_full(r) || r == -ENOMEM)
		return r;
	/* A flush of its own: the header may arrive before the length that it speaks of. */
	if (r == 0 && !MUTANT("extend-header-first"))
		r = disk_flush(&journal->disk);
	next->ring_bytes = want;
	if (r == 0)
		r = journal_put_tail(journal, next);
	*broken = r < 0;
	return r;
}

void journal_extended(struct journal *journal, const struct journal_header *next)
{
	journal->header = *next;
	journal->ring_bytes = next->ring_bytes;
}

void journal_place(const struct journal *journal, struct record *record)
{
	record->position = journal->head;
	record->offset = offset_of(journal, journal->head);
}

int journal_put_images(const struct journal *journal, const struct record *record, uint32_t first,
	uint32_t count, const void *bytes)
{
	return ring_write(journal, journal_image_offset(journal, record, first), bytes, count * PAGE_BYTES);
}

struct record_head *journal_head_new(const struct record *record)
{
	return calloc(record->head_pages, PAGE_BYTES);
}

int journal_put_head(const struct journal *journal, const struct record *record, struct record_head *head)
{
	size_t bytes = record->head_pages * PAGE_BYTES;

	head->magic = RECORD_MAGIC;
	head->epoch = record->epoch;
	head->position = record->position;
	memcpy(head->uuid, journal->header.uuid, UUID_BYTES);
	head->region_pages = record->region_pages;
	head->head_pages = record->head_pages;
	head->image_count = record->image_count;
	memcpy(head->entries, record->entries, record->image_count * sizeof(struct entry));
	head->sum = sum_bytes(head, bytes);
	return ring_write(journal, record->offset, head, bytes);
}

int journal_flush(const struct journal *journal)
{
	return disk_flush(&journal->disk);
}

int journal_void(const struct journal *journal, const struct record *record)
{
	static const struct record_head nothing;
	int r = ring_write(journal, record->offset, &nothing, sizeof(nothing));

	return r < 0 ? r : disk_flush(&journal->disk);
}

void journal_append(struct journal *journal, struct record *record)
{
	assert(MUTANT("replay-any-age") || record->epoch == tail_epoch_of_last(journal) + 1); /* J1 */
	assert(record->position == journal->head);
	record->next = NULL;
	if (journal->last == NULL)
		journal->first = record;
	else
		journal->last->next = record;
	journal->last = record;
	journal->head += journal_bytes(record->image_count);
	assert(journal->head - journal->header.tail_position <= journal->header.ring_bytes); /* J2 */
}

void journal_tail(const struct journal *journal, const struct record *last, struct journal_header *next)
{
	uint64_t end = last->position + journal_bytes(last->image_count);

	*next = journal->header;
	next->tail_offset = offset_of(journal, end);
	next->tail_position = end;
	next->tail_epoch = last->epoch;
}

void journal_trim(struct journal *journal, const struct journal_header *next)
{
	/* Not all of it: a commit that writes its record meanwhile reads what never changes. */
	journal->header.sequence = next->sequence;
	journal->header.tail_position = next->tail_position;
	journal->header.tail_offset = next->tail_offset;
	journal->header.tail_epoch = next->tail_epoch;
	journal->header.sum = next->sum;
	while (journal->first != NULL && journal->first->epoch <= next->tail_epoch) {
		struct record *record = journal->first;

		journal->first = record->next;
		if (journal->first == NULL)
			journal->last = NULL;
		free(record);
	}
}

int journal_skip(struct journal *journal)
{
	struct journal_header next = journal->header;
	int r;

	assert(journal->first == NULL);
	next.tail_position += next.ring_bytes; /* no record was ever given a position from here on */
	r = journal_put_tail(journal, &next);
	if (r < 0)
		return r;
	journal->header = next;
	journal->head = next.tail_position;
	return 0;
}
