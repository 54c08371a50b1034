/* SPDX-License-Identifier: Apache-2.0 */
/* pagefile/sum.h - checksums of pages and blocks: XXH3, 64 bits (docs/format.md, section 2). */
#ifndef PAGEFILE_SUM_H
#define PAGEFILE_SUM_H

#include <stddef.h>
#include <stdint.h>

/* Of one page of 4096 bytes at its place: the same bytes as another page have another sum. Never 0, which says "never
 * written". */
uint64_t sum_page(uint64_t page, const void *bytes);

uint64_t sum_bytes(const void *bytes, size_t length);

#endif
