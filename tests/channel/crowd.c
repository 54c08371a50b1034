/* SPDX-License-Identifier: Apache-2.0 */
/* Many at one door, more than there are places, and more than there are descriptors. */
#include "channel/peers.h"

#include <pthread.h>
#include <sys/resource.h>

#include "channel/channel.h"
#include "channel/raw.h"

enum { CROWD = 100 };

static struct hello greeting(uint32_t role)
{
	return greeting_of(LAYOUT_MAJOR, role);
}

/* Clients make their memory before they speak: when many come at once, the first ones are silent while others come. */
static void who_came_first_is_not_sent_away_by_a_crowd(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	const struct hello hello = greeting(QUIRE_CHANNEL_SEND);
	struct quire_channel *c = NULL;
	int crowd[CROWD];

	(void)state;
	for (int i = 0; i < CROWD; i++)
		crowd[i] = connected(name);
	assert_int_equal(quire_channel_accept(l, QUIRE_NOW, &c), -EAGAIN);
	for (int i = 0; i < CROWD; i++) {
		send_greeting(crowd[i], &hello, segment_of(LAYOUT_MAJOR));
		assert_int_equal(quire_channel_accept(l, in_ms(PATIENCE_MS), &c), 0);
		quire_channel_close(c);
		assert_int_equal(close(crowd[i]), 0);
	}
	quire_channel_unlisten(l);
}

/* A client more than a queue can have hears so, instead of standing at the door. */
static void a_queue_that_is_full_says_so(void **state)
{
	const char *name = fresh_name();
	const struct hello hello = greeting(QUIRE_CHANNEL_SEND);
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	struct hello answer;
	int clients[LANES_MAX + 1];
	pid_t pid = spawn();

	(void)state;
	if (pid > 0) {
		assert_int_equal(exit_of(pid), 0);
		return;
	}
	MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = 1024, .rlim_max = 1024 }) == 0);
	MUST(quire_channel_listen(NULL, name,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .pattern = QUIRE_CHANNEL_QUEUE,
			     .ring_bytes = 4096),
		     &l) == 0);
	for (int i = 0; i < LANES_MAX + 1; i++) {
		clients[i] = connected(name);
		send_greeting(clients[i], &hello, segment_of(LAYOUT_MAJOR));
		MUST(quire_channel_gather(l, 0, QUIRE_NOW, &c) == (i < LANES_MAX ? i + 1 : LANES_MAX));
	}
	MUST(recv(clients[LANES_MAX], &answer, sizeof(answer), MSG_DONTWAIT) == sizeof(answer));
	MUST(answer.status == -EUSERS);
	MUST(close(clients[0]) == 0); /* and when one goes, there is a place again */
	clients[0] = connected(name);
	send_greeting(clients[0], &hello, segment_of(LAYOUT_MAJOR));
	MUST(quire_channel_gather(l, LANES_MAX, in_ms(PATIENCE_MS), &c) == LANES_MAX);
	_exit(0);
}

/* ---- a topic with more readers than words that can be slept on ---- */

/* reader_memory: a reader's segment that is written by hand */
static struct layout_control *reader_memory(int *fd)
{
	const struct layout_header header = {
		.magic = { 'Q', 'U', 'I', 'R', 'E', 'C', 'H', 'N' },
		.major = LAYOUT_MAJOR,
		.header_bytes = sizeof(header),
		.ring_offset = LAYOUT_RING,
		.role = QUIRE_CHANNEL_RECEIVE,
	};
	char *memory;

	*fd = memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	MUST(*fd >= 0 && posix_fallocate(*fd, 0, LAYOUT_RING) == 0);
	MUST(pwrite(*fd, &header, sizeof(header), 0) == sizeof(header));
	memory = mmap(NULL, LAYOUT_RING, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	MUST(memory != MAP_FAILED);
	MUST(fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) == 0);
	return (struct layout_control *)(void *)(memory + LAYOUT_CONTROL);
}

static void *read_late(void *arg)
{
	struct layout_control *last = arg;
	const struct timespec nap = { .tv_nsec = 50000000 };

	(void)nanosleep(&nap, NULL);
	atomic_store(&last->tail, 2032); /* the first message; its bell would not be heard */
	return NULL;
}

static void the_last_of_many_readers_is_waited_for(void **state)
{
	enum { READERS = 130 };
	static const char message[2020];
	const char *name = fresh_name();
	const struct hello hello = greeting(QUIRE_CHANNEL_RECEIVE);
	struct layout_control *all, *last;
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	int fd, other;
	pthread_t thread;
	pid_t pid = spawn();

	(void)state;
	if (pid > 0) {
		assert_int_equal(exit_of(pid), 0);
		return;
	}
	all = reader_memory(&fd);
	last = reader_memory(&other);
	MUST(quire_channel_listen(NULL, name,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .pattern = QUIRE_CHANNEL_TOPIC,
			     .ring_bytes = 4096),
		     &l) == 0);
	for (int i = 0; i < READERS; i++) {
		send_greeting(connected(name), &hello, dup(i < READERS - 1 ? fd : other));
		MUST(quire_channel_gather(l, 0, QUIRE_NOW, &c) == i + 1);
	}
	for (int i = 0; i < 2; i++)
		MUST(quire_channel_send(c, message, sizeof(message), QUIRE_NOW) == sizeof(message));
	MUST(quire_channel_send(c, message, sizeof(message), QUIRE_NOW) == -EAGAIN);
	atomic_store(&all->tail, 2032);
	MUST(pthread_create(&thread, NULL, read_late, last) == 0);
	(void)alarm(PATIENCE_MS / 1000); /* with a deadline, the look at its end would find the room */
	MUST(quire_channel_send(c, message, sizeof(message), QUIRE_FOREVER) == sizeof(message));
	MUST(pthread_join(thread, NULL) == 0);
	_exit(0);
}

/* ---- no descriptor left ---- */

static void leave_free(unsigned int count)
{
	int next;

	MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = 1024, .rlim_max = 1024 }) == 0);
	next = dup(0);
	MUST(next >= 0);
	MUST(setrlimit(RLIMIT_NOFILE,
		     &(struct rlimit){ .rlim_cur = (rlim_t)next + count, .rlim_max = 1024 }) == 0);
	MUST(close(next) == 0);
}

/* It would look at its socket again and again, and the server would never know. */
static void without_descriptors_accept_says_so(void **state)
{
	const char *name = fresh_name();
	const struct hello hello = greeting(QUIRE_CHANNEL_SEND);
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	struct hello answer;
	int client;
	pid_t pid = spawn();

	(void)state;
	if (pid > 0) {
		assert_int_equal(exit_of(pid), 0);
		return;
	}
	MUST(quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l) ==
		0);
	client = connected(name);
	leave_free(0);
	MUST(quire_channel_accept(l, in_ms(PATIENCE_MS), &c) == -EMFILE);
	MUST(strstr(quire_error_text(), "ulimit") != NULL);
	leave_free(8);
	MUST(quire_channel_accept(l, QUIRE_NOW, &c) == -EAGAIN);
	for (unsigned int left = 0; left < 3; left++) {
		leave_free(8);
		send_greeting(client, &hello, segment_of(LAYOUT_MAJOR));
		leave_free(left);
		MUST(quire_channel_accept(l, in_ms(PATIENCE_MS), &c) == -EMFILE);
		MUST(recv(client, &answer, sizeof(answer), MSG_DONTWAIT) == sizeof(answer));
		MUST(answer.status == -EMFILE); /* and the client hears why */
		leave_free(8);
		MUST(close(client) == 0);
		client = connected(name);
		MUST(quire_channel_accept(l, QUIRE_NOW, &c) == -EAGAIN);
	}
	leave_free(100);
	send_greeting(client, &hello, segment_of(LAYOUT_MAJOR));
	MUST(quire_channel_accept(l, in_ms(PATIENCE_MS), &c) == 0);
	_exit(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_came_first_is_not_sent_away_by_a_crowd),
		cmocka_unit_test(a_queue_that_is_full_says_so),
		cmocka_unit_test(the_last_of_many_readers_is_waited_for),
		cmocka_unit_test(without_descriptors_accept_says_so),
	};

	return RUN(tests);
}
