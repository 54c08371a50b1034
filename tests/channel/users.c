/* SPDX-License-Identifier: Apache-2.0 */
/* Two users, a container with a small /dev/shm, and what is left behind when everybody is killed. Needs root. */
#include "channel/peers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { NOBODY = 65534, LARGE = 128 << 20, KILLS = 60 };

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
		r = quire_channel_connect(NULL, name,
			QUIRE_OPTIONS(channel, .role = role, .deadline_ns = in_ms(PATIENCE_MS)), &c);
		_exit(r == 0 ? 0 : r == -EACCES ? 13 : 99);
	}
	return pid;
}

/* How it ended, and whether it was let in: it is waited for as long as it takes to come. */
static int received(struct quire_listener *l, pid_t pid, bool *let_in)
{
	struct quire_channel *c = NULL;
	int status = 0;
	pid_t ended = 0;

	while (ended == 0) {
		if (c == NULL)
			(void)quire_channel_accept(l, in_ms(20), &c);
		ended = waitpid(pid, &status, c == NULL ? WNOHANG : 0);
	}
	*let_in = c != NULL;
	quire_channel_close(c);
	return WEXITSTATUS(status);
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
	bool let_in;

	(void)state;
	skip_unless_root();
	l = listen_on(name, QUIRE_CHANNEL_SEND);
	assert_int_equal(received(l, connect_as_nobody(name, QUIRE_CHANNEL_RECEIVE), &let_in), 13);
	assert_false(let_in);
	quire_channel_unlisten(l);
}

static void rights_are_for_a_role(void **state)
{
	const struct quire_channel_right rights[] = {
		{ .uid = QUIRE_ANYBODY, .gid = NOBODY, .may = QUIRE_CHANNEL_RECEIVE },
	};
	const char *name = fresh_name();
	struct quire_listener *l;

	(void)state;
	skip_unless_root();
	for (uint32_t role = QUIRE_CHANNEL_SEND; role <= QUIRE_CHANNEL_RECEIVE; role++) {
		uint32_t theirs = QUIRE_CHANNEL_BOTH ^ role;
		bool may = theirs == QUIRE_CHANNEL_RECEIVE, let_in;

		assert_int_equal(
			quire_channel_listen(NULL, name,
				QUIRE_OPTIONS(channel, .role = role, .rights = rights, .right_count = 1), &l),
			0);
		assert_int_equal(received(l, connect_as_nobody(name, theirs), &let_in), may ? 0 : 13);
		assert_true(let_in == may);
		quire_channel_unlisten(l);
	}
}

/* Two doors: the permissions of the file, as for any file, and then the list. */
static void the_permissions_of_the_socket_are_a_door(void **state)
{
	const struct quire_channel_right anybody[] = {
		{ .uid = QUIRE_ANYBODY, .gid = QUIRE_ANYBODY, .may = QUIRE_CHANNEL_RECEIVE },
	};
	static const uint32_t permissions[] = { 0600, 0666 };
	char path[64], where[] = "/tmp/quire-door-XXXXXX";

	(void)state;
	skip_unless_root();
	assert_non_null(mkdtemp(where));
	assert_int_equal(chmod(where, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/socket", where);
	for (int i = 0; i < 2; i++) {
		struct quire_listener *l = NULL;
		bool let_in;

		assert_int_equal(quire_channel_listen(NULL, path,
					 QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .rights = anybody,
						 .right_count = 1, .permissions = permissions[i]),
					 &l),
			0);
		assert_int_equal(received(l, connect_as_nobody(path, QUIRE_CHANNEL_RECEIVE), &let_in),
			i == 0 ? 13 : 0);
		assert_true(let_in == (i == 1));
		quire_channel_unlisten(l);
	}
	assert_int_equal(rmdir(where), 0);
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
		MUST(quire_channel_recv(c, &byte, 1, in_ms(PATIENCE_MS)) == 1);
		MUST(quire_channel_map(c, QUIRE_CHANNEL_RECEIVE, &map) == 0);
		MUST(mprotect(quire_map_address(map), 4096, PROT_READ | PROT_WRITE) < 0);
		MUST(quire_map_export(map, &fd) == 0);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		fd = open(path, O_RDWR);
		/* cppcheck-suppress leakReturnValNotUsed ; it must fail */
		MUST(fd < 0 || mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
		MUST(fd < 0 || (pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) < 0));
		MUST(fd < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0);
		_exit(0);
	}
	assert_int_equal(quire_channel_accept(l, in_ms(PATIENCE_MS), &c), 0);
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

/* Own mount, pid, ipc and network namespaces, and a /dev/shm of 64 MiB, as containers have; what both see is the
 * directory of the socket. */
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
	MUST(mount("shm", "/dev/shm", "tmpfs", 0, "size=64m") == 0);
	MUST(quire_channel_connect(NULL, path,
		     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .ring_bytes = LARGE,
			     .deadline_ns = in_ms(PATIENCE_MS)),
		     &c) == 0);
	for (int i = 0; i < 512; i++) {
		memset(block, i, sizeof(block));
		MUST(quire_channel_send(c, block, sizeof(block), in_ms(PATIENCE_MS)) == sizeof(block));
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
	assert_int_equal(quire_channel_accept(l, in_ms(PATIENCE_MS), &c), 0);
	for (int i = 0; i < 512; i++) {
		assert_int_equal(
			quire_channel_recv(c, block, sizeof(block), in_ms(PATIENCE_MS)), sizeof(block));
		assert_int_equal((unsigned char)block[i], (unsigned char)i);
	}
	assert_int_equal(quire_channel_recv(c, block, sizeof(block), in_ms(PATIENCE_MS)), -EPIPE);
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

	MUST(d != NULL);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			(void)snprintf(text + strlen(text), room - strlen(text), "%s/%s\n", path, e->d_name);
	(void)closedir(d);
}

/* Without the line that heads the list. */
static void list_ipc(const char *path, char *text, size_t room)
{
	FILE *f = fopen(path, "re");
	char line[256];

	MUST(f != NULL && fgets(line, sizeof(line), f) != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		(void)snprintf(text + strlen(text), room - strlen(text), "%s", line);
	(void)fclose(f);
}

/* Everything that outlives processes, in namespaces that nobody else uses. */
static const char *what_is_there(void)
{
	static char text[4096];

	text[0] = '\0';
	list("/dev/shm", text, sizeof(text));
	list("/tmp", text, sizeof(text));
	list_ipc("/proc/sysvipc/shm", text, sizeof(text));
	list_ipc("/proc/sysvipc/sem", text, sizeof(text));
	list_ipc("/proc/sysvipc/msg", text, sizeof(text));
	return text;
}

static void listen_and_be_killed(const char *name)
{
	static char block[5000];
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;

	MUST(quire_channel_listen(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l) ==
		0);
	for (;;) {
		MUST(quire_channel_accept(l, QUIRE_FOREVER, &c) == 0);
		while (quire_channel_recv(c, block, sizeof(block), QUIRE_FOREVER) > 0)
			;
		quire_channel_close(c);
	}
}

static void write_and_be_killed(const char *name)
{
	static char block[5000];

	for (;;) {
		struct quire_channel *c = NULL;

		if (quire_channel_connect(
			    NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &c) < 0)
			continue;
		for (int i = 0; i < 100; i++)
			(void)quire_channel_send(c, block, sizeof(block), in_ms(1000));
		quire_channel_close(c);
	}
}

/* Both are killed wherever they are: binding, meeting, mapping, sending, asleep, parting. */
static void kill_both(const char *name, uint64_t *random)
{
	const struct timespec nap = { .tv_nsec = (long)(random_next(random) % 10000000) };
	pid_t listener = spawn(), writer;

	if (listener == 0)
		listen_and_be_killed(name);
	writer = spawn();
	if (writer == 0)
		write_and_be_killed(name);
	(void)nanosleep(&nap, NULL);
	MUST(kill(listener, SIGKILL) == 0);
	if (random_next(random) % 2 == 0)
		(void)nanosleep(&nap, NULL); /* the other one finds out first */
	MUST(kill(writer, SIGKILL) == 0);
	MUST(exit_of(listener) == 128 + SIGKILL && exit_of(writer) == 128 + SIGKILL);
}

static void kill_in_private(uint64_t seed)
{
	struct quire_listener *l = NULL;

	MUST(unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET) == 0); /* abstract names are of a network */
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	MUST(mount("shm", "/dev/shm", "tmpfs", 0, "size=64m") == 0);
	MUST(mount("tmp", "/tmp", "tmpfs", 0, NULL) == 0);
	for (int i = 0; i < KILLS; i++) {
		kill_both(i % 2 == 0 ? "/tmp/socket" : "@quire-left", &seed);
		if (strcmp(what_is_there(), "/tmp/socket\n") != 0)
			MUST(strcmp(what_is_there(), "") == 0); /* killed before it had bound */
	}
	/* The one thing that is left is the socket's name, where its owner chose a path; the next owner takes it over. */
	MUST(quire_channel_listen(
		     NULL, "/tmp/socket", QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &l) == 0);
	quire_channel_unlisten(l);
	MUST(strcmp(what_is_there(), "") == 0);
	_exit(0);
}

static void nothing_is_left_when_all_are_killed(void **state)
{
	const char *chosen = getenv("QUIRE_SEED");
	uint64_t seed = chosen != NULL ? strtoull(chosen, NULL, 10) : now_ns() | 1;
	pid_t pid;

	(void)state;
	skip_unless_root();
	print_message("# seed %llu\n", (unsigned long long)seed);
	pid = spawn();
	if (pid == 0)
		kill_in_private(seed);
	assert_int_equal(exit_of(pid), 0);
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

/* Without $XDG_RUNTIME_DIR the names of all users stand in one place, and whoever comes first has them. */
static void another_users_abstract_name_is_not_connected_to(void **state)
{
	const char *before = getenv("XDG_RUNTIME_DIR");
	const struct quire_channel_right anybody = {
		.uid = QUIRE_ANYBODY, .gid = QUIRE_ANYBODY, .may = QUIRE_CHANNEL_BOTH
	};
	struct quire_channel *c = NULL;
	struct quire_listener *l = NULL;
	char name[64], whole[80];
	int ready[2];
	char byte;
	pid_t pid;

	(void)state;
	skip_unless_root();
	(void)snprintf(name, sizeof(name), "thief-%d", (int)getpid());
	(void)snprintf(whole, sizeof(whole), "@quire-0/%s", name);
	assert_int_equal(pipe(ready), 0);
	pid = spawn();
	if (pid == 0) {
		become_nobody();
		MUST(quire_channel_listen(NULL, whole,
			     QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .rights = &anybody,
				     .right_count = 1),
			     &l) == 0);
		MUST(write(ready[1], "r", 1) == 1);
		(void)quire_channel_accept(l, QUIRE_FOREVER, &c);
		_exit(99);
	}
	assert_int_equal(close(ready[1]), 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
	assert_int_equal(
		quire_channel_connect(NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &c),
		-EACCES);
	assert_non_null(strstr(quire_error_text(), "65534"));
	if (before != NULL)
		assert_int_equal(setenv("XDG_RUNTIME_DIR", before, 1), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)wait_for(pid);
	assert_int_equal(close(ready[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stranger_is_not_on_the_list),
		cmocka_unit_test(rights_are_for_a_role),
		cmocka_unit_test(the_permissions_of_the_socket_are_a_door),
		cmocka_unit_test(a_reader_of_another_user_cannot_write),
		cmocka_unit_test(a_container_with_a_small_shm_sends_through_a_large_ring),
		cmocka_unit_test(nothing_is_left_when_all_are_killed),
		cmocka_unit_test(a_name_belongs_to_one_listener),
		cmocka_unit_test(another_users_abstract_name_is_not_connected_to),
	};

	return RUN(tests);
}
