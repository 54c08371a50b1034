/* SPDX-License-Identifier: Apache-2.0 */
#include "pagefile/sum.h"

#include <xxhash.h>

#include "base/align.h"

uint64_t sum_page(uint64_t page, const void *bytes)
{
	uint64_t sum = XXH3_64bits(bytes, PAGE_BYTES) ^ (page + 1) * UINT64_C(0x9E3779B97F4A7C15);

	return sum == 0 ? 1 : sum;
}

uint64_t sum_bytes(const void *bytes, size_t length)
{
	return XXH3_64bits(bytes, length);
}
