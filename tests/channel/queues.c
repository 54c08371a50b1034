/* SPDX-License-Identifier: Apache-2.0 */
/* Queues with many at both ends: a directory in which each reader listens, and writers that go to all of them. */
#include "channel/peers.h"

#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { WRITERS = 3, READERS = 3, EACH = 4000, WRITERS_MAX = 8 };

struct parcel {
	uint32_t writer;
	uint32_t number;
};

/* What the readers have, in memory that outlives them. */
static struct ledger {
	atomic_uchar got[WRITERS_MAX][EACH];
	atomic_uint total;
	atomic_uint by_reader[READERS];
	atomic_uint listening;
} * ledger;

static char directory[64];
static char name[80];

static void make_directory(void)
{
	memset(ledger, 0, sizeof(*ledger));
	(void)snprintf(directory, sizeof(directory), "/tmp/quire-queues-XXXXXX");
	assert_non_null(mkdtemp(directory));
	(void)snprintf(name, sizeof(name), "%s/", directory);
}

static int names_in_directory(void)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

static struct quire_listener *listen_in_directory(void)
{
	struct quire_listener *l = NULL;

	MUST(quire_channel_listen(NULL, name,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .pattern = QUIRE_CHANNEL_QUEUE),
		     &l) == 0);
	return l;
}

static struct quire_channel *seek(uint32_t role, uint64_t ring_bytes)
{
	struct quire_channel *c = NULL;

	MUST(quire_channel_connect(NULL, name,
		     QUIRE_OPTIONS(channel, .role = role, .ring_bytes = ring_bytes,
			     .deadline_ns = in_ms(PATIENCE_MS)),
		     &c) == 0);
	return c;
}

/* Takes until it is killed; each message once, and each writer's in order. */
static void read_parcels(unsigned int reader)
{
	struct quire_listener *l = listen_in_directory();
	struct quire_channel *q = NULL;
	uint32_t next[WRITERS_MAX] = { 0 };
	struct parcel p;

	MUST(quire_channel_gather(l, 0, QUIRE_NOW, &q) >= 0);
	atomic_fetch_add(&ledger->listening, 1);
	while (quire_channel_recv(q, &p, sizeof(p), in_ms(PATIENCE_MS)) == sizeof(p)) {
		MUST(p.writer < WRITERS_MAX && p.number < EACH);
		MUST(p.number >= next[p.writer]);
		next[p.writer] = p.number + 1;
		MUST(atomic_fetch_add(&ledger->got[p.writer][p.number], 1) == 0);
		atomic_fetch_add(&ledger->by_reader[reader], 1);
		atomic_fetch_add(&ledger->total, 1);
	}
	_exit(98);
}

/* In no hurry until all readers have answered. */
static void write_parcels(uint32_t writer)
{
	struct quire_channel *q = seek(QUIRE_CHANNEL_SEND, 4096);
	struct quire_channel_stat st = { .size = sizeof(st) };

	for (uint32_t i = 0; i < EACH; i++) {
		const struct timespec nap = { .tv_nsec = 1000000 };
		const struct parcel p = { .writer = writer, .number = i };

		MUST(quire_channel_send(q, &p, sizeof(p), in_ms(PATIENCE_MS)) == sizeof(p));
		if (st.peers < READERS && quire_channel_stat(q, &st) == 0 && st.peers < READERS)
			(void)nanosleep(&nap, NULL);
	}
	quire_channel_close(q);
	_exit(0);
}

static pid_t start_reader(unsigned int reader)
{
	pid_t pid = spawn();

	if (pid == 0)
		read_parcels(reader);
	return pid;
}

static pid_t start_writer(uint32_t writer)
{
	pid_t pid = spawn();

	if (pid == 0)
		write_parcels(writer);
	return pid;
}

static bool until(const atomic_uint *word, unsigned int wanted)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	uint64_t end = in_ms(PATIENCE_MS);

	while (atomic_load(word) < wanted && now_ns() < end)
		(void)nanosleep(&nap, NULL);
	return atomic_load(word) >= wanted;
}

static void end(const pid_t *pids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)kill(pids[i], SIGKILL);
		assert_int_equal(exit_of(pids[i]), 128 + SIGKILL); /* it had found nothing wrong */
	}
}

/* Removes what killed readers left there, as the next listener does. */
static void remove_directory(void)
{
	quire_channel_unlisten(listen_in_directory());
	assert_int_equal(names_in_directory(), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void many_write_and_many_read(void **state)
{
	pid_t readers[READERS], writers[WRITERS];

	(void)state;
	make_directory();
	for (unsigned int i = 0; i < READERS; i++)
		readers[i] = start_reader(i);
	assert_true(until(&ledger->listening, READERS));
	for (uint32_t i = 0; i < WRITERS; i++)
		writers[i] = start_writer(i);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(exit_of(writers[i]), 0);
	assert_true(until(&ledger->total, WRITERS * EACH));
	for (int i = 0; i < READERS; i++)
		assert_true(
			atomic_load(&ledger->by_reader[i]) > 0); /* in turn, but for those that are full */
	assert_int_equal(names_in_directory(), READERS);
	end(readers, READERS);
	assert_int_equal(atomic_load(&ledger->total), WRITERS * EACH);
	remove_directory();
}

/* The writer is there before the first reader, and the second one comes in the middle. */
static void who_comes_later_is_found(void **state)
{
	pid_t readers[2], writer;

	(void)state;
	make_directory();
	writer = spawn();
	if (writer == 0) {
		struct quire_channel *q = seek(QUIRE_CHANNEL_SEND, 4096);

		for (uint32_t i = 0; i < EACH && atomic_load(&ledger->by_reader[1]) == 0; i++) {
			const struct timespec nap = { .tv_nsec = 1000000 };
			const struct parcel p = { .writer = 0, .number = i };

			MUST(quire_channel_send(q, &p, sizeof(p), in_ms(PATIENCE_MS)) == sizeof(p));
			(void)nanosleep(&nap, NULL);
		}
		_exit(atomic_load(&ledger->by_reader[1]) > 0 ? 0 : 1);
	}
	readers[0] = start_reader(0);
	assert_true(until(&ledger->total, 20));
	readers[1] = start_reader(1);
	assert_int_equal(exit_of(writer), 0);
	end(readers, 2);
	remove_directory();
}

/* What the dead reader had in its lanes is gone with it, and nothing else. */
static void a_killed_reader_stops_nobody(void **state)
{
	pid_t readers[READERS], writers[WRITERS];
	unsigned int lost;

	(void)state;
	make_directory();
	for (unsigned int i = 0; i < READERS; i++)
		readers[i] = start_reader(i);
	assert_true(until(&ledger->listening, READERS));
	for (uint32_t i = 0; i < WRITERS; i++)
		writers[i] = start_writer(i);
	assert_true(until(&ledger->total, EACH / 2));
	end(&readers[1], 1);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(exit_of(writers[i]), 0);
	lost = WRITERS * (4096 / 16 + 1); /* what a ring holds */
	assert_true(until(&ledger->total, WRITERS * EACH - lost));
	end(&readers[0], 1);
	end(&readers[2], 1);
	remove_directory();
}

static void a_killed_writer_loses_nothing_that_it_had_published(void **state)
{
	atomic_uint *published = &ledger->by_reader[2];
	pid_t readers[2], writer;

	(void)state;
	make_directory();
	writer = spawn();
	if (writer == 0) {
		struct quire_channel *q = seek(QUIRE_CHANNEL_SEND, 65536);
		void *record;

		for (uint32_t i = 0; i < 500; i++) {
			const struct parcel p = { .writer = 7, .number = i };

			MUST(quire_channel_send(q, &p, sizeof(p), in_ms(PATIENCE_MS)) == sizeof(p));
			atomic_store(published, i + 1);
		}
		MUST(quire_channel_reserve(q, sizeof(struct parcel), in_ms(PATIENCE_MS), &record) == 0);
		*(struct parcel *)record = (struct parcel){ .writer = 99 }; /* never published */
		(void)kill(getpid(), SIGKILL);
	}
	readers[0] = start_reader(0);
	readers[1] = start_reader(1);
	assert_int_equal(exit_of(writer), 128 + SIGKILL);
	assert_true(until(&ledger->total, 500));
	end(readers, 2);
	assert_int_equal(atomic_load(&ledger->total), atomic_load(published));
	remove_directory();
}

/* The other way round: many listen and send, many connect and receive. */
static void readers_may_be_the_ones_who_seek(void **state)
{
	struct quire_listener *l[2] = { NULL, NULL };
	struct quire_channel *out[2] = { NULL, NULL }, *in;
	struct parcel p;
	pid_t pid;

	(void)state;
	make_directory();
	for (int i = 0; i < 2; i++)
		assert_int_equal(quire_channel_listen(NULL, name,
					 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND,
						 .pattern = QUIRE_CHANNEL_QUEUE, .ring_bytes = 4096),
					 &l[i]),
			0);
	pid = spawn();
	if (pid == 0) {
		bool seen[2] = { false, false };

		in = seek(QUIRE_CHANNEL_RECEIVE, 4096);
		while (!seen[0] || !seen[1]) {
			MUST(quire_channel_recv(in, &p, sizeof(p), in_ms(PATIENCE_MS)) == sizeof(p));
			MUST(p.writer < 2);
			seen[p.writer] = true;
		}
		_exit(0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		p = (struct parcel){ .writer = i };
		assert_int_equal(quire_channel_gather(l[i], 1, in_ms(PATIENCE_MS), &out[i]), 1);
		assert_int_equal(quire_channel_send(out[i], &p, sizeof(p), in_ms(PATIENCE_MS)), sizeof(p));
	}
	assert_int_equal(exit_of(pid), 0);
	for (int i = 0; i < 2; i++) {
		quire_channel_close(out[i]);
		quire_channel_unlisten(l[i]);
	}
	assert_int_equal(names_in_directory(), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void a_reader_that_comes_makes_the_descriptor_readable(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct parcel parcel = { .writer = 0 };
	struct quire_channel *q;
	pid_t readers[2];
	int go[2];
	int64_t r;

	(void)state;
	make_directory();
	assert_int_equal(pipe(go), 0);
	readers[0] = start_reader(0);
	readers[1] = spawn();
	if (readers[1] == 0) {
		MUST(read(go[0], &r, 1) == 1);
		read_parcels(1);
	}
	q = seek(QUIRE_CHANNEL_SEND, 4096);
	p.fd = quire_channel_fd(q);
	assert_true(p.fd >= 0);
	end(readers, 1);
	/* Until it is known that nobody is there any more, messages go into a lane that nobody reads. */
	while ((r = quire_channel_send(q, &parcel, sizeof(parcel), QUIRE_NOW)) == sizeof(parcel))
		continue;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(write(go[1], "g", 1), 1);
	while ((r = quire_channel_send(q, &parcel, sizeof(parcel), QUIRE_NOW)) == -EAGAIN)
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(r, sizeof(parcel));
	assert_true(until(&ledger->by_reader[1], 1));
	end(&readers[1], 1);
	assert_int_equal(close(go[0]) | close(go[1]), 0);
	quire_channel_close(q);
	remove_directory();
}

static void what_does_not_fit_is_refused(void **state)
{
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;

	(void)state;
	make_directory();
	assert_int_equal(
		quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l),
		-EINVAL);
	assert_non_null(strstr(quire_error_text(), "for queues"));
	assert_int_equal(
		quire_channel_connect(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_BOTH), &c),
		-EINVAL);
	assert_int_equal(
		quire_channel_connect(NULL, name,
			QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .deadline_ns = in_ms(50)), &c),
		-ETIMEDOUT);
	assert_int_equal(quire_channel_connect(NULL, "/no/such/directory/",
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &c),
		-ENOENT);
	assert_int_equal(rmdir(directory), 0);
}

static void a_short_name_is_a_directory_of_this_user(void **state)
{
	const char *before = getenv("XDG_RUNTIME_DIR");
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	char path[100];

	(void)state;
	make_directory();
	assert_int_equal(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
	assert_int_equal(
		quire_channel_listen(NULL, "jobs/",
			QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .pattern = QUIRE_CHANNEL_QUEUE),
			&l),
		0);
	(void)snprintf(path, sizeof(path), "%s/quire/jobs", directory);
	assert_int_equal(rmdir(path), -1); /* the socket stands in it */
	quire_channel_unlisten(l);
	assert_int_equal(rmdir(path), 0);
	(void)snprintf(path, sizeof(path), "%s/quire", directory);
	assert_int_equal(rmdir(path) | rmdir(directory), 0);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
	assert_int_equal(
		quire_channel_connect(NULL, "jobs/", QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &c),
		-ENOENT);
	assert_non_null(strstr(quire_error_text(), "XDG_RUNTIME_DIR"));
	if (before != NULL)
		assert_int_equal(setenv("XDG_RUNTIME_DIR", before, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_write_and_many_read),
		cmocka_unit_test(who_comes_later_is_found),
		cmocka_unit_test(a_killed_reader_stops_nobody),
		cmocka_unit_test(a_killed_writer_loses_nothing_that_it_had_published),
		cmocka_unit_test(readers_may_be_the_ones_who_seek),
		cmocka_unit_test(a_reader_that_comes_makes_the_descriptor_readable),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(a_short_name_is_a_directory_of_this_user),
	};
	int failed;

	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ledger == MAP_FAILED)
		return 1;
	failed = RUN(tests);
	(void)munmap(ledger, sizeof(*ledger));
	return failed;
}
