/* SPDX-License-Identifier: Apache-2.0 */
/* sys/userfaultfd.h - opening a userfaultfd by whichever of its three doors this process may use. */
#ifndef SYS_USERFAULTFD_H
#define SYS_USERFAULTFD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Tries /dev/userfaultfd and the system call; user_only asks for faults of user code only, which needs no privilege.
 * want: UFFD_FEATURE_ bits that must be there; features: what the kernel offers. Close-on-exec and non-blocking.
 * Returns the descriptor, or the most telling of the errors: -EPERM before -EACCES before -ENOSYS; -EINVAL when a wanted
 * feature is missing.
 */
int sys_userfaultfd(bool user_only, uint64_t want, uint64_t *features);

#endif
