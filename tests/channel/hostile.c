/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile process at the other end: it writes random and crafted bytes anywhere it can, rings bells without end, greets
 * with nonsense and hands over descriptors of all kinds. We may be told anything; we must not fault, hang, or loop.
 *
 * 10^6 hostile stores for each kind of peer, 10^5 with QUIRE_TEST_QUICK, 10^8 with QUIRE_HUNT. The seed is printed;
 * QUIRE_SEED sets it.
 */
#include "channel/peers.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "channel/layout.h"

enum { STORES_A_ROUND = 4000, ROUND_MS = 300, RING = 4096 };

#define LAYOUT_MAGIC_BYTES                             \
	{                                              \
		'Q', 'U', 'I', 'R', 'E', 'C', 'H', 'N' \
	}

static uint64_t seed;

static struct score {
	_Atomic uint64_t stores;
	atomic_uint stop;
} * score;

static uint64_t budget(void)
{
	return getenv("QUIRE_HUNT") != NULL          ? 100000000U
		: getenv("QUIRE_TEST_QUICK") != NULL ? 100000U
						     : 1000000U;
}

/* ---- the hostile one ---- */

/* Numbers that mean something to the other side more often than random ones do. */
static uint64_t crafted(uint64_t *state, uint64_t near)
{
	uint64_t r = random_next(state);

	switch (r % 8) {
	case 0: return 0;
	case 1: return 1;
	case 2: return near + r / 8 % 64 * 8;
	case 3: return near - r / 8 % 64 * 8;
	case 4: return UINT64_MAX - r / 8 % 16;
	case 5: return RING - 16 + r / 8 % 32;
	case 6: return r / 8 % 4096;
	default: return r;
	}
}

static void vandalize(unsigned char *memory, size_t bytes, uint64_t *state)
{
	struct layout_control *control = (struct layout_control *)(void *)(memory + LAYOUT_CONTROL);
	uint64_t head = atomic_load(&control->head);

	for (int i = 0; i < STORES_A_ROUND && !atomic_load(&score->stop); i++) {
		uint64_t r = random_next(state);
		size_t at = r % 3 == 0 ? LAYOUT_CONTROL + r / 3 % sizeof(*control) / 8 * 8
			: r % 3 == 1 && bytes > LAYOUT_RING
			? LAYOUT_RING + r / 3 % (bytes - LAYOUT_RING - 8) / 8 * 8
			: r / 3 % (bytes - 8);

		if (at % 8 == 0)
			atomic_store((_Atomic uint64_t *)(void *)(memory + at), crafted(state, head));
		else
			memory[at] = (unsigned char)r;
	}
	atomic_fetch_add(&score->stores, STORES_A_ROUND);
}

/* Its own segment is the one thing it can write: the kernel keeps the rest from it. */
static unsigned char *own_memory(size_t *bytes)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned long start = 0, end = 0;

	MUST(maps != NULL);
	while (start == 0 && fgets(line, sizeof(line), maps) != NULL) {
		char *rest; /* START-END PERMISSIONS ... */

		if (strstr(line, "quire-channel:") == NULL)
			continue;
		start = strtoul(line, &rest, 16);
		end = strtoul(rest + 1, &rest, 16);
		if (rest[2] != 'w')
			start = 0;
	}
	(void)fclose(maps);
	MUST(start != 0);
	*bytes = end - start;
	return (unsigned char *)start; /* NOLINT: an address from the kernel's own list */
}

/* A normal beginning, some normal messages, and then anything. */
static void be_hostile(const char *name, uint32_t role)
{
	uint64_t state = seed ^ (uint64_t)getpid() * 0x9e3779b97f4a7c15U;

	while (!atomic_load(&score->stop)) {
		struct quire_channel *c;
		uint64_t r = random_next(&state);
		unsigned char *memory;
		size_t bytes;

		if (quire_channel_connect(NULL, name,
			    QUIRE_OPTIONS(
				    channel, .role = role, .ring_bytes = RING, .deadline_ns = in_ms(500)),
			    &c) < 0)
			continue;
		for (uint64_t i = 0; i < r % 20 && role == QUIRE_CHANNEL_SEND; i++)
			(void)quire_channel_send(c, &r, r / 32 % 8, QUIRE_NOW);
		memory = own_memory(&bytes);
		vandalize(memory, bytes, &state);
		if (r % 4 == 0)
			_exit(0); /* without a word; the parent starts another */
		quire_channel_close(c);
	}
	_exit(0);
}

/* ---- the honest one ---- */

static void check_error(int64_t r)
{
	/* Anything the documentation allows; what it does not is a bug. */
	assert_true(r == -EAGAIN || r == -ETIMEDOUT || r == -EPIPE || r == -EOWNERDEAD || r == -EPROTO ||
		r == -EMSGSIZE || r == -ENOBUFS || r == -ESTALE || r == -EINVAL);
}

static void read_hostile(struct quire_channel *c, uint64_t *state)
{
	static unsigned char bytes[2 * RING];
	uint64_t until = in_ms(ROUND_MS);
	int64_t r = 0;

	for (int calls = 0; calls < 20000 && now_ns() < until; calls++) {
		struct iovec records[8];

		if (random_next(state) % 2 == 0) {
			r = quire_channel_recv(
				c, bytes, sizeof(bytes), calls % 64 == 0 ? in_ms(1) : QUIRE_NOW);
			assert_true(r <= (int64_t)sizeof(bytes));
		} else {
			r = quire_channel_peek_batch(c, records, 8, QUIRE_NOW);
			for (int64_t i = 0; i < r; i++) {
				/* Every byte that we are told is there can be read. */
				assert_true(records[i].iov_len <= RING);
				for (size_t b = 0; b < records[i].iov_len; b += 64)
					bytes[0] ^= ((const unsigned char *)records[i].iov_base)[b];
			}
			if (r > 0)
				r = quire_channel_release(c, (size_t)(random_next(state) % (uint64_t)r + 1));
			while (r == 0)
				r = quire_channel_release(c, 1);
		}
		if (r < 0)
			check_error(r);
		if (r == -EPROTO || r == -EPIPE || r == -EOWNERDEAD)
			return;
	}
}

static void write_hostile(struct quire_channel *c, uint64_t *state)
{
	static const unsigned char bytes[RING] = { 1 };
	uint64_t until = in_ms(ROUND_MS);

	for (int calls = 0; calls < 20000 && now_ns() < until; calls++) {
		int64_t r = quire_channel_send(
			c, bytes, random_next(state) % 512, calls % 64 == 0 ? in_ms(1) : QUIRE_NOW);

		if (r < 0)
			check_error(r);
		if (r == -EPROTO || r == -EPIPE || r == -EOWNERDEAD)
			return;
	}
}

typedef void honest_fn(struct quire_channel *c, uint64_t *state);

static void survive(uint32_t role, honest_fn *act)
{
	const char *name = fresh_name();
	struct quire_listener *l = NULL;
	uint32_t theirs = role == QUIRE_CHANNEL_RECEIVE ? QUIRE_CHANNEL_SEND : QUIRE_CHANNEL_RECEIVE;
	uint64_t state = seed;
	int rounds = 0;
	pid_t pid = -1;

	assert_int_equal(quire_channel_listen(
				 NULL, name, QUIRE_OPTIONS(channel, .role = role, .ring_bytes = RING), &l),
		0);
	atomic_store(&score->stores, 0);
	atomic_store(&score->stop, 0);
	while (atomic_load(&score->stores) < budget()) {
		struct quire_channel *c = NULL;

		if (pid < 0 || waitpid(pid, NULL, WNOHANG) == pid) {
			pid = spawn();
			if (pid == 0)
				be_hostile(name, theirs);
		}
		if (quire_channel_accept(l, in_ms(20), &c) < 0)
			continue;
		act(c, &state);
		quire_channel_close(c);
		rounds++;
	}
	atomic_store(&score->stop, 1);
	quire_channel_unlisten(l);
	(void)wait_for(pid);
	print_message("# seed %llu: %llu hostile stores in %d conversations\n", (unsigned long long)seed,
		(unsigned long long)atomic_load(&score->stores), rounds);
}

static void a_hostile_writer_harms_nobody_but_itself(void **state)
{
	(void)state;
	survive(QUIRE_CHANNEL_RECEIVE, read_hostile);
}

static void a_hostile_reader_harms_nobody_but_itself(void **state)
{
	(void)state;
	survive(QUIRE_CHANNEL_SEND, write_hostile);
}

/* ---- one of many ---- */

enum { HONEST = 2000, LIARS = 2 };

static void write_numbers(const char *name)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_SEND);

	for (uint64_t i = 0; i < HONEST; i++)
		MUST(quire_channel_send(c, &i, sizeof(i), in_ms(PATIENCE_MS)) == sizeof(i));
	quire_channel_close(c);
	_exit(0);
}

/* Whatever the liars write, the queue itself never fails, and the honest one's messages come, each once and in order. Theirs
 * are as long or longer. */
static void liars_in_a_queue_stop_nobody(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = NULL;
	struct quire_channel *q = NULL;
	static uint64_t bytes[RING / 8];
	pid_t liars[LIARS], honest;
	uint64_t next = 0;

	(void)state;
	assert_int_equal(
		quire_channel_listen(NULL, name,
			QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .pattern = QUIRE_CHANNEL_QUEUE),
			&l),
		0);
	assert_int_equal(quire_channel_gather(l, 0, QUIRE_NOW, &q), 0);
	atomic_store(&score->stores, 0);
	atomic_store(&score->stop, 0);
	for (int i = 0; i < LIARS; i++) {
		liars[i] = spawn();
		if (liars[i] == 0)
			be_hostile(name, QUIRE_CHANNEL_SEND);
	}
	honest = spawn();
	if (honest == 0)
		write_numbers(name);
	while (next < HONEST) {
		int64_t r = quire_channel_recv(q, bytes, sizeof(bytes), in_ms(PATIENCE_MS));

		assert_true(r >= 0); /* not -EPROTO: that is the liar's lane alone */
		if (r == 8 && bytes[0] == next)
			next++;
	}
	assert_int_equal(exit_of(honest), 0);
	atomic_store(&score->stop, 1);
	for (int i = 0; i < LIARS; i++)
		(void)wait_for(liars[i]);
	quire_channel_close(q);
	quire_channel_unlisten(l);
}

static void read_numbers(const char *name)
{
	struct quire_channel *c = connect_to(name, QUIRE_CHANNEL_RECEIVE);
	uint64_t number;
	int64_t r;

	MUST(quire_channel_recv(c, &number, sizeof(number), in_ms(PATIENCE_MS)) == sizeof(number));
	for (uint64_t next = number + 1; next <= HONEST; next++) {
		r = quire_channel_recv(c, &number, sizeof(number), in_ms(PATIENCE_MS));
		MUST(r == sizeof(number) && number == next);
	}
	quire_channel_close(c);
	_exit(0);
}

/* A reader with an impossible tail is let go; the topic goes on. */
static void liars_at_a_topic_stop_nobody(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = NULL;
	struct quire_channel *t = NULL;
	pid_t liars[LIARS], honest;

	(void)state;
	assert_int_equal(quire_channel_listen(NULL, name,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND,
					 .pattern = QUIRE_CHANNEL_TOPIC, .ring_bytes = RING),
				 &l),
		0);
	honest = spawn();
	if (honest == 0)
		read_numbers(name);
	assert_int_equal(quire_channel_gather(l, 1, in_ms(PATIENCE_MS), &t), 1);
	atomic_store(&score->stores, 0);
	atomic_store(&score->stop, 0);
	for (int i = 0; i < LIARS; i++) {
		liars[i] = spawn();
		if (liars[i] == 0)
			be_hostile(name, QUIRE_CHANNEL_RECEIVE);
	}
	assert_true(quire_channel_gather(l, 2, in_ms(PATIENCE_MS), &t) >= 2);
	for (uint64_t i = 0; i <= HONEST; i++)
		assert_int_equal(quire_channel_send(t, &i, sizeof(i), in_ms(PATIENCE_MS)), sizeof(i));
	assert_int_equal(exit_of(honest), 0);
	atomic_store(&score->stop, 1);
	quire_channel_close(t);
	quire_channel_unlisten(l);
	for (int i = 0; i < LIARS; i++)
		(void)wait_for(liars[i]);
}

/* ---- nonsense instead of a greeting ---- */

static int raw_connect(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", name + 1);
	MUST(connect(fd, (const struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	return fd;
}

static void send_with(int socket, const void *bytes, size_t length, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
	}
	(void)sendmsg(socket, &message, MSG_NOSIGNAL);
}

/* A memfd that is nearly a segment. */
static int nearly_a_segment(uint64_t *state)
{
	struct layout_header header = {
		.magic = LAYOUT_MAGIC_BYTES,
		.major = LAYOUT_MAJOR,
		.header_bytes = sizeof(header),
		.ring_offset = LAYOUT_RING,
		.capacity = RING,
	};
	int fd = memfd_create("nearly", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	unsigned char *bytes = (unsigned char *)&header;
	uint64_t r = random_next(state);

	MUST(ftruncate(fd, r % 2 == 0 ? LAYOUT_RING + RING : (off_t)(r % 100000)) == 0);
	if (r % 5 != 0)
		for (int i = 0; i < 3; i++)
			bytes[random_next(state) % sizeof(header)] = (unsigned char)random_next(state);
	MUST(pwrite(fd, &header, sizeof(header), 0) == sizeof(header));
	MUST(r % 3 == 0 || posix_fallocate(fd, 0, LAYOUT_RING + RING) == 0);
	if (r % 7 != 0)
		MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) == 0);
	return fd;
}

struct greeting { /* as docs/format.md has it */
	char magic[8];
	uint16_t major, minor;
	uint32_t flags;
	int32_t status;
	uint32_t role, mode, pattern, policy, zero;
	uint64_t start, start_records;
	char schema[64];
};

static void greet_with_nonsense(const char *name, int count)
{
	uint64_t state = seed + 77;

	for (int i = 0; i < count; i++) {
		struct greeting g = {
			.magic = LAYOUT_MAGIC_BYTES, .major = LAYOUT_MAJOR, .role = QUIRE_CHANNEL_SEND
		};
		unsigned char *bytes = (unsigned char *)&g;
		uint64_t r = random_next(&state);
		int socket = raw_connect(name);
		int fd = r % 3 == 0  ? -1
			: r % 3 == 1 ? nearly_a_segment(&state)
				     : open("/dev/null", O_RDONLY);

		for (uint64_t n = 0; n < r / 8 % 4; n++)
			bytes[random_next(&state) % sizeof(g)] = (unsigned char)random_next(&state);
		if (r % 11 != 0)
			send_with(socket, &g, r % 13 == 0 ? r % sizeof(g) : sizeof(g), fd);
		if (fd >= 0)
			(void)close(fd);
		(void)close(socket);
	}
	_exit(0);
}

static void nonsense_is_refused_and_the_next_client_is_served(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	int count = getenv("QUIRE_TEST_QUICK") != NULL ? 300 : 3000;
	pid_t pid = spawn();
	struct quire_channel *c;
	char byte;
	int r;

	(void)state;
	if (pid == 0)
		greet_with_nonsense(name, count);
	do {
		r = quire_channel_accept(l, in_ms(200), &c);
		if (r == 0)
			quire_channel_close(c); /* a segment that is in order by chance: its owner is gone */
	} while (waitpid(pid, &r, WNOHANG) == 0);
	pid = spawn();
	if (pid == 0) {
		c = connect_to(name, QUIRE_CHANNEL_SEND);
		MUST(quire_channel_send(c, "x", 1, QUIRE_FOREVER) == 1);
		quire_channel_close(c);
		_exit(0);
	}
	do {
		c = accept_from(l);
		r = (int)quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS));
		quire_channel_close(c);
	} while (r != 1);
	assert_int_equal(exit_of(pid), 0);
	quire_channel_unlisten(l);
}

static void a_silent_client_keeps_nobody_waiting(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	int silent[80];
	pid_t pid;
	struct quire_channel *c;

	(void)state;
	for (int i = 0; i < 80; i++)
		silent[i] = raw_connect(name);
	pid = spawn();
	if (pid == 0) {
		c = connect_to(name, QUIRE_CHANNEL_SEND);
		quire_channel_close(c);
		_exit(0);
	}
	c = accept_from(l);
	quire_channel_close(c);
	assert_int_equal(exit_of(pid), 0);
	for (int i = 0; i < 80; i++)
		assert_int_equal(close(silent[i]), 0);
	quire_channel_unlisten(l);
}

/* Bells without end: the socket is full of bytes nobody asked for. */
static void bells_without_end_do_not_stop_us(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	pid_t pid = spawn();
	struct quire_channel *c;
	char text[8];

	(void)state;
	if (pid == 0) {
		int fd = -1;

		c = connect_to(name, QUIRE_CHANNEL_SEND);
		for (int d = 3; d < 64 && fd < 0; d++)
			if (send(d, "b", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
				fd = d;
		MUST(fd >= 0);
		for (int i = 0; i < 20000; i++) {
			(void)send(fd, i % 2 == 0 ? "bbbbbbb" : "", i % 2 == 0 ? 7 : 1,
				MSG_DONTWAIT | MSG_NOSIGNAL);
			if (i == 10000)
				MUST(quire_channel_send(c, "hello", 5, QUIRE_FOREVER) == 5);
		}
		quire_channel_close(c);
		_exit(0);
	}
	c = accept_from(l);
	assert_true(quire_channel_fd(c) >= 0);
	while (quire_channel_recv(c, text, sizeof(text), QUIRE_NOW) == -EAGAIN)
		;
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(quire_channel_recv(c, text, sizeof(text), in_ms(PATIENCE_MS)), -EPIPE);
	quire_channel_close(c);
	assert_int_equal(exit_of(pid), 0);
	quire_channel_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hostile_writer_harms_nobody_but_itself),
		cmocka_unit_test(a_hostile_reader_harms_nobody_but_itself),
		cmocka_unit_test(liars_in_a_queue_stop_nobody),
		cmocka_unit_test(liars_at_a_topic_stop_nobody),
		cmocka_unit_test(nonsense_is_refused_and_the_next_client_is_served),
		cmocka_unit_test(a_silent_client_keeps_nobody_waiting),
		cmocka_unit_test(bells_without_end_do_not_stop_us),
	};
	const char *chosen = getenv("QUIRE_SEED");
	int failed;

	seed = chosen != NULL ? strtoull(chosen, NULL, 10) : now_ns() | 1;
	score = mmap(NULL, sizeof(*score), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (score == MAP_FAILED)
		return 1;
	failed = RUN(tests);
	(void)munmap(score, sizeof(*score));
	return failed;
}
