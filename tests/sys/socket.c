/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors: what came is counted, what is too much is dropped whole. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "support/child.h"
#include "sys/limit.h"
#include "sys/socket.h"

static void pair_of(int type, int *pair)
{
	EXPECT_IS(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_both(const int *pair)
{
	EXPECT_IS(close(pair[0]) + close(pair[1]), 0);
}

static int descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void bytes_and_descriptors_arrive(void **state)
{
	int fds[3];
	int got[3] = { -1, -1, -1 };
	unsigned int count = 3;
	char text[8] = "";
	int pair[2];

	(void)state;
	pair_of(SOCK_STREAM, pair);
	for (size_t i = 0; i < 3; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	EXPECT_IS(sys_send_fds(pair[0], "hello", 6, fds, 3), 6);
	EXPECT_IS(sys_receive_fds(pair[1], text, sizeof(text), got, &count), 6);
	EXPECT_IS(count, 3);
	EXPECT_IS(strcmp(text, "hello"), 0);
	for (size_t i = 0; i < 3; i++) {
		EXPECT_IS(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		EXPECT_IS(close(got[i]) + close(fds[i]), 0);
	}
	close_both(pair);
}

static void more_descriptors_than_there_is_room_for_are_all_closed(void **state)
{
	int fds[4];
	int got[2] = { -1, -1 };
	int pair[2];

	(void)state;
	pair_of(SOCK_SEQPACKET, pair);
	for (size_t i = 0; i < 4; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned int sent = 0; sent <= 4; sent++) {
		int before = descriptors();
		unsigned int count = 2;
		char byte;

		EXPECT_IS(sys_send_fds(pair[0], "x", 1, fds, sent), 1);
		EXPECT_IS(sys_receive_fds(pair[1], &byte, 1, got, &count), sent > 2 ? -EMSGSIZE : 1);
		EXPECT_IS(count, sent > 2 ? 2 : sent);
		for (unsigned int i = 0; i < sent && sent <= 2; i++)
			EXPECT_IS(close(got[i]), 0);
		EXPECT_IS(descriptors(), before);
	}
	for (size_t i = 0; i < 4; i++)
		EXPECT_IS(close(fds[i]), 0);
	close_both(pair);
}

static void a_longer_datagram_is_refused(void **state)
{
	unsigned int count = 0;
	char text[4];
	int pair[2];

	(void)state;
	pair_of(SOCK_DGRAM, pair);
	EXPECT_IS(sys_send_fds(pair[0], "hello", 5, NULL, 0), 5);
	EXPECT_IS(sys_receive_fds(pair[1], text, sizeof(text), NULL, &count), -EMSGSIZE);
	close_both(pair);
}

static void a_closed_peer_raises_no_signal(void **state)
{
	int pair[2];

	(void)state;
	pair_of(SOCK_STREAM, pair);
	EXPECT_IS(close(pair[1]), 0);
	EXPECT_IS(sys_send_fds(pair[0], "x", 1, NULL, 0), -EPIPE);
	EXPECT_IS(close(pair[0]), 0);
	EXPECT_IS(sys_send_fds(-1, "x", 1, NULL, 0), -EBADF);
}

static void a_limit_is_read_as_it_is(void **state)
{
	const struct rlimit small = { 100, RLIM_INFINITY };
	struct rlimit before;
	uint64_t soft = 0;

	(void)state;
	EXPECT_IS(getrlimit(RLIMIT_CORE, &before), 0);
	if (before.rlim_max != RLIM_INFINITY || setrlimit(RLIMIT_CORE, &small) < 0)
		return;
	EXPECT_IS(sys_limit(RLIMIT_CORE, &soft), 0);
	EXPECT_IS(soft, 100);
	EXPECT_IS(setrlimit(RLIMIT_CORE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }), 0);
	EXPECT_IS(sys_limit(RLIMIT_CORE, &soft), 0);
	EXPECT(soft == SYS_NO_LIMIT);
	EXPECT_IS(setrlimit(RLIMIT_CORE, &before), 0);
	EXPECT(sys_limit(12345, &soft) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_descriptors_arrive),
		cmocka_unit_test(more_descriptors_than_there_is_room_for_are_all_closed),
		cmocka_unit_test(a_longer_datagram_is_refused),
		cmocka_unit_test(a_closed_peer_raises_no_signal),
		cmocka_unit_test(a_limit_is_read_as_it_is),
	};

	return RUN(tests);
}
