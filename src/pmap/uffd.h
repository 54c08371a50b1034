/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/uffd.h - the engine in which we answer each fault.
 *
 * Where bytes are, and how they become reachable:
 *
 *	a page of an object     on the object's shelf (a memfd, see shelf.h)
 *	   enter   CONTINUE: the page table entry is made, nothing is copied
 *	   remove  the entry is dropped; the bytes stay on the shelf
 *	a private page          in an anonymous page of the range itself
 *	   stage   a place of its own in `fill`, by frame number
 *	   enter   MOVE from there to va: nothing is copied       (before Linux 6.8: COPY)
 *	   remove  MOVE from va to its place in `out`             (before: write-protect, copy, drop)
 *
 * So a frame that is written back is one that nobody can reach, and it is whole: a store came before it left, or faults
 * after.
 *
 * Two descriptors, since Linux decides per descriptor how write faults of protected pages are handled:
 *
 *	shared   shared ranges. WP_ASYNC: a first store is noted in the page table without a fault, harvest reads the notes
 *	private  private ranges. A first store to a page of the object faults, because it must be copied first
 *
 * Doors: a fault arrives as SIGBUS in the faulting thread (inline), or as a message that serve/ reads (thread). Both ask
 * PMAP_FILL upwards.
 *
 * Invariants
 *	U1  a private page is in exactly one of fill, va, out; uffd.where says where, by frame
 *	U2  nothing is registered in a child, and views are not inherited: a child faults instead of reading zeros
 *	U3  an owner's pages are on its shelf or nowhere; two views of it never differ
 */
#ifndef PMAP_UFFD_H
#define PMAP_UFFD_H

#include "pmap/pmap.h"

struct uffd;

struct uffd_options {
	uint32_t frames;    /* of the pool above: highest frame number + 1 */
	bool inline_faults; /* SIGBUS in the faulting thread; system calls into missing pages get EFAULT */
	bool user_only;     /* faults of user code only; needs no privilege. Implied by inline_faults */
};

/* -EPERM, -ENOSYS no userfaultfd; -EINVAL a needed feature is missing; -ENOMEM. Leaves a sentence. */
int uffd_open(const struct uffd_options *options, pmap_up_fn *up, void *above, struct uffd **uffd);
void uffd_close(struct uffd *uffd); /* everything is detached */

/* The program has closed its descriptors: their numbers are not used any more. */
void uffd_forget_descriptors(struct uffd *uffd);

struct pmap *uffd_pmap(struct uffd *uffd);

/* For serve/: descriptors to poll, and the answer to one message. */
int uffd_descriptor(const struct uffd *uffd, bool shared);
int uffd_wake(struct uffd *uffd, uintptr_t va);

#endif
