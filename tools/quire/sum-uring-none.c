/* SPDX-License-Identifier: Apache-2.0 */
/* sum-uring-none.c - stands in for sum-uring.c where liburing was missing at build time. */
#include <errno.h>

#include "sum.h"

static int refuse(struct sum *sum)
{
	return sum_fail(sum, -EOPNOTSUPP, "this " QUIRE_PROGRAM " was built without liburing");
}

static int refuse_stream(struct sum *sum, uint64_t first, uint64_t end)
{
	(void)first;
	(void)end;
	return refuse(sum);
}

const struct sum_method sum_by_uring = {
	.name = "uring",
	.what = "io_uring (not in this build)",
	.stream = refuse_stream,
	.blocks = refuse,
};
