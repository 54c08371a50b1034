/* SPDX-License-Identifier: Apache-2.0 */
/* intercept.h - what the intercepting files share; before every other header. */
#ifndef CRASH_INTERCEPT_H
#define CRASH_INTERCEPT_H

/* Meson sets this, and the headers would then make pwrite another name for pwrite64; here each is defined by its own. */
#undef _FILE_OFFSET_BITS

/* On 64-bit machines the large-file names are the same functions. */
#define ALIAS(type, name, parameters, target) type name parameters __attribute__((alias(target)))

_Static_assert(sizeof(long) == 8, "the large-file names are aliases only where off_t has 64 bits anyway");

#endif
