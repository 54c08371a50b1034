/* SPDX-License-Identifier: Apache-2.0 */
/* why.h - what the parts of quire why share. */
#ifndef QUIRE_TOOL_WHY_H
#define QUIRE_TOOL_WHY_H

#include <signal.h>
#include <sys/types.h>

#include "json.h"
#include "verbs.h"

/** A mapping of the program, as it was when it died. */
struct why_mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode; /* 0: no file, or not known (a core dump does not say) */
	uint32_t flags; /* enum quire_mapping_flag */
	uint64_t page_bytes;
	char *name;
};

/** One deadly fault. */
struct crash {
	pid_t pid; /* 0: from a core dump */
	char program[64];
	int signal;
	int code;         /* si_code */
	uint64_t address; /* none when the signal was sent: the sender's id lies in its place */
	pid_t sender;     /* of a signal that was sent; 0 when the kernel does not say */
	uint64_t pc;
	uint64_t sp;
	bool from_core;
	struct why_mapping *mappings;
	size_t mapping_count;
};

enum why_cause {
	WHY_UNKNOWN,
	WHY_TRUNCATED,
	WHY_DISK_FULL,
	WHY_IO,
	WHY_HUGE_POOL,
	WHY_TMPFS_FULL,
	WHY_POISON,
	WHY_PROTECTION,
	WHY_UNMAPPED,
	WHY_NULL,
	WHY_STACK,
	WHY_GUARD,
	WHY_NOT_CANONICAL,
	WHY_ALIGNMENT,
	WHY_SENT,
};

/** The answer. */
struct why_answer {
	enum why_cause cause;
	const struct why_mapping *mapping; /* NULL: the address belongs to none */
	uint64_t offset;                   /* in the file, of the byte that was touched */
	char text[1200];                   /* one paragraph */
	char advice[400];
};

/* Takes what the kernel told of the signal. */
void why_set_signal(struct crash *crash, const siginfo_t *info);

/* Finds the cause by looking at the file, the pool, the filesystem, now. */
void why_explain(const struct crash *crash, struct why_answer *answer);

/* The same for a fault in a file or in memory of a mapping (SIGBUS). */
void why_explain_bus(const struct crash *crash, const struct why_mapping *m, struct why_answer *answer);

const char *why_cause_name(enum why_cause cause);

/* Runs a program. 1: it died of a fault and *crash says how; 0: it ended otherwise, and *status is from waitpid. */
int why_run(char **arguments, struct crash *crash, struct why_answer *answer, int *status);

/* Reads a core dump; 0, or a negative errno: -ENOEXEC when the file is none. */
int why_read_core(const char *path, struct crash *crash);

void why_add_mapping(struct crash *crash, const struct why_mapping *mapping, const char *name);
void why_forget_mappings(struct crash *crash);

#endif
