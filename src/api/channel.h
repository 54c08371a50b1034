/* SPDX-License-Identifier: Apache-2.0 */
/* api/channel.h - what the opaque handles of channels are made of. Known to api/channel*.c only. */
#ifndef API_CHANNEL_H
#define API_CHANNEL_H

#include <quire/channel.h>

#include "channel/channel.h"
#include "channel/connect.h"
#include "channel/hub.h"
#include "channel/listener.h"

struct quire_map;

struct quire_listener {
	struct quire *quire;
	struct listener *listener;
	struct quire_channel *gathered; /* made by quire_channel_gather(), and still open */
};

/* Either a channel with one segment of its own, or a hub of lanes. */
struct quire_channel {
	struct channel *sends; /* = one, when it sends: so that the fast path asks one question */
	struct channel
		*receives; /* = one, when it receives messages; what is looked at in a stream is asked more */
	uint32_t mark;
	struct channel *one;
	struct hub *hub;
	uint32_t role;
	struct quire *quire;
	struct quire_listener *listener; /* gathered: where its clients come from */
	struct quire_map *views[2];      /* own, peer */
};

static inline bool channel_is(const struct quire_channel *channel)
{
	return channel != NULL && fork_is_mine(channel->mark);
}

/* 0, -EINVAL or -ECHILD with a sentence: may this handle do that? */
int channel_may(const struct quire_channel *channel, uint32_t role);

#endif
