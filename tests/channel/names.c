/* SPDX-License-Identifier: Apache-2.0 */
/* Names: what stands in the way of one, who may have it, and that nothing else is touched. */
#include "channel/peers.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "support/scratch.h"

static void write_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "mine", 4), 4);
	assert_int_equal(close(fd), 0);
}

static bool has_file(const char *path)
{
	struct stat stat;

	return lstat(path, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size == 4;
}

static int listen_at(const char *path, uint32_t pattern, struct quire_listener **l)
{
	return quire_channel_listen(
		NULL, path, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .pattern = pattern), l);
}

/* connect(2) refuses on a file just as on the socket of a dead listener. */
static void a_file_is_not_taken_for_a_dead_listener(void **state)
{
	const char *file = scratch_path("letter.txt");
	char link[256];
	struct quire_listener *l = NULL;

	(void)state;
	write_file(file);
	assert_int_equal(listen_at(file, QUIRE_CHANNEL_PAIR, &l), -EEXIST);
	assert_non_null(strstr(quire_error_text(), "no socket"));
	assert_true(has_file(file));

	(void)snprintf(link, sizeof(link), "%s", scratch_path("link"));
	assert_int_equal(symlink("letter.txt", link), 0);
	assert_int_equal(listen_at(link, QUIRE_CHANNEL_PAIR, &l), -EEXIST);
	assert_int_equal(unlink(link), 0);
}

static void what_else_stands_in_a_directory_of_many_stays(void **state)
{
	const char *file = scratch_path("2026-report");
	struct quire_listener *l = NULL;
	char directory[256];

	(void)state;
	write_file(file);
	(void)snprintf(directory, sizeof(directory), "%s%s", file[0] == '/' ? "" : "./", scratch_path(""));
	assert_int_equal(listen_at(directory, QUIRE_CHANNEL_QUEUE, &l), 0);
	assert_true(has_file(file));
	assert_int_equal(quire_channel_unlisten(l), 0);
	assert_true(has_file(file));
}

static void the_socket_of_a_dead_listener_is_taken_over(void **state)
{
	const char *path = scratch_path("dead");
	struct quire_listener *l = NULL;
	pid_t pid = spawn();

	(void)state;
	if (pid == 0)
		_exit(listen_at(path, QUIRE_CHANNEL_PAIR, &l) == 0 ? 7 : 99); /* without a word */
	assert_int_equal(exit_of(pid), 7);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(listen_at(path, QUIRE_CHANNEL_PAIR, &l), 0);
	assert_int_equal(quire_channel_unlisten(l), 0);
	assert_int_equal(access(path, F_OK), -1);
}

/* Somebody removed the first one's socket, and another one listens there now. */
static void a_name_that_is_anothers_now_is_left_to_it(void **state)
{
	const char *path = scratch_path("name");
	struct quire_listener *first = NULL;
	struct quire_listener *second = NULL;

	(void)state;
	assert_int_equal(listen_at(path, QUIRE_CHANNEL_PAIR, &first), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(listen_at(path, QUIRE_CHANNEL_PAIR, &second), 0);
	assert_int_equal(quire_channel_unlisten(first), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(quire_channel_unlisten(second), 0);
	assert_int_equal(access(path, F_OK), -1);
}

/* Anybody who can look into a directory can lock it. */
static void a_directory_that_is_kept_locked_is_an_error(void **state)
{
	const char *path = scratch_path("locked");
	struct quire_listener *l = NULL;
	int fd = open(scratch_path(""), O_RDONLY | O_DIRECTORY);

	(void)state;
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(listen_at(path, QUIRE_CHANNEL_PAIR, &l), -EBUSY);
	assert_non_null(strstr(quire_error_text(), "locked"));
	assert_int_equal(close(fd), 0);
	assert_int_equal(listen_at(path, QUIRE_CHANNEL_PAIR, &l), 0);
	assert_int_equal(quire_channel_unlisten(l), 0);
}

static void forbid(unsigned int number)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = 4, .filter = (struct sock_filter *)(uintptr_t)code };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* Else everybody could come in where the filesystem, or a filter, does not let us say who may. */
static void permissions_that_cannot_be_set_are_an_error(void **state)
{
	const char *path = scratch_path("open");
	struct quire_listener *l = NULL;
	pid_t pid = spawn();

	(void)state;
	if (pid == 0) {
		forbid(SYS_chmod);
		MUST(listen_at(path, QUIRE_CHANNEL_PAIR, &l) == -EPERM);
		_exit(0);
	}
	assert_int_equal(exit_of(pid), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static int is_named(const struct quire_channel_sight *sight, void *user)
{
	return strcmp(sight->name, user) != 0;
}

/* By the path at which it listens, although no more than its last part, cut to 63 bytes, is seen from outside. */
static void a_channel_is_found_by_the_name_it_was_given(void **state)
{
	char seen[64] = "";
	const char *path;
	struct quire_listener *l = NULL;
	struct quire_channel *c = NULL;
	pid_t pid;

	(void)state;
	memset(seen, 'n', sizeof(seen) - 1);
	path = scratch_path("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
	assert_int_equal(listen_at(path, QUIRE_CHANNEL_PAIR, &l), 0);
	pid = spawn();
	if (pid == 0) {
		(void)connect_to(path, QUIRE_CHANNEL_SEND);
		(void)pause();
		_exit(1);
	}
	c = accept_from(l);
	assert_int_equal(quire_channel_find(path, is_named, seen, NULL), 2);
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)wait_for(pid);
	quire_channel_close(c);
	quire_channel_unlisten(l);
}

#define in_scratch(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_scratch(a_file_is_not_taken_for_a_dead_listener),
		in_scratch(what_else_stands_in_a_directory_of_many_stays),
		in_scratch(the_socket_of_a_dead_listener_is_taken_over),
		in_scratch(a_name_that_is_anothers_now_is_left_to_it),
		in_scratch(a_directory_that_is_kept_locked_is_an_error),
		in_scratch(permissions_that_cannot_be_set_are_an_error),
		in_scratch(a_channel_is_found_by_the_name_it_was_given),
	};

	return RUN(tests);
}
