/* SPDX-License-Identifier: Apache-2.0 */
#include "trap/copy.h"

#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "trap/trap.h"

/* The first copy of a process: the handler must be in place before it. */
static int copy_first(void *destination, const void *source, size_t length);

atomic_bool trap_copy_fast;
_Atomic(trap_copy_fn *) trap_copy_other = copy_first;

static int copy_first(void *destination, const void *source, size_t length)
{
	/* AVX alone is the first generation, where 32 bytes that are not aligned cost more than twice 16. */
	trap_copy_fn *best = __builtin_cpu_supports("avx2") ? trap_copy_avx : trap_copy_sse;
	int r;

	r = trap_install();
	if (r < 0)
		return r;
	atomic_store(&trap_copy_other, best);
	atomic_store(&trap_copy_fast, __builtin_cpu_supports("avx512vl") != 0);
	return best(destination, source, length);
}

int trap_copy_failed(int error, const void *near)
{
	if (trap_explain((uintptr_t)near, error))
		return error;
	return error_set(error,
		"a guarded copy stopped near %p, where no guarded mapping is that could say why: %s", near,
		strerror(-error));
}
