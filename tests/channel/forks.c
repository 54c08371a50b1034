/* SPDX-License-Identifier: Apache-2.0 */
/* Children made by fork: what they inherit keeps nobody waiting, and they can begin anew. */
#include "channel/peers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support/child.h"
#include "support/scratch.h"

enum { CHURNERS = 2 };

/* Its allocator's locks stay taken in the child when another thread had them at the fork (clang 14). */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { MEMORY_OF_A_CHILD_HANGS = 1 };
#define HANGS_KNOWN
#endif
#endif
#ifndef HANGS_KNOWN
enum { MEMORY_OF_A_CHILD_HANGS = 0 };
#endif

/* A child that has everything its parent has, and does nothing with it. */
static void leave_a_child(void)
{
	pid_t pid = spawn();

	MUST(pid >= 0);
	if (pid == 0) {
		(void)pause();
		_exit(1);
	}
}

static void receive_one_and_close(const char *name, int wait_ms)
{
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	char byte;

	MUST(quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l) ==
		0);
	MUST(quire_channel_accept(l, in_ms(PATIENCE_MS), &c) == 0);
	leave_a_child();
	MUST(quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS)) == 1);
	MUST(quire_channel_close(c) == 0);
	(void)usleep(1000 * (unsigned int)wait_ms);
	MUST(quire_channel_unlisten(l) == 0);
	(void)pause(); /* so that it is the closing that is heard, and not our end */
	_exit(1);
}

static void close_beside_a_child(int wait_ms)
{
	const char *name = fresh_name();
	struct quire_channel *c = NULL;
	int64_t r = 1;
	pid_t pid = spawn();

	if (pid == 0)
		receive_one_and_close(name, wait_ms);
	c = connect_to(name, QUIRE_CHANNEL_SEND);
	while (r == 1)
		r = quire_channel_send(c, "x", 1, in_ms(PATIENCE_MS));
	assert_int_equal(r, -EPIPE);
	quire_channel_close(c);
	/* And nobody is let stand at the door of a listener that goes, or is gone. */
	r = quire_channel_connect(NULL, name,
		QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .deadline_ns = in_ms(PATIENCE_MS)), &c);
	assert_true(r == -ECONNREFUSED || r == -ENOENT);
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)wait_for(pid);
}

/* The next one comes before the listener goes, most of the time, or after it. */
static void a_close_is_heard_although_a_child_has_the_socket(void **state)
{
	(void)state;
	close_beside_a_child(50);
	close_beside_a_child(0);
}

/* ---- a socket that somebody else has made, who then goes ---- */

static int listening(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	MUST(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	MUST(listen(fd, 8) == 0);
	return fd;
}

static void serve(int fd, int go)
{
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	char byte;

	MUST(quire_channel_listen(
		     NULL, NULL, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .fd = fd + 1), &l) == 0);
	MUST(quire_channel_accept(l, in_ms(PATIENCE_MS), &c) == 0);
	MUST(read(go, &byte, 1) == 1);
	MUST(quire_channel_send(c, "x", 1, in_ms(PATIENCE_MS)) == 1);
	(void)pause();
	_exit(1);
}

/* The kernel names it as the one at the other end, for it has called listen(2): its death means nothing. */
static void who_made_an_inherited_socket_may_go(void **state)
{
	const char *path = scratch_path("door");
	struct quire_channel *c = NULL;
	int go[2], gone[2], fd;
	char byte;
	pid_t launcher, server;

	(void)state;
	assert_int_equal(pipe(go) | pipe(gone), 0);
	launcher = spawn();
	if (launcher == 0) {
		fd = listening(path);
		server = fork(); /* outlives the launcher: it ends with its reader of "go" */
		if (server == 0)
			serve(fd, go[0]);
		MUST(write(gone[1], &server, sizeof(server)) == sizeof(server));
		MUST(read(go[0], &byte, 1) == 1);
		_exit(0);
	}
	assert_int_equal(read(gone[0], &server, sizeof(server)), sizeof(server));
	assert_int_equal(quire_channel_connect(NULL, path,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE,
					 .deadline_ns = in_ms(PATIENCE_MS)),
				 &c),
		0);
	assert_int_equal(kill(launcher, SIGKILL), 0);
	(void)wait_for(launcher);
	assert_int_equal(quire_channel_recv(c, &byte, 1, in_ms(50)), -ETIMEDOUT);
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS)), 1);
	assert_int_equal(kill(server, SIGKILL), 0);
	assert_int_equal(quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS)), -EOWNERDEAD);
	quire_channel_close(c);
	assert_int_equal(close(go[0]) | close(go[1]) | close(gone[0]) | close(gone[1]), 0);
}

/* ---- a fork while other threads are at it ---- */

static atomic_bool enough;

static struct quire_channel *open_topic(const char *name, struct quire_listener **l)
{
	struct quire_channel *c = NULL;

	MUST(quire_channel_listen(NULL, name,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .pattern = QUIRE_CHANNEL_TOPIC,
			     .ring_bytes = 4096),
		     l) == 0);
	MUST(quire_channel_gather(*l, 0, QUIRE_NOW, &c) == 0);
	return c;
}

static void *open_and_close(void *arg)
{
	const char *name = arg;

	/* A name of its own each time: a child has the one of before as long as it lives. */
	for (int i = 0; !atomic_load(&enough); i++) {
		struct quire_listener *l = NULL;
		struct quire_channel *c;
		char numbered[80];

		(void)snprintf(numbered, sizeof(numbered), "%s-%d", name, i);
		c = open_topic(numbered, &l);
		MUST(quire_channel_close(c) == 0 && quire_channel_unlisten(l) == 0);
	}
	return NULL;
}

/* Their locks are free in the child, and the watcher is its own. */
static void a_child_of_many_threads_opens_channels_of_its_own(void **state)
{
	char names[CHURNERS][64];
	pthread_t threads[CHURNERS];
	long forks = count_of(50, 200, 5000);
	int failed = 0;

	(void)state;
	if (MEMORY_OF_A_CHILD_HANGS) {
		print_message("# the sanitizer's allocator does not survive a fork beside other threads\n");
		skip();
	}
	atomic_store(&enough, false);
	for (int i = 0; i < CHURNERS; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%s", fresh_name());
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, names[i]), 0);
	}
	for (long i = 0; i < forks && failed == 0; i++) {
		const char *name = fresh_name();
		pid_t pid = spawn();

		if (pid == 0) {
			struct quire_listener *l = NULL;

			(void)alarm(PATIENCE_MS / 1000);
			(void)open_topic(name, &l);
			_exit(0);
		}
		failed = exit_of(pid);
	}
	atomic_store(&enough, true);
	for (int i = 0; i < CHURNERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_close_is_heard_although_a_child_has_the_socket),
		cmocka_unit_test_setup_teardown(
			who_made_an_inherited_socket_may_go, scratch_setup, scratch_teardown),
		cmocka_unit_test(a_child_of_many_threads_opens_channels_of_its_own),
	};

	return RUN(tests);
}
