/* SPDX-License-Identifier: Apache-2.0 */
/* channel/raw.h - a client by hand: its socket, its segment, its greeting. */
#ifndef TESTS_CHANNEL_RAW_H
#define TESTS_CHANNEL_RAW_H

#include "channel/peers.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "channel/hello.h"
#include "channel/layout.h"

static inline socklen_t address_of(const char *name, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "%s", name + 1);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
}

static inline int connected(const char *name)
{
	struct sockaddr_un address;
	socklen_t length = address_of(name, &address);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	MUST(fd >= 0 && connect(fd, (const struct sockaddr *)&address, length) == 0);
	return fd;
}

/* A segment in order, but of this version; sparse: without memory behind it. */
static inline int make_segment(uint16_t major, bool sparse)
{
	const struct layout_header header = {
		.magic = { 'Q', 'U', 'I', 'R', 'E', 'C', 'H', 'N' },
		.major = major,
		.header_bytes = sizeof(header),
		.ring_offset = LAYOUT_RING,
		.capacity = 4096,
		.role = QUIRE_CHANNEL_SEND,
	};
	int fd = memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	MUST(fd >= 0 && ftruncate(fd, LAYOUT_RING + 4096) == 0);
	MUST(sparse || posix_fallocate(fd, 0, LAYOUT_RING + 4096) == 0);
	MUST(pwrite(fd, &header, sizeof(header), 0) == sizeof(header));
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) == 0);
	return fd;
}

static inline int segment_of(uint16_t major)
{
	return make_segment(major, false);
}

static inline struct hello greeting_of(uint16_t major, uint32_t role)
{
	return (struct hello){
		.magic = { 'Q', 'U', 'I', 'R', 'E', 'C', 'H', 'N' }, .major = major, .minor = 7, .role = role
	};
}

static inline void send_greeting(int socket, const struct hello *hello, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)hello, .iov_len = sizeof(*hello) };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	MUST(sendmsg(socket, &message, MSG_NOSIGNAL) == sizeof(*hello));
	MUST(close(fd) == 0);
}

#endif
