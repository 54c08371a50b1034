/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <quire/inspect.h>

#include "inspect/ground.h"
#include "inspect/identity.h"
#include "support/run.h"

static char root[] = GROUND "/quire-test-XXXXXX";

static void at(char *path, size_t bytes, const char *name)
{
	(void)snprintf(path, bytes, "%s/%s", root, name);
}

static void put(const char *name, const char *text)
{
	char path[200];
	int fd;

	at(path, sizeof(path), name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void make_folder(const char *name)
{
	char path[200];

	at(path, sizeof(path), name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static struct quire_walk_tally walk_all(const char *path, unsigned int flags, uint64_t *bytes)
{
	struct quire_walk_entry entry = { .size = sizeof(entry) };
	struct quire_walk_tally tally = { .size = sizeof(tally) };
	struct quire_walk *walk;
	int r;

	*bytes = 0;
	assert_int_equal(quire_walk_open(path, flags, &walk), 0);
	while ((r = quire_walk_next(walk, &entry)) == 1) {
		assert_int_equal(strncmp(entry.path, path, strlen(path)), 0);
		if (entry.error == 0) {
			struct stat about;

			assert_int_equal(fstat(entry.fd, &about), 0);
			assert_int_equal(about.st_ino, entry.inode);
			*bytes += entry.presence.file_bytes;
		}
	}
	assert_int_equal(r, 0);
	assert_int_equal(quire_walk_tally(walk, &tally), 0);
	quire_walk_close(walk);
	return tally;
}

static int set_up(void **state)
{
	char path[200], other[200];

	(void)state;
	assert_non_null(mkdtemp(root));
	make_folder("a");
	make_folder("a/b");
	put("one", "1");
	put("a/two", "22");
	put("a/b/three\n\xff", "333");
	at(path, sizeof(path), "a/b/three\n\xff");
	at(other, sizeof(other), "again");
	assert_int_equal(link(path, other), 0);
	at(other, sizeof(other), "a/loop");
	assert_int_equal(symlink(root, other), 0);
	at(other, sizeof(other), "fifo");
	assert_int_equal(mkfifo(other, 0600), 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[200];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command); /* NOLINT(cert-env33-c): a folder of our own making */
}

static void every_file_comes_once_and_nothing_else(void **state)
{
	uint64_t bytes;
	struct quire_walk_tally tally = walk_all(root, 0, &bytes);

	(void)state;
	assert_int_equal(tally.files, 3);
	assert_int_equal(tally.directories, 3);
	assert_int_equal(tally.skipped, 2);
	assert_int_equal(tally.unreadable, 0);
	assert_int_equal(bytes, 6);
}

/** One hand of a walk, in a thread of its own. */
struct hand {
	struct quire_walk *walk;
	struct quire_walk_tally tally;
	uint64_t bytes;
};

static void *walk_on(void *of)
{
	struct hand *hand = of;
	struct quire_walk_entry entry = { .size = sizeof(entry) };
	int r;

	while ((r = quire_walk_next(hand->walk, &entry)) == 1)
		hand->bytes += entry.error == 0 ? entry.presence.file_bytes : 0;
	hand->tally.size = sizeof(hand->tally);
	assert_int_equal(r, 0);
	assert_int_equal(quire_walk_tally(hand->walk, &hand->tally), 0);
	quire_walk_close(hand->walk);
	return NULL;
}

enum { HANDS = 4, FOLDERS = 40, IN_FOLDER = 25 };

static void make_forest(void)
{
	char name[64];

	make_folder("forest");
	for (int i = 0; i < FOLDERS; i++) { /* chains, so that hands wait for each other */
		(void)snprintf(name, sizeof(name), i % 10 == 0 ? "forest/%d" : "forest/%d/deep", i - i % 10);
		if (i % 10 < 2)
			make_folder(name);
		for (int k = 0; k < IN_FOLDER; k++) {
			char path[200], file[96];

			(void)snprintf(file, sizeof(file), "%s/%d-%d", name, i, k);
			at(path, sizeof(path), file);
			close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
			assert_int_equal(truncate(path, 10), 0);
		}
	}
}

static void hands_share_a_walk_and_each_file_comes_to_one(void **state)
{
	struct hand hands[HANDS] = { { .bytes = 0 } };
	uint64_t files = 0, bytes = 0, directories = 0;
	pthread_t threads[HANDS];
	char path[200];

	(void)state;
	make_forest();
	at(path, sizeof(path), "forest");
	for (int turn = 0; turn < 20; turn++) {
		files = bytes = directories = 0;
		memset(hands, 0, sizeof(hands));
		assert_int_equal(quire_walk_open(path, 0, &hands[0].walk), 0);
		for (int i = 1; i < HANDS; i++)
			assert_int_equal(quire_walk_share(hands[0].walk, &hands[i].walk), 0);
		for (int i = 0; i < HANDS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, walk_on, &hands[i]), 0);
		for (int i = 0; i < HANDS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			files += hands[i].tally.files;
			directories += hands[i].tally.directories;
			bytes += hands[i].bytes;
		}
		assert_int_equal(files, FOLDERS * IN_FOLDER);
		assert_int_equal(bytes, 10 * files);
		assert_int_equal(directories, 1 + FOLDERS / 10 * 2);
	}
	assert_int_equal(quire_walk_share(NULL, &hands[0].walk), -EINVAL);
}

static void a_link_to_the_start_is_followed(void **state)
{
	char path[200];
	uint64_t bytes;

	(void)state;
	at(path, sizeof(path), "a/loop");
	assert_int_equal(walk_all(path, QUIRE_WALK_ONE_FILESYSTEM, &bytes).files, 3);
}

/* /proc has files that never end; nothing of it may be opened, wherever the walk begins above it. */
static void made_up_filesystems_are_left_out(void **state)
{
	struct quire_walk_entry entry = { .size = sizeof(entry) };
	struct quire_walk *walk;
	unsigned int n = 0;

	(void)state;
	assert_int_equal(quire_walk_open("/", QUIRE_WALK_SYSTEM, &walk), 0);
	while (n++ < 2000 && quire_walk_next(walk, &entry) == 1) {
		assert_int_not_equal(strncmp(entry.path, "/proc/", 6), 0);
		assert_int_not_equal(strncmp(entry.path, "/sys/", 5), 0);
	}
	quire_walk_close(walk);
}

static void what_cannot_be_walked_is_refused(void **state)
{
	struct quire_walk_tally tally = { .size = 0 };
	struct quire_walk *walk = NULL;
	char path[200];

	(void)state;
	at(path, sizeof(path), "one");
	assert_int_equal(quire_walk_open(path, 0, &walk), -ENOTDIR);
	assert_int_equal(quire_walk_open("/no/such", 0, &walk), -ENOENT);
	assert_int_equal(quire_walk_open(root, 1U << 9, &walk), -EINVAL);
	assert_int_equal(quire_walk_tally(NULL, &tally), -EINVAL);
	assert_null(walk);
	quire_walk_close(NULL);
}

static void a_set_of_files_keeps_each_once(void **state)
{
	struct identity_set set = { .used = 0 };

	(void)state;
	for (int round = 0; round < 2; round++)
		for (uint64_t i = 1; i <= 5000; i++) {
			assert_int_equal(identity_add(&set, i % 3, i), round == 0);
			assert_int_equal(identity_add(&set, 7, i), round == 0);
		}
	assert_int_equal(set.used, 10000);
	identity_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_file_comes_once_and_nothing_else, set_up),
		cmocka_unit_test(a_link_to_the_start_is_followed),
		cmocka_unit_test(hands_share_a_walk_and_each_file_comes_to_one),
		cmocka_unit_test_teardown(what_cannot_be_walked_is_refused, tear_down),
		cmocka_unit_test(made_up_filesystems_are_left_out),
		cmocka_unit_test(a_set_of_files_keeps_each_once),
	};

	return RUN(tests);
}
