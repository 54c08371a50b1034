/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers each request of each client; one channel, two rings, for each of them. Without argument it
 * starts its clients itself (channel-client.c beside it), serves them, and ends. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

enum { CLIENTS = 3 };

extern char **environ;

/* Answers "hello N" with "you said: hello N" until the client has closed. */
static unsigned int serve(struct quire_channel *channel)
{
	unsigned int answered = 0;
	const void *request;
	int64_t n;

	while ((n = quire_channel_peek(channel, QUIRE_FOREVER, &request)) >= 0) {
		const struct iovec parts[] = {
			{ .iov_base = (void *)(uintptr_t) "you said: ", .iov_len = 10 },
			{ .iov_base = (void *)(uintptr_t)request, .iov_len = (size_t)n },
		};

		assert(quire_channel_sendv(channel, parts, 2, QUIRE_FOREVER) == n + 10);
		assert(quire_channel_release(channel, 1) == 0);
		answered++;
	}
	assert(n == -EPIPE); /* -EOWNERDEAD: it was killed; its last request may be missing, none is torn */
	return answered;
}

static void describe(struct quire_channel *channel, unsigned int answered)
{
	struct quire_channel_stat stat = { .size = sizeof(stat) };
	struct quire_map *map;

	assert(quire_channel_stat(channel, &stat) == 0);
	assert(quire_channel_map(channel, QUIRE_CHANNEL_SEND, &map) == 0);
	printf("process %d of user %u: %u requests answered through %zu bytes of addresses\n",
		(int)stat.peer_pid, (unsigned int)stat.peer_uid, answered, quire_map_length(map));
}

int main(int argc, char **argv)
{
	struct quire_listener *listener;
	char name[64], client[4096];
	char *arguments[] = { client, name, NULL };
	pid_t pid;

	(void)argc;
	snprintf(name, sizeof(name), "@example-%d", (int)getpid());
	snprintf(client, sizeof(client), "%.*schannel-client",
		(int)(strlen(argv[0]) - strlen("channel-server")), argv[0]);
	assert(quire_channel_listen(NULL, name,
		       QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_BOTH, .schema = "greetings/1"),
		       &listener) == 0);
	for (int i = 0; i < CLIENTS; i++) {
		struct quire_channel *channel;

		assert(posix_spawn(&pid, client, NULL, NULL, arguments, environ) == 0);
		assert(quire_channel_accept(listener, QUIRE_FOREVER, &channel) == 0);
		describe(channel, serve(channel));
		quire_channel_close(channel);
		assert(waitpid(pid, NULL, 0) == pid);
	}
	return quire_channel_unlisten(listener) == 0 ? 0 : 1;
}
