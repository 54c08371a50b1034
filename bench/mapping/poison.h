/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapping/poison.h - single dead pages among living ones.
 *
 * Truncation kills a whole tail; what fails alone is a bad block or broken memory. UFFDIO_POISON (Linux 6.6) makes a page
 * that answers like the latter. Debian 12's headers are older, so its numbers stand here.
 */
#ifndef BENCH_MAPPING_POISON_H
#define BENCH_MAPPING_POISON_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct poison_request {
	struct uffdio_range range;
	uint64_t mode;
	int64_t done;
};

#define POISON_IOCTL _IOWR(0xAA, 0x08, struct poison_request)
#define POISON_FEATURE ((uint64_t)1 << 14)
#define POISON_USER_MODE_ONLY 1

/* A userfaultfd over untouched anonymous memory; -1 where this kernel or user has none with poison. */
static inline int poison_open(void *at, uint64_t bytes)
{
	struct uffdio_api api = { .api = UFFD_API, .features = POISON_FEATURE };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)at, .len = bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | POISON_USER_MODE_ONLY);

	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &range) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline bool poison_page(int fd, void *at)
{
	struct poison_request request = { .range = { .start = (uintptr_t)at, .len = 4096 } };

	return ioctl(fd, POISON_IOCTL, &request) == 0;
}

static inline bool poison_fill(int fd, void *at, const void *bytes)
{
	struct uffdio_copy copy = { .dst = (uintptr_t)at, .src = (uintptr_t)bytes, .len = 4096 };

	return ioctl(fd, UFFDIO_COPY, &copy) == 0;
}

#endif
