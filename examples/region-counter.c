/* SPDX-License-Identifier: Apache-2.0 */
/* A counter in a file that a kill cannot tear: what was committed is counted, what was not is not. */
#include <quire/quire.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct quire_region *region;
static uint64_t *hits;

static void must(int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s\n", quire_error_text());
	exit(1);
}

static void open_counter(const char *path)
{
	must(quire_region_open(NULL, path,
		QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE | QUIRE_REGION_HINTED, .length = 4096),
		&region));
	hits = quire_map_address(quire_region_map(region));
}

static void count_to(const char *path, uint64_t commits)
{
	open_counter(path);
	while (commits-- > 0) {
		++*hits;
		must(quire_region_touch(region, hits, sizeof(*hits)));
		must(quire_region_commit(region, NULL));
	}
	++*hits; /* never committed */
	raise(SIGKILL);
}

int main(void)
{
	char directory[] = "counter-XXXXXX", path[64];
	struct quire_region_record record = { .size = sizeof(record) };
	struct quire_region_stat stat = { .size = sizeof(stat) };
	struct quire_region *reader;
	uint64_t *seen;

	if (mkdtemp(directory) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/hits", directory);
	for (int life = 1; life <= 3; life++) {
		if (fork() == 0)
			count_to(path, 100);
		wait(NULL);
		open_counter(path);
		must(quire_region_stat(region, &stat));
		printf("life %d: killed; %lu hits, %lu commits recovered from the journal\n", life, *hits,
			stat.recovered_commits);
		if (*hits != 100U * (unsigned int)life)
			return 1;
		must(quire_region_close(region));
	}

	open_counter(path);
	must(quire_region_open(NULL, path, QUIRE_OPTIONS(region, .flags = QUIRE_REGION_READ_ONLY), &reader));
	seen = quire_map_address(quire_region_map(reader));
	must(quire_region_check_range(
		reader, seen, sizeof(*seen), NULL)); /* what disks do to bytes that lie long */
	*hits = 1000;
	must(quire_region_touch(region, hits, sizeof(*hits)));
	must(quire_region_commit(region, NULL));
	printf("a reader sees %lu, ", *seen);
	must(quire_region_refresh(reader, NULL));
	must(quire_region_record(region, 0, &record));
	printf("and after a refresh %lu: epoch %lu, %lu page\n", *seen, record.epoch, record.pages);
	must(quire_region_close(reader));
	must(quire_region_close(region));
	fflush(stdout);
	return execlp("rm", "rm", "-r", directory, (char *)NULL);
}
