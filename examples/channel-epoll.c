/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop of its own: new clients and their messages arrive through one epoll. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

enum { CLIENTS = 3, MESSAGES = 5000 };

static void client(const char *name)
{
	struct quire_channel *channel;

	assert(quire_channel_connect(
		       NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &channel) == 0);
	for (uint64_t i = 0; i < MESSAGES; i++)
		assert(quire_channel_send(channel, &i, sizeof(i), QUIRE_FOREVER) == sizeof(i));
	quire_channel_close(channel);
	_exit(0);
}

static void watch(int epoll, int fd, struct quire_channel *channel)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = channel };

	assert(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* Until -EAGAIN: that is what makes the descriptor wake us again. Returns false when the client has ended. */
static bool take_all(struct quire_channel *channel, uint64_t *messages)
{
	uint64_t number;
	int64_t n;

	while ((n = quire_channel_recv(channel, &number, sizeof(number), QUIRE_NOW)) == sizeof(number))
		(*messages)++;
	assert(n == -EAGAIN || n == -EPIPE);
	return n == -EAGAIN;
}

int main(void)
{
	struct quire_listener *listener;
	struct epoll_event event;
	uint64_t messages = 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC), ended = 0;
	char name[64];

	snprintf(name, sizeof(name), "@example-%d", (int)getpid());
	assert(quire_channel_listen(
		       NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &listener) == 0);
	watch(epoll, quire_channel_listener_fd(listener), NULL);
	for (int i = 0; i < CLIENTS; i++)
		if (fork() == 0)
			client(name);
	while (ended < CLIENTS) {
		struct quire_channel *channel;

		assert(epoll_wait(epoll, &event, 1, 10000) == 1);
		channel = event.data.ptr;
		if (channel == NULL && quire_channel_accept(listener, QUIRE_NOW, &channel) == 0)
			watch(epoll, quire_channel_fd(channel), channel);
		if (channel != NULL && !take_all(channel, &messages)) {
			quire_channel_close(channel); /* takes its descriptor out of the epoll */
			ended++;
		}
	}
	assert(messages == (uint64_t)CLIENTS * MESSAGES);
	while (wait(NULL) > 0) {
	}
	printf("%llu messages of %d clients in one loop\n", (unsigned long long)messages, CLIENTS);
	return quire_channel_unlisten(listener);
}
