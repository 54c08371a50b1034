/* SPDX-License-Identifier: Apache-2.0 */
/* resident.h - memory of this process that holds pages of pools, as the kernel counts it. */
#ifndef QUIRE_TOOL_RESIDENT_H
#define QUIRE_TOOL_RESIDENT_H

#include <stdint.h>

/* Anonymous memory of the process, and all that lies in the memfds of paged objects, whether mapped or not. Nothing of
 * this is asked of the pool: /proc/self/status, and the blocks of /proc/self/fd. Some 50 us. */
uint64_t resident_now(void);

/* How much more that is than `before`; *most is raised to it. */
uint64_t resident_beyond(uint64_t before, uint64_t *most);

#endif
