/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash.h - put a workload under the crash replayer.
 *
 *	static int run(void *arg, const char *dir)      uses the library below dir; says crash_begun(n) before a commit
 *	                                                and crash_acked(n) once it was told that n is durable
 *	static int check(void *arg, const char *dir, const struct crash_history *acked)
 *	                                                opens what a crash left; 0, or the number of the broken invariant
 *
 *	int main(int argc, char **argv)
 *	{
 *		static const struct crash_workload w = { .name = "ledger", .run = run, .check = check };
 *
 *		return crash_main(argc, argv, &w);
 *	}
 *
 * The program links the recorder (crash_seam in tools/crash/meson.build), which stands between it and the C library.
 */
#ifndef CRASH_CRASH_H
#define CRASH_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every bit of the result depends on every bit of x (the finalizer of splitmix64): what a seed and a number choose. */
static inline uint64_t crash_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

/* What the program had been told when the power went. begun is at most one commit ahead of what may be visible. */
struct crash_history {
	uint64_t acked; /* the highest commit that was acknowledged; all up to it must be there */
	uint64_t begun; /* the highest that was begun; none above it may be there */
	const struct crash_note *notes; /* crash_note() so far, in order */
	size_t note_count;
};

struct crash_note {
	const void *data;
	size_t bytes;
};

typedef int crash_run(void *arg, const char *dir);
typedef int crash_check(void *arg, const char *dir, const struct crash_history *acked);

/* One planted mistake: MUTANT(name) is true where the code asks. */
struct crash_mutant {
	const char *name;
	const char *what; /* the mistake in words */
	const char *
		fault; /* it shows after a fault of this kind alone: EIO, ENOSPC, EINTR, SHORT, TWICE; NULL: without */
};

struct crash_workload {
	const char *name;
	crash_run *
		run; /* 0, or a negative error: an injected fault may end it early, but must not make it lie */
	crash_check *check; /* may change the files: each state gets fresh ones */
	void *arg;
	const char *const
		*invariants; /* invariants[n] says what number n promises; NULL-terminated; [0] is unused */
	const struct crash_mutant *mutants; /* ends with a name of NULL; NULL: there are none */
	bool entry_with_file;               /* see crash_options */
	uint64_t distinct_goal; /* crash_main() runs more rounds until it has seen so many states; 0: one */
	uint64_t hunt_goal;     /* the same, with QUIRE_HUNT */
	bool no_faults;         /* the program makes no promises about errors */
};

/* From inside run(). They do nothing when nobody records. */
void crash_begun(uint64_t commit);
void crash_acked(uint64_t commit);
void crash_note(const void *data, size_t bytes);

/* From inside run(): which round this is, from 0. A workload of random steps takes it as part of its seed. */
uint64_t crash_round(void);

/* From inside check(): the sentence that goes with the number it returns. */
void crash_explain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Which images have been met, over several replays. */
struct crash_seen;
struct crash_seen *crash_seen_new(uint32_t slots); /* a power of two, twice what is expected */
void crash_seen_free(struct crash_seen *seen);

struct crash_options {
	struct crash_seen *seen; /* NULL: this replay has its own */
	uint64_t seed;
	uint32_t per_point;      /* sampled states of a window that is too large to exhaust */
	uint32_t exhaust_max;    /* windows of at most so many states are exhausted */
	uint64_t distinct_max;   /* stop after so many distinct states; 0: never */
	uint32_t violations_max; /* stop after so many */
	uint32_t from_point;     /* what came before is known */
	uint32_t thin_after;     /* so many points later only every 16th is looked at; 0: all are */
	uint32_t jobs;
	uint32_t hang_seconds;
	bool entry_with_file; /* fsync of a new file makes its name durable too (ext4, xfs, btrfs do; POSIX does not say) */
	const char *keep;                /* where images of violations are kept; NULL: nowhere */
	uint32_t only_point, only_index; /* with only: this state alone */
	bool only;
};

struct crash_violation {
	uint32_t point, index;
	int invariant; /* 0 when the check died */
	int signal;    /* that killed the check; SIGALRM: it hung */
	char text[240];
};

struct crash_result {
	uint64_t states;   /* generated */
	uint64_t distinct; /* with images that differ */
	uint64_t checked;  /* distinct together with what had been acknowledged */
	double seconds;
	uint32_t points;
	uint32_t violation_count;  /* all; the first of them are in violations */
	uint32_t by_invariant[16]; /* [0]: the check died */
	struct crash_violation violations[16];
};

struct crash_options crash_defaults(void);
struct crash_log;

/* Runs the workload in a child, on an empty directory below scratch, and leaves its log. fault: NULL or "NUMBER:KIND".
 * Returns 0; a positive number of an invariant that run() found broken; -ECANCELED when run() gave up; -EFAULT when it died. */
int crash_record(
	const struct crash_workload *w, const char *log_path, const char *scratch, const char *fault);

/* A new directory on tmpfs, if there is one. Returns a descriptor: while it is open, no other test takes the directory for
 * one that was left behind. -1: none could be made. */
int crash_scratch(char path[64]);
void crash_scratch_end(const char *path, int fd); /* removes it */
void crash_remove_tree(const char *path);

/* Checks the states of one log. Returns 0 or -errno; violations are in the result. */
int crash_replay(const struct crash_log *log, crash_check *check, void *arg,
	const struct crash_options *options, struct crash_result *result);

/* Prints one violation: operations, what persisted, the invariant, and `again`: the command that repeats it. Leaves the
 * image in options->keep. */
void crash_report(const struct crash_log *log, const struct crash_violation *v,
	const struct crash_options *options, const char *const *invariants, const char *again);

/* What this number promises. */
const char *crash_words(const char *const *invariants, int number);

/* Makes the image of one state in dir, which must be empty. Returns 0 or -errno; -ENOENT: there is no such state. */
int crash_show(const struct crash_log *log, const struct crash_options *options, uint32_t point,
	uint32_t index, const char *dir);

/* All operations as text. */
void crash_print_log(const struct crash_log *log);

/* MUTANT(name) is true from now on, here and in children; NULL: none is. */
void crash_mutate(const char *name);

/* States, faults and mutants of one workload, as TAP; or what the arguments say: docs/crash.md. Returns an exit status. */
int crash_main(int argc, char **argv, const struct crash_workload *w);

#endif
