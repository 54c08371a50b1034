/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crash.h"

enum { KNOWN_SLOTS = 1 << 14, LOG_BYTES_MAX = 256 << 20 };

/* An inode number we have met, and whether its file lies below the root. */
struct known {
	uint64_t file; /* 0: free */
	bool inside;
};

static struct recorder {
	bool on;
	int log_fd;
	dev_t device;
	char root[REC_PATH_MAX];
	char log_path[REC_PATH_MAX];
	char ignore[256]; /* globs with colons between */
	struct known known[KNOWN_SLOTS];
	uint64_t log_bytes;
	uint64_t calls; /* that could have been failed */
	uint64_t fault_at;
	enum rec_fault fault;
	bool fault_done;
	bool listening; /* to what the program says on its standard output */
} rec = { .log_fd = -1 };

static pthread_mutex_t rec_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int depth; /* the recorder's own calls are not recorded */

static const char *const fault_names[FAULT_KINDS] = { "none", "EIO", "ENOSPC", "EINTR", "SHORT", "TWICE" };

bool rec_enter(void)
{
	if (!rec.on || depth > 0)
		return false;
	depth++;
	pthread_mutex_lock(&rec_lock);
	/* Other processes write the same log. */
	(void)syscall(SYS_flock, rec.log_fd, LOCK_EX);
	stores_look();
	return true;
}

void rec_leave(void)
{
	int saved = errno;

	(void)syscall(SYS_flock, rec.log_fd, LOCK_UN);
	pthread_mutex_unlock(&rec_lock);
	depth--;
	errno = saved;
}

static void append(struct crash_record *r, const struct iovec *parts, int count)
{
	static const uint8_t zeros[8];
	struct iovec all[5] = { { r, sizeof(*r) } };
	size_t total = sizeof(*r);

	for (int i = 0; i < count; i++) {
		all[i + 1] = parts[i];
		total += parts[i].iov_len;
	}
	r->bytes = (uint32_t)((total + 7) / 8 * 8);
	r->thread = (uint32_t)syscall(SYS_gettid);
	/* cppcheck-suppress nullPointerArithmetic ; an empty part */
	all[count + 1] = (struct iovec){ (void *)(uintptr_t)zeros, r->bytes - total };
	rec.log_bytes += r->bytes;
	if (rec.log_bytes > LOG_BYTES_MAX ||
		syscall(SYS_writev, rec.log_fd, all, count + 2) != (long)r->bytes)
		abort(); /* a log with a hole would prove nothing */
}

void rec_append(struct crash_record *r, const char *name, const void *data)
{
	struct iovec parts[2] = {
		{ (void *)(uintptr_t)name, name ? strlen(name) + 1 : 0 },
		{ (void *)(uintptr_t)data, data ? r->data_bytes : 0 },
	};

	r->name_bytes = (uint32_t)parts[0].iov_len;
	append(r, parts, 2);
}

void rec_append2(struct crash_record *r, const char *name, const char *name2)
{
	struct iovec parts[2] = {
		{ (void *)(uintptr_t)name, strlen(name) + 1 },
		{ (void *)(uintptr_t)name2, strlen(name2) + 1 },
	};

	r->name_bytes = (uint32_t)(parts[0].iov_len + parts[1].iov_len);
	append(r, parts, 2);
}

static struct known *known_slot(uint64_t file)
{
	size_t i = (size_t)(file * 0x9e3779b97f4a7c15U >> 50) % KNOWN_SLOTS;

	/* A full table would spin; a run with so many files is not one to replay. */
	for (size_t n = 0; n < KNOWN_SLOTS; n++, i = (i + 1) % KNOWN_SLOTS)
		if (rec.known[i].file == file || rec.known[i].file == 0)
			return &rec.known[i];
	abort();
}

void rec_know(uint64_t file, bool inside)
{
	*known_slot(file) = (struct known){ .file = file, .inside = inside };
}

/* Its number may come back for another file. The slot stays: an open table must not get holes. */
void rec_forget(uint64_t file)
{
	rec_know(file, false);
}

static bool ignored(const char *relative)
{
	char globs[sizeof(rec.ignore)], *rest = globs;
	const char *name = strrchr(relative, '/');

	memcpy(globs, rec.ignore, sizeof(globs));
	name = name ? name + 1 : relative;
	for (const char *glob = strsep(&rest, ":"); glob; glob = strsep(&rest, ":"))
		if (*glob && fnmatch(glob, name, 0) == 0)
			return true;
	return false;
}

/* Below the root? Then relative is what follows it; the root itself is "". */
static bool strip_root(const char *absolute, char relative[REC_PATH_MAX])
{
	size_t n = strlen(rec.root);

	if (strncmp(absolute, rec.root, n) != 0 || (absolute[n] != '/' && absolute[n] != '\0'))
		return false;
	(void)snprintf(relative, REC_PATH_MAX, "%s", absolute[n] ? absolute + n + 1 : "");
	return !ignored(relative);
}

static bool path_of_fd(int fd, char path[REC_PATH_MAX])
{
	char link[48];
	ssize_t n;

	(void)snprintf(link, sizeof(link), fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
	n = readlink(link, path, REC_PATH_MAX - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return true;
}

bool rec_inside_path(int dir_fd, const char *path, char relative[REC_PATH_MAX])
{
	char joined[PATH_MAX + REC_PATH_MAX + 2], real[PATH_MAX], base[REC_PATH_MAX];
	char *slash;

	if (!path || !*path)
		return false;
	if (path[0] != '/') {
		if (!path_of_fd(dir_fd, base))
			return false;
		(void)snprintf(joined, sizeof(joined), "%s/%s", base, path);
	} else {
		(void)snprintf(joined, sizeof(joined), "%s", path);
	}
	for (size_t n = strlen(joined); n > 1 && joined[n - 1] == '/'; n--)
		joined[n - 1] = '\0';

	/* The last component may not exist yet, and must not be followed. */
	slash = strrchr(joined, '/');
	(void)snprintf(base, sizeof(base), "%s", slash + 1);
	*slash = '\0';
	if (!realpath(*joined ? joined : "/", real))
		return false;
	(void)snprintf(joined, sizeof(joined), "%s/%s", real, base);
	return strip_root(joined, relative);
}

/* A file met for the first time by its descriptor: made by a call that we do not see (mkstemp, O_TMPFILE). */
static bool meet(int fd, const struct stat *s)
{
	char path[REC_PATH_MAX], relative[REC_PATH_MAX];
	struct crash_record r = { .kind = CRASH_CREATE, .flags = CRASH_F_MET, .file = s->st_ino };
	bool inside = path_of_fd(fd, path) && strip_root(path, relative);

	rec_know(s->st_ino, inside);
	if (inside && S_ISREG(s->st_mode))
		rec_append(&r, s->st_nlink > 0 ? relative : NULL, NULL);
	return inside;
}

bool rec_inside_fd(int fd, uint64_t *file)
{
	struct stat s;
	const struct known *k;

	if (fstat(fd, &s) < 0 || s.st_dev != rec.device || !(S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)))
		return false;
	*file = s.st_ino;
	k = known_slot(s.st_ino);
	return k->file ? k->inside : meet(fd, &s);
}

/* --- faults ----------------------------------------------------------------------------------------------------- */

static bool fault_fits(enum rec_fault fault, enum rec_class class)
{
	switch (fault) {
	case FAULT_EIO:
	case FAULT_TWICE: return true;
	case FAULT_ENOSPC: return true; /* fsync too: delayed allocation finds the disk full then */
	case FAULT_EINTR: return class == REC_WRITE || class == REC_SPACE;
	case FAULT_SHORT: return class == REC_WRITE;
	case FAULT_NONE:
	case FAULT_KINDS: break;
	}
	return false;
}

enum rec_fault rec_fault(enum rec_class class)
{
	struct crash_record r = { .kind = CRASH_FAULT };
	uint64_t last = rec.fault_at + (rec.fault == FAULT_TWICE);
	uint64_t call = rec.calls++;

	if (call < rec.fault_at || call > last || rec.fault_done || !fault_fits(rec.fault, class))
		return FAULT_NONE;
	rec.fault_done = call == last;
	rec_append(&r, fault_names[rec.fault], NULL);
	return rec.fault;
}

int rec_errno(enum rec_fault fault)
{
	static const int errors[FAULT_KINDS] = { 0, EIO, ENOSPC, EINTR, 0, EIO };

	return errors[fault];
}

static void fault_parse(const char *text)
{
	char *rest;

	rec.fault = FAULT_NONE;
	rec.fault_done = false;
	if (!text || !*text)
		return;
	rec.fault_at = strtoull(text, &rest, 10);
	for (int i = 1; i < FAULT_KINDS && *rest == ':'; i++)
		if (strcmp(rest + 1, fault_names[i]) == 0)
			rec.fault = (enum rec_fault)i;
}

/* --- begin and end ---------------------------------------------------------------------------------------------- */

static void initial_file(const char *path, const char *relative, const struct stat *s)
{
	struct crash_record r = {
		.kind = CRASH_INITIAL, .file = s->st_ino, .data_bytes = (uint32_t)s->st_size
	};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *data = s->st_size ? mmap(NULL, (size_t)s->st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;

	rec_append(&r, relative, data == MAP_FAILED ? NULL : data);
	rec_know(s->st_ino, true);
	if (data && data != MAP_FAILED)
		(void)munmap(data, (size_t)s->st_size);
	(void)close(fd);
}

static void initial_tree(const char *path)
{
	DIR *dir = opendir(path);
	char child[REC_PATH_MAX], relative[REC_PATH_MAX];
	struct stat s;

	if (!dir)
		return;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		struct crash_record r = { .kind = CRASH_INITIAL_DIR };

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path, e->d_name) >= (int)sizeof(child))
			continue;
		if (lstat(child, &s) < 0 || !strip_root(child, relative))
			continue;
		if (S_ISREG(s.st_mode)) {
			initial_file(child, relative, &s);
		} else if (S_ISDIR(s.st_mode)) {
			r.file = s.st_ino;
			rec_append(&r, relative, NULL);
			rec_know(s.st_ino, true);
			initial_tree(child);
		}
	}
	(void)closedir(dir);
}

static int rec_open(const char *root, const char *log_path, int flags)
{
	struct stat s;
	char real[PATH_MAX];
	const char *ignore = getenv("CRASH_IGNORE");

	if (!realpath(root, real) || stat(real, &s) < 0)
		return -errno;
	if (snprintf(rec.root, sizeof(rec.root), "%s", real) >= (int)sizeof(rec.root))
		return -ENAMETOOLONG;
	(void)snprintf(rec.log_path, sizeof(rec.log_path), "%s", log_path);
	(void)snprintf(rec.ignore, sizeof(rec.ignore), "%s", ignore ? ignore : "");
	memset(rec.known, 0, sizeof(rec.known));
	rec.device = s.st_dev;
	rec.calls = rec.log_bytes = 0;
	rec.log_fd = open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0666);
	if (rec.log_fd < 0)
		return -errno;
	rec_know(s.st_ino, true);
	return 0;
}

/* After fork the log is opened anew: a flock is shared by those who share the open file. */
static void after_fork(void)
{
	pthread_mutex_init(&rec_lock, NULL);
	if (!rec.on)
		return;
	(void)close(rec.log_fd);
	rec.log_fd = open(rec.log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (rec.log_fd < 0)
		rec.on = false;
}

static void rec_start(const char *fault)
{
	fault_parse(fault);
	rec.on = true;
	(void)pthread_atfork(NULL, NULL, after_fork);
}

/* in: a new, empty log. What is below the root goes first. */
static int rec_first(void)
{
	struct crash_record r = { .kind = CRASH_INITIAL_DIR };
	struct stat s;

	if (write(rec.log_fd, CRASH_MAGIC, 8) != 8 || stat(rec.root, &s) < 0)
		return -EIO;
	r.file = s.st_ino;
	rec_append(&r, "", NULL);
	initial_tree(rec.root);
	return 0;
}

int rec_begin(const char *root, const char *log_path, const char *fault)
{
	int error;

	depth++;
	error = rec_open(root, log_path, O_CREAT | O_TRUNC);
	if (error == 0)
		error = rec_first();
	if (error == 0)
		rec_start(fault);
	depth--;
	return error;
}

void rec_join(void)
{
	const char *root = getenv("CRASH_ROOT"), *log_path = getenv("CRASH_LOG");
	int error;

	if (!root || !log_path)
		return;
	depth++;
	/* The first process makes the log; those it starts find one. */
	error = rec_open(root, log_path, O_CREAT | O_EXCL);
	error = error == 0 ? rec_first() : rec_open(root, log_path, 0);
	if (error == 0)
		rec_start(getenv("CRASH_FAULT"));
	rec.listening = true;
	depth--;
}

void rec_end(void)
{
	struct crash_record r = { .kind = CRASH_END };

	if (!rec_enter())
		return;
	r.length = rec.calls;
	rec_append(&r, NULL, NULL);
	rec.on = false;
	rec_leave();
	(void)close(rec.log_fd);
	rec.log_fd = -1;
}

/* --- what the workload says ------------------------------------------------------------------------------------- */

static void mark(struct crash_record *r, const void *data)
{
	if (!rec_enter())
		return;
	rec_append(r, NULL, data);
	rec_leave();
}

/* A program that knows nothing of us says what it promises: lines "begun N" and "acked N" on its standard output. */
void rec_heard(const uint8_t *data, size_t bytes)
{
	char text[256], *rest = text;

	if (!rec.listening)
		return;
	bytes = bytes < sizeof(text) - 1 ? bytes : sizeof(text) - 1;
	memcpy(text, data, bytes);
	text[bytes] = '\0';
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		bool acked = strncmp(line, "acked ", 6) == 0;
		struct crash_record r = { .kind = acked ? CRASH_ACKED : CRASH_BEGUN };

		if (!acked && strncmp(line, "begun ", 6) != 0)
			continue;
		r.length = strtoull(line + 6, NULL, 10);
		rec_append(&r, NULL, NULL);
	}
}

void crash_begun(uint64_t commit)
{
	mark(&(struct crash_record){ .kind = CRASH_BEGUN, .length = commit }, NULL);
}

void crash_acked(uint64_t commit)
{
	mark(&(struct crash_record){ .kind = CRASH_ACKED, .length = commit }, NULL);
}

void crash_note(const void *data, size_t bytes)
{
	mark(&(struct crash_record){ .kind = CRASH_NOTE, .data_bytes = (uint32_t)bytes }, data);
}
