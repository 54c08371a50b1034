/* SPDX-License-Identifier: Apache-2.0 */
/* Files as objects: size, growth, and what is undone. */
#include "support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "object/file.h"
#include "support/child.h"
#include "support/files.h"

static struct file_object *adopted(int fd)
{
	struct file_object *file = NULL;

	EXPECT_IS(file_from_fd(fd, &file), 0);
	EXPECT_IS(close(fd), 0);
	return file;
}

static uint64_t size_of(struct file_object *file)
{
	uint64_t bytes = 77;

	EXPECT_IS(object_size(&file->object, &bytes), 0);
	return bytes;
}

static void an_object_knows_its_size_as_it_is_now(void **state)
{
	struct file_object *file = adopted(file_of(5000));

	(void)state;
	EXPECT_IS(size_of(file), 5000);
	EXPECT_IS(ftruncate(file->window.fd, 10), 0);
	EXPECT_IS(size_of(file), 10);
	EXPECT((file->object.can & (CAN_READ | CAN_WRITE | CAN_MAP | CAN_HOLE | CAN_GROW | CAN_SHRINK)) ==
		(CAN_READ | CAN_WRITE | CAN_MAP | CAN_HOLE | CAN_GROW | CAN_SHRINK));
	object_unref(&file->object);
}

static void growing_never_cuts(void **state)
{
	struct file_object *file = adopted(file_of(5000));

	(void)state;
	EXPECT_IS(file->object.ops->grow(&file->object, 100, false), 0);
	EXPECT_IS(size_of(file), 5000);
	EXPECT_IS(file->object.ops->grow(&file->object, 6000, false), 0);
	EXPECT_IS(size_of(file), 6000);
	EXPECT_IS(file->object.ops->grow(&file->object, 9000, true), 0);
	EXPECT_IS(size_of(file), 9000);
	EXPECT_IS(file->object.ops->grow(&file->object, UINT64_MAX, false), -EFBIG);
	EXPECT_IS(file->object.ops->grow(&file->object, (uint64_t)INT64_MAX + 1, true), -EFBIG);
	object_unref(&file->object);
}

static void growth_is_taken_back_unless_somebody_grew_it_further(void **state)
{
	struct file_object *file = adopted(file_of(5000));

	(void)state;
	EXPECT_IS(file->object.ops->grow(&file->object, 9000, false), 0);
	file_ungrow(file, 5000, 9000);
	EXPECT_IS(size_of(file), 5000);
	EXPECT_IS(file->object.ops->grow(&file->object, 9000, false), 0);
	EXPECT_IS(ftruncate(file->window.fd, 20000), 0);
	file_ungrow(file, 5000, 9000);
	EXPECT_IS(size_of(file), 20000);
	object_unref(&file->object);
}

static void a_read_only_descriptor_cannot_be_stored_through(void **state)
{
	char path[64];
	int writable = named_file_of(PAGE, path);
	struct file_object *file = adopted(open(path, O_RDONLY | O_CLOEXEC));

	(void)state;
	EXPECT(!file->window.writable);
	EXPECT((file->object.can & CAN_WRITE) == 0);
	EXPECT(file->object.ops->grow(&file->object, 9000, false) < 0);
	EXPECT(file_preallocate(file, 0, 9000) < 0);
	EXPECT_IS(size_of(file), PAGE);
	object_unref(&file->object);
	EXPECT_IS(close(writable), 0);
	EXPECT_IS(unlink(path), 0);
}

static void what_cannot_be_made_is_no_object(void **state)
{
	struct file_object *file = NULL;

	(void)state;
	EXPECT(memfd_open("huge", UINT64_MAX, false, 21, &file) < 0);
	EXPECT(file == NULL);
	EXPECT(memfd_open("large", UINT64_MAX, true, 0, &file) < 0);
	EXPECT(file == NULL);
	EXPECT(secret_open(UINT64_MAX, &file) < 0);
	EXPECT(file == NULL);
	EXPECT_IS(file_from_fd(-1, &file), -EBADF);
	EXPECT(file == NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_knows_its_size_as_it_is_now),
		cmocka_unit_test(growing_never_cuts),
		cmocka_unit_test(growth_is_taken_back_unless_somebody_grew_it_further),
		cmocka_unit_test(a_read_only_descriptor_cannot_be_stored_through),
		cmocka_unit_test(what_cannot_be_made_is_no_object),
	};

	return RUN(tests);
}
