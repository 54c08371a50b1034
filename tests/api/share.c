/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, seals one by one, and mappings sent to others - by friends and by liars. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"
#include "support/map.h"
#include "support/vma.h"
#include "sys/uapi.h"

static struct quire_map *shared(size_t pages)
{
	struct quire_map *map;

	EXPECT_IS(quire_map_shared(NULL, "share", pages * PAGE, &map), 0);
	return map;
}

static int export(struct quire_map *map)
{
	int fd;

	EXPECT_IS(quire_map_export(map, &fd), 0);
	return fd;
}

/* ---- seals: each forbids its own thing and nothing else ---- */

static bool can_write(int fd)
{
	return pwrite(fd, "w", 1, 0) == 1;
}

static bool can_map_writable(int fd)
{
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory != MAP_FAILED && munmap(memory, PAGE) == 0;
}

static void each_seal_forbids_what_it_says(void **state)
{
	static const unsigned int seals[] = { QUIRE_SEAL_SHRINK, QUIRE_SEAL_GROW, QUIRE_SEAL_WRITE,
		QUIRE_SEAL_FUTURE_WRITE, QUIRE_SEAL_SEAL };

	(void)state;
	for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
		struct quire_map *map = shared(4);
		unsigned int before, got;
		int fd = export(map);

		*at(map, 0) = 'x';
		if (seals[i] == QUIRE_SEAL_WRITE) {
			EXPECT_IS(quire_map_seal(map, seals[i]), -EBUSY);
			EXPECT(strstr(quire_error_text(), "FUTURE_WRITE"));
			gone(map);
			EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .sharing = QUIRE_PRIVATE), &map),
				0);
		}
		EXPECT_IS(quire_map_seals(map, &before), 0);
		EXPECT_IS(before & seals[i], 0);
		EXPECT_IS(quire_map_seal(map, seals[i]), 0);
		EXPECT_IS(quire_map_seals(map, &got), 0);
		EXPECT_IS(got, before | seals[i]);
		EXPECT_IS(ftruncate(fd, 5 * PAGE) == 0, seals[i] != QUIRE_SEAL_GROW);
		EXPECT_IS(ftruncate(fd, 2 * PAGE) == 0, seals[i] != QUIRE_SEAL_SHRINK);
		EXPECT_IS(can_write(fd), seals[i] != QUIRE_SEAL_WRITE && seals[i] != QUIRE_SEAL_FUTURE_WRITE);
		EXPECT_IS(can_map_writable(fd),
			seals[i] != QUIRE_SEAL_WRITE && seals[i] != QUIRE_SEAL_FUTURE_WRITE);
		if (seals[i] == QUIRE_SEAL_FUTURE_WRITE) {
			*at(map, 1) = 'y'; /* what was writable stays so */
			EXPECT_IS(pread(fd, at(map, 0), 1, PAGE), 1);
			EXPECT_IS(*at(map, 0), 'y');
		}
		EXPECT_IS(quire_map_seal(map, QUIRE_SEAL_GROW) == 0, seals[i] != QUIRE_SEAL_SEAL);
		EXPECT_IS(close(fd), 0);
		gone(map);
	}
}

static void the_execute_seal_keeps_the_mode(void **state)
{
	struct quire_map *map = shared(1);
	int fd = export(map);
	unsigned int seals;
	int r = quire_map_seal(map, QUIRE_SEAL_EXEC);

	(void)state;
	if (r == -ENOTSUP)
		skip();
	EXPECT_IS(r, 0);
	EXPECT_IS(quire_map_seals(map, &seals), 0);
	EXPECT(seals & QUIRE_SEAL_EXEC);
	EXPECT_IS(fchmod(fd, 0777), -1);
	EXPECT_IS(close(fd), 0);
	gone(map);
}

static void only_sealable_memory_is_sealed(void **state)
{
	struct quire_map *map;
	unsigned int seals;
	int fd = file_of(PAGE);

	(void)state;
	EXPECT_IS(quire_map(NULL, QUIRE_OPTIONS(map, .kind = QUIRE_MEMFD, .length = PAGE), &map), 0);
	EXPECT_IS(quire_map_seal(map, QUIRE_SEAL_GROW), -EPERM);
	EXPECT_IS(quire_map_seal(map, 0), -EINVAL);
	EXPECT_IS(quire_map_seal(map, 64), -EINVAL);
	gone(map);
	EXPECT_IS(quire_map_fd(NULL, fd, NULL, &map), 0);
	EXPECT_IS(quire_map_seal(map, QUIRE_SEAL_GROW), -EINVAL);
	EXPECT_IS(quire_map_seals(map, &seals), -EINVAL);
	gone(map);
	EXPECT_IS(close(fd), 0);
	EXPECT_IS(quire_map_anon(NULL, PAGE, &map), 0);
	EXPECT_IS(quire_map_seal(map, QUIRE_SEAL_GROW), -EINVAL);
	EXPECT_IS(quire_map_export(map, &fd), -EINVAL);
	EXPECT_IS(quire_map_send(map, 0), -EINVAL);
	gone(map);
}

static void sealed_memory_grows_no_more(void **state)
{
	struct quire_map *map = shared(2);

	(void)state;
	EXPECT_IS(quire_map_seal(map, QUIRE_SEAL_GROW), 0);
	EXPECT_IS(quire_map_resize(map, 4 * PAGE, QUIRE_MAY_MOVE), -EPERM);
	EXPECT_IS(quire_map_length(map), 2 * PAGE);
	gone(map);
}

/* ---- sending ---- */

struct wire {
	char magic[8];
	uint32_t version;
	uint32_t zero;
	uint64_t offset;
	uint64_t length;
};

static struct wire honest(uint64_t length)
{
	struct wire wire = { .version = 1, .length = length };

	memcpy(wire.magic, "QUIREMAP", 8);
	return wire;
}

static void send_wire(int socket, const void *bytes, size_t length, const int *fds, size_t fd_count)
{
	char control[CMSG_SPACE(sizeof(int) * 200)] = { 0 };
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd_count > 0) {
		struct cmsghdr *head;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
	}
	EXPECT_IS(sendmsg(socket, &message, MSG_NOSIGNAL), length);
}

static void sockets(int type, int *pair)
{
	EXPECT_IS(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_both(const int *pair)
{
	EXPECT_IS(close(pair[0]) + close(pair[1]), 0);
}

/* One message of so many bytes with so many copies of fd; what quire_map_receive() says of it. */
static int received(
	int type, const struct wire *wire, size_t length, int fd, size_t copies, unsigned int seals)
{
	struct quire_map *map = NULL;
	int fds[200];
	int pair[2];
	int r;

	for (size_t i = 0; i < copies; i++)
		fds[i] = fd;
	sockets(type, pair);
	send_wire(pair[0], wire, length, fds, copies);
	r = quire_map_receive(NULL, pair[1], seals, NULL, &map);
	if (r == 0)
		gone(map);
	else
		EXPECT(map == NULL);
	close_both(pair);
	return r;
}

static void a_mapping_arrives_at_a_stranger(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct quire_map *map = shared(4);
		struct quire_map *theirs;
		struct quire_map_stat stat = { .size = sizeof(stat) };
		int pair[2];

		sockets(types[i], pair);
		*at(map, 3) = 'x';
		EXPECT_IS(quire_map_send(map, pair[0]), 0);
		EXPECT_IS(quire_map_receive(NULL, pair[1], 0, NULL, &theirs), 0);
		EXPECT_IS(quire_map_length(theirs), 4 * PAGE);
		EXPECT_IS(*at(theirs, 3), 'x');
		*at(theirs, 2) = 'y';
		EXPECT_IS(*at(map, 2), 'y');
		EXPECT_IS(quire_map_stat(theirs, &stat), 0);
		EXPECT_IS(stat.guard, QUIRE_GUARD_ZEROS); /* it can still be cut */
		gone(theirs);
		EXPECT_IS(quire_map_seal(map, QUIRE_SEAL_SHRINK | QUIRE_SEAL_FUTURE_WRITE), 0);
		EXPECT_IS(quire_map_send(map, pair[0]), 0);
		EXPECT_IS(quire_map_receive(NULL, pair[1], QUIRE_SEAL_SHRINK, NULL, &theirs), 0);
		EXPECT(vma_permits(at(theirs, 0), "r--s"));
		EXPECT_IS(quire_map_stat(theirs, &stat), 0);
		EXPECT_IS(stat.guard, QUIRE_GUARD_OFF);
		gone(theirs);
		close_both(pair);
		gone(map);
	}
}

static void part_of_a_file_is_sent_as_that_part(void **state)
{
	int fd = file_of(4 * PAGE);
	struct quire_map *map, *theirs;
	int pair[2];

	(void)state;
	sockets(SOCK_STREAM, pair);
	EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .offset = PAGE + 10, .length = 100), &map), 0);
	EXPECT_IS(quire_map_send(map, pair[0]), 0);
	EXPECT_IS(quire_map_receive(NULL, pair[1], 0, QUIRE_OPTIONS(map, .guard = QUIRE_GUARD_OFF), &theirs),
		0);
	EXPECT_IS(quire_map_length(theirs), 100);
	EXPECT_IS(*at(theirs, 0), 'b');
	gone(theirs);
	gone(map);
	close_both(pair);
	EXPECT_IS(close(fd), 0);
}

static void every_demanded_seal_must_be_there(void **state)
{
	static const unsigned int seals[] = { QUIRE_SEAL_SHRINK, QUIRE_SEAL_GROW, QUIRE_SEAL_WRITE,
		QUIRE_SEAL_FUTURE_WRITE, QUIRE_SEAL_SEAL };
	enum { COUNT = sizeof(seals) / sizeof(seals[0]) };

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		struct wire wire = honest(PAGE);
		struct quire_map *map = shared(1);
		int fd = export(map);

		gone(map);
		EXPECT_IS(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .sharing = QUIRE_PRIVATE), &map), 0);
		EXPECT_IS(quire_map_seal(map, seals[i]), 0);
		for (size_t j = 0; j < COUNT; j++)
			EXPECT_IS(received(SOCK_STREAM, &wire, sizeof(wire), fd, 1, seals[j]),
				i == j ? 0 : -EPERM);
		EXPECT_IS(received(SOCK_STREAM, &wire, sizeof(wire), fd, 1, seals[i] | QUIRE_SEAL_GROW),
			seals[i] == QUIRE_SEAL_GROW ? 0 : -EPERM);
		gone(map);
		EXPECT_IS(close(fd), 0);
	}
}

static void an_unsealed_file_is_refused_where_a_seal_is_demanded(void **state)
{
	struct wire wire = honest(PAGE);
	int fd = file_of(PAGE);

	(void)state;
	EXPECT_IS(received(SOCK_STREAM, &wire, sizeof(wire), fd, 1, QUIRE_SEAL_SHRINK), -EPERM);
	EXPECT_IS(received(SOCK_STREAM, &wire, sizeof(wire), fd, 1, 64), -EINVAL);
	EXPECT_IS(received(SOCK_STREAM, &wire, sizeof(wire), fd, 1, 0), 0);
	EXPECT_IS(close(fd), 0);
}

static int descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void messages_of_liars_are_refused_and_leave_nothing(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	char long_message[64] = { 0 };
	int fd = file_of(2 * PAGE);
	int pipes[2];
	int before;

	(void)state;
	EXPECT_IS(pipe(pipes), 0);
	before = descriptors();
	for (size_t i = 0; i < 2; i++) {
		struct wire wire = honest(2 * PAGE);
		struct wire good = wire;

		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 1, 0), 0);
		EXPECT_IS(received(types[i], &wire, 31, fd, 1, 0), -EBADMSG);
		EXPECT_IS(received(types[i], &wire, 1, fd, 1, 0), -EBADMSG);
		EXPECT_IS(received(types[i], &wire, sizeof(wire), -1, 0, 0), -EBADMSG);
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 2, 0), -EBADMSG);
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 16, 0), -EBADMSG);
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 17, 0), -EBADMSG);
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 200, 0), -EBADMSG);
		wire.magic[7] = 'Q';
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 1, 0), -EBADMSG);
		wire = good;
		wire.version = 2;
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 1, 0), -EBADMSG);
		wire = good;
		wire.zero = 1;
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 1, 0), -EBADMSG);
		wire = honest(2 * PAGE + 1);
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 1, 0), -ERANGE);
		wire = honest(UINT64_MAX);
		wire.offset = 2;
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 1, 0), -ERANGE);
		wire = honest(1);
		wire.offset = UINT64_MAX;
		EXPECT_IS(received(types[i], &wire, sizeof(wire), fd, 1, 0), -ERANGE);
		EXPECT(received(types[i], &good, sizeof(good), pipes[0], 1, 0) < 0);
		EXPECT_IS(descriptors(), before);
	}
	memcpy(long_message, &(struct wire[]){ honest(PAGE) }, sizeof(struct wire));
	EXPECT_IS(
		received(SOCK_SEQPACKET, (struct wire *)(void *)long_message, sizeof(long_message), fd, 1, 0),
		-EBADMSG);
	EXPECT_IS(descriptors(), before);
	EXPECT_IS(close(pipes[0]) + close(pipes[1]) + close(fd), 0);
}

static void a_closed_or_empty_socket_is_told(void **state)
{
	struct quire_map *map = shared(1);
	struct quire_map *theirs;
	int pair[2];

	(void)state;
	sockets(SOCK_STREAM, pair);
	EXPECT_IS(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	EXPECT_IS(quire_map_receive(NULL, pair[1], 0, NULL, &theirs), -EAGAIN);
	EXPECT_IS(close(pair[0]), 0);
	EXPECT_IS(quire_map_receive(NULL, pair[1], 0, NULL, &theirs), -EPIPE);
	EXPECT_IS(quire_map_send(map, pair[1]), -EPIPE); /* and no SIGPIPE */
	EXPECT_IS(close(pair[1]), 0);
	EXPECT_IS(quire_map_send(map, STDIN_FILENO) < 0, 1);
	EXPECT_IS(quire_map_receive(NULL, -1, 0, NULL, &theirs) < 0, 1);
	gone(map);
}

static void what_a_stranger_cuts_is_an_error_not_a_signal_body(void *argument)
{
	struct quire_map *map = shared(4);
	struct quire_map *theirs;
	int fd = export(map);
	int pair[2];

	(void)argument;
	sockets(SOCK_STREAM, pair);
	EXPECT_IS(quire_map_send(map, pair[0]), 0);
	EXPECT_IS(quire_map_receive(NULL, pair[1], 0, NULL, &theirs), 0);
	EXPECT_IS(ftruncate(fd, 0), 0);
	EXPECT_IS(*(volatile char *)at(theirs, 3), 0);
	EXPECT_IS(quire_map_error(theirs, NULL), -ENODATA);
}
CHILD_CASE(what_a_stranger_cuts_is_an_error_not_a_signal)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_seal_forbids_what_it_says),
		cmocka_unit_test(the_execute_seal_keeps_the_mode),
		cmocka_unit_test(only_sealable_memory_is_sealed),
		cmocka_unit_test(sealed_memory_grows_no_more),
		cmocka_unit_test(a_mapping_arrives_at_a_stranger),
		cmocka_unit_test(part_of_a_file_is_sent_as_that_part),
		cmocka_unit_test(every_demanded_seal_must_be_there),
		cmocka_unit_test(an_unsealed_file_is_refused_where_a_seal_is_demanded),
		cmocka_unit_test(messages_of_liars_are_refused_and_leave_nothing),
		cmocka_unit_test(a_closed_or_empty_socket_is_told),
		cmocka_unit_test(what_a_stranger_cuts_is_an_error_not_a_signal),
	};

	return RUN(tests);
}
