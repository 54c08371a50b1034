/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a region with five commits in its journal at the path given, and dies as a program does that is killed. */
#include <signal.h>

#include <quire/quire.h>

int main(int argc, char **argv)
{
	struct quire_region *region;
	uint64_t *counter;

	if (argc != 2 ||
		quire_region_open(NULL, argv[1],
			QUIRE_OPTIONS(region, .flags = QUIRE_REGION_CREATE, .length = 65536), &region) < 0)
		return 1;
	counter = quire_map_address(quire_region_map(region));
	for (int i = 0; i < 5; i++) {
		++*counter;
		if (quire_region_commit(region, NULL) < 0)
			return 1;
	}
	++*counter;
	return raise(SIGKILL);
}
