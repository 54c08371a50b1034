/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The differential oracle: seeded random scripts, the kernel against vm and against our handles. QUIRE_SEED repeats a run, QUIRE_HUNT=1 makes it a
 * million operations, QUIRE_TEST_QUICK=1 a few.
 */
#include "oracle/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SCRIPT_OPS = 200, OPS_QUICK = 6000, OPS_TEST = 50000, OPS_HUNT = 1000000 };

static const char *const mode_names[MODES] = { "plain", "hostile", "backed", "paged", "broken", "native" };

static void report(struct script *script, enum machine_mode mode, uint64_t seed)
{
	uint64_t named[NAMED_COUNT] = { 0 };
	size_t bad;

	shrink(script, mode);
	bad = compare(script->ops, script->count, mode, named);
	(void)printf("# seed %llu, mode %s, made small:\n", (unsigned long long)seed, mode_names[mode]);
	for (size_t i = 0; i < script->count && i <= bad; i++) {
		(void)printf("#   %2zu  ", i);
		print_op(&script->ops[i]);
		(void)printf("\n");
		if (i != bad)
			continue;
		(void)printf("# kernel");
		print_result(&script->ops[i], kernel_result(i));
		(void)printf("# ours  ");
		print_result(&script->ops[i], other_result(i));
	}
}

/* A child that was killed or not scheduled for so long that it was given up, and does well when tried again: the machine's
 * doing (no memory, no processor), not ours. */
static bool was_stalled(const struct script *script, enum machine_mode mode)
{
	uint64_t named[NAMED_COUNT] = { 0 };

	if (!machine_died || compare(script->ops, script->count, mode, named) < script->count)
		return false;
	(void)printf("# a child was stalled; its script agrees when run again\n");
	return true;
}

/* Operations run until the first difference, or all. True: no difference without a name. */
static bool run(enum machine_mode mode, uint64_t seed, size_t ops)
{
	uint64_t named[NAMED_COUNT] = { 0 };
	size_t done = 0;
	size_t left_out = 0;

	for (uint64_t n = 0; done < ops; n++) {
		struct script script;
		uint64_t own = seed * 1000003 + n;

		generate(&script, own, SCRIPT_OPS, mode);
		if (compare(script.ops, script.count, mode, named) < script.count &&
			!was_stalled(&script, mode)) {
			report(&script, mode, own);
			return false;
		}
		done += script.count;
		left_out += left_out_count;
	}
	(void)printf("# %s: %zu operations", mode_names[mode], done);
	if (mode == MODE_NATIVE)
		(void)printf(", %zu left out", left_out);
	for (size_t i = REAL_DIFFERENCE + 1; i < NAMED_COUNT; i++)
		(void)printf(", %llu %s", (unsigned long long)named[i], difference_names[i]);
	(void)printf("\n");
	return true;
}

static bool set(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] == '1';
}

static uint64_t choose_seed(void)
{
	const char *given = getenv("QUIRE_SEED");
	struct timespec now;

	if (given != NULL)
		return strtoull(given, NULL, 0);
	/* The seed that found mremap of length 0 onto itself; a hunt takes a new one each time. */
	if (!set("QUIRE_HUNT"))
		return 1795246000;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

int main(int argc, char **argv)
{
	size_t ops = set("QUIRE_HUNT") ? OPS_HUNT : set("QUIRE_TEST_QUICK") ? OPS_QUICK : OPS_TEST;
	uint64_t seed = choose_seed();
	bool ok;

	(void)argc;
	(void)argv;
	(void)printf("1..6\n# seed %llu (QUIRE_SEED)\n", (unsigned long long)seed);
	ok = run(MODE_PLAIN, seed, ops / 2);
	(void)printf("%sok 1 - vm agrees with the kernel\n", ok ? "" : "not ");
	ok = run(MODE_HOSTILE, seed, ops / 4);
	(void)printf("%sok 2 - vm with eight frames that are evicted at every fault agrees with the kernel\n",
		ok ? "" : "not ");
	ok = run(MODE_BACKED, seed, ops / 4);
	(void)printf("%sok 3 - vm over a source that is read and written agrees with the kernel\n",
		ok ? "" : "not ");
	ok = run(MODE_NATIVE, seed, ops / 4);
	(void)printf("%sok 4 - handles over the native engine agree with the kernel\n", ok ? "" : "not ");
	ok = run(MODE_PAGED, seed, ops / 4);
	(void)printf("%sok 5 - paged mappings on userfaultfd agree with the kernel\n", ok ? "" : "not ");
	/* The mutant: pages of an object can be stored into from a private segment. */
	(void)printf("# what follows is planted:\n");
	ok = run(MODE_BROKEN, seed, OPS_TEST);
	(void)printf("%sok 6 - a planted mistake is found\n", ok ? "not " : "");
	return 0;
}
