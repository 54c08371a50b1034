/* SPDX-License-Identifier: Apache-2.0 */
/* api/features.c - the probes of sys as a list for programs; those of a filesystem behind those of the kernel. */
#include <errno.h>
#include <string.h>

#include <quire/features.h>

#include "base/align.h"
#include "base/error.h"
#include "object/filesystem.h"
#include "sys/probe.h"

static int give(const struct quire_feature *found, struct quire_feature *out)
{
	size_t room = min_u64(out->size, sizeof(*found));

	memcpy(out, found, room);
	out->size = room;
	return 1;
}

static int kernel_feature(enum probe what, struct quire_feature *out)
{
	const struct probe_words *words = sys_probe_words(what);
	struct probe_result result = sys_probe(what);
	struct quire_feature found = {
		.size = sizeof(found),
		.available = result.available,
		.error = result.error,
		.name = words->name,
		.what = words->what,
		.why = result.available ? "" : words->why_not,
		.since = words->since,
	};

	if (result.error == -EMFILE || result.error == -ENFILE)
		found.why = "not known: too many open files at the moment";
	if (result.masked)
		found.why = "hidden by QUIRE_MASK";
	return give(&found, out);
}

static int filesystem_feature(unsigned int index, const char *path, struct quire_feature *out)
{
	struct filesystem_answer answer;
	struct quire_feature found = { .size = sizeof(found), .since = "" };
	int r;

	if (path == NULL)
		return 0;
	r = filesystem_ask(path, index, &answer);
	if (r <= 0)
		return r;
	found.available = answer.available;
	found.error = answer.error;
	found.name = answer.name;
	found.what = answer.what;
	found.why = answer.why;
	return give(&found, out);
}

int quire_features(unsigned int index, const char *path, struct quire_feature *feature)
{
	error_clear();
	if (feature == NULL || feature->size < sizeof(feature->size))
		return error_set(-EINVAL, "quire_features: feature.size is not set");
	if (index < PROBE_COUNT)
		return kernel_feature((enum probe)index, feature);
	return filesystem_feature(index - PROBE_COUNT, path, feature);
}
