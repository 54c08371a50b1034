/* SPDX-License-Identifier: Apache-2.0 */
/* tour-commit.c - a process commits to a region and is killed, again and again; what it had acknowledged is always there. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "scratch.h"
#include "tour.h"

enum { KILLS = 5, ACCOUNTS = 256, PAGE = 4096, BALANCE = 1000, AT_LEAST = 40 };

/** Accounts of a bank, one a page, so that every transfer dirties two pages; and how many transfers there were. */
struct bank {
	uint64_t transfers;
	uint64_t opened;
};

static uint64_t *account(struct bank *bank, uint64_t n)
{
	return (uint64_t *)(void *)((char *)bank + (1 + n) * PAGE);
}

static int bank_open(const char *path, struct quire_region **region, struct bank **bank)
{
	int r = quire_region_open(NULL, path,
		QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE, .length = (1 + ACCOUNTS) * PAGE,
			.reserve_bytes = 8 << 20, .journal_bytes = 4 << 20),
		region);

	if (r < 0)
		return r;
	*bank = quire_map_address(quire_region_map(*region));
	if ((*bank)->opened == 0)
		for (uint64_t i = 0; i < ACCOUNTS; i++)
			*account(*bank, i) = BALANCE;
	(*bank)->opened = 1;
	return 0;
}

/* The child: transfers and commits, and tells after each commit; until it is killed. */
static void work(const char *path, int told)
{
	struct quire_region *region;
	struct bank *bank;

	if (bank_open(path, &region, &bank) < 0)
		_exit(1);
	for (;;) {
		uint64_t n = ++bank->transfers;

		--*account(bank, n * 7 % ACCOUNTS);
		++*account(bank, n * 31 % ACCOUNTS);
		if (quire_region_commit(region, NULL) < 0 || write(told, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

static bool told_more(int pipe_end, uint64_t *told)
{
	return read(pipe_end, told, sizeof(*told)) == (ssize_t)sizeof(*told);
}

/* Starts the child, kills it in the middle, and returns the last transfer it had told of. */
static int kill_one(const char *path, unsigned int round, uint64_t *told)
{
	int ends[2];
	pid_t child;

	if (pipe(ends) != 0)
		return -errno;
	fflush(stdout);
	child = fork();
	if (child == 0)
		work(path, ends[1]);
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	for (unsigned int i = 0; i < AT_LEAST && told_more(ends[0], told); i++)
		continue;
	usleep(997 * (round + 1)); /* and then wherever it is */
	kill(child, SIGKILL);
	while (told_more(ends[0], told))
		continue;
	close(ends[0]);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
	return 0;
}

static int recover(struct tour *tour, json_t *array, const char *path, uint64_t told)
{
	struct quire_region_stat stat = { .size = sizeof(stat) };
	struct quire_region *region;
	struct bank *bank;
	json_t *object;
	uint64_t sum = 0;
	int r = bank_open(path, &region, &bank);

	if (r < 0) {
		complain("%s", quire_error_text());
		return r;
	}
	for (uint64_t i = 0; i < ACCOUNTS; i++)
		sum += *account(bank, i);
	quire_region_stat(region, &stat);
	object = json_add_object(array);
	json_put_count(object, "acknowledged", told);
	json_put_count(object, "recovered", bank->transfers);
	json_put_count(object, "recovered_commits", stat.recovered_commits);
	/* One more may have been sealed before its acknowledgement could be sent. */
	tour_check(tour, bank->transfers == told || bank->transfers == told + 1,
		"Killed after %s acknowledged transfers; %s are there.", text_count(told).s,
		text_count(bank->transfers).s);
	tour_check(tour, sum == (uint64_t)ACCOUNTS * BALANCE,
		"No transfer is half there: the sum is still %s.", text_count(sum).s);
	tour_check(tour, quire_region_check(region, NULL) == 0, "Every page has its checksum.");
	return quire_region_close(region);
}

static int run_commit(struct tour *tour, json_t *object)
{
	static const char *const names[] = { "bank", "bank.journal", "bank.lock" };
	const char *path = scratch_path(names[0]);
	json_t *array = json_put_array(object, "kills");
	uint64_t told = 0;
	int r = 0;

	if (path == NULL || scratch_path(names[1]) == NULL || scratch_path(names[2]) == NULL)
		return -ENAMETOOLONG;
	tour_say(tour,
		"A bank of %d accounts in a mapped file. A child moves money by plain stores and commits each transfer; it "
		"is killed with SIGKILL wherever it is, and the file is opened again.",
		ACCOUNTS);
	for (unsigned int i = 0; r == 0 && i < KILLS; i++) {
		r = kill_one(path, i, &told);
		if (r == 0)
			r = recover(tour, array, path, told);
	}
	return r;
}

const struct station station_commit = {
	.name = "commit",
	.title = "Stores that become durable together: commits, kills, recovery",
	.run = run_commit,
};
