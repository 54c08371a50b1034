/* SPDX-License-Identifier: Apache-2.0 */
/* A range of addresses is reserved; mappings are placed, replaced and given back inside, and nothing else can be hit. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quire/quire.h>

enum { MIB = 1 << 20 };

static int place(struct quire_map *inside, size_t offset, uint32_t flags, struct quire_map **map)
{
	return quire_map(NULL,
		QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .length = MIB, .inside = inside,
			.inside_offset = offset, .flags = flags),
		map);
}

int main(void)
{
	struct quire_map *reserved, *first, *second, *third;
	char *base;

	assert(quire_reserve(NULL, 64 * MIB, &reserved) == 0);
	base = quire_map_address(reserved);

	assert(place(reserved, 0, 0, &first) == 0);
	assert(place(reserved, 16 * MIB, 0, &second) == 0);
	assert((char *)quire_map_address(first) == base);
	assert((char *)quire_map_address(second) == base + 16 * MIB);
	memcpy(base, "first", 6);
	memcpy(base + 16 * MIB, "second", 7);

	/* Occupied, outside, still in use: refused, and what stands there is untouched. */
	assert(place(reserved, 0, 0, &third) == -EEXIST);
	printf("%s\n", quire_error_text());
	assert(place(reserved, 64 * MIB, 0, &third) < 0);
	assert(quire_unmap(reserved) == -EBUSY);
	assert(strcmp(base, "first") == 0 && strcmp(base + 16 * MIB, "second") == 0);

	/* What stands in a reservation is given back whole; another mapping also in parts. */
	assert(quire_map_unmap(second, MIB / 2, MIB / 2) == -EINVAL);
	assert(quire_map_anon(NULL, 3 * MIB, &third) == 0 && quire_map_unmap(third, MIB, MIB) == 0);
	memcpy((char *)quire_map_address(third) + 2 * MIB, "behind the hole", 16);
	assert(quire_unmap(third) == 0);

	assert(quire_unmap(first) == 0);
	assert(place(reserved, 0, 0, &first) == 0 && base[0] == '\0');
	assert(quire_unmap(first) == 0 && quire_unmap(second) == 0 && quire_unmap(reserved) == 0);
	printf("64 MiB of addresses at %p, used three times, and free again\n", (void *)base);
	return 0;
}
