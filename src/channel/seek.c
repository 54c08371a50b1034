/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/seek.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "channel/connect.h"
#include "sys/directory.h"
#include "sys/file.h"
#include "sys/unix.h"

enum { LISTING_BYTES = 4096 };

/* ---- the directory ---- */

typedef void entry_fn(void *arg, const char *name, const char *address);

/* Each name that may be a listener's: they begin with its pid. */
static int each_entry(const char *directory, entry_fn *fn, void *arg)
{
	_Alignas(8) char buffer[LISTING_BYTES];
	char address[NAME_BYTES];
	struct sys_name name;
	ssize_t n = 1;
	int fd = sys_open(directory, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	while (n > 0) {
		size_t at = 0;

		n = sys_getdents(fd, buffer, sizeof(buffer));
		while (n > 0 && sys_next_name(buffer, (size_t)n, &at, &name))
			if (name.name[0] >= '0' && name.name[0] <= '9' && strlen(name.name) < FOUND_NAME &&
				snprintf(address, sizeof(address), "%s/%s", directory, name.name) <
					NAME_BYTES)
				fn(arg, name.name, address);
	}
	sys_close(fd);
	return n < 0 ? (int)n : 0;
}

static void remove_dead(void *arg, const char *name, const char *address)
{
	(void)arg;
	(void)name;
	(void)name_free(address);
}

void seek_sweep(const char *directory)
{
	(void)each_entry(directory, remove_dead, NULL);
}

/* ---- opening and closing ---- */

int seek_open(struct as *as, const struct plan *plan, const char *name, struct seek **out)
{
	struct name_place place;
	struct seek *seek;
	int r = name_resolve(name, &place);

	if (r < 0)
		return r;
	seek = calloc(1, sizeof(*seek));
	if (seek == NULL)
		return error_set(-ENOMEM, "no memory to look for listeners");
	seek->as = as;
	seek->plan = *plan;
	memcpy(seek->directory, place.directory, sizeof(seek->directory));
	r = name_make_directory(&place);
	seek->changes = r < 0 ? r : sys_directory_changes(seek->directory);
	seek->epoll = sys_epoll_create();
	r = seek->changes < 0 ? seek->changes : seek->epoll < 0 ? seek->epoll : 0;
	if (r == 0)
		r = sys_epoll_set(seek->epoll, seek->changes, EPOLLIN, 0);
	if (r < 0) {
		(void)error_set(r, "cannot look for listeners in %s: %s", seek->directory, strerror(-r));
		seek_close(seek);
		return r;
	}
	*out = seek;
	return 0;
}

void seek_close(struct seek *seek)
{
	if (seek == NULL)
		return;
	watch_remove(seek->epoll, seek->watch);
	/* First: a child made by fork shares it with its parent, who still needs what is in it. */
	if (seek->epoll >= 0)
		sys_close(seek->epoll);
	for (uint32_t i = 0; i < seek->found_count; i++) {
		if (seek->found[i].socket < 0)
			continue;
		sys_close(seek->found[i].socket);
		channel_close(seek->found[i].lane);
	}
	if (seek->changes >= 0)
		sys_close(seek->changes);
	free(seek);
}

int seek_watch(struct seek *seek, atomic_uint *word)
{
	seek->news = word;
	return watch_add(seek->epoll, WATCH_READABLE, word, &seek->watch);
}

void seek_again(struct seek *seek)
{
	watch_again(seek->epoll, WATCH_READABLE, seek->watch);
}

/* ---- going to them ---- */

static struct found *known(struct seek *seek, const char *name)
{
	for (uint32_t i = 0; i < seek->found_count; i++)
		if (strcmp(seek->found[i].name, name) == 0)
			return &seek->found[i];
	return NULL;
}

static int greet(struct seek *seek, struct found *found)
{
	int r = channel_greet(seek->as, &seek->plan, found->socket, &found->lane);

	if (r < 0)
		return r;
	found->lane->news = seek->news; /* its hub sleeps on one word for all */
	return sys_epoll_set(seek->epoll, found->socket, EPOLLIN | EPOLLRDHUP, 0);
}

/* Who is not listening yet makes another change when it is; whoever is dead refuses. */
static void go_to(void *arg, const char *name, const char *address)
{
	struct seek *seek = arg;
	struct found *found = known(seek, name);

	if (found == NULL && seek->found_count < LANES_MAX) {
		int socket = sys_unix_connect(address);

		if (socket < 0)
			return;
		found = &seek->found[seek->found_count++];
		*found = (struct found){ .socket = socket };
		memcpy(found->name, name, strlen(name));
		if (greet(seek, found) < 0) {
			sys_close(socket);
			channel_close(found->lane);
			seek->found_count--;
			return;
		}
	}
	if (found != NULL)
		found->there = true;
}

/* A name that is gone may come back with another listener behind it. */
static void look(struct seek *seek)
{
	for (uint32_t i = 0; i < seek->found_count; i++)
		seek->found[i].there = false;
	(void)each_entry(seek->directory, go_to, seek);
	for (uint32_t i = seek->found_count; i-- > 0;) {
		struct found *found = &seek->found[i];

		if (!found->there && found->socket < 0 && found->lane == NULL)
			*found = seek->found[--seek->found_count];
	}
}

/* As channel_answered(); afterwards the socket is the lane's, or closed. */
static int ask(struct seek *seek, struct found *found)
{
	int r = channel_answered(found->lane, found->socket);

	if (r == 0 && found->lane->plan.pattern != PATTERN_QUEUE)
		r = error_set(-EPROTOTYPE, "who listens on %s is no queue", found->name);
	if (r == -EAGAIN)
		return r;
	(void)sys_epoll_set(seek->epoll, found->socket, 0, 0);
	if (r < 0) {
		if (found->lane->link_count == 0)
			sys_close(found->socket);
		channel_close(found->lane);
		found->lane = NULL;
		seek->refused++;
	}
	found->socket = -1;
	return r;
}

int seek_next(struct seek *seek, struct channel **lane)
{
	if (sys_directory_changed(seek->changes) || !seek->looked)
		look(seek);
	seek->looked = true;
	for (uint32_t i = 0; i < seek->found_count; i++) {
		struct found *found = &seek->found[i];

		if (found->socket >= 0 && ask(seek, found) == 0) {
			*lane = found->lane;
			return 0;
		}
	}
	return -EAGAIN;
}

void seek_forget(struct seek *seek, const struct channel *lane)
{
	for (uint32_t i = seek->found_count; i-- > 0;) {
		if (seek->found[i].lane != lane)
			continue;
		if (lane->broken != 0)
			seek->found[i].lane = NULL; /* not that one again */
		else
			seek->found[i] = seek->found[--seek->found_count];
	}
	seek->looked = false; /* it may still listen, and take us again */
}
