/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor for epoll: no message without a wake-up, no system call for a message. */
#include "channel/peers.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

enum { BACKLOG = 1000, BURSTS = 100, BURST = 50 };

/* ThreadSanitizer maps memory for what it remembers of each thread. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RUNTIME_CALL SYS_mmap
#endif
#endif
#ifndef RUNTIME_CALL
#define RUNTIME_CALL SYS_pause
#endif

/* From here on, any system call of this thread but write, pause and exit is death. */
static void forbid_system_calls(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pause, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RUNTIME_CALL, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { .len = 7, .filter = program };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

/* The sanitizers' _exit() makes system calls of its own. */
static void leave(int status)
{
	(void)syscall(SYS_exit_group, status);
}

static void write_backlog(const char *name, int ready)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_SEND);
	uint64_t i;

	MUST(quire_channel_fd(c) >= 0);
	forbid_system_calls();
	for (i = 0; i < BACKLOG; i++)
		if (quire_channel_send(c, &i, sizeof(i), QUIRE_NOW) != sizeof(i))
			break;
	if (i != BACKLOG || write(ready, "r", 1) != 1)
		leave(1);
	for (;;)
		(void)pause(); /* until the test ends */
}

static void read_backlog(struct quire_channel *c)
{
	uint64_t number;

	forbid_system_calls();
	for (uint64_t i = 0; i < BACKLOG; i++)
		if (quire_channel_recv(c, &number, sizeof(number), QUIRE_NOW) != sizeof(number) ||
			number != i)
			leave(1);
	leave(0);
}

static void a_busy_reader_makes_no_system_call(void **state)
{
	const char *name = fresh_name();
	int ready[2];
	pid_t reader, writer;
	char byte;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	writer = spawn();
	if (writer == 0) {
		(void)close(ready[0]);
		write_backlog(name, ready[1]);
	}
	reader = spawn();
	if (reader == 0) {
		struct quire_listener *l = NULL;
		struct quire_channel *c = NULL;

		(void)close(ready[1]); /* a writer that dies is heard */
		MUST(quire_channel_listen(
			     NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l) == 0);
		MUST(quire_channel_accept(l, in_ms(PATIENCE_MS), &c) == 0);
		MUST(quire_channel_fd(c) >= 0);
		MUST(read(ready[0], &byte, 1) == 1);
		read_backlog(c);
	}
	assert_int_equal(exit_of(reader), 0);
	(void)kill(writer, SIGKILL);
	(void)wait_for(writer);
	assert_int_equal(close(ready[0]) | close(ready[1]), 0);
}

/* Tells how often it rang. */
static void write_bursts(const char *name, int told)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_SEND);
	struct quire_channel_stat st = { .size = sizeof(st) };
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (uint64_t i = 0; i < BURSTS * BURST; i++) {
		if (i % BURST == 0)
			(void)nanosleep(&nap, NULL);
		MUST(quire_channel_send(c, &i, sizeof(i), in_ms(PATIENCE_MS)) == sizeof(i));
	}
	MUST(quire_channel_stat(c, &st) == 0);
	MUST(write(told, &st.bells, sizeof(st.bells)) == sizeof(st.bells));
	quire_channel_close(c);
	_exit(0);
}

/* And the writer rings once for each time the reader said that it is about to sleep, whatever the number of messages. It
 * also rings for a sleep that did not take place, because a message came at the last moment: that is rare. */
static void every_burst_wakes_epoll(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	const struct timespec nap = { .tv_nsec = 1000000 };
	uint64_t next = 0, misses = 0, bells = 0;
	struct quire_channel *c;
	int told[2];
	pid_t pid;
	int64_t r;

	(void)state;
	assert_int_equal(pipe(told), 0);
	pid = spawn();
	if (pid == 0)
		write_bursts(name, told[1]);
	c = accept_from(l);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, quire_channel_fd(c), &event), 0);
	do {
		uint64_t number;

		while ((r = quire_channel_recv(c, &number, sizeof(number), QUIRE_NOW)) == sizeof(number))
			assert_int_equal(number, next++);
		if (r == -EAGAIN) {
			misses++;
			assert_int_equal(epoll_wait(epoll, &event, 1, PATIENCE_MS), 1);
			(void)nanosleep(&nap, NULL); /* the rest of the burst comes without a bell */
		}
	} while (r == -EAGAIN);
	assert_int_equal(r, -EPIPE);
	assert_int_equal(next, BURSTS * BURST);
	assert_int_equal(exit_of(pid), 0);
	assert_int_equal(read(told[0], &bells, sizeof(bells)), sizeof(bells));
	print_message("# %llu messages, %llu sleeps, %llu bells\n", (unsigned long long)next,
		(unsigned long long)misses, (unsigned long long)bells);
	assert_true(bells <= misses + BURSTS / 2);
	assert_true(bells < BURSTS * BURST / 2);
	assert_int_equal(close(told[0]) | close(told[1]), 0);
	quire_channel_close(c);
	quire_channel_unlisten(l);
	assert_int_equal(close(epoll), 0);
}

static void room_wakes_a_writer_in_poll(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = NULL;
	pid_t pid = spawn();
	struct quire_channel *c;
	struct pollfd p = { .events = POLLIN };
	uint64_t sent = 0;

	(void)state;
	if (pid == 0) {
		const struct timespec nap = { .tv_nsec = 200000 };
		uint64_t number, next = 0;

		c = NULL;
		(void)nanosleep(&nap, NULL);
		while (quire_channel_connect(NULL, name,
			       QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &c) == -ENOENT)
			(void)nanosleep(&nap, NULL);
		while (quire_channel_recv(c, &number, sizeof(number), in_ms(PATIENCE_MS)) == sizeof(number)) {
			MUST(number == next++);
			if (next % 100 == 0)
				(void)nanosleep(&nap, NULL);
		}
		_exit(next == 5000 ? 0 : 1);
	}
	assert_int_equal(quire_channel_listen(NULL, name,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .ring_bytes = 4096), &l),
		0);
	c = accept_from(l);
	p.fd = quire_channel_fd(c);
	while (sent < 5000) {
		int64_t r = quire_channel_send(c, &sent, sizeof(sent), QUIRE_NOW);

		if (r == sizeof(sent))
			sent++;
		else
			assert_true(r == -EAGAIN && poll(&p, 1, PATIENCE_MS) == 1);
	}
	quire_channel_close(c);
	assert_int_equal(exit_of(pid), 0);
	quire_channel_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_busy_reader_makes_no_system_call),
		cmocka_unit_test(every_burst_wakes_epoll),
		cmocka_unit_test(room_wakes_a_writer_in_poll),
	};

	return RUN(tests);
}
