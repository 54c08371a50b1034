/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/guard.h - touching bytes that may be gone: copies that return an errno, and blocks that can be left.
 */
#ifndef QUIRE_GUARD_H
#define QUIRE_GUARD_H

#include <quire/base.h>
#include <setjmp.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * quire_copy_out - copy bytes out of a mapping, with an errno instead of a signal
 * @destination: ordinary memory of the caller
 * @source: bytes of any mapping, Quire's or not
 * @length: in bytes
 *
 * At memcpy's speed. When a page cannot be served the copy stops; what was copied before stays copied. For a guarded
 * mapping the sentence of quire_error_text() names the file, the offset and the cause, whatever its policy; the error stays
 * on the handle as well. Of every other mapping, QUIRE_GUARD_OFF included, nothing but -EFAULT can be said: the signal
 * does not come, and nobody asked why. An address where nothing is mapped is SIGSEGV, as with memcpy.
 *
 * Threads: any, also in signal handlers. Blocks: as a load from the mapping does. Memory: none.
 * Signals: needs the SIGBUS handler, which it installs at the first call unless a guarded mapping has done so.
 * Returns: 0, or
 *   -ENODATA    the file was truncated
 *   -EIO        the device could not read
 *   -ENOSPC     the filesystem was full under a store
 *   -ENOMEM     the pool of huge pages was empty
 *   -EHWPOISON  the memory is broken
 *   -EBADMSG    the bytes are not those that were written (paged mappings)
 *   -EFAULT     a page of an unguarded mapping could not be served, or no probe says why
 * Since: 0.1   Example: examples/guarded-copy.c   Source: docs/architecture.md   See: quire_copy_in(3)
 */
QUIRE_API int quire_copy_out(void *destination, const void *source, size_t length);

/**
 * quire_copy_in - copy bytes into a mapping, with an errno instead of a signal
 * @destination: bytes of any mapping, Quire's or not
 * @source: ordinary memory of the caller
 * @length: in bytes
 *
 * Threads: any, also in signal handlers. Blocks: as a store to the mapping does. Memory: none.
 * Signals: as quire_copy_out().
 * Returns: 0, or what quire_copy_out() returns
 *   -ENODATA    the file was truncated
 *   -ENOSPC     the filesystem is full
 * Since: 0.1   Example: examples/guarded-copy.c   See: quire_copy_out(3)
 */
QUIRE_API int quire_copy_in(void *destination, const void *source, size_t length);

/**
 * struct quire_landing - where a thread goes on when a page of a QUIRE_GUARD_TRY mapping cannot be served
 * @place: set by setjmp
 * @outer: the block around this one
 * @error: 0, or the negative errno the block was left with
 * @entered: 1 while the block runs
 *
 * Made by QUIRE_TRY; not filled by hand.
 *
 * Since: 0.1   See: quire_try_enter(3)
 */
struct quire_landing {
	jmp_buf place;
	struct quire_landing *outer;
	int error;
	int entered;
};

/**
 * quire_try_enter - make a landing place the thread's innermost
 * @landing: on the caller's stack, its place filled by setjmp
 *
 * Not called by hand: use QUIRE_TRY.
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 1
 *   -EINVAL     no landing place
 * Since: 0.1   Example: examples/guarded-reader.c   See: quire_try_leave(3)
 */
QUIRE_API int quire_try_enter(struct quire_landing *landing);

/**
 * quire_try_leave - the end of a QUIRE_TRY block
 * @landing: from quire_try_enter()
 *
 * Not called by hand: use QUIRE_TRY.
 *
 * Threads: the one that entered. Blocks: no. Memory: none. Signals: none.
 * Since: 0.1   Example: examples/guarded-reader.c   See: quire_try_enter(3)
 */
QUIRE_API void quire_try_leave(struct quire_landing *landing);

/*
 * A block that is left when a page of a QUIRE_GUARD_TRY mapping cannot be served:
 *
 *	QUIRE_TRY(error) {
 *		sum += bytes[i];
 *	} QUIRE_CATCH(error) {
 *		fprintf(stderr, "%s\n", quire_error_text());
 *	}
 *
 * error is declared by the macro: an int, 0 or a negative errno. Do not leave the block with return, break or goto:
 * the landing place would stay behind. Variables changed in the block and read after it must be volatile (setjmp's rule).
 */
#define QUIRE_TRY(name)                                                        \
	struct quire_landing name##_landing = { .error = 0, .entered = 0 };    \
	int name = 0;                                                          \
	if (_setjmp(name##_landing.place) == 0)                                \
		for (quire_try_enter(&name##_landing); name##_landing.entered; \
			quire_try_leave(&name##_landing))

#define QUIRE_CATCH(name) if ((name = name##_landing.error) != 0)

#ifdef __cplusplus
}
#endif

#endif
