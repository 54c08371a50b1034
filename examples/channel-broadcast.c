/* SPDX-License-Identifier: Apache-2.0 */
/* One process publishes prices, two others receive every one of them, from where they were written. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

enum { READERS = 2, PRICES = 10000, BATCH = 50 };

static void reader(const char *name)
{
	struct quire_channel *channel;
	struct iovec prices[BATCH];
	uint64_t sum = 0;
	int64_t n;

	assert(quire_channel_connect(
		       NULL, name, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE), &channel) == 0);
	while ((n = quire_channel_peek_batch(channel, prices, BATCH, QUIRE_FOREVER)) > 0) {
		for (int64_t i = 0; i < n; i++)
			sum += *(const uint32_t *)prices[i].iov_base;
		assert(quire_channel_release(channel, (size_t)n) == 0);
	}
	assert(n == -EPIPE); /* the writer has closed, and everything has come */
	assert(sum == (uint64_t)PRICES * (PRICES - 1) / 2);
	quire_channel_close(channel);
	_exit(0);
}

static void publish_one(struct quire_channel *topic, uint32_t cents)
{
	uint32_t *price;

	assert(quire_channel_reserve(topic, sizeof(*price), QUIRE_FOREVER, (void **)&price) == 0);
	*price = cents; /* nothing for nothing: 0 is thought better of */
	assert((cents == 0 ? quire_channel_abandon(topic) : quire_channel_publish(topic, sizeof(*price))) ==
		0);
}

static void publish_batch(struct quire_channel *topic, uint32_t cents)
{
	unsigned char *first;
	size_t stride;

	assert(quire_channel_reserve_batch(
		       topic, sizeof(cents), BATCH, QUIRE_FOREVER, (void **)&first, &stride) == 0);
	for (uint32_t i = 0; i < BATCH; i++)
		*(uint32_t *)(void *)(first + i * stride) = cents + i;
	assert(quire_channel_publish_batch(topic, BATCH) == 0);
}

int main(void)
{
	struct quire_listener *listener;
	struct quire_channel *topic = NULL;
	char name[64];

	snprintf(name, sizeof(name), "@example-%d", (int)getpid());
	assert(quire_channel_listen(NULL, name,
		       QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND, .pattern = QUIRE_CHANNEL_TOPIC),
		       &listener) == 0);
	for (int i = 0; i < READERS; i++)
		if (fork() == 0)
			reader(name);
	assert(quire_channel_gather(listener, READERS, QUIRE_FOREVER, &topic) == READERS);
	for (uint32_t i = 0; i < BATCH; i++)
		publish_one(topic, i);
	for (uint32_t i = BATCH; i < PRICES; i += BATCH)
		publish_batch(topic, i);
	quire_channel_close(topic);
	for (int i = 0, status; i < READERS; i++)
		assert(wait(&status) > 0 && status == 0);
	printf("%d prices went to %d readers, copied by nobody\n", PRICES, READERS);
	return quire_channel_unlisten(listener);
}
