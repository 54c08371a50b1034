/* SPDX-License-Identifier: Apache-2.0 */
#include "crash/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static const char *const invariants[] = {
	"",
	"P1: it opens",
	"P2: every acknowledged commit is there",
	"P3: nothing is there that was not begun",
	"P4: the content is that of one commit",
	"P5: it goes on: the next commit works",
	NULL,
};

unsigned int peer_key(uint64_t commit, unsigned int i)
{
	return (unsigned int)(crash_mix(commit * 64 + i + 1) % PEER_KEYS);
}

uint64_t peer_last(unsigned int key, uint64_t commit)
{
	for (; commit > 0; commit--)
		for (unsigned int i = 0; i < PEER_PUTS; i++)
			if (peer_key(commit, i) == key)
				return commit;
	return 0;
}

void peer_value(unsigned int key, uint64_t commit, uint8_t value[PEER_VALUE])
{
	uint64_t x = crash_mix(key * 1000003U + commit);

	for (unsigned int i = 0; i + 8 <= PEER_VALUE; i += 8, x += 0x9e3779b97f4a7c15U)
		memcpy(value + i, &x, 8);
}

static void counts(char text[200], const struct crash_result *r)
{
	int used = 0;

	text[0] = '\0';
	for (int i = 0; invariants[i]; i++)
		if (r->by_invariant[i])
			used += snprintf(text + used, 200 - (size_t)used, "; %u x %s", r->by_invariant[i],
				i ? invariants[i] : "died of a signal");
}

static bool agrees(enum peer_verdict verdict, const struct crash_result *r)
{
	uint32_t corrupt = r->violation_count - r->by_invariant[PEER_ACKED];

	switch (verdict) {
	case PEER_KEEPS: return r->violation_count == 0;
	case PEER_LOSES: return r->by_invariant[PEER_ACKED] > 0 && corrupt == 0;
	case PEER_CORRUPTS: return corrupt > 0;
	}
	return false;
}

static int replay_mode(const struct crash_workload *w, const struct peer_mode *mode, const char *scratch,
	struct crash_result *result)
{
	struct crash_options o = crash_defaults();
	struct crash_log log;
	char path[100];
	int r;

	o.entry_with_file = true;
	o.violations_max = mode->verdict == PEER_KEEPS ? 4 : UINT32_MAX;
	o.exhaust_max = 256;
	o.per_point = getenv("QUIRE_HUNT") ? 512 : 12;
	(void)snprintf(path, sizeof(path), "%s/log", scratch);
	r = crash_record(w, path, scratch, NULL);
	if (r == 0)
		r = crash_log_load(&log, path);
	if (r < 0)
		return r;
	r = crash_replay(&log, w->check, w->arg, &o, result);
	if (r == 0 && getenv("CRASH_VERBOSE"))
		for (unsigned int i = 0; i < result->violation_count && i < 2; i++)
			crash_report(&log, &result->violations[i], &o, invariants, "-");
	crash_log_free(&log);
	return r;
}

int peer_main(const char *name, const struct peer_mode *modes, unsigned int count, crash_run *run,
	crash_check *check)
{
	static const char *const words[] = { "must keep everything", "must lose commits only",
		"must be seen to corrupt" };
	char scratch[64], text[200];
	int failed = 0, scratch_fd;

	printf("1..%u\n", count);
	scratch_fd = crash_scratch(scratch);
	if (scratch_fd < 0)
		return 1;
	for (unsigned int i = 0; i < count; i++) {
		struct crash_workload w = {
			.name = name, .run = run, .check = check, .arg = (void *)(uintptr_t)&modes[i]
		};
		struct crash_result r = { .states = 0 };
		int error = replay_mode(&w, &modes[i], scratch, &r);
		bool good = error == 0 && agrees(modes[i].verdict, &r);

		counts(text, &r);
		printf("%sok %u - %s %s: %" PRIu64 " distinct states, %.0f checks/s, %s%s\n",
			good ? "" : "not ", i + 1, name, modes[i].name, r.distinct,
			(double)r.checked / r.seconds,
			error ? "could not be recorded" : words[modes[i].verdict], text);
		(void)fflush(stdout);
		failed += !good;
	}
	crash_scratch_end(scratch, scratch_fd);
	return failed > 0;
}
