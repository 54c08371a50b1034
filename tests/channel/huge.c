/* SPDX-License-Identifier: Apache-2.0 */
/* Rings in huge pages. Sets nr_hugepages and puts it back. */
#include "channel/peers.h"

#include "support/child.h"
#include "support/files.h"
#include "support/vma.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

enum { HUGE = 2 << 20, PIECE = 60000, PIECES = 200 };

static void send_pieces(const char *name)
{
	struct quire_channel *c = NULL;
	static unsigned char piece[PIECE];
	struct quire_map *map;
	struct vma vma;

	MUST(quire_channel_connect(NULL, name,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .huge = 1,
			     .deadline_ns = in_ms(PATIENCE_MS)),
		     &c) == 0);
	MUST(quire_channel_map(c, QUIRE_CHANNEL_SEND, &map) == 0);
	MUST(quire_map_length(map) == HUGE + 2 * HUGE); /* head, ring, ring again */
	MUST(vma_at(quire_map_address(map), &vma) && vma.page_kib == 2048);
	for (int i = 0; i < PIECES; i++) {
		memset(piece, i, sizeof(piece));
		MUST(quire_channel_send(c, piece, sizeof(piece), in_ms(PATIENCE_MS)) == sizeof(piece));
	}
	quire_channel_close(c);
	_exit(0);
}

/* Both ends see the ring in huge pages, twice, and records pass its end. */
static void a_ring_may_stand_in_huge_pages_body(void *argument)
{
	static unsigned char piece[PIECE], wanted[PIECE];
	const char *name = fresh_name();
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	struct quire_map *map;
	struct vma vma;
	pid_t pid;

	(void)argument;
	if (!number_write(POOL, 4) || number_in(POOL) != 4)
		child_skips("the pool of huge pages cannot be set by this user");
	EXPECT_IS(quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l),
		0);
	pid = spawn();
	if (pid == 0)
		send_pieces(name);
	EXPECT_IS(quire_channel_accept(l, in_ms(PATIENCE_MS), &c), 0);
	EXPECT_IS(quire_channel_map(c, QUIRE_CHANNEL_RECEIVE, &map), 0);
	EXPECT(vma_at(quire_map_address(map), &vma));
	EXPECT_IS(vma.page_kib, 2048);
	for (int i = 0; i < PIECES; i++) {
		EXPECT_IS(quire_channel_recv(c, piece, sizeof(piece), in_ms(PATIENCE_MS)), PIECE);
		memset(wanted, i, sizeof(wanted));
		EXPECT_IS(memcmp(piece, wanted, sizeof(piece)), 0);
	}
	EXPECT_IS(exit_of(pid), 0);
	quire_channel_close(c);
	quire_channel_unlisten(l);
}

static void an_empty_pool_is_an_error_not_a_signal_body(void *argument)
{
	const char *name = fresh_name();
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;

	(void)argument;
	if (!number_write(POOL, 0) || number_in(POOL) != 0)
		child_skips("the pool of huge pages cannot be set by this user");
	EXPECT_IS(quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l),
		0);
	EXPECT_IS(quire_channel_connect(
			  NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .huge = 1), &c),
		-ENOMEM);
	EXPECT(strstr(quire_error_text(), "huge") != NULL);
	quire_channel_unlisten(l);
}

static void with_the_pool_kept(void (*body)(void *))
{
	long long pages = number_in(POOL);
	int status;

	if (pages < 0)
		skip();
	status = child_status(body, NULL);
	(void)number_write(POOL, pages);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	EXPECT_IS(status, 0);
}

static void a_ring_may_stand_in_huge_pages(void **state)
{
	(void)state;
	with_the_pool_kept(a_ring_may_stand_in_huge_pages_body);
}

static void an_empty_pool_is_an_error_not_a_signal(void **state)
{
	(void)state;
	with_the_pool_kept(an_empty_pool_is_an_error_not_a_signal_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_may_stand_in_huge_pages),
		cmocka_unit_test(an_empty_pool_is_an_error_not_a_signal),
	};

	return RUN(tests);
}
