/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <quire/quire.h>

enum { EXIT_USAGE = 64 };

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--version") != 0) {
		fputs("usage: " QUIRE_PROGRAM " --version\n", stderr);
		return EXIT_USAGE;
	}
	printf(QUIRE_PROGRAM " %s\n", quire_version());
	return 0;
}
