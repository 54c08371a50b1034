/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object/file.h - everything that has a descriptor: regular files, memfds, shared memory, secret memory, devices.
 */
#ifndef OBJECT_FILE_H
#define OBJECT_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pmap/pmap.h"
#include "vm/object.h"

struct transfer;

struct file_object {
	struct object object;
	struct pmap_window window;
	bool regular;   /* has a size of its own */
	bool secret;    /* its size can be set once only */
	bool sealable;  /* a memfd: F_ADD_SEALS applies */
	uint64_t block; /* smallest unit of its size: the huge page size of a huge memfd, else 1 */
	dev_t device;
	ino_t inode;
	struct transfer *transfer; /* of a paged file; NULL: the kernel pages it */
};

struct file_request {
	const char *path;
	bool write;
	bool create;
	bool exclusive;
	bool truncate;
	mode_t mode;
};

/* -errno of open(2); the sentence names the path. */
int file_open(const struct file_request *request, struct file_object **file);
void file_remove(const char *path, bool shared_memory); /* what was created in vain */
int shm_open_object(const struct file_request *request, struct file_object **file);

/* Takes a duplicate of fd. -EBADF not open, or O_PATH. */
int file_from_fd(int fd, struct file_object **file);

/* huge_shift 0: base pages. The file is `bytes` long. */
int memfd_open(
	const char *name, uint64_t bytes, bool sealable, unsigned int huge_shift, struct file_object **file);
int secret_open(uint64_t bytes, struct file_object **file);

/* The same file, and one of the two may write it: what is kept of it apart would not stay the same. */
bool file_is_shared(struct object *a, struct object *b);

struct file_object *file_object_of(struct object *object); /* which is one */

/* Makes its pages ready to come and go. -ENOMEM. */
int file_make_paged(struct file_object *file);

int file_cut(struct file_object *file); /* to length 0 */

/* Allocates blocks; -EOPNOTSUPP where the filesystem cannot. Never leaves the file longer after an error. */
int file_preallocate(struct file_object *file, uint64_t offset, uint64_t length);
void file_ungrow(struct file_object *file, uint64_t before, uint64_t grown); /* unless it is longer by now */
int file_start_write(
	struct file_object *file, uint64_t offset, uint64_t length); /* dirty pages set out; nobody waits */
int file_sync(struct file_object *file, bool data_only);
int file_duplicate(const struct file_object *file, int *fd);
int file_add_seals(struct file_object *file, unsigned int seals); /* F_SEAL_ numbers */
int file_get_seals(const struct file_object *file, unsigned int *seals);

/* May this user know which of its pages are cached? The kernel tells owners and writers only. */
bool file_tells_residency(const struct file_object *file);

#endif
