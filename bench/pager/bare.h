/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least a fault of ours can cost: a memfd whose pages are there, a view of it registered with userfaultfd, and nothing
 * but UFFDIO_CONTINUE for each fault - in a SIGBUS handler of the faulting thread, or in a thread that reads messages. It
 * keeps no books, checks nothing, and could not evict.
 */
#ifndef QUIRE_BENCH_BARE_H
#define QUIRE_BENCH_BARE_H

#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "common.h"

#ifndef UFFD_FEATURE_MINOR_SHMEM
#define UFFD_FEATURE_MINOR_SHMEM (1 << 10)
#endif

struct bare {
	int fd; /* memfd */
	int uffd;
	unsigned char *view;
	size_t bytes;
	pthread_t thread;
	struct sigaction before;
};

/* Of the one that is open. */
static int bare_uffd; /* for the signal handler */
static uintptr_t bare_view;
static uint32_t bare_bytes = PAGE; /* that one fault enters: a power of two */

/* Word 0 of every page is known. */
static inline int bare_memfd(size_t bytes)
{
	int fd = memfd_create("bench-bare", MFD_CLOEXEC);
	unsigned char *door;

	bench_must(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "memfd");
	door = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bench_must(door != MAP_FAILED, "mmap");
	for (size_t at = 0; at < bytes; at += PAGE)
		*(uint64_t *)(void *)(door + at) = word_of(at / 8);
	munmap(door, bytes);
	return fd;
}

static inline void bare_continue(int uffd, uintptr_t va)
{
	uintptr_t first = bare_view + ((va - bare_view) & ~(uintptr_t)(bare_bytes - 1));
	struct uffdio_continue call = { .range = { first, bare_bytes } };

	if (ioctl(uffd, UFFDIO_CONTINUE, &call) < 0 && errno != EEXIST)
		abort();
}

static inline void bare_signal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	bare_continue(bare_uffd, (uintptr_t)info->si_addr);
}

static inline void *bare_thread(void *user)
{
	struct bare *bare = user;
	struct uffd_msg message;

	/* A blocking read and nothing else, as the examples do it; the last message is ours. */
	while (read(bare->uffd, &message, sizeof(message)) == sizeof(message)) {
		bare_continue(bare->uffd, message.arg.pagefault.address);
		if (message.arg.pagefault.address >= (uintptr_t)bare->view + bare->bytes)
			break;
	}
	return NULL;
}

static inline void bare_open(struct bare *bare, int memfd, size_t bytes, bool in_signal)
{
	struct uffdio_api api = { .api = UFFD_API,
		.features = UFFD_FEATURE_MINOR_SHMEM | (in_signal ? UFFD_FEATURE_SIGBUS : 0) };
	struct uffdio_register call;
	struct sigaction action = { .sa_sigaction = bare_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	/* One page more, whose fault ends the thread. */
	bare->fd = memfd;
	bare->bytes = bytes;
	bare->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | (in_signal ? UFFD_USER_MODE_ONLY : 0));
	bench_must(bare->uffd >= 0 && ioctl(bare->uffd, UFFDIO_API, &api) == 0, "userfaultfd");
	bare->view = mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	bench_must(bare->view != MAP_FAILED, "mmap");
	bare_view = (uintptr_t)bare->view;
	(void)madvise(bare->view, bytes + PAGE, MADV_NOHUGEPAGE);
	call = (struct uffdio_register){ .range = { (uintptr_t)bare->view, bytes + PAGE },
		.mode = UFFDIO_REGISTER_MODE_MINOR };
	bench_must(ioctl(bare->uffd, UFFDIO_REGISTER, &call) == 0, "UFFDIO_REGISTER");
	if (in_signal) {
		bare_uffd = bare->uffd;
		bench_must(sigaction(SIGBUS, &action, &bare->before) == 0, "sigaction");
	} else {
		bench_must(pthread_create(&bare->thread, NULL, bare_thread, bare) == 0, "pthread_create");
	}
}

static inline void bare_close(struct bare *bare, bool in_signal)
{
	if (in_signal) {
		(void)sigaction(SIGBUS, &bare->before, NULL);
	} else {
		(void)*(volatile unsigned char *)(bare->view + bare->bytes);
		pthread_join(bare->thread, NULL);
	}
	munmap(bare->view, bare->bytes + PAGE);
	close(bare->uffd);
}

#endif
