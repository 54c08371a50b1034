/* SPDX-License-Identifier: Apache-2.0 */
/* sys/userfaultfd.h - opening a userfaultfd by whichever of its three doors this process may use. */
#ifndef SYS_USERFAULTFD_H
#define SYS_USERFAULTFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Tries /dev/userfaultfd and the system call; user_only asks for faults of user code only, which needs no privilege.
 * want: UFFD_FEATURE_ bits that must be there; features: what the kernel offers. Close-on-exec and non-blocking.
 * Returns the descriptor, or the most telling of the errors: -EPERM before -EACCES before -ENOSYS; -EINVAL when a wanted
 * feature is missing.
 */
int sys_userfaultfd(bool user_only, uint64_t want, uint64_t *features);

/* The ioctls, each for all of [start, start + length): a partial one is gone on with where the kernel says EAGAIN. All are
 * async-signal-safe. -EEXIST somebody has put a page there meanwhile; -ENOENT the range is not registered any more. */
int sys_uffd_register(int fd, uintptr_t start, size_t length, uint64_t mode);
int sys_uffd_unregister(int fd, uintptr_t start, size_t length);
int sys_uffd_continue(int fd, uintptr_t start, size_t length, bool write_protect);
int sys_uffd_copy(int fd, uintptr_t to, uintptr_t from, size_t length, bool write_protect);
int sys_uffd_move(int fd, uintptr_t to, uintptr_t from, size_t length);
int sys_uffd_write_protect(int fd, uintptr_t start, size_t length, bool protect);
int sys_uffd_poison(int fd, uintptr_t start, size_t length);
int sys_uffd_wake(int fd, uintptr_t start, size_t length);

/* Reads up to `room` messages; 0 when there are none. */
struct uffd_msg;
int sys_uffd_read(int fd, struct uffd_msg *messages, unsigned int room);

#endif
