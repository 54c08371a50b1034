/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle/oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The real thing. Nothing here allocates memory: the hole in the address space belongs to the script. */

static int files[FD_PIPE + 1];
static uint64_t file_inode;
static sigjmp_buf landing;
static struct access_result *faulted;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)context;
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

	files[FD_RDWR] = memfd_create("oracle", MFD_CLOEXEC);
	must(files[FD_RDWR] >= 0, "memfd_create");
	must(ftruncate(files[FD_RDWR], FILE_PAGES * (off_t)P) == 0, "ftruncate");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", files[FD_RDWR]);
	files[FD_RDONLY] = open(path, O_RDONLY | O_CLOEXEC);
	files[FD_WRONLY] = open(path, O_WRONLY | O_CLOEXEC);
	must(files[FD_RDONLY] >= 0 && files[FD_WRONLY] >= 0, "open");
	must(pipe2(pipes, O_CLOEXEC) == 0, "pipe2");
	files[FD_PIPE] = pipes[0];
	files[FD_NONE] = -1;
	files[FD_CLOSED] = 1000;
}

static uint64_t inode_of(int fd)
{
	char line[256];
	char path[64];
	ssize_t n;
	int at;

	/* As /proc/self/maps will say it. */
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	at = open(path, O_RDONLY | O_CLOEXEC);
	must(at >= 0, "fdinfo");
	n = read(at, line, sizeof(line) - 1);
	(void)close(at);
	must(n > 0, "fdinfo");
	line[n] = '\0';
	return strtoull(strstr(line, "ino:") + 4, NULL, 10);
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
	seg->prot = (at[0] == 'r' ? PROT_READ : 0) | (at[1] == 'w' ? PROT_WRITE : 0) | (at[2] == 'x' ? PROT_EXEC : 0);
	seg->shared = at[3] == 's';
	offset = strtoull(at + 5, &at, 16);
	at = strchr(at + 1, ' '); /* past the device */
	ids[result->seg_count] = strtoull(at, NULL, 10);
	seg->kind = ids[result->seg_count] == 0 ? SEG_ANON : ids[result->seg_count] == file_inode ? SEG_FILE : SEG_SHARED_0;
	seg->offset = seg->kind == SEG_ANON ? 0 : offset / P;
	result->seg_count++;
}

static void list_segments(struct result *result)
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

static long call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	long r = syscall(number, a, b, c, d, e, f);

	return r == -1 ? -errno : r;
}

static void access_one(uint64_t at, bool store, uint64_t value, struct access_result *out)
{
	volatile uint64_t *word = (volatile uint64_t *)(ARENA + at);

	*out = (struct access_result){ .signal = 0 };
	faulted = out;
	if (sigsetjmp(landing, 1) != 0)
		return;
	if (store)
		*word = value;
	else
		out->value = *word;
}

static void fork_one(const struct op *op, struct result *result)
{
	struct child_access accesses[CHILD_ACCESSES];
	pid_t pid;
	int status;

	child_plan(op, accesses);
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		for (size_t i = 0; i < CHILD_ACCESSES; i++)
			access_one(accesses[i].at, accesses[i].store, accesses[i].value, &result->child[i]);
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

/* An address that a call returned; what lies elsewhere is given back. */
static void place(struct result *result, long r, uint64_t length)
{
	uint64_t at = (uint64_t)r - ARENA;

	if (r < 0 && r > -4096) {
		result->error = (int)-r;
		return;
	}
	result->value = at;
	if (at < ARENA_PAGES * P)
		return;
	result->value = ELSEWHERE;
	must(call(SYS_munmap, (uint64_t)r, length, 0, 0, 0, 0) == 0, "munmap elsewhere");
}

static void plain(struct result *result, long r)
{
	result->error = r < 0 ? (int)-r : 0;
	result->value = r < 0 ? 0 : (uint64_t)r;
}

static void content(const struct op *op, struct result *result)
{
	static unsigned char bytes[64 * 4096];
	long r;

	if (op->kind == OP_TRUNCATE) {
		plain(result, call(SYS_ftruncate, (uint64_t)files[FD_RDWR], op->length, 0, 0, 0, 0));
	} else if (op->kind == OP_PWRITE) {
		memset(bytes, (int)op->value, op->length);
		plain(result, call(SYS_pwrite64, (uint64_t)files[FD_RDWR], (uint64_t)(uintptr_t)bytes, op->length, op->at, 0, 0));
	} else {
		r = call(SYS_pread64, (uint64_t)files[FD_RDWR], (uint64_t)(uintptr_t)bytes, op->length, op->at, 0, 0);
		plain(result, r);
		result->hash = r > 0 ? hash_bytes(bytes, (size_t)r) : 0;
	}
}

static void run_one(const struct op *op, struct result *result)
{
	uint64_t at = ARENA + op->at;
	static unsigned char vector[VECTOR_MAX];
	long r;

	switch (op->kind) {
	case OP_MMAP:
		r = call(SYS_mmap, op->at == ELSEWHERE ? 0 : at, op->length, (uint64_t)op->prot, (uint64_t)op->flags,
			(uint64_t)files[op->fd], op->to);
		place(result, r, op->length);
		break;
	case OP_MUNMAP: plain(result, call(SYS_munmap, at, op->length, 0, 0, 0, 0)); break;
	case OP_MPROTECT: plain(result, call(SYS_mprotect, at, op->length, (uint64_t)op->prot, 0, 0, 0)); break;
	case OP_MREMAP:
		r = call(SYS_mremap, at, op->length, op->new_length, (uint64_t)op->flags, ARENA + op->to, 0);
		place(result, r, op->new_length);
		break;
	case OP_MADVISE: plain(result, call(SYS_madvise, at, op->length, (uint64_t)op->flags, 0, 0, 0)); break;
	case OP_MSYNC: plain(result, call(SYS_msync, at, op->length, (uint64_t)op->flags, 0, 0, 0)); break;
	case OP_MINCORE:
		memset(vector, 0, sizeof(vector));
		plain(result, call(SYS_mincore, at, op->length, op->value == 1 ? 8 : (uint64_t)(uintptr_t)vector, 0, 0, 0));
		for (size_t i = 0; i < sizeof(vector); i++)
			vector[i] &= 1;
		result->hash = result->error == 0 ? hash_bytes(vector, sizeof(vector)) : 0;
		break;
	case OP_MLOCK: plain(result, call(SYS_mlock2, at, op->length, (uint64_t)op->flags, 0, 0, 0)); break;
	case OP_MUNLOCK: plain(result, call(SYS_munlock, at, op->length, 0, 0, 0, 0)); break;
	case OP_LOAD: access_one(op->at, false, 0, &result->access); break;
	case OP_STORE: access_one(op->at, true, op->value, &result->access); break;
	case OP_FORK: fork_one(op, result); break;
	case OP_TRUNCATE:
	case OP_PWRITE:
	case OP_PREAD: content(op, result); break;
	case OP_KINDS: break;
	}
}

void run_kernel(const struct op *ops, size_t count, struct result *results)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	open_files();
	file_inode = inode_of(files[FD_RDWR]);
	must(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0, "sigaction");
	for (size_t i = 0; i < count; i++) {
		run_one(&ops[i], &results[i]);
		list_segments(&results[i]);
		results[i].done = true;
	}
}
