/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - what a recorded run leaves behind; docs/crash.md describes it for other readers.
 *
 *	"QCRASH1\n"   record record record ...
 *
 *	 0  u32 bytes       of the whole record, a multiple of 8
 *	 4  u16 kind        enum crash_kind
 *	 6  u16 flags
 *	 8  u32 thread      pairs SYNC_BEGIN with SYNC_END
 *	12  i32 result      0 or -errno, as the program saw it
 *	16  u64 file        inode number; a CREATE gives an old number to a new file
 *	24  u64 offset
 *	32  u64 length
 *	40  u32 name_bytes  path below the root, with its NUL; RENAME has two, one behind the other
 *	44  u32 data_bytes  what was written
 *	48  name, data, zeros up to the next multiple of 8
 *
 * Little-endian. Only what changes a file or promises something is here: no read ever is.
 */
#ifndef CRASH_LOG_H
#define CRASH_LOG_H

#include <stddef.h>
#include <stdint.h>

#define CRASH_MAGIC "QCRASH1\n"

enum crash_kind {
	CRASH_INITIAL = 1, /* name, data: a file that was there before, and is durable */
	CRASH_INITIAL_DIR, /* name */
	CRASH_CREATE,      /* file, name: a new file; no name: O_TMPFILE */
	CRASH_LINK,        /* file, name */
	CRASH_UNLINK,      /* name */
	CRASH_RENAME,      /* names; flags: RENAME_EXCHANGE is refused */
	CRASH_MKDIR,       /* file, name */
	CRASH_RMDIR,       /* name */
	CRASH_WRITE,       /* file, offset, data; CRASH_F_SYNC: durable when it returned */
	CRASH_STORE,       /* file, offset, data: a page changed through a shared mapping */
	CRASH_TRUNCATE,    /* file, length */
	CRASH_ALLOCATE,    /* file, offset, length; CRASH_F_KEEP_SIZE */
	CRASH_ZERO,        /* file, offset, length: punched or zeroed */
	CRASH_SYNC_BEGIN,  /* file, offset, length (0: all) */
	CRASH_SYNC_END,    /* the same, and result */
	CRASH_SYNC_ALL_BEGIN,
	CRASH_SYNC_ALL_END,
	CRASH_BEGUN, /* length: number of the commit */
	CRASH_ACKED, /* length: number of the commit */
	CRASH_NOTE,  /* data: text */
	CRASH_FAULT, /* name: what was injected into the next call */
	CRASH_END,   /* length: calls that could have been failed */
	CRASH_KINDS,
};

enum {
	CRASH_F_SYNC = 1,
	CRASH_F_KEEP_SIZE = 2,
	CRASH_F_MET = 4, /* CREATE: met by descriptor; nothing new when the number is known already */
};

struct crash_record {
	uint32_t bytes;
	uint16_t kind;
	uint16_t flags;
	uint32_t thread;
	int32_t result;
	uint64_t file;
	uint64_t offset;
	uint64_t length;
	uint32_t name_bytes;
	uint32_t data_bytes;
};

_Static_assert(sizeof(struct crash_record) == 48, "docs/crash.md, the log");

/* One operation: a record made ready for the model. A synchronous write has become a write and a sync. */
struct crash_op {
	enum crash_kind kind;
	unsigned int flags;
	int result;
	uint32_t thread;
	int file;        /* index into files, or -1 */
	int dir, dir2;   /* of the names; indices into dirs, or -1 */
	uint32_t covers; /* SYNC_END: operations before this one are durable */
	uint64_t offset, length;
	const char *name, *name2;
	const uint8_t *data;
	size_t data_bytes;
};

struct crash_log {
	const char *path;
	uint8_t *bytes;
	size_t bytes_count;
	struct crash_op *ops;
	size_t op_count;
	const char **files; /* the first name of each, for people; "" when it never had one */
	int file_count;
	char **dirs; /* paths below the root; the first is "" */
	int dir_count;
	uint64_t faultable; /* calls that could have been failed */
	char error[200];
};

/* Returns 0 or -errno, with a sentence in log->error. */
int crash_log_load(struct crash_log *log, const char *path);
void crash_log_free(struct crash_log *log);

const char *crash_kind_name(enum crash_kind kind);

#endif
