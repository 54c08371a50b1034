/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect/pools.c - figures of pools that other processes publish, read from /proc/PID/fd.
 *
 * A ledger (base/tally.h) is the memory of a stranger: it is read with pread, never mapped, so it cannot be cut under us;
 * each part is copied and checked before it is used; and figures are figures, whatever they say.
 */
#include <errno.h>
#include <fcntl.h>
#include <quire/inspect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/error.h"
#include "base/tally.h"
#include "inspect/lines.h"
#include "inspect/stats.h"
#include "sys/directory.h"
#include "sys/file.h"

/* A fold is over in a microsecond; whoever is stopped in the middle of one is not waited for. */
enum { READ_TRIES = 64 };

struct quire_pools {
	int directory; /* /proc/PID/fd */
	uint64_t self; /* how the process calls itself */
	size_t at;
	size_t filled;
	int fd; /* of the ledger that was told of last; -1: none */
	uint32_t next;
	struct ledger ledger; /* its head */
	struct tally tally;
	char names[16384];
};

/* ---- open ---- */

/* The number in its own namespace: the last of "NSpid:\t4711\t12". */
static uint64_t own_number(int pid)
{
	char text[4096];
	char path[48];
	const char *at;
	uint64_t number = (uint64_t)pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (sys_read_small(path, text, sizeof(text)) < 0)
		return number;
	at = strstr(text, "\nNSpid:");
	if (at == NULL)
		return number;
	for (at += strlen("\nNSpid:"); *at == '\t';) {
		at++;
		number = read_decimal(&at);
	}
	return number;
}

int quire_pools_open(int pid, struct quire_pools **out)
{
	struct quire_pools *pools;
	char path[48];

	if (pid <= 0 || out == NULL)
		return error_set(-EINVAL, "quire_pools_open: no process, or nowhere to put the handle");
	pools = calloc(1, sizeof(*pools));
	if (pools == NULL)
		return error_set(-ENOMEM, "no memory to look at pools");
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	pools->fd = -1;
	pools->self = own_number(pid);
	pools->directory = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (pools->directory < 0) {
		int r = pools->directory == -EPERM ? -EACCES : pools->directory;

		free(pools);
		return r == -ENOENT ? error_set(-ESRCH, "there is no process %d", pid)
				    : error_set(r, "the descriptors of process %d: %s", pid, strerror(-r));
	}
	*out = pools;
	return 0;
}

void quire_pools_close(struct quire_pools *pools)
{
	if (pools == NULL)
		return;
	if (pools->fd >= 0)
		sys_close(pools->fd);
	sys_close(pools->directory);
	free(pools);
}

/* ---- the next ledger ---- */

static bool is_ledger(const struct quire_pools *pools, const char *name)
{
	char target[64];

	return sys_readlinkat(pools->directory, name, target, sizeof(target)) > 0 &&
		strcmp(target, "/memfd:" LEDGER_FILE " (deleted)") == 0;
}

/* Opens the next descriptor that calls itself a ledger. 1, 0: none is left. */
static int open_next(struct quire_pools *pools)
{
	struct sys_name name;

	if (pools->fd >= 0)
		sys_close(pools->fd);
	pools->fd = -1;
	for (;;) {
		while (sys_next_name(pools->names, pools->filled, &pools->at, &name)) {
			if (!is_ledger(pools, name.name))
				continue;
			pools->fd = sys_openat(pools->directory, name.name, O_RDONLY | O_CLOEXEC);
			if (pools->fd >= 0)
				return 1;
		}
		pools->at = 0;
		ssize_t n = sys_getdents(pools->directory, pools->names, sizeof(pools->names));

		pools->filled = n < 0 ? 0 : (size_t)n;
		if (n <= 0)
			return 0; /* the process may have gone meanwhile: it has no pools then */
	}
}

/* ---- copy, check, use ---- */

static bool read_part(const struct quire_pools *pools, uint64_t at, void *to, size_t bytes)
{
	return sys_pread(pools->fd, to, bytes, at) == (ssize_t)bytes;
}

static uint32_t ledger_end(const struct quire_pools *pools)
{
	return atomic_load(&pools->ledger.tallies_end);
}

static int read_head(struct quire_pools *pools)
{
	struct ledger *l = &pools->ledger;
	struct stat st;

	if (!read_part(pools, 0, l, sizeof(*l)) || l->magic != LEDGER_MAGIC)
		return error_set(-EBADMSG, "it calls itself the figures of a pool, and is none");
	if (l->version != LEDGER_VERSION || l->tally_bytes != sizeof(struct tally))
		return error_set(-EBADMSG,
			"the process was built with another version of Quire: its figures have version %u, not %d",
			l->version, LEDGER_VERSION);
	if (sys_fstat(pools->fd, &st) < 0 || (uint64_t)st.st_size < ledger_bytes(l->tallies_room) ||
		ledger_end(pools) > l->tallies_room || ledger_end(pools) == 0)
		return error_set(-EBADMSG, "the figures of the pool contradict each other");
	l->name[sizeof(l->name) - 1] = '\0';
	l->why[sizeof(l->why) - 1] = '\0';
	return 0;
}

static bool read_tally(struct quire_pools *pools, uint32_t number)
{
	if (!read_part(pools, ledger_bytes(number), &pools->tally, sizeof(pools->tally)))
		return false;
	pools->tally.name[TALLY_NAME - 1] = '\0';
	return true;
}

/* The sum of all tallies at one moment, and how many are of open mappings. */
static int read_sum(struct quire_pools *pools, struct tally *sum, uint64_t *maps)
{
	for (unsigned int i = 0; i < READ_TRIES; i++) {
		uint64_t turn;
		int r = read_head(pools);

		if (r < 0)
			return r;
		turn = atomic_load(&pools->ledger.turn);
		memset(sum, 0, sizeof(*sum));
		*maps = 0;
		for (uint32_t t = 0; t < ledger_end(pools); t++) {
			if (!read_tally(pools, t))
				return error_set(-EBADMSG, "the figures of the pool end too early");
			tally_sum(sum, &pools->tally);
			*maps += t > 0 && atomic_load(&pools->tally.state) == TALLY_OPEN;
		}
		r = read_head(pools);
		if (r < 0)
			return r;
		if (turn % 2 == 0 && turn == atomic_load(&pools->ledger.turn))
			return 0;
	}
	return error_set(-EAGAIN, "the pool closes mappings without a pause: its figures do not stand still");
}

int quire_pools_next(struct quire_pools *pools, const char **name, struct quire_pool_stats *out)
{
	struct quire_pool_stats stats;
	struct tally sum;
	uint64_t maps;
	size_t room;
	int r;

	if (pools == NULL || name == NULL || out == NULL || out->size < sizeof(out->size))
		return error_set(-EINVAL, "quire_pools_next: stats.size is not set");
	room = (size_t)min_u64(out->size, sizeof(stats));
	do {
		r = open_next(pools);
		if (r <= 0)
			return r;
		r = read_sum(pools, &sum, &maps);
		if (r < 0)
			return r;
	} while (pools->ledger.pid !=
		pools->self); /* it belongs to the process we were forked from, or got it from */
	stats_of_pool(&pools->ledger, &sum, &stats);
	stats.size = room;
	stats.why = pools->ledger.why;
	stats.maps = maps;
	memcpy(out, &stats, room);
	*name = pools->ledger.name;
	pools->next = 1;
	return 1;
}

int quire_pools_next_map(struct quire_pools *pools, const char **name, struct quire_map_stats *out)
{
	struct quire_map_stats stats;
	size_t room;

	if (pools == NULL || name == NULL || out == NULL || out->size < sizeof(out->size))
		return error_set(-EINVAL, "quire_pools_next_map: stats.size is not set");
	room = (size_t)min_u64(out->size, sizeof(stats));
	for (; pools->fd >= 0 && pools->next < ledger_end(pools); pools->next++) {
		if (!read_tally(pools, pools->next))
			return error_set(-EBADMSG, "the figures of the pool end too early");
		if (atomic_load(&pools->tally.state) != TALLY_OPEN)
			continue;
		pools->next++;
		stats_of_map(&pools->tally, &stats);
		stats.size = room;
		stats.dirty_bytes = QUIRE_UNKNOWN;
		memcpy(out, &stats, room);
		*name = pools->tally.name;
		return 1;
	}
	return 0;
}
