/* SPDX-License-Identifier: Apache-2.0 */
/* Two users, a container with a small /dev/shm, and what is left behind when everybody is killed. Needs root. */
#include "channel/peers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { NOBODY = 65534, LARGE = 8 << 20 };

static void become_nobody(void)
{
	MUST(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static int connect_as_nobody(const char *name, uint32_t role)
{
	pid_t pid = spawn();
	struct quire_channel *c;
	int r;

	if (pid == 0) {
		become_nobody();
		r = quire_channel_connect(
			NULL, name, QUIRE_OPTIONS(channel, .role = role, .deadline_ns = in_ms(5000)), &c);
		_exit(r == 0 ? 0 : r == -EACCES ? 13 : 99);
	}
	return pid;
}

static void skip_unless_root(void)
{
	if (geteuid() != 0) {
		print_message("# only root can be two users\n");
		skip();
	}
}

static void a_stranger_is_not_on_the_list(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l;
	struct quire_channel *c;
	pid_t pid;

	(void)state;
	skip_unless_root();
	l = listen_on(name, QUIRE_CHANNEL_SEND);
	pid = connect_as_nobody(name, QUIRE_CHANNEL_RECEIVE);
	assert_int_equal(quire_channel_accept(l, in_ms(1000), &c), -ETIMEDOUT);
	assert_int_equal(exit_of(pid), 13);
	quire_channel_unlisten(l);
}

static void rights_are_for_a_role(void **state)
{
	const struct quire_channel_right rights[] = {
		{ .uid = QUIRE_ANYBODY, .gid = NOBODY, .may = QUIRE_CHANNEL_RECEIVE },
	};
	const char *name = fresh_name();
	struct quire_listener *l;
	struct quire_channel *c;
	pid_t pid;

	(void)state;
	skip_unless_root();
	for (uint32_t role = QUIRE_CHANNEL_SEND; role <= QUIRE_CHANNEL_RECEIVE; role++) {
		uint32_t theirs = QUIRE_CHANNEL_BOTH ^ role;
		int r;

		assert_int_equal(
			quire_channel_listen(NULL, name,
				QUIRE_OPTIONS(channel, .role = role, .rights = rights, .right_count = 1), &l),
			0);
		pid = connect_as_nobody(name, theirs);
		r = quire_channel_accept(l, in_ms(1000), &c);
		assert_int_equal(r, theirs == QUIRE_CHANNEL_RECEIVE ? 0 : -ETIMEDOUT);
		assert_int_equal(exit_of(pid), theirs == QUIRE_CHANNEL_RECEIVE ? 0 : 13);
		if (r == 0)
			quire_channel_close(c);
		quire_channel_unlisten(l);
	}
}

static void a_reader_of_another_user_cannot_write(void **state)
{
	const struct quire_channel_right rights[] = {
		{ .uid = NOBODY, .gid = QUIRE_ANYBODY, .may = QUIRE_CHANNEL_RECEIVE },
	};
	const char *name = fresh_name();
	struct quire_channel_stat st = { .size = sizeof(st) };
	struct quire_listener *l;
	struct quire_channel *c;
	pid_t pid;

	(void)state;
	skip_unless_root();
	assert_int_equal(quire_channel_listen(NULL, name,
				 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .rights = rights,
					 .right_count = 1),
				 &l),
		0);
	pid = spawn();
	if (pid == 0) {
		struct quire_map *map;
		char path[64];
		char byte;
		int fd;

		become_nobody();
		c = connect_to(name, QUIRE_CHANNEL_RECEIVE);
		MUST(quire_channel_recv(c, &byte, 1, in_ms(5000)) == 1);
		MUST(quire_channel_map(c, QUIRE_CHANNEL_RECEIVE, &map) == 0);
		MUST(mprotect(quire_map_address(map), 4096, PROT_READ | PROT_WRITE) < 0);
		MUST(quire_map_export(map, &fd) == 0);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		fd = open(path, O_RDWR);
		/* cppcheck-suppress leakReturnValNotUsed ; it must fail */
		MUST(fd < 0 || mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
		MUST(fd < 0 || (pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) < 0));
		_exit(0);
	}
	assert_int_equal(quire_channel_accept(l, in_ms(5000), &c), 0);
	assert_int_equal(quire_channel_stat(c, &st), 0);
	assert_int_equal(st.peer_uid, NOBODY);
	assert_int_equal(st.peer_pid, pid);
	assert_int_equal(quire_channel_send(c, "x", 1, QUIRE_NOW), 1);
	assert_int_equal(exit_of(pid), 0);
	quire_channel_close(c);
	quire_channel_unlisten(l);
}

/* ---- a container ---- */

static char directory[64];

static void make_directory(void)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/quire-channel-XXXXXX");
	assert_non_null(mkdtemp(directory));
}

/* Own mount, pid, ipc and network namespaces, /dev/shm of 64 KiB; the socket's directory is what both see. */
static void send_from_container(const char *path)
{
	static char block[65536];
	struct quire_channel *c = NULL;
	pid_t pid;

	MUST(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET) == 0);
	pid = spawn();
	if (pid != 0)
		_exit(exit_of(pid));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	MUST(mount("shm", "/dev/shm", "tmpfs", 0, "size=64k") == 0);
	MUST(quire_channel_connect(NULL, path,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .ring_bytes = LARGE,
			     .deadline_ns = in_ms(5000)),
		     &c) == 0);
	for (int i = 0; i < 512; i++) {
		memset(block, i, sizeof(block));
		MUST(quire_channel_send(c, block, sizeof(block), in_ms(5000)) == sizeof(block));
	}
	quire_channel_close(c);
	_exit(0);
}

static void a_container_with_a_small_shm_sends_through_a_large_ring(void **state)
{
	static char block[65536];
	struct quire_listener *l = NULL;
	struct quire_channel *c;
	char path[80];
	pid_t pid;

	(void)state;
	skip_unless_root();
	make_directory();
	(void)snprintf(path, sizeof(path), "%s/socket", directory);
	assert_int_equal(
		quire_channel_listen(NULL, path, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l),
		0);
	pid = spawn();
	if (pid == 0)
		send_from_container(path);
	assert_int_equal(quire_channel_accept(l, in_ms(5000), &c), 0);
	for (int i = 0; i < 512; i++) {
		assert_int_equal(quire_channel_recv(c, block, sizeof(block), in_ms(5000)), sizeof(block));
		assert_int_equal((unsigned char)block[i], (unsigned char)i);
	}
	assert_int_equal(quire_channel_recv(c, block, sizeof(block), in_ms(5000)), -EPIPE);
	assert_int_equal(exit_of(pid), 0);
	quire_channel_close(c);
	quire_channel_unlisten(l);
	assert_int_equal(rmdir(directory), 0); /* the socket is gone with its listener */
}

/* ---- what is left ---- */

static void list(const char *path, char *text, size_t room)
{
	DIR *d = opendir(path);
	struct dirent *e;

	assert_non_null(d);
	text[0] = '\0';
	while ((e = readdir(d)) != NULL)
		if (strstr(e->d_name, "quire") != NULL && strlen(text) + 300 < room)
			(void)snprintf(text + strlen(text), room - strlen(text), "%s\n", e->d_name);
	(void)closedir(d);
}

static void read_file(const char *path, char *text, size_t room)
{
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	text[fread(text, 1, room - 1, f)] = '\0';
	(void)fclose(f);
}

static void take_stock(char *text, size_t room)
{
	list("/dev/shm", text, room / 4);
	list("/tmp", text + strlen(text), room / 4);
	read_file("/proc/sysvipc/shm", text + strlen(text), room / 4);
	read_file("/proc/sysvipc/sem", text + strlen(text), room / 4);
}

static void listen_and_be_killed(const char *path)
{
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	char byte;

	MUST(quire_channel_listen(NULL, path,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .permissions = 0666), &l) == 0);
	MUST(quire_channel_accept(l, in_ms(5000), &c) == 0);
	(void)quire_channel_recv(c, &byte, 1, QUIRE_FOREVER);
	_exit(99);
}

static void nothing_is_left_when_all_are_killed(void **state)
{
	static char before[65536], after[65536];
	const struct timespec nap = { .tv_nsec = 5000000 };
	struct quire_listener *l = NULL;
	struct stat st;
	char path[80];

	(void)state;
	make_directory();
	(void)snprintf(path, sizeof(path), "%s/socket", directory);
	take_stock(before, sizeof(before));
	for (int i = 0; i < 5; i++) {
		pid_t listener = spawn();
		pid_t writer;

		if (listener == 0)
			listen_and_be_killed(path);
		writer = spawn();
		if (writer == 0) {
			struct quire_channel *c = NULL;

			while (quire_channel_connect(NULL, path,
				       QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &c) < 0)
				(void)nanosleep(&nap, NULL);
			for (;;)
				(void)pause();
		}
		for (int n = 0; n < 10 + i; n++)
			(void)nanosleep(&nap, NULL);
		assert_int_equal(kill(listener, SIGKILL) | kill(writer, SIGKILL), 0);
		(void)wait_for(writer);
		assert_int_equal(exit_of(listener), 128 + SIGKILL);
	}
	take_stock(after, sizeof(after));
	assert_string_equal(before, after);
	/* The one thing that is left is the socket's name, where its owner chose a path; the next owner takes it over. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(
		quire_channel_listen(NULL, path, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l),
		0);
	quire_channel_unlisten(l);
	assert_int_equal(rmdir(directory), 0);
}

static void a_name_belongs_to_one_listener(void **state)
{
	const char *name = fresh_name();
	struct quire_listener *l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	struct quire_listener *second = NULL;

	(void)state;
	assert_int_equal(quire_channel_listen(
				 NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &second),
		-EADDRINUSE);
	quire_channel_unlisten(l);
	l = listen_on(name, QUIRE_CHANNEL_RECEIVE);
	quire_channel_unlisten(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stranger_is_not_on_the_list),
		cmocka_unit_test(rights_are_for_a_role),
		cmocka_unit_test(a_reader_of_another_user_cannot_write),
		cmocka_unit_test(a_container_with_a_small_shm_sends_through_a_large_ring),
		cmocka_unit_test(nothing_is_left_when_all_are_killed),
		cmocka_unit_test(a_name_belongs_to_one_listener),
	};

	return RUN(tests);
}
