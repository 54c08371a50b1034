/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/features.h - what this kernel, this user and this filesystem allow, and the reason for each no.
 */
#ifndef QUIRE_FEATURES_H
#define QUIRE_FEATURES_H

#include <quire/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct quire_feature - one thing the system allows or not
 * @size: sizeof(struct quire_feature), set by the caller
 * @available: 1 yes, 0 no, -1 it cannot be known
 * @error: 0, or the negative errno that the probe met
 * @name: short name, e.g. "wp-async"
 * @what: what Quire uses it for
 * @why: the reason for a no, and what to do about it; "" for a yes
 * @since: the kernel version that brought it, e.g. "6.7"; "" when it does not depend on the kernel
 *
 * Strings are valid until the program ends.
 *
 * Since: 0.1   See: quire_features(3)
 */
struct quire_feature {
	size_t size;
	int32_t available;
	int32_t error;
	const char *name;
	const char *what;
	const char *why;
	const char *since;
};

/**
 * quire_features - probe one feature after the other
 * @index: 0 for the first
 * @path: may be NULL: a file or directory whose filesystem is asked too (DAX, holes, direct I/O, preallocation)
 * @feature: out: .size is set by the caller
 *
 * Each probe is a real system call, made once and remembered. The environment variable QUIRE_MASK=6.1 hides what came
 * after that kernel version, as if it were not there: for tests. The kernel's features come first and say nothing of @path;
 * a path that is not there or cannot be opened is an error at the first index behind them.
 *
 * Threads: any. Blocks: briefly. Memory: none. Signals: none.
 * Returns: 1, or 0 when there is no feature with this index, or
 *   -EINVAL  .size is too small
 *   -ENOENT  no such path
 *   -EACCES  the path cannot be opened
 * Since: 0.1   Example: examples/features.c   See: quire-features(1)
 */
QUIRE_API int quire_features(unsigned int index, const char *path, struct quire_feature *feature);

#ifdef __cplusplus
}
#endif

#endif
