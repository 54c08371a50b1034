/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle/real.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/files.h"

/* Nothing here allocates memory: the hole in the address space belongs to the script. */

int real_files[FD_COUNT];

static uint64_t file_inode;
static bool named;          /* FD_NAMED was made */
static char named_path[64]; /* of FD_NAMED, while it has one */
static sigjmp_buf landing;
static struct access_result *faulted;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (faulted == NULL)
		abort(); /* no load or store of the script */
	faulted->signal = number;
	faulted->code = info->si_code;
	faulted->address = (uint64_t)(uintptr_t)info->si_addr - ARENA;
	siglongjmp(landing, 1);
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "oracle: %s: %s\n", what, strerror(errno));
	_exit(3);
}

static void open_files(void)
{
	char path[64];
	int pipes[2];

	real_files[FD_RDWR] = memfd_create("oracle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(real_files[FD_RDWR] >= 0, "memfd_create");
	must(ftruncate(real_files[FD_RDWR], FILE_PAGES * (off_t)P) == 0, "ftruncate");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", real_files[FD_RDWR]);
	real_files[FD_RDONLY] = open(path, O_RDONLY | O_CLOEXEC);
	real_files[FD_WRONLY] = open(path, O_WRONLY | O_CLOEXEC);
	must(real_files[FD_RDONLY] >= 0 && real_files[FD_WRONLY] >= 0, "open");
	must(pipe2(pipes, O_CLOEXEC) == 0, "pipe2");
	real_files[FD_PIPE] = pipes[0];
	real_files[FD_NONE] = -1;
	real_files[FD_CLOSED] = -1;
	real_files[FD_NAMED] = -1;
}

int real_file(enum which_file which)
{
	if (which == FD_NAMED && !named) { /* made when a script first asks for it */
		named = true;
		real_files[FD_NAMED] = named_file_of(FILE_PAGES * P, named_path);
	}
	/* A number that no descriptor has, but not -1, which some calls take for "none". */
	return which != FD_NONE && real_files[which] < 0 ? 1000 : real_files[which];
}

uint64_t real_inode(int fd)
{
	char line[256];
	char path[64];
	ssize_t n;
	int at;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	at = open(path, O_RDONLY | O_CLOEXEC);
	must(at >= 0, "fdinfo");
	n = read(at, line, sizeof(line) - 1);
	(void)close(at);
	must(n > 0, "fdinfo");
	line[n] = '\0';
	return strtoull(strstr(line, "ino:") + 4, NULL, 10);
}

bool real_is_the_file(uint64_t inode)
{
	return inode == file_inode;
}

/* ---- the segment list ---- */

static char maps[1 << 18];

static void read_maps(void)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	must(fd >= 0, "maps");
	while ((n = read(fd, maps + used, sizeof(maps) - 1 - used)) > 0)
		used += (size_t)n;
	(void)close(fd);
	maps[used] = '\0';
}

static void parse_line(const char *line, struct result *result, uint64_t *ids)
{
	struct seg_entry *seg = &result->segs[result->seg_count];
	uint64_t start;
	uint64_t end;
	char *at;
	uint64_t offset;

	start = strtoull(line, &at, 16);
	end = strtoull(at + 1, &at, 16);
	if (end <= ARENA || start >= ARENA + ARENA_PAGES * P)
		return;
	at++;
	must(result->seg_count < SEGS_MAX, "too many segments");
	*seg = (struct seg_entry){ .start = (start - ARENA) / P, .end = (end - ARENA) / P };
	seg->prot = (at[0] == 'r' ? PROT_READ : 0) | (at[1] == 'w' ? PROT_WRITE : 0) |
		(at[2] == 'x' ? PROT_EXEC : 0);
	seg->shared = at[3] == 's';
	offset = strtoull(at + 5, &at, 16);
	at = strchr(at + 1, ' '); /* past the device */
	ids[result->seg_count] = strtoull(at, NULL, 10);
	seg->kind = ids[result->seg_count] == 0        ? SEG_ANON
		: ids[result->seg_count] == file_inode ? SEG_FILE
						       : SEG_SHARED_0;
	seg->offset = seg->kind == SEG_ANON ? 0 : offset / P;
	result->seg_count++;
}

void real_list(struct result *result)
{
	uint64_t ids[SEGS_MAX];

	read_maps();
	result->seg_count = 0;
	for (const char *line = maps; line != NULL && *line != '\0';) {
		const char *end = strchr(line, '\n');

		parse_line(line, result, ids);
		line = end == NULL ? NULL : end + 1;
	}
	normalise(result, ids);
}

/* ---- operations ---- */

long real_call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	long r = syscall(number, a, b, c, d, e, f);

	return r == -1 ? -errno : r;
}

void real_access(uint64_t at, bool store, uint64_t value, struct access_result *out)
{
	volatile uint64_t *word = (volatile uint64_t *)(ARENA + at);

	*out = (struct access_result){ .signal = 0 };
	faulted = out;
	if (sigsetjmp(landing, 1) == 0) {
		if (store)
			*word = value;
		else
			out->value = *word;
	}
	faulted = NULL;
}

void real_fork(const struct op *op, struct result *result, access_fn *access)
{
	struct child_access accesses[CHILD_ACCESSES];
	pid_t pid;
	int status;

	child_plan(op, accesses);
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		for (size_t i = 0; i < CHILD_ACCESSES; i++)
			access(accesses[i].at, accesses[i].store, accesses[i].value, &result->child[i]);
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

void real_outcome(struct result *result, long r)
{
	result->error = r < 0 ? (int)-r : 0;
	result->value = r < 0 ? 0 : (uint64_t)r;
}

static void close_file(const struct op *op, struct result *result)
{
	int fd = real_file(op->fd);

	real_files[op->fd] = -1;
	real_outcome(result, real_call(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0));
}

static void unlink_named(struct result *result)
{
	(void)real_file(FD_NAMED);
	real_outcome(result, unlink(named_path) == 0 ? 0 : -errno);
	named_path[0] = '\0';
}

/* What was stored behind the end of the last page: when a file grows over it, ext4 and xfs make it zeros first; tmpfs,
 * which stands in for them here, does not. */
static void grow_as_on_disk(uint64_t bytes)
{
	off_t part;
	struct stat now;

	must(fstat(real_files[FD_RDWR], &now) == 0, "fstat");
	part = now.st_size % (off_t)P;
	/* Refused when sealed: then nothing grows either. */
	if (part > 0 && bytes <= INT64_MAX && (off_t)bytes > now.st_size)
		(void)fallocate(real_files[FD_RDWR], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, now.st_size,
			(off_t)P - part);
}

void real_content(const struct op *op, struct result *result)
{
	static unsigned char bytes[64 * 4096];
	uint64_t fd = (uint64_t)real_file(FD_RDWR);
	long r;

	if (op->kind == OP_CLOSE) {
		close_file(op, result);
	} else if (op->kind == OP_UNLINK) {
		unlink_named(result);
	} else if (op->kind == OP_TRUNCATE) {
		grow_as_on_disk(op->length);
		real_outcome(result, real_call(SYS_ftruncate, fd, op->length, 0, 0, 0, 0));
	} else if (op->kind == OP_PWRITE) {
		memset(bytes, (int)op->value, op->length);
		grow_as_on_disk(op->at + op->length);
		r = real_call(SYS_pwrite64, fd, (uint64_t)(uintptr_t)bytes, op->length, op->at, 0, 0);
		real_outcome(result, r);
	} else {
		r = real_call(SYS_pread64, fd, (uint64_t)(uintptr_t)bytes, op->length, op->at, 0, 0);
		real_outcome(result, r);
		result->hash = r > 0 ? hash_bytes(bytes, (size_t)r) : 0;
	}
}

void real_begin(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	open_files();
	file_inode = real_inode(real_files[FD_RDWR]);
	must(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0, "sigaction");
}

void real_end(void)
{
	if (named_path[0] != '\0')
		(void)unlink(named_path);
}
