/* SPDX-License-Identifier: Apache-2.0 */
/* A client of channel-server.c: sends a thousand requests and reads the answers. Needs the name of the server. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <quire/quire.h>

int main(int argc, char **argv)
{
	struct quire_channel *channel;
	char request[32], answer[64];

	if (argc < 2) {
		puts("usage: channel-client NAME, where a channel-server runs");
		return 0;
	}
	if (quire_channel_connect(NULL, argv[1],
		    QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_BOTH, .schema = "greetings/1"),
		    &channel) < 0) {
		fprintf(stderr, "%s\n", quire_error_text());
		return 1;
	}
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(request, sizeof(request), "hello %d", i);

		assert(quire_channel_send(channel, request, (size_t)n, QUIRE_FOREVER) == n);
		assert(quire_channel_recv(channel, answer, sizeof(answer), QUIRE_FOREVER) == n + 10);
		assert(memcmp(answer + 10, request, (size_t)n) == 0);
	}
	return quire_channel_close(channel);
}
