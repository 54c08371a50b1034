/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/share.c - descriptors, seals, and mappings sent to other processes.
 *
 * The message of quire_map_send(): 32 bytes and one descriptor. What it says is the sender's word; size and seals are
 * asked of the kernel by the receiver.
 *
 *	offset  size  meaning
 *	     0     8  "QUIREMAP"
 *	     8     4  version, 1
 *	    12     4  0
 *	    16     8  offset of the first byte in the file, little-endian
 *	    24     8  length in bytes
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "api/handle.h"
#include "base/align.h"
#include "base/error.h"
#include "object/file.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "sys/uapi.h"

struct message {
	char magic[8];
	uint32_t version;
	uint32_t zero;
	uint64_t offset;
	uint64_t length;
};

_Static_assert(sizeof(struct message) == 32, "as drawn above");

static const char magic[8] = { 'Q', 'U', 'I', 'R', 'E', 'M', 'A', 'P' };
enum { MESSAGE_VERSION = 1 };

static int need_file(const struct quire_map *map)
{
	if (map == NULL)
		return error_set(-EINVAL, "no mapping was given");
	if (map->file == NULL)
		return error_set(
			-EINVAL, "anonymous memory has no descriptor: use QUIRE_MEMFD (quire_map_shared)");
	return 0;
}

int quire_map_fd(struct quire *quire, int fd, const struct quire_map_options *options, struct quire_map **map)
{
	struct quire_map_options all = { .size = sizeof(all), .sharing = QUIRE_SHARED };
	int flags;

	error_clear();
	if (fd < 0)
		return error_set(-EBADF, "%d is no descriptor", fd);
	if (options == NULL) {
		flags = sys_status_flags(fd);
		if (flags < 0)
			return error_set(flags, "descriptor %d is not open", fd);
		all.protection = (flags & O_ACCMODE) == O_RDWR ? QUIRE_READ | QUIRE_WRITE : QUIRE_READ;
		options = &all;
	}
	return map_open(quire, fd, options, map);
}

int quire_map_export(const struct quire_map *map, int *fd)
{
	int r;

	error_clear();
	r = need_file(map);
	if (r < 0 || fd == NULL)
		return r < 0 ? r : error_set(-EINVAL, "nowhere to put the descriptor");
	return file_duplicate(map->file, fd);
}

int quire_map_send(const struct quire_map *map, int socket)
{
	struct message message = { .version = MESSAGE_VERSION };
	ssize_t n;
	int r;

	error_clear();
	r = need_file(map);
	if (r < 0)
		return r;
	memcpy(message.magic, magic, sizeof(magic));
	message.offset = map->offset;
	message.length = map->length;
	n = sys_send_fds(socket, &message, sizeof(message), &map->file->window.fd, 1);
	if (n == -ENOTSOCK || n == -EOPNOTSUPP)
		return error_set(-EINVAL, "descriptor %d is not a Unix socket", socket);
	if (n < 0)
		return error_set((int)n, "cannot send the mapping: %s", strerror((int)-n));
	return n == sizeof(message)
		? 0
		: error_set(-EAGAIN, "the socket took %zd of %zu bytes", n, sizeof(message));
}

/* Everything a peer can get wrong. */
static int message_check(const struct message *message, ssize_t n, unsigned int fd_count)
{
	if (n == 0)
		return error_set(-EPIPE, "the sender closed the socket without sending a mapping");
	if (n != sizeof(*message) || fd_count != 1)
		return error_set(-EBADMSG,
			"%zd bytes and %u descriptors came: not a message of quire_map_send", n, fd_count);
	if (memcmp(message->magic, magic, sizeof(magic)) != 0 || message->zero != 0)
		return error_set(-EBADMSG, "the message is not one of quire_map_send");
	if (message->version != MESSAGE_VERSION)
		return error_set(
			-EBADMSG, "the message has version %u, this library knows 1", message->version);
	return 0;
}

static const struct {
	unsigned int quire;
	unsigned int kernel;
} seal_bits[] = {
	{ QUIRE_SEAL_SHRINK, F_SEAL_SHRINK },
	{ QUIRE_SEAL_GROW, F_SEAL_GROW },
	{ QUIRE_SEAL_WRITE, F_SEAL_WRITE },
	{ QUIRE_SEAL_FUTURE_WRITE, F_SEAL_FUTURE_WRITE },
	{ QUIRE_SEAL_EXEC, F_SEAL_EXEC },
	{ QUIRE_SEAL_SEAL, F_SEAL_SEAL },
};

static const unsigned int all_seals = (QUIRE_SEAL_SEAL << 1) - 1;

static unsigned int seals_from_kernel(unsigned int kernel)
{
	unsigned int seals = 0;

	for (size_t i = 0; i < ARRAY_COUNT(seal_bits); i++)
		if ((kernel & seal_bits[i].kernel) != 0)
			seals |= seal_bits[i].quire;
	return seals;
}

static unsigned int seals_to_kernel(unsigned int seals)
{
	unsigned int kernel = 0;

	for (size_t i = 0; i < ARRAY_COUNT(seal_bits); i++)
		if ((seals & seal_bits[i].quire) != 0)
			kernel |= seal_bits[i].kernel;
	return kernel;
}

static int demand_seals(int fd, unsigned int seals)
{
	unsigned int demanded = seals_to_kernel(seals);
	int got = sys_get_seals(fd);

	if ((seals & ~all_seals) != 0)
		return error_set(-EINVAL, "seals 0x%x", seals);
	if (seals == 0)
		return 0;
	if (got < 0 || ((unsigned int)got & demanded) != demanded)
		return error_set(-EPERM, "seals 0x%x were demanded, the descriptor carries 0x%x", seals,
			got < 0 ? 0U : seals_from_kernel((unsigned int)got));
	return 0;
}

static int map_received(struct quire *quire, int fd, const struct message *message,
	const struct quire_map_options *options, struct quire_map **map)
{
	struct quire_map_options o = { .size = sizeof(o) };
	int flags = sys_status_flags(fd);
	int seals = sys_get_seals(fd);
	struct stat stat;
	uint64_t end;
	int r;

	if (options != NULL) {
		r = options_copy(&o, sizeof(o), options, "quire_map_receive");
		if (r < 0)
			return r;
	}
	r = sys_fstat(fd, &stat);
	if (r < 0 || flags < 0)
		return error_set(-EBADMSG, "the descriptor that came cannot be asked about");
	if (!add_fits(message->offset, message->length, &end) || end > (uint64_t)stat.st_size)
		return error_set(-ERANGE,
			"the sender speaks of %" PRIu64 " bytes at %" PRIu64 ", the file has %" PRIu64,
			message->length, message->offset, (uint64_t)stat.st_size);

	o.size = sizeof(o);
	if (o.offset == 0 && o.length == 0) {
		o.offset = message->offset;
		o.length = message->length;
	}
	if (o.protection == QUIRE_PROTECTION_DEFAULT) {
		bool read_only = seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;

		o.protection = (flags & O_ACCMODE) == O_RDWR && !read_only ? QUIRE_READ | QUIRE_WRITE
									   : QUIRE_READ;
	}
	if (o.guard == QUIRE_GUARD_DEFAULT && (seals < 0 || (seals & F_SEAL_SHRINK) == 0))
		o.guard = QUIRE_GUARD_ZEROS; /* a stranger can cut it under us */
	return map_open(quire, fd, &o, map);
}

int quire_map_receive(struct quire *quire, int socket, unsigned int seals,
	const struct quire_map_options *options, struct quire_map **map)
{
	struct message message = { .version = 0 };
	unsigned int fd_count = 1;
	int fd = -1;
	ssize_t n;
	int r;

	error_clear();
	n = sys_receive_fds(socket, &message, sizeof(message), &fd, &fd_count);
	if (n == -EMSGSIZE)
		return error_set(-EBADMSG,
			"the message is longer, or has more descriptors, than one of quire_map_send");
	if (n < 0)
		return error_set((int)n, "cannot receive a mapping: %s", strerror((int)-n));
	r = message_check(&message, n, fd_count);
	if (r == 0)
		r = demand_seals(fd, seals);
	if (r == 0)
		r = map_received(quire, fd, &message, options, map);
	if (fd_count == 1)
		sys_close(fd);
	return r;
}

/* ---- seals ---- */

int quire_map_seal(struct quire_map *map, unsigned int seals)
{
	int r;

	error_clear();
	r = need_file(map);
	if (r < 0)
		return r;
	if (seals == 0 || (seals & ~all_seals) != 0)
		return error_set(-EINVAL, "seals 0x%x", seals);
	r = file_add_seals(map->file, seals_to_kernel(seals));
	if (r == -EPERM)
		return error_set(
			r, "not sealable: make it with QUIRE_SEALABLE, before QUIRE_SEAL_SEAL is set");
	if (r == -EBUSY)
		return error_set(r,
			"QUIRE_SEAL_WRITE while writable shared mappings exist (this one?): unmap them, or use "
			"QUIRE_SEAL_FUTURE_WRITE");
	if (r == -EINVAL && (seals & QUIRE_SEAL_EXEC) != 0 && file_get_seals(map->file, &seals) == 0)
		return error_set(-ENOTSUP, "this kernel does not know QUIRE_SEAL_EXEC (Linux 6.3)");
	if (r < 0)
		return error_set(-EINVAL, "only a memfd can be sealed");
	if ((seals & QUIRE_SEAL_SHRINK) != 0)
		map->file->window.can_shrink = false;
	return 0;
}

int quire_map_seals(const struct quire_map *map, unsigned int *seals)
{
	unsigned int kernel;
	int r;

	error_clear();
	r = need_file(map);
	if (r < 0)
		return r;
	if (seals == NULL || file_get_seals(map->file, &kernel) < 0)
		return error_set(-EINVAL, "only a memfd carries seals");
	*seals = seals_from_kernel(kernel);
	return 0;
}
