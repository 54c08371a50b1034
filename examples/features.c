/* SPDX-License-Identifier: Apache-2.0 */
/* What may this program use here? Ask before, and know the reason of each no. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include <quire/quire.h>

int main(void)
{
	struct quire_feature feature = { .size = sizeof(feature) };
	struct quire_filesystem filesystem = { .size = sizeof(filesystem) };
	unsigned int count = 0;

	while (quire_features(count, "/tmp", &feature) == 1) {
		printf("%-3s %-20s %s\n",
			feature.available > 0            ? "yes"
				: feature.available == 0 ? "no"
							 : "?",
			feature.name, feature.available > 0 ? feature.what : feature.why);
		/* a no without a reason would help nobody */
		assert(feature.name[0] != '\0' && (feature.available > 0 || feature.why[0] != '\0'));
		count++;
	}
	assert(count > 0 && quire_features(count, "/tmp", &feature) == 0);

	/* behind the features of the kernel come those of the filesystem */
	for (count = 0; quire_features(count, NULL, &feature) == 1;)
		count++;
	assert(quire_features(count, "/no/such/path", &feature) == -ENOENT);

	/* what kind of filesystem it is, and what to know of it */
	assert(quire_filesystem("/tmp", &filesystem) == 0);
	printf("/tmp is on %s: %s\n", filesystem.name, filesystem.meaning);
	assert(quire_filesystem("/no/such/path", &filesystem) == -ENOENT);
	return 0;
}
