/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QUIRE_QUIRE_H
#define QUIRE_QUIRE_H

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * quire_version - the version of the library that is running
 *
 * The header a program was compiled with may be older than the library it runs with; this asks the library.
 *
 * Threads: any. Blocks: no. Memory: none; the string lives as long as the program. Signals: none.
 * Returns: the version as text, "major.minor.patch"
 * Since: 0.1   Example: examples/version.c
 */
const char *quire_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
