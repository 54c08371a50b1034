/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a file is in memory, and where; thrown out, looked at, brought back. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <quire/quire.h>

static void show_map(int fd)
{
	struct quire_runs *runs;
	struct quire_run run;

	assert(quire_runs_open(fd, 0, QUIRE_UNKNOWN, 0, &runs) == 0);
	while (quire_runs_next(runs, &run) == 1)
		printf("  %s from page %" PRIu64 ", %" PRIu64 " pages\n",
			(run.state & QUIRE_PAGE_CACHED) != 0 ? "cached" : "absent", run.page, run.pages);
	quire_runs_close(runs);
}

static void show_folios(int fd)
{
	struct quire_folios folios = { .size = sizeof(folios) };

	assert(quire_folios_read(fd, 0, QUIRE_UNKNOWN, &folios) == 0);
	for (int i = 0; folios.folios_why[0] == '\0' && i < QUIRE_FOLIO_ORDERS; i++)
		if (folios.folio_pages[i] != 0)
			printf("  %" PRIu64 " pages in folios of %d\n", folios.folio_pages[i], 1 << i);
	for (int i = 0; folios.nodes_why[0] == '\0' && i < QUIRE_FOLIO_NODES; i++)
		if (folios.node_pages[i] != 0)
			printf("  %" PRIu64 " pages on node %d\n", folios.node_pages[i], i);
}

int main(int argc, char **argv)
{
	struct quire_presence presence = { .size = sizeof(presence) };
	struct quire_eviction eviction = { .size = sizeof(eviction) };
	uint64_t brought;
	int fd;

	/* Its own binary: it is its owner's, and it is in memory. */
	if (quire_presence_open(AT_FDCWD, argc > 1 ? argv[1] : argv[0], &fd) < 0) {
		fprintf(stderr, "%s\n", quire_error_text());
		return 1;
	}
	assert(quire_presence_read(fd, 0, QUIRE_UNKNOWN, QUIRE_PRESENCE_READY, &presence) == 0);
	if (presence.cached == QUIRE_UNKNOWN) {
		printf("not known: %s\n", presence.why);
		return 77;
	}
	printf("%" PRIu64 " of %" PRIu64 " pages are cached, %" PRIu64 " of them dirty\n", presence.cached,
		presence.pages, presence.dirty);
	show_map(fd);
	show_folios(fd);

	/* It runs, so its code is mapped, and mapped pages stay: the kernel says nothing, the second look does. */
	assert(quire_presence_evict(fd, 0, QUIRE_UNKNOWN, 0, &eviction) == 0);
	printf("evicted %" PRIu64 ", kept %" PRIu64 "\n", eviction.gone, eviction.kept + eviction.kept_dirty);
	assert(eviction.gone + eviction.kept + eviction.kept_dirty == eviction.wanted);

	assert(quire_presence_touch(fd, 0, QUIRE_UNKNOWN, QUIRE_TOUCH_MISSING, &brought) == 0);
	printf("brought %" PRIu64 " bytes back\n", brought);
	close(fd);
	return 0;
}
