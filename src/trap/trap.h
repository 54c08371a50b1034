/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trap/trap.h - where a fault signal arrives.
 *
 *	load/store on a dead page
 *	   | SIGBUS
 *	   v
 *	trap_signal:  which of our ranges owns this address?         (a table read without locks)
 *	   |-- none                      -> the previous action, as if we were not there
 *	   '-- range->fix(range, fault)  -> RESUME  the page was mended: run the instruction again
 *	                                    LEAVE   give up: back to guarded copy or the QUIRE_TRY block, with an error
 *	                                    REFUSE  not for us after all: the previous action
 *
 * The table, the handler and the chain live here; what mending means is known by the pmap that registered the range.
 *
 * Invariants
 *	T1  a slot with a range is never read after trap_remove() returned: removal waits for readers
 *	T2  the handler calls nothing that is not async-signal-safe, and leaves errno as it found it
 *	T3  a fault that is not ours reaches the previous action with its original registers and siginfo
 */
#ifndef TRAP_TRAP_H
#define TRAP_TRAP_H

#include <stdbool.h>
#include <stdint.h>

struct quire_landing;

struct trap_fault {
	uintptr_t va; /* of the byte; trust no more than its page: it may lie anywhere in a wide copy */
	bool store;
	bool can_leave; /* a guarded copy, or a QUIRE_TRY block of this thread, takes errors */
	bool copying;   /* it is a guarded copy */
	int code;       /* si_code */
	int error;      /* out, with TRAP_LEAVE: a negative errno */
};

enum trap_verdict { TRAP_RESUME, TRAP_LEAVE, TRAP_REFUSE };

/* trap: where a fault signal arrives: which of our ranges owns this address? */
struct trap_range {
	uintptr_t start;
	_Atomic uintptr_t end; /* changes under readers: trap_stretch */
	/* Runs in the signal handler of the faulting thread. */
	enum trap_verdict (*fix)(struct trap_range *range, struct trap_fault *fault);
	/* What a guarded copy met there, in words (error_set). False: it is not this range's to say. */
	bool (*explain)(struct trap_range *range, uintptr_t va, int error);
	unsigned int slot; /* set by trap_add */
};

/* Installs the handler when it is not in place, and adds the range. Ranges must not overlap.
 * -ENOMEM no memory for the table; -ENOTSUP the handler cannot be installed, or does not stay installed. */
int trap_add(struct trap_range *range);

/* Afterwards fix() neither runs nor will run for this range (T1). Not to be called from fix(). */
void trap_remove(struct trap_range *range);

/* Gives the range another end. At every moment either the old or the new one is guarded. */
void trap_stretch(struct trap_range *range, uintptr_t end);

/* A sentence from whose range the address is; false when it is nobody's. Not in the handler. */
bool trap_explain(uintptr_t va, int error);

/* Installs the handler when it is not in place. */
int trap_install(void);

/* Is our handler the installed one (-ENOTSUP), and does this thread let the signal through (-EDEADLK)? */
int trap_check(void);

/* The QUIRE_TRY blocks of this thread, innermost first. */
void trap_land_push(struct quire_landing *landing);
void trap_land_pop(struct quire_landing *landing);

#endif
