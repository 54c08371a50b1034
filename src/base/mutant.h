/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/mutant.h - planted mistakes.
 *
 *	if (!MUTANT("drop-journal-flush"))
 *		r = sys_fdatasync(fd);
 *
 * In what users get, MUTANT() is 0 and nothing of it is compiled. The library of the crash tests (quire_mutants in
 * meson.build) asks mutant_is(), which tools/crash answers; each mutant must then be caught, or the test fails.
 */
#ifndef BASE_MUTANT_H
#define BASE_MUTANT_H

#ifndef QUIRE_MUTANTS
#define QUIRE_MUTANTS 0
#endif

#if QUIRE_MUTANTS
int mutant_is(const char *name);
#define MUTANT(name) mutant_is(name)
#else
#define MUTANT(name) 0
#endif

#endif
