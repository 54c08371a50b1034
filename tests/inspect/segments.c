/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of shared memory with users in other processes: tests/quire/memory. */
#include <errno.h>
#include <quire/inspect.h>
#include <sys/shm.h>

#include "inspect/ground.h"
#include "support/run.h"

/* The segment of this name, with how this process uses it; false when it is not listed. */
static bool find(const char *name, struct quire_segment *segment, struct quire_segment_user *mine)
{
	struct quire_segments *segments;
	bool found = false;

	*segment = (struct quire_segment){ .size = sizeof(*segment) };
	*mine = (struct quire_segment_user){ .size = sizeof(*mine) };
	assert_int_equal(quire_segments_open(&segments), 0);
	while (!found && quire_segments_next(segments, segment) == 1)
		found = strcmp(segment->name, name) == 0;
	mine->pid = 0;
	while (found && mine->pid != getpid() && quire_segments_user(segments, mine) == 1)
		continue;
	quire_segments_close(segments);
	return found;
}

/* Any bytes are a name, also what looks like the kernel's own mark. */
static void a_memfd_lives_as_long_as_its_users(void **state)
{
	struct quire_segment_user mine;
	struct quire_segment segment;
	char name[64];
	char *at;
	int fd;

	(void)state;
	(void)snprintf(name, sizeof(name), "/memfd:quire\n\033[31m (deleted)%d", (int)getpid());
	fd = memfd_create(name + strlen("/memfd:"), MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 10 * 4096), 0);
	assert_true(find(name, &segment, &mine));
	assert_int_equal(segment.kind, QUIRE_SEGMENT_MEMFD);
	assert_int_equal(segment.length_bytes, 10 * 4096);
	assert_int_equal(segment.resident_bytes, 0);
	assert_int_equal(segment.orphan, 0);
	assert_int_equal(segment.owner, geteuid());
	assert_int_equal(mine.pid, getpid());
	assert_int_equal(mine.mapped_bytes, 0);

	at = mmap(NULL, 10 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	at[4096] = 1;
	assert_true(find(name, &segment, &mine));
	assert_int_equal(segment.resident_bytes, 4096);
	assert_int_equal(mine.mapped_bytes, 10 * 4096);
	close(fd);
	if (geteuid() == 0) { /* who may not follow a mapping is given its name as maps writes it */
		assert_true(find(name, &segment, &mine));
		assert_int_equal(segment.resident_bytes, 4096);
		assert_int_equal(mine.mapped_bytes, 10 * 4096);
	}
	(void)munmap(at, 10 * 4096);
	assert_false(find(name, &segment, &mine));
}

static void system_v_counts_who_is_attached(void **state)
{
	struct quire_segment_user mine;
	struct quire_segment segment;
	char name[64];
	int id = shmget(IPC_PRIVATE, 3 * 4096, 0640);
	char *at;

	(void)state;
	assert_true(id >= 0);
	(void)snprintf(name, sizeof(name), "shmid %d, key 0x00000000", id);
	assert_true(find(name, &segment, &mine));
	assert_int_equal(segment.orphan, 1);
	assert_int_equal(segment.mode, 0640);
	assert_int_equal(segment.inode, id);
	at = shmat(id, NULL, 0);
	at[0] = 1;
	assert_true(find(name, &segment, &mine));
	assert_int_equal(segment.orphan, 0);
	assert_int_equal(segment.resident_bytes, 4096);
	assert_int_equal(mine.mapped_bytes, 3 * 4096);
	assert_int_equal(shmdt(at), 0);
	assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
	assert_false(find(name, &segment, &mine));
}

static void wrong_calls_are_refused(void **state)
{
	struct quire_segment segment = { .size = 0 };
	struct quire_segment_user user = { .size = sizeof(user) };
	struct quire_segments *segments;

	(void)state;
	assert_int_equal(quire_segments_open(NULL), -EINVAL);
	assert_int_equal(quire_segments_open(&segments), 0);
	assert_int_equal(quire_segments_next(segments, &segment), -EINVAL);
	assert_int_equal(quire_segments_user(segments, &user), 0); /* of no segment yet */
	user.size = 0;
	assert_int_equal(quire_segments_user(segments, &user), -EINVAL);
	quire_segments_close(segments);
	quire_segments_close(NULL);
	assert_int_equal(quire_segments_hidden(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_memfd_lives_as_long_as_its_users),
		cmocka_unit_test(system_v_counts_who_is_attached),
		cmocka_unit_test(wrong_calls_are_refused),
	};

	return RUN(tests);
}
