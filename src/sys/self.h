/* SPDX-License-Identifier: Apache-2.0 */
/* sys/self.h - this process, as a descriptor. */
#ifndef SYS_SELF_H
#define SYS_SELF_H

#include <stddef.h>
#include <stdint.h>

struct sys_span {
	uintptr_t start;
	uintptr_t end;
};

int sys_pidfd_self(void); /* close-on-exec */

/* madvise of many ranges [start, end) of this process with one TLB flush (process_madvise, 6.13); where the kernel has no
 * such thing for one's own process, one call each. Async-signal-safe. */
int sys_advise_many(int pidfd_self, const struct sys_span *spans, size_t count, int advice);

#endif
