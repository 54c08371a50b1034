/* SPDX-License-Identifier: Apache-2.0 */
/* object/filesystem.h - what the filesystem under a path allows, asked on a file without a name where it lets us. */
#ifndef OBJECT_FILESYSTEM_H
#define OBJECT_FILESYSTEM_H

struct filesystem_answer {
	int available; /* 1, 0, or -1: cannot be known */
	int error;
	const char *name;
	const char *what;
	const char *why; /* "" for a yes */
};

/* index counts the questions from 0. 1, 0 when there is no such question, or -errno of opening the path. Leaves nothing. */
int filesystem_ask(const char *path, unsigned int index, struct filesystem_answer *answer);

#endif
