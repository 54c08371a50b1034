/* SPDX-License-Identifier: Apache-2.0 */
/* Memory handed to another process over a Unix socket: sealed, so that the receiver need not trust the sender. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

static const unsigned int sealed = QUIRE_SEAL_SHRINK | QUIRE_SEAL_GROW | QUIRE_SEAL_FUTURE_WRITE;

static int receiver(int socket)
{
	struct quire_map *map;
	unsigned int seals;

	assert(quire_map_receive(NULL, socket, QUIRE_SEAL_SHRINK,
		       QUIRE_OPTIONS(map, .protection = QUIRE_READ), &map) == 0);
	assert(quire_map_seals(map, &seals) == 0 && (seals & sealed) == sealed);
	assert(strcmp(quire_map_address(map), "for your eyes") == 0);
	printf("received %zu bytes: %s\n", quire_map_length(map), (char *)quire_map_address(map));
	return quire_unmap(map);
}

int main(void)
{
	struct quire_map *map, *again;
	int ends[2], fd, status;

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	fflush(stdout);
	if (fork() == 0) {
		close(ends[0]);
		return receiver(ends[1]);
	}
	close(ends[1]);

	assert(quire_map_shared(NULL, "letter", 1 << 16, &map) == 0);
	memcpy(quire_map_address(map), "for your eyes", 14);
	assert(quire_map_seal(map, sealed) == 0);
	assert(quire_map_resize(map, 1 << 17, 0) == -EPERM);
	assert(quire_map_send(map, ends[0]) == 0);
	assert(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);

	/* A descriptor of it, for a program's own ways to send it. */
	assert(quire_map_export(map, &fd) == 0);
	assert(quire_map_fd(NULL, fd, QUIRE_OPTIONS(map, .protection = QUIRE_READ), &again) == 0);
	assert(close(fd) == 0 && strcmp(quire_map_address(again), "for your eyes") == 0);
	assert(quire_unmap(again) == 0 && quire_unmap(map) == 0);
	return 0;
}
