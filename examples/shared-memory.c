/* SPDX-License-Identifier: Apache-2.0 */
/* All shared memory of the machine, who uses it, and what nobody uses any more. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <quire/quire.h>

int main(void)
{
	struct quire_segment segment = { .size = sizeof(segment) };
	struct quire_segment_user user = { .size = sizeof(user) };
	struct quire_segments *segments;
	struct quire_map *map;
	int mine = 0;

	assert(quire_map_shared(NULL, "shared-memory-example", 1 << 20, &map) == 0);
	assert(quire_segments_open(&segments) == 0);
	while (quire_segments_next(segments, &segment) == 1) {
		mine += strstr(segment.name, "shared-memory-example") != NULL;
		printf("%s: %" PRIu64 " KiB%s\n", segment.name, segment.length_bytes / 1024,
			segment.orphan > 0 ? ", used by nobody" : "");
		while (quire_segments_user(segments, &user) == 1)
			printf("  %d %s%s\n", user.pid, user.name, user.mapped_bytes == 0 ? " (open)" : "");
	}
	printf("and perhaps more in %" PRIu64 " processes of others\n", quire_segments_hidden(segments));
	quire_segments_close(segments);
	assert(mine == 1);
	return quire_unmap(map) < 0;
}
