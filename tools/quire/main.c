/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <quire/quire.h>

enum { EXIT_USAGE = 64 };

/* Manual pages and completion are written from this table (tools/manual/man1.py). */
static const char verbs[] =
	"{\"verbs\":[{\"name\":\"version\",\"summary\":\"print the version\",\"usage\":\"quire version\","
	"\"description\":[\"Print the version of the library that is running.\"],\"options\":[],"
	"\"examples\":[{\"cmd\":\"quire version\",\"what\":\"Which version?\"}],"
	"\"exit\":[{\"code\":0,\"what\":\"answered\"}],\"see_also\":[]}]}";

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--dump-verbs") == 0) {
		puts(verbs);
		return 0;
	}
	if (argc == 2 && (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0)) {
		printf(QUIRE_PROGRAM " %s\n", quire_version());
		return 0;
	}
	fputs("usage: " QUIRE_PROGRAM " version\n", stderr);
	return EXIT_USAGE;
}
