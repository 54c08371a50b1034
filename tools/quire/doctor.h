/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.h - what the parts of quire doctor share. */
#ifndef QUIRE_TOOL_DOCTOR_H
#define QUIRE_TOOL_DOCTOR_H

#include <quire/quire.h>

#include "json.h"
#include "verbs.h"

enum profile { FOR_ANY, FOR_ELASTICSEARCH, FOR_LMDB, FOR_POSTGRES, FOR_SECURITY, FOR_QUIRE };

enum level { LEVEL_FAIL, LEVEL_WARN, LEVEL_UNKNOWN, LEVEL_OK, LEVEL_SKIPPED, LEVEL_COUNT };

/** One thing that was looked at. */
struct finding {
	enum level level;
	const char *check; /* its short name, for machines */
	char figure[160];  /* what was found: "vm.max_map_count = 65,530" */
	char meaning[400];
	char fix[300];     /* what to do about it; "" when nothing is wrong */
	char setting[100]; /* for sysctl.d: "vm.max_map_count = 262144" */
};

/** All findings, and what they are about. */
struct doctor {
	enum profile profile;
	const char *path; /* NULL: none was given */
	int pid;          /* 0: none was given */
	const char *root; /* in front of /proc and /sys: for tests */
	struct quire_memory memory;
	struct finding *findings;
	size_t count;
};

typedef void doctor_check(struct doctor *doctor);

/* Checks by subject; each array ends with NULL. */
extern doctor_check *const doctor_memory_checks[];
extern doctor_check *const doctor_limit_checks[];
extern doctor_check *const doctor_place_checks[];
extern doctor_check *const doctor_kernel_checks[];

/* A new finding; the caller fills in meaning and fix. */
struct finding *doctor_find(struct doctor *doctor, enum level level, const char *check, const char *figure,
	...) __attribute__((format(printf, 4, 5)));
void doctor_meaning(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_fix(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_setting(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first line of a file under /proc or /sys; false when it cannot be read. */
bool doctor_line(const struct doctor *doctor, const char *path, char *text, size_t bytes);

/* The same as a number; false also when it is none. "max" is QUIRE_UNKNOWN. */
bool doctor_number(const struct doctor *doctor, const char *path, uint64_t *number);

/* The same for a sysctl: "vm/max_map_count". Adds a finding of LEVEL_UNKNOWN when it cannot be read. */
bool doctor_sysctl(struct doctor *doctor, const char *name, uint64_t *number);

bool doctor_is_for(const struct doctor *doctor, enum profile profile);

#endif
