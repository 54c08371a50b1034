/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/unix.h"

enum { NAME_OF_ONE = 32 }; /* of the socket of one of many: a pid, a moment */

static int too_long(const char *name)
{
	return error_set(-ENAMETOOLONG, "the socket of channel '%s' would have a path of more than %d bytes",
		name, NAME_BYTES - 1);
}

static int in_runtime_directory(const char *name, const char *runtime, struct name_place *place)
{
	int n = snprintf(place->directory, sizeof(place->directory), "%s/quire", runtime);

	if (n >= NAME_BYTES)
		return too_long(name);
	n = snprintf(place->address, sizeof(place->address), "%s/quire/%s", runtime, name);
	place->make_directory = true;
	return n >= NAME_BYTES ? too_long(name) : 0;
}

/* Room is kept for the sockets' own names. */
static int where_many_listen(const char *name, const char *runtime, struct name_place *place)
{
	size_t length = strlen(name) - 1;
	bool is_path = memchr(name, '/', length) != NULL || length == 0;
	int n;

	if (!is_path && (runtime == NULL || runtime[0] != '/'))
		return error_set(-ENOENT,
			"'%s' is a directory in $XDG_RUNTIME_DIR, which is not set: set it, or give a path",
			name);
	n = is_path ? snprintf(place->directory, sizeof(place->directory), "%.*s",
			      length == 0 ? 1 : (int)length, name)
		    : snprintf(place->directory, sizeof(place->directory), "%s/quire/%.*s", runtime,
			      (int)length, name);
	place->many = true;
	place->make_directory = !is_path;
	return n >= NAME_BYTES - NAME_OF_ONE ? too_long(name) : 0;
}

static int as_written(const char *name, struct name_place *place)
{
	const char *slash = strrchr(name, '/');
	int n = snprintf(place->address, sizeof(place->address), "%s", name);

	if (n >= NAME_BYTES)
		return too_long(name);
	if (slash == NULL || name[0] == '@')
		return 0;
	(void)snprintf(place->directory, sizeof(place->directory), "%.*s",
		slash == name ? 1 : (int)(slash - name), name);
	return 0;
}

bool name_is_of_many(const char *name)
{
	return name != NULL && name[0] != '\0' && name[0] != '@' && name[strlen(name) - 1] == '/';
}

int name_resolve(const char *name, struct name_place *place)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");

	*place = (struct name_place){ .make_directory = false };
	if (name == NULL || name[0] == '\0' || strcmp(name, "@") == 0)
		return error_set(-EINVAL, "a channel needs a name");
	if (name[0] == '.' && strchr(name, '/') == NULL)
		return error_set(-EINVAL, "the name of a channel does not begin with a dot");
	if (name_is_of_many(name))
		return where_many_listen(name, runtime, place);
	if (name[0] == '@' || strchr(name, '/') != NULL)
		return as_written(name, place);
	if (runtime != NULL && runtime[0] == '/')
		return in_runtime_directory(name, runtime, place);
	place->anybodys = true;
	return snprintf(place->address, sizeof(place->address), "@quire-%u/%s", (unsigned int)getuid(),
		       name) >= NAME_BYTES
		? too_long(name)
		: 0;
}

int name_make_directory(const struct name_place *place)
{
	char above[NAME_BYTES];
	int r;

	if (!place->make_directory)
		return 0;
	memcpy(above, place->directory, sizeof(above));
	if (place->many)
		*strrchr(above, '/') = '\0'; /* $XDG_RUNTIME_DIR/quire */
	r = sys_make_directory(above, 0700);
	return r < 0 || !place->many ? r : sys_make_directory(place->directory, 0700);
}

/* Listeners bind and listen under the lock, so whoever refuses now is dead. A file of another kind refuses as well. */
int name_free(const char *address)
{
	struct stat stat;
	int probe = sys_unix_connect(address);

	if (probe >= 0)
		sys_close(probe);
	if (probe != -ECONNREFUSED)
		return -EADDRINUSE;
	if (sys_fstatat(AT_FDCWD, address, &stat, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(stat.st_mode))
		return -EEXIST;
	return sys_unlink(address);
}
