/* SPDX-License-Identifier: Apache-2.0 */
/* A program that loads the library, uses it, and unloads it: what the library has left in the process still runs. */
#include "support/run.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quire/quire.h>

#include "support/child.h"
#include "support/files.h"

static void *symbol(void *library, const char *name)
{
	void *found = dlsym(library, name);

	EXPECT(found != NULL);
	return found;
}

/* The first guarded mapping installs the handler, which nobody can take away safely: others may have saved it. */
static void fault_after_unloading(void *argument)
{
	int (*map_it)(struct quire *, const struct quire_map_options *, struct quire_map **);
	int (*unmap_it)(struct quire_map *);
	struct quire_map *map = NULL;
	char path[512];
	void *library;

	(void)snprintf(path, sizeof(path), "%s/libquire.so.0", (const char *)argument);
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	EXPECT(library != NULL);
	*(void **)&map_it = symbol(library, "quire_map");
	*(void **)&unmap_it = symbol(library, "quire_unmap");
	EXPECT_IS(map_it(NULL,
			  QUIRE_OPTIONS(
				  map, .path = path, .protection = QUIRE_READ, .guard = QUIRE_GUARD_ZEROS),
			  &map),
		0);
	EXPECT_IS(unmap_it(map), 0);
	EXPECT_IS(dlclose(library), 0);
	(void)raise(SIGBUS);
}

static void a_fault_after_unloading_is_the_programs_own(void **state)
{
	char *build = getenv("QUIRE_BUILD");

	(void)state;
	if (build == NULL) {
		print_message("# QUIRE_BUILD is not set: where is the library?\n");
		skip();
	}
	child_dies_of(SIGBUS, fault_after_unloading, build);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_after_unloading_is_the_programs_own),
	};

	return RUN(tests);
}
