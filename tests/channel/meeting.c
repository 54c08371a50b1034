/* SPDX-License-Identifier: Apache-2.0 */
/* How two sides meet: over a socket that was inherited, or not at all, when they speak different versions. */
#include "channel/peers.h"

#include <pthread.h>

#include "channel/raw.h"

/* ---- an inherited socket ---- */

static int listening(const char *name, int type)
{
	struct sockaddr_un address;
	socklen_t length = address_of(name, &address);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	MUST(fd >= 0 && bind(fd, (const struct sockaddr *)&address, length) == 0 && listen(fd, 8) == 0);
	return fd;
}

static void a_socket_that_was_inherited_is_listened_on(void **state)
{
	const char *name = fresh_name();
	int fd = listening(name, SOCK_SEQPACKET);
	struct quire_listener *l = NULL;
	struct quire_channel *c;
	char byte;
	pid_t pid;

	(void)state;
	for (int turn = 0; turn < 2; turn++) { /* the descriptor stays its owner's, and can be handed on */
		assert_int_equal(
			quire_channel_listen(NULL, NULL,
				QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .fd = fd + 1), &l),
			0);
		pid = spawn();
		if (pid == 0) {
			c = connect_to(name, QUIRE_CHANNEL_SEND);
			MUST(quire_channel_send(c, "x", 1, in_ms(PATIENCE_MS)) == 1);
			quire_channel_close(c);
			_exit(0);
		}
		c = accept_from(l);
		assert_int_equal(quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS)), 1);
		assert_int_equal(exit_of(pid), 0);
		quire_channel_close(c);
		quire_channel_unlisten(l);
		assert_true(fcntl(fd, F_GETFD) >= 0);
	}
	assert_int_equal(close(fd), 0);
}

static void refuse_descriptor(int fd)
{
	struct quire_listener *l = NULL;

	assert_int_equal(quire_channel_listen(NULL, NULL,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .fd = fd + 1), &l),
		-EINVAL);
	assert_non_null(strstr(quire_error_text(), "SOCK_SEQPACKET"));
	assert_int_equal(close(fd), 0);
}

static void what_is_no_listening_socket_is_refused(void **state)
{
	(void)state;
	refuse_descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
	refuse_descriptor(listening(fresh_name(), SOCK_STREAM));
	refuse_descriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

/* ---- versions ---- */

/* What the listener answers a client that begins like this before it hangs up; nobody is accepted. */
static struct hello refusal_of(struct hello hello, int segment)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	struct quire_channel *c;
	struct hello answer;
	struct hello more;
	int socket = connected(name);

	send_greeting(socket, &hello, segment);
	do /* on a busy machine the deadline comes before it has begun */
		assert_int_equal(quire_channel_accept(l, in_ms(1), &c), -ETIMEDOUT);
	while (recv(socket, &answer, sizeof(answer), MSG_DONTWAIT) != sizeof(answer));
	assert_int_equal(recv(socket, &more, sizeof(more), MSG_DONTWAIT), 0);
	assert_int_equal(close(socket), 0);
	quire_channel_unlisten(l);
	return answer;
}

static void a_client_of_another_version_is_refused_and_told_so(void **state)
{
	/* Only its greeting is another. */
	const struct hello answer = refusal_of(
		greeting_of(LAYOUT_MAJOR + 1, QUIRE_CHANNEL_SEND), segment_of(LAYOUT_MAJOR));

	(void)state;
	assert_int_equal(answer.status, -EPROTONOSUPPORT);
	assert_int_equal(answer.major, LAYOUT_MAJOR); /* so that it can say which one is wanted */
}

/* Its greeting is ours, its memory is not. */
static void a_segment_of_another_version_is_refused(void **state)
{
	const struct hello answer = refusal_of(
		greeting_of(LAYOUT_MAJOR, QUIRE_CHANNEL_SEND), segment_of(LAYOUT_MAJOR + 1));

	(void)state;
	assert_int_equal(answer.status, -EPROTONOSUPPORT);
}

/* It would be paid for by who looks at it first. */
static void a_segment_without_memory_is_refused(void **state)
{
	const struct hello answer = refusal_of(
		greeting_of(LAYOUT_MAJOR, QUIRE_CHANNEL_SEND), make_segment(LAYOUT_MAJOR, true));

	(void)state;
	assert_int_equal(answer.status, -EBADMSG);
}

/* Only the minor version may differ: newer ones only add. */
static void a_client_of_another_minor_version_is_served(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	const struct hello hello = greeting_of(LAYOUT_MAJOR, QUIRE_CHANNEL_SEND);
	struct quire_channel *c = NULL;
	int socket = connected(name);

	(void)state;
	send_greeting(socket, &hello, segment_of(LAYOUT_MAJOR));
	assert_int_equal(quire_channel_accept(l, in_ms(PATIENCE_MS), &c), 0);
	quire_channel_close(c);
	assert_int_equal(close(socket), 0);
	quire_channel_unlisten(l);
}

struct old_listener {
	int socket;
	struct hello answer;
};

static void *answer_one(void *arg)
{
	struct old_listener *o = arg;
	struct hello hello;
	/* cppcheck-suppress nullPointer ; who calls need not be asked for */
	int fd = accept4(o->socket, NULL, NULL, SOCK_CLOEXEC);

	MUST(fd >= 0 && recv(fd, &hello, sizeof(hello), 0) == sizeof(hello));
	send_greeting(fd, &o->answer, segment_of(LAYOUT_MAJOR));
	(void)recv(fd, &hello, sizeof(hello), 0); /* until it has gone */
	MUST(close(fd) == 0);
	return NULL;
}

static void connect_to_old(struct hello answer, const char *words)
{
	const char *name = fresh_name();
	struct old_listener o = { .socket = listening(name, SOCK_SEQPACKET), .answer = answer };
	struct quire_channel *c = NULL;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, answer_one, &o), 0);
	assert_int_equal(quire_channel_connect(NULL, name,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE,
					 .deadline_ns = in_ms(PATIENCE_MS)),
				 &c),
		-EPROTONOSUPPORT);
	assert_non_null(strstr(quire_error_text(), words));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(close(o.socket), 0);
}

static void a_listener_of_another_version_is_named_in_the_error(void **state)
{
	struct hello refusal = greeting_of(LAYOUT_MAJOR + 1, QUIRE_CHANNEL_SEND);

	(void)state;
	connect_to_old(refusal, "version 2");
	refusal.status = -EPROTONOSUPPORT; /* it has seen ours, and says no first */
	connect_to_old(refusal, "version");
}

/* ---- made before anybody speaks ---- */

static int segments_open(void)
{
	int count = 0;

	for (int fd = 3; fd < 64; fd++) {
		char path[64], target[128];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target));
		count += n > 0 && memmem(target, (size_t)n, "quire-channel:", 14) != NULL;
	}
	return count;
}

static int take_id(const struct quire_channel_sight *sight, void *user)
{
	uint64_t *id = user;

	if (*id != 0)
		assert_int_equal(sight->id, *id);
	*id = sight->id;
	return 0;
}

static void while_a_client_prepares_the_listener_does_too(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_BOTH);
	int silent[2] = { connected(name), connected(name) };
	struct quire_channel *c;
	uint64_t id = 0;
	pid_t pid;

	(void)state;
	while (segments_open() == 0) /* on a busy machine the deadline comes before it has begun */
		assert_int_equal(quire_channel_accept(l, in_ms(1), &c), -ETIMEDOUT);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(quire_channel_accept(l, in_ms(1), &c), -ETIMEDOUT);
		assert_int_equal(
			segments_open(), 1); /* for whoever speaks first, not for each who is silent */
	}
	assert_int_equal(quire_channel_find(name, take_id, &id, NULL), 0); /* nobody's yet */
	pid = spawn();
	if (pid == 0) {
		(void)connect_to(name, QUIRE_CHANNEL_BOTH);
		(void)pause();
		_exit(1);
	}
	c = accept_from(l);
	assert_int_equal(segments_open(), 2); /* that one, and the client's */
	assert_int_equal(quire_channel_find(name, take_id, &id, NULL), 2);
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)wait_for(pid);
	quire_channel_close(c);
	assert_int_equal(quire_channel_accept(l, in_ms(1), &c), -ETIMEDOUT);
	quire_channel_unlisten(l); /* with the next one ready: RUN() sees that nothing is left */
	for (int i = 0; i < 2; i++)
		assert_int_equal(close(silent[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_that_was_inherited_is_listened_on),
		cmocka_unit_test(what_is_no_listening_socket_is_refused),
		cmocka_unit_test(a_client_of_another_version_is_refused_and_told_so),
		cmocka_unit_test(a_segment_of_another_version_is_refused),
		cmocka_unit_test(a_segment_without_memory_is_refused),
		cmocka_unit_test(a_client_of_another_minor_version_is_served),
		cmocka_unit_test(a_listener_of_another_version_is_named_in_the_error),
		cmocka_unit_test(while_a_client_prepares_the_listener_does_too),
	};

	return RUN(tests);
}
