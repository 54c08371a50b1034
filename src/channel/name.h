/* SPDX-License-Identifier: Apache-2.0 */
/* channel/name.h - from the name of a channel to the address of its socket. */
#ifndef CHANNEL_NAME_H
#define CHANNEL_NAME_H

#include <stdbool.h>

enum { NAME_BYTES = 108 }; /* what a Unix address holds */

/* name_place: where the socket of a name stands */
struct name_place {
	char address[NAME_BYTES];
	char directory[NAME_BYTES]; /* "": abstract, there is none */
	bool make_directory;        /* it is ours: $XDG_RUNTIME_DIR/quire */
	bool many;     /* each who listens has a socket of its own in it; there is no address yet */
	bool anybodys; /* an abstract name in place of a directory of our own: any user may have taken it */
};

/* A name without '/' is $XDG_RUNTIME_DIR/quire/NAME, or abstract where there is no such directory; "@name" is abstract;
 * anything with '/' is the path of the socket. With '/' at its end it is a directory, where many listen.
 * -EINVAL, -ENAMETOOLONG. */
int name_resolve(const char *name, struct name_place *place);

/* Is it one where many listen? */
bool name_is_of_many(const char *name);

/* Makes the directory, where that is for us to do. */
int name_make_directory(const struct name_place *place);

/* Removes the socket of a listener that is dead; its directory is locked. -EADDRINUSE it lives, -EEXIST it is something
 * else, which is nothing of ours to remove. */
int name_free(const char *address);

#endif
