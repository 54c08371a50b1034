/* SPDX-License-Identifier: Apache-2.0 */
/* why-explain.c - from a signal, an address and the mappings to a cause in words. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <quire/quire.h>

#include "file-view.h"
#include "why.h"

#define PAGE 4096U
/* mmap_min_addr keeps 64 KiB free at address 0: what falls there came from a NULL pointer. */
#define NULL_PAGES UINT64_C(65536)
/* A jump over more than this is no longer the next frame of a stack. */
#define STACK_STEP (UINT64_C(1) << 20)

const char *why_cause_name(enum why_cause cause)
{
	static const char *const names[] = {
		[WHY_UNKNOWN] = "unknown",
		[WHY_TRUNCATED] = "truncated",
		[WHY_DISK_FULL] = "disk-full",
		[WHY_IO] = "io-error",
		[WHY_HUGE_POOL] = "huge-pool-empty",
		[WHY_TMPFS_FULL] = "tmpfs-full",
		[WHY_POISON] = "poison",
		[WHY_PROTECTION] = "protection",
		[WHY_UNMAPPED] = "unmapped",
		[WHY_NULL] = "null-pointer",
		[WHY_STACK] = "stack-overflow",
		[WHY_GUARD] = "guard-page",
		[WHY_NOT_CANONICAL] = "no-address",
		[WHY_ALIGNMENT] = "alignment",
		[WHY_SENT] = "sent",
	};

	return names[cause];
}

void why_add_mapping(struct crash *crash, const struct why_mapping *mapping, const char *name)
{
	size_t n = crash->mapping_count;

	if ((n & (n - 1)) == 0)
		crash->mappings = allocate(crash->mappings, n == 0 ? 1 : n * 2, sizeof(*mapping));
	crash->mappings[n] = *mapping;
	crash->mappings[n].name = strdup(name);
	if (crash->mappings[n].name == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory"));
	crash->mapping_count++;
}

void why_forget_mappings(struct crash *crash)
{
	for (size_t i = 0; i < crash->mapping_count; i++)
		free(crash->mappings[i].name);
	free(crash->mappings);
	crash->mappings = NULL;
	crash->mapping_count = 0;
}

__attribute__((format(printf, 3, 4))) static void conclude(
	struct why_answer *answer, enum why_cause cause, const char *format, ...)
{
	va_list list;

	answer->cause = cause;
	va_start(list, format);
	vsnprintf(answer->text, sizeof(answer->text), format, list);
	va_end(list);
}

static const struct why_mapping *find(const struct crash *crash, uint64_t address)
{
	for (size_t i = 0; i < crash->mapping_count; i++)
		if (crash->mappings[i].start <= address && address < crash->mappings[i].end)
			return &crash->mappings[i];
	return NULL;
}

static const char *name_of(const struct why_mapping *m)
{
	return m->name[0] == '\0' ? "anonymous memory" : m->name;
}

static bool crash_far(uint64_t distance, uint64_t other)
{
	return distance > UINT64_C(1) << 30 && distance > other;
}

/* The two neighbours of an address that belongs to nothing. */
static void neighbours(const struct crash *crash, uint64_t address, char *text, size_t bytes)
{
	const struct why_mapping *below = NULL, *above = NULL;
	int n;

	for (size_t i = 0; i < crash->mapping_count; i++) {
		const struct why_mapping *m = &crash->mappings[i];

		if (m->end <= address && (below == NULL || m->end > below->end))
			below = m;
		if (m->start > address && (above == NULL || m->start < above->start))
			above = m;
	}
	if (below != NULL && above != NULL) { /* who is 40 TiB away has nothing to do with it */
		if (crash_far(address - below->end, above->start - address))
			below = NULL;
		else if (crash_far(above->start - address, address - below->end))
			above = NULL;
	}
	n = snprintf(text, bytes, "It is");
	if (below != NULL)
		n += snprintf(text + n, bytes - (size_t)n, " %s behind the end of %.300s",
			text_bytes(address - below->end).s, text_name(name_of(below)).s);
	if (above != NULL && (size_t)n < bytes)
		snprintf(text + n, bytes - (size_t)n, "%s %s below the start of %.300s",
			below == NULL ? "" : " and", text_bytes(above->start - address).s,
			text_name(name_of(above)).s);
}

/* A core dump does not name the stack; there it is the memory right above a stack pointer that ran out of it. */
static bool below_stack(const struct crash *crash, const struct why_mapping *m)
{
	bool named = strcmp(m->name, "[stack]") == 0;
	bool near = crash->sp < m->start && m->start - crash->address < STACK_STEP;

	if (crash->address >= m->start || crash->sp > crash->address + STACK_STEP ||
		crash->address > crash->sp + STACK_STEP)
		return false;
	return named || (crash->from_core && m->name[0] == '\0' && near);
}

static void explain_unmapped(const struct crash *crash, struct why_answer *answer)
{
	char where[800];

	if (crash->address == 0) {
		conclude(answer, WHY_NULL, "It used a NULL pointer: nothing is mapped at address 0.");
		return;
	}
	if (crash->address < NULL_PAGES) {
		conclude(answer, WHY_NULL,
			"It used a NULL pointer: address %#llx lies in the first 64 KiB, where nothing is mapped; "
			"%llu is the distance of the field or element from the start of what the pointer should have pointed to.",
			(unsigned long long)crash->address, (unsigned long long)crash->address);
		return;
	}
	for (size_t i = 0; i < crash->mapping_count; i++) {
		const struct why_mapping *m = &crash->mappings[i];

		if (below_stack(crash, m)) {
			conclude(answer, WHY_STACK,
				"Its stack overflowed: address %#llx lies %s below the stack, which had grown to %s, "
				"and the stack pointer is there too. The usual reasons are endless recursion and large local arrays.",
				(unsigned long long)crash->address, text_bytes(m->start - crash->address).s,
				text_bytes(m->end - m->start).s);
			snprintf(answer->advice, sizeof(answer->advice),
				"ulimit -s shows the limit of the stack");
			return;
		}
	}
	neighbours(crash, crash->address, where, sizeof(where));
	conclude(answer, WHY_UNMAPPED, "It %s address %#llx, where nothing is mapped. %s.",
		crash->address == crash->pc ? "jumped to" : "touched", (unsigned long long)crash->address,
		where);
}

/* A mapping without any permission right below a stack is its guard. */
static bool guards_a_stack(const struct crash *crash, const struct why_mapping *m)
{
	return m->end - m->start <= 1 << 20 && crash->sp + STACK_STEP > m->start &&
		crash->sp < m->end + STACK_STEP;
}

static void explain_protection(
	const struct crash *crash, const struct why_mapping *m, struct why_answer *answer)
{
	const unsigned int any = QUIRE_MAPPING_READ | QUIRE_MAPPING_WRITE | QUIRE_MAPPING_EXECUTE;
	bool executed = crash->pc == crash->address;

	if ((m->flags & any) == 0 && guards_a_stack(crash, m)) {
		conclude(answer, WHY_STACK,
			"The stack of a thread overflowed: address %#llx lies in the guard page below it, and "
			"the stack pointer is there too.",
			(unsigned long long)crash->address);
		return;
	}
	if ((m->flags & any) == 0) {
		conclude(answer, WHY_GUARD,
			"It touched address %#llx in memory that is reserved without any permission (%s): a guard "
			"page, or addresses that are kept for later.",
			(unsigned long long)crash->address, text_bytes(m->end - m->start).s);
		return;
	}
	conclude(answer, WHY_PROTECTION, "It %s %s at offset %llu (address %#llx), but the mapping is %s.",
		executed                                        ? "executed"
			: (m->flags & QUIRE_MAPPING_WRITE) == 0 ? "wrote to"
								: "touched",
		text_name(name_of(m)).s, (unsigned long long)answer->offset,
		(unsigned long long)crash->address,
		executed                                        ? "not executable"
			: (m->flags & QUIRE_MAPPING_WRITE) == 0 ? "read-only"
								: "protected");
}

static void explain_segv(const struct crash *crash, const struct why_mapping *m, struct why_answer *answer)
{
	if (crash->code == SI_KERNEL) {
		conclude(answer, WHY_NOT_CANONICAL,
			"It used a value that is no address at all (outside of what x86-64 addresses can be): "
			"an overwritten or uninitialized pointer. The instruction is at %#llx.",
			(unsigned long long)crash->pc);
	} else if (m == NULL) {
		explain_unmapped(crash, answer);
	} else if (crash->code == SEGV_MAPERR) {
		conclude(answer, WHY_GUARD, "It touched a guard page inside of %s at address %#llx.",
			text_name(name_of(m)).s, (unsigned long long)crash->address);
	} else {
		explain_protection(crash, m, answer);
	}
}

void why_set_signal(struct crash *crash, const siginfo_t *info)
{
	bool sent = info->si_code <= 0;

	crash->signal = info->si_signo;
	crash->code = info->si_code;
	crash->address = sent ? 0 : (uint64_t)(uintptr_t)info->si_addr;
	/* Timers and asynchronous I/O use these bytes for something else. */
	crash->sender = info->si_code == SI_USER || info->si_code == SI_TKILL || info->si_code == SI_QUEUE
		? info->si_pid
		: 0;
}

static void explain_sent(const struct crash *crash, struct why_answer *answer)
{
	struct quire_process sender = { .size = sizeof(sender) };
	char who[100] = "somebody";

	if (crash->sender != 0 && crash->sender == crash->pid)
		snprintf(who, sizeof(who), "the program itself (raise, abort or kill)");
	else if (crash->sender != 0 && !crash->from_core &&
		quire_process_read(crash->sender, 0, &sender) == 0)
		snprintf(who, sizeof(who), "process %d (%.64s)", crash->sender, text_name(sender.name).s);
	else if (crash->sender != 0)
		snprintf(who, sizeof(who), "process %d", crash->sender);
	answer->mapping = NULL;
	conclude(answer, WHY_SENT, "The signal was sent by %s; no access of memory caused it.", who);
}

void why_explain(const struct crash *crash, struct why_answer *answer)
{
	const struct why_mapping *m = find(crash, crash->address);

	*answer = (struct why_answer){ .cause = WHY_UNKNOWN, .mapping = m };
	if (m != NULL)
		answer->offset = m->offset + (crash->address - m->start);
	if (crash->code <= 0) {
		explain_sent(crash, answer);
	} else if (crash->signal == SIGBUS && crash->code == BUS_ADRALN) {
		conclude(answer, WHY_ALIGNMENT,
			"It made an access that must be aligned, at %#llx, which is not.",
			(unsigned long long)crash->address);
	} else if (crash->signal == SIGBUS && m != NULL) {
		why_explain_bus(crash, m, answer);
	} else if (crash->signal == SIGBUS) {
		conclude(answer, WHY_UNKNOWN,
			"The page at %#llx could not be served, and the mapping is gone.",
			(unsigned long long)crash->address);
	} else {
		explain_segv(crash, m, answer);
	}
}
