/* SPDX-License-Identifier: Apache-2.0 */
/* Every call of a pair, and every way in which it says no. Both ends are in this process: the memory is shared anyway. */
#include "channel/peers.h"

#include <pthread.h>
#include <sys/mman.h>

struct ends {
	const char *name;
	struct quire_listener *listener;
	struct quire_channel *writer;
	struct quire_channel *reader;
	uint32_t mode;
	uint64_t ring_bytes;
};

static void *connect_writer(void *arg)
{
	struct ends *e = arg;

	if (quire_channel_connect(NULL, e->name,
		    QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .mode = e->mode,
			    .ring_bytes = e->ring_bytes, .schema = "test/1"),
		    &e->writer) < 0)
		e->writer = NULL;
	return NULL;
}

static void open_ends(struct ends *e)
{
	pthread_t thread;

	e->name = fresh_name();
	assert_int_equal(quire_channel_listen(NULL, e->name,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .mode = e->mode,
					 .schema = "test/1"),
				 &e->listener),
		0);
	assert_int_equal(pthread_create(&thread, NULL, connect_writer, e), 0);
	e->reader = accept_from(e->listener);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_non_null(e->writer);
}

static void close_ends(struct ends *e)
{
	assert_int_equal(quire_channel_close(e->writer), 0);
	assert_int_equal(quire_channel_close(e->reader), 0);
	assert_int_equal(quire_channel_unlisten(e->listener), 0);
}

static void parts_arrive_as_one_message(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	const struct iovec parts[] = { { (void *)(uintptr_t) "ab", 2 }, { NULL, 0 },
		{ (void *)(uintptr_t) "cde", 3 } };
	char text[8];

	(void)state;
	open_ends(&e);
	assert_int_equal(quire_channel_sendv(e.writer, parts, 3, QUIRE_NOW), 5);
	assert_int_equal(quire_channel_recv(e.reader, text, 2, QUIRE_NOW), -EMSGSIZE);
	assert_int_equal(quire_channel_recv(e.reader, text, sizeof(text), QUIRE_NOW), 5);
	assert_memory_equal(text, "abcde", 5);
	close_ends(&e);
}

static void what_is_abandoned_is_never_seen(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	void *record;
	char text[8];

	(void)state;
	open_ends(&e);
	assert_int_equal(quire_channel_reserve(e.writer, 100, QUIRE_NOW, &record), 0);
	memset(record, 'x', 100);
	assert_int_equal(quire_channel_abandon(e.writer), 0);
	assert_int_equal(quire_channel_abandon(e.writer), -EINVAL);
	assert_int_equal(quire_channel_publish(e.writer, 1), -EINVAL);
	assert_int_equal(quire_channel_recv(e.reader, text, sizeof(text), QUIRE_NOW), -EAGAIN);
	assert_int_equal(quire_channel_send(e.writer, "y", 1, QUIRE_NOW), 1);
	assert_int_equal(quire_channel_recv(e.reader, text, sizeof(text), QUIRE_NOW), 1);
	assert_int_equal(text[0], 'y');
	close_ends(&e);
}

static void fewer_bytes_than_reserved_may_be_published(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	const void *seen;
	void *record;

	(void)state;
	open_ends(&e);
	assert_int_equal(quire_channel_reserve(e.writer, 1000, QUIRE_NOW, &record), 0);
	memcpy(record, "short", 5);
	assert_int_equal(quire_channel_publish(e.writer, 1001), -EINVAL);
	assert_int_equal(quire_channel_publish(e.writer, 5), 0);
	assert_int_equal(quire_channel_peek(e.reader, QUIRE_NOW, &seen), 5);
	assert_memory_equal(seen, "short", 5);
	assert_int_equal(quire_channel_release(e.reader, 1), 0);
	assert_int_equal(quire_channel_release(e.reader, 1), -EINVAL);
	close_ends(&e);
}

static void a_batch_is_seen_at_once_and_released_in_parts(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	struct iovec seen[16];
	unsigned char *first;
	size_t stride;
	char byte;

	(void)state;
	open_ends(&e);
	assert_int_equal(
		quire_channel_reserve_batch(e.writer, 3, 10, QUIRE_NOW, (void **)&first, &stride), 0);
	for (int i = 0; i < 10; i++)
		memset(first + (size_t)i * stride, 'a' + i, 3);
	assert_int_equal(quire_channel_peek_batch(e.reader, seen, 16, QUIRE_NOW), -EAGAIN);
	assert_int_equal(quire_channel_publish_batch(e.writer, 11), -EINVAL);
	assert_int_equal(quire_channel_publish_batch(e.writer, 8), 0);
	assert_int_equal(quire_channel_peek_batch(e.reader, seen, 16, QUIRE_NOW), 8);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(seen[i].iov_len, 3);
		assert_int_equal(*(unsigned char *)seen[i].iov_base, 'a' + i);
	}
	assert_int_equal(quire_channel_recv(e.reader, &byte, 1, QUIRE_NOW), -EBUSY);
	assert_int_equal(quire_channel_release(e.reader, 3), 0);
	assert_int_equal(quire_channel_release(e.reader, 5), 0);
	close_ends(&e);
}

static void a_full_ring_says_so_until_there_is_room(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	char block[1000] = { 0 };
	uint64_t began;
	int sent = 0;

	(void)state;
	open_ends(&e);
	while (quire_channel_send(e.writer, block, sizeof(block), QUIRE_NOW) > 0)
		sent++;
	assert_int_equal(sent, 4); /* 1008 each, and 8 for the header behind */
	began = now_ns();
	assert_int_equal(quire_channel_send(e.writer, block, sizeof(block), in_ms(30)), -ETIMEDOUT);
	assert_true(now_ns() - began >= 29000000U);
	assert_int_equal(quire_channel_recv(e.reader, block, sizeof(block), QUIRE_NOW), sizeof(block));
	assert_int_equal(quire_channel_send(e.writer, block, sizeof(block), QUIRE_NOW), sizeof(block));
	assert_int_equal(quire_channel_recv(e.reader, block, 1, in_ms(20)), -EMSGSIZE);
	close_ends(&e);
}

static void a_message_longer_than_the_ring_is_an_error_at_once(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	static char block[8192];
	size_t stride;
	void *record;

	(void)state;
	open_ends(&e);
	assert_int_equal(quire_channel_reserve(e.writer, 4096 - 16, QUIRE_NOW, &record), 0);
	assert_int_equal(quire_channel_publish(e.writer, 4096 - 16), 0);
	assert_int_equal(quire_channel_recv(e.reader, block, sizeof(block), QUIRE_NOW), 4096 - 16);
	assert_int_equal(quire_channel_reserve(e.writer, 4096 - 15, QUIRE_FOREVER, &record), -EMSGSIZE);
	assert_int_equal(quire_channel_send(e.writer, block, sizeof(block), QUIRE_FOREVER), -EMSGSIZE);
	assert_non_null(strstr(quire_error_text(), "4080"));
	assert_int_equal(quire_channel_reserve(e.writer, SIZE_MAX, QUIRE_FOREVER, &record), -EMSGSIZE);
	assert_int_equal(
		quire_channel_reserve_batch(e.writer, 8, SIZE_MAX / 2, QUIRE_FOREVER, &record, &stride),
		-EMSGSIZE);
	close_ends(&e);
}

static void *send_long(void *arg)
{
	struct ends *e = arg;
	static unsigned char bytes[100000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7);
	(void)quire_channel_send(e->writer, bytes, sizeof(bytes), in_ms(PATIENCE_MS));
	return NULL;
}

static void a_stream_carries_more_than_its_ring(void **state)
{
	struct ends e = { .ring_bytes = 4096, .mode = QUIRE_CHANNEL_STREAM };
	unsigned char bytes[777];
	pthread_t thread;
	size_t got = 0;

	(void)state;
	open_ends(&e);
	assert_int_equal(pthread_create(&thread, NULL, send_long, &e), 0);
	while (got < 100000) {
		int64_t n = quire_channel_recv(e.reader, bytes, sizeof(bytes), in_ms(PATIENCE_MS));

		assert_true(n > 0);
		for (int64_t i = 0; i < n; i++)
			assert_int_equal(bytes[i], (unsigned char)((got + (size_t)i) * 7));
		got += (size_t)n;
	}
	assert_int_equal(got, 100000);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close_ends(&e);
}

/* What is looked at must not jump over what recv has left. */
static void a_piece_that_was_begun_is_received_before_the_next_is_looked_at(void **state)
{
	struct ends e = { .ring_bytes = 4096, .mode = QUIRE_CHANNEL_STREAM };
	const void *piece = NULL;
	char text[16];

	(void)state;
	open_ends(&e);
	assert_int_equal(quire_channel_send(e.writer, "abcdefgh", 8, QUIRE_NOW), 8);
	assert_int_equal(quire_channel_send(e.writer, "ijkl", 4, QUIRE_NOW), 4);
	assert_int_equal(quire_channel_recv(e.reader, text, 3, in_ms(PATIENCE_MS)), 3);
	assert_int_equal(quire_channel_peek(e.reader, QUIRE_NOW, &piece), -EBUSY);
	assert_non_null(strstr(quire_error_text(), "5 bytes"));
	assert_int_equal(quire_channel_release(e.reader, 1), -EINVAL);
	assert_int_equal(quire_channel_recv(e.reader, text, 5, in_ms(PATIENCE_MS)), 5);
	assert_memory_equal(text, "defgh", 5);
	assert_int_equal(quire_channel_peek(e.reader, in_ms(PATIENCE_MS), &piece), 4);
	assert_memory_equal(piece, "ijkl", 4);
	assert_int_equal(quire_channel_recv(e.reader, text, 1, QUIRE_NOW), -EBUSY);
	assert_int_equal(quire_channel_release(e.reader, 1), 0);
	close_ends(&e);
}

static void the_end_comes_after_everything_that_was_sent(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	char text[8];

	(void)state;
	open_ends(&e);
	assert_int_equal(quire_channel_send(e.writer, "last", 4, QUIRE_NOW), 4);
	assert_int_equal(quire_channel_close(e.writer), 0);
	e.writer = NULL;
	assert_int_equal(quire_channel_recv(e.reader, text, sizeof(text), in_ms(PATIENCE_MS)), 4);
	assert_int_equal(quire_channel_recv(e.reader, text, sizeof(text), in_ms(PATIENCE_MS)), -EPIPE);
	close_ends(&e);
}

static void a_reader_that_closed_is_an_error_for_the_writer(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	uint64_t until = in_ms(2000);
	int64_t r = 0;

	(void)state;
	open_ends(&e);
	assert_int_equal(quire_channel_close(e.reader), 0);
	e.reader = NULL;
	while (r >= 0 && now_ns() < until)
		r = quire_channel_send(e.writer, "x", 1, QUIRE_NOW);
	if (r == -EAGAIN)
		r = quire_channel_send(e.writer, "x", 1, in_ms(PATIENCE_MS));
	assert_int_equal(r, -EPIPE);
	close_ends(&e);
}

static void the_memory_is_a_mapping_that_only_the_writer_can_store_to(void **state)
{
	struct ends e = { .ring_bytes = 65536 };
	struct quire_map_stat stat = { .size = sizeof(stat) };
	struct quire_map *mine, *theirs;
	unsigned int seals;
	char text[200];
	int fd;

	(void)state;
	open_ends(&e);
	assert_int_equal(quire_channel_map(e.writer, QUIRE_CHANNEL_SEND, &mine), 0);
	assert_int_equal(quire_channel_map(e.writer, QUIRE_CHANNEL_RECEIVE, &theirs), -EINVAL);
	assert_int_equal(quire_channel_map(e.reader, QUIRE_CHANNEL_RECEIVE, &theirs), 0);
	assert_int_equal(quire_map_length(mine), 8192 + 2 * 65536);
	assert_int_equal(quire_map_seals(theirs, &seals), 0);
	assert_int_equal(seals & (QUIRE_SEAL_SHRINK | QUIRE_SEAL_GROW | QUIRE_SEAL_FUTURE_WRITE),
		QUIRE_SEAL_SHRINK | QUIRE_SEAL_GROW | QUIRE_SEAL_FUTURE_WRITE);
	assert_int_equal(quire_unmap(mine), -EBUSY);
	for (size_t length = 4096; length <= 4 * 65536; length *= 64) {
		assert_int_equal(quire_map_resize(mine, length, QUIRE_MAY_MOVE), -EBUSY);
		assert_non_null(strstr(quire_error_text(), ".ring_bytes"));
		assert_int_equal(quire_map_resize(theirs, length, 0), -EBUSY);
	}
	assert_int_equal(quire_map_move(theirs, NULL), -EBUSY);
	assert_int_equal(quire_map_unmap(mine, 0, 4096), -EBUSY);
	assert_int_equal(quire_map_advise(mine, 0, QUIRE_TO_END, QUIRE_DONTNEED), -EBUSY);
	assert_int_equal(quire_map_stat(mine, &stat), 0);
	assert_true(quire_map_describe(theirs, text, sizeof(text)) > 0);
	assert_int_equal(quire_map_advise(mine, 0, QUIRE_TO_END, QUIRE_DONTDUMP), 0);

	/* What a hostile reader would try. */
	assert_int_equal(quire_map_export(theirs, &fd), 0);
	assert_int_equal(mprotect(quire_map_address(theirs), 4096, PROT_READ | PROT_WRITE), -1);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(madvise(quire_map_address(theirs), 4096, MADV_REMOVE), -1);
	assert_int_equal(close(fd), 0);
	close_ends(&e);
}

static void figures_add_up(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	struct quire_channel_stat st = { .size = sizeof(st) };
	char byte;

	(void)state;
	open_ends(&e);
	for (int i = 0; i < 10; i++)
		assert_int_equal(quire_channel_send(e.writer, "x", 1, QUIRE_NOW), 1);
	assert_int_equal(quire_channel_recv(e.reader, &byte, 1, QUIRE_NOW), 1);
	assert_int_equal(quire_channel_stat(e.writer, &st), 0);
	assert_int_equal(st.sent_records, 10);
	assert_int_equal(st.sent_bytes, 10);
	assert_int_equal(st.fill_bytes, 160);
	assert_int_equal(st.peer_pid, getpid());
	assert_int_equal(st.ring_bytes, 4096);
	assert_int_equal(quire_channel_stat(e.reader, &st), 0);
	assert_int_equal(st.received_records, 1);
	assert_int_equal(st.fill_bytes, 144);
	st.size = 4;
	assert_int_equal(quire_channel_stat(e.reader, &st), -EINVAL);
	close_ends(&e);
}

static void a_forked_child_gets_an_error_not_the_ring(void **state)
{
	struct ends e = { .ring_bytes = 4096 };
	char byte;
	pid_t pid;

	(void)state;
	open_ends(&e);
	pid = spawn();
	if (pid == 0) {
		struct quire_channel_stat st = { .size = sizeof(st) };
		struct quire_channel *c;
		const void *seen;
		void *record;

		MUST(quire_channel_send(e.writer, "x", 1, QUIRE_NOW) == -ECHILD);
		MUST(quire_channel_reserve(e.writer, 1, QUIRE_NOW, &record) == -ECHILD);
		MUST(quire_channel_recv(e.reader, &byte, 1, QUIRE_NOW) == -ECHILD);
		MUST(quire_channel_peek(e.reader, QUIRE_NOW, &seen) == -ECHILD);
		MUST(quire_channel_release(e.reader, 0) == -ECHILD);
		MUST(quire_channel_stat(e.reader, &st) == -ECHILD);
		MUST(quire_channel_fd(e.reader) == -ECHILD);
		MUST(quire_channel_accept(e.listener, QUIRE_NOW, &c) == -ECHILD);
		MUST(quire_channel_close(e.writer) == 0);
		MUST(quire_channel_close(e.reader) == 0);
		MUST(quire_channel_unlisten(e.listener) == 0);
		_exit(0);
	}
	assert_int_equal(exit_of(pid), 0);
	/* The child's closing has ended nothing. */
	assert_int_equal(quire_channel_send(e.writer, "x", 1, QUIRE_NOW), 1);
	assert_int_equal(quire_channel_recv(e.reader, &byte, 1, in_ms(PATIENCE_MS)), 1);
	close_ends(&e);
}

static void options_that_make_no_sense_are_refused(void **state)
{
	struct quire_listener *l;
	struct quire_channel *c;

	(void)state;
	assert_int_equal(quire_channel_listen(NULL, "@x", NULL, &l), -EINVAL);
	assert_int_equal(quire_channel_listen(NULL, "@x", QUIRE_OPTIONS(channel, .role = 0), &l), -EINVAL);
	assert_int_equal(
		quire_channel_listen(NULL, "@x", QUIRE_OPTIONS(channel, .role = 1, .ring_bytes = 5000), &l),
		-EINVAL);
	assert_int_equal(quire_channel_listen(NULL, "@x", QUIRE_OPTIONS(channel, .role = 1, .policy = 1), &l),
		-EINVAL);
	assert_int_equal(quire_channel_listen(NULL, "@x",
				 QUIRE_OPTIONS(channel, .role = 2, .pattern = QUIRE_CHANNEL_TOPIC), &l),
		-EINVAL);
	assert_int_equal(
		quire_channel_listen(NULL, "@x", QUIRE_OPTIONS(channel, .role = 1, .permissions = 04777), &l),
		-EINVAL);
	assert_int_equal(quire_channel_listen(NULL, "", QUIRE_OPTIONS(channel, .role = 1), &l), -EINVAL);
	assert_int_equal(
		quire_channel_listen(NULL, "/no/such/directory/x", QUIRE_OPTIONS(channel, .role = 1), &l),
		-ENOENT);
	assert_int_equal(
		quire_channel_connect(NULL, fresh_name(), QUIRE_OPTIONS(channel, .role = 1), &c), -ENOENT);
	assert_int_equal(quire_channel_close(NULL), 0);
	assert_int_equal(quire_channel_unlisten(NULL), 0);
	assert_int_equal(quire_channel_send(NULL, "x", 1, QUIRE_NOW), -EINVAL);
	assert_int_equal(quire_channel_find(NULL, NULL, NULL, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_arrive_as_one_message),
		cmocka_unit_test(what_is_abandoned_is_never_seen),
		cmocka_unit_test(fewer_bytes_than_reserved_may_be_published),
		cmocka_unit_test(a_batch_is_seen_at_once_and_released_in_parts),
		cmocka_unit_test(a_full_ring_says_so_until_there_is_room),
		cmocka_unit_test(a_message_longer_than_the_ring_is_an_error_at_once),
		cmocka_unit_test(a_stream_carries_more_than_its_ring),
		cmocka_unit_test(a_piece_that_was_begun_is_received_before_the_next_is_looked_at),
		cmocka_unit_test(the_end_comes_after_everything_that_was_sent),
		cmocka_unit_test(a_reader_that_closed_is_an_error_for_the_writer),
		cmocka_unit_test(the_memory_is_a_mapping_that_only_the_writer_can_store_to),
		cmocka_unit_test(figures_add_up),
		cmocka_unit_test(a_forked_child_gets_an_error_not_the_ring),
		cmocka_unit_test(options_that_make_no_sense_are_refused),
	};

	return RUN(tests);
}
