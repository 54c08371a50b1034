/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/hello.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "sys/file.h"
#include "sys/futex.h"
#include "sys/socket.h"

static bool registered;

static void register_once(void)
{
	registered = sys_barrier_register() == 0;
}

/* Registration is inherited by fork children, so once is enough there too. */
bool hello_barrier(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, register_once);
	return registered && sys_barrier() == 0;
}

void hello_fill(struct hello *hello, const struct plan *plan, bool barrier)
{
	*hello = (struct hello){
		.major = LAYOUT_MAJOR,
		.minor = LAYOUT_MINOR,
		.flags = barrier ? HELLO_BARRIER : 0,
		.role = plan->role,
		.mode = plan->mode,
		.pattern = plan->pattern,
		.policy = plan->policy,
	};
	memcpy(hello->magic, LAYOUT_MAGIC, sizeof(hello->magic));
	memcpy(hello->schema, plan->schema, sizeof(hello->schema));
}

int hello_send(int socket, const struct hello *hello, int fd)
{
	ssize_t n = sys_send_fds(socket, hello, sizeof(*hello), &fd, fd < 0 ? 0 : 1);

	if (n == sizeof(*hello))
		return 0;
	return n < 0 ? (int)n : -EPIPE;
}

int hello_receive(int socket, struct hello *hello, int *fd, pid_t *sender)
{
	unsigned int fd_count = 1;
	int got = -1;
	ssize_t n = sys_receive_fds_from(socket, hello, sizeof(*hello), &got, &fd_count, sender);

	if (n == -EMFILE)
		return error_set(
			-EMFILE, "too many open files to take the other side's memory: see ulimit -n");
	if (n < 0)
		return (int)n;
	if (n == sizeof(*hello) && memcmp(hello->magic, LAYOUT_MAGIC, sizeof(hello->magic)) == 0) {
		hello->schema[LAYOUT_TEXT - 1] = '\0';
		*fd = fd_count == 1 ? got : -1;
		return 0;
	}
	if (fd_count == 1)
		sys_close(got);
	return n == 0 ? -EPIPE : error_set(-EBADMSG, "what came is no greeting of a channel");
}

static const char *role_word(uint32_t role)
{
	static const char *const words[] = { "does nothing", "sends", "receives", "sends and receives" };

	return role <= ROLE_BOTH ? words[role] : "is of an unknown role";
}

int hello_fits(const struct hello *theirs, const struct plan *ours)
{
	uint32_t counterpart = ours->role == ROLE_BOTH ? (uint32_t)ROLE_BOTH
						       : (uint32_t)ROLE_BOTH ^ ours->role;

	if (theirs->major != LAYOUT_MAJOR)
		return error_set(-EPROTONOSUPPORT,
			"the other side speaks version %u of the channel's layout, this library version %d: both "
			"programs need the same major version of Quire",
			theirs->major, LAYOUT_MAJOR);
	if (theirs->role != counterpart)
		return error_set(-EPROTOTYPE, "both sides want the same: this one %s, the other one %s",
			role_word(ours->role), role_word(theirs->role));
	if (theirs->mode != ours->mode)
		return error_set(-EPROTOTYPE, "one side sends messages, the other one a stream of bytes");
	if (strcmp(theirs->schema, ours->schema) != 0)
		return error_set(-EPROTOTYPE, "the other side's schema is '%s', ours is '%s'", theirs->schema,
			ours->schema);
	return 0;
}
