/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/channel.h - messages between processes through shared memory.
 *
 * One process listens on a name, others connect; the kernel hands the descriptors of the shared memory over and tells
 * both sides who the other one is. From then on messages move without system calls, and whoever has nothing to do sleeps.
 *
 *	writer                                          reader
 *	quire_channel_reserve -> memory in the ring
 *	    ... the program writes there ...
 *	quire_channel_publish  ---- one store --------> quire_channel_peek -> the same memory, read-only
 *	                                                    ... the program reads there ...
 *	                       <--- room ------------  quire_channel_release
 *
 * quire_channel_send() and quire_channel_recv() do the same with a copy at each end.
 *
 * Deadlines are absolute: nanoseconds of CLOCK_MONOTONIC, QUIRE_NOW (do not wait) or QUIRE_FOREVER.
 *
 * A handle may be used by one thread for sending and one for receiving at a time. In a child made by fork every call on
 * a parent's handle returns -ECHILD, but quire_channel_close().
 */
#ifndef QUIRE_CHANNEL_H
#define QUIRE_CHANNEL_H

#include <quire/base.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Deadlines: do not wait at all; wait as long as it takes. */
#define QUIRE_NOW ((uint64_t)0)
#define QUIRE_FOREVER UINT64_MAX

/* In an access list: any user, any group. */
#define QUIRE_ANYBODY UINT32_MAX

struct quire_channel;
struct quire_listener;

/**
 * enum quire_channel_role - what this side does
 * @QUIRE_CHANNEL_SEND: it writes, the other side reads
 * @QUIRE_CHANNEL_RECEIVE: it reads, the other side writes
 * @QUIRE_CHANNEL_BOTH: both write and read: one ring for each direction
 *
 * Since: 0.1   See: quire_channel_connect(3), quire_channel_listen(3)
 */
enum quire_channel_role {
	QUIRE_CHANNEL_SEND = 1,
	QUIRE_CHANNEL_RECEIVE = 2,
	QUIRE_CHANNEL_BOTH = 3,
};

/**
 * enum quire_channel_mode - what goes over a channel; both sides must name the same
 * @QUIRE_CHANNEL_MESSAGES: messages of any length up to that of the ring; each arrives whole and in one piece
 * @QUIRE_CHANNEL_STREAM: bytes; what is sent may be of any length and arrives in other pieces
 *
 * Since: 0.1   See: quire_channel_connect(3)
 */
enum quire_channel_mode {
	QUIRE_CHANNEL_MESSAGES = 0,
	QUIRE_CHANNEL_STREAM = 1,
};

/**
 * enum quire_channel_pattern - who talks with whom; the listener decides
 * @QUIRE_CHANNEL_PAIR: each client has a channel of its own with the listener (quire_channel_accept)
 * @QUIRE_CHANNEL_QUEUE: each message goes to one: many clients send and the listener receives, or the listener sends and
 *	each message goes to one of many clients. Where the name ends in '/', many listen and each client has all of them:
 *	many write and many read. A reader gets what one writer has sent it in the order in which it was sent. Each end has
 *	up to 126 at the other one
 * @QUIRE_CHANNEL_TOPIC: each message goes to all: the listener sends, every client receives everything from the moment it
 *	connects
 *
 * Since: 0.1   See: quire_channel_gather(3)
 */
enum quire_channel_pattern {
	QUIRE_CHANNEL_PAIR = 0,
	QUIRE_CHANNEL_QUEUE = 1,
	QUIRE_CHANNEL_TOPIC = 2,
};

/**
 * enum quire_channel_policy - what the writer of a topic does when the slowest reader has left no room
 * @QUIRE_CHANNEL_BLOCK: waits for it
 * @QUIRE_CHANNEL_DROP_SLOWEST: disconnects it and writes on; what it had not read is gone, and it is told so by -ENOBUFS
 * @QUIRE_CHANNEL_LOSSY: writes on, never waits; who was overtaken goes on with newer messages and knows exactly how many
 *	it has lost (quire_channel_stat)
 *
 * Since: 0.1   See: quire_channel_listen(3)
 */
enum quire_channel_policy {
	QUIRE_CHANNEL_BLOCK = 0,
	QUIRE_CHANNEL_DROP_SLOWEST = 1,
	QUIRE_CHANNEL_LOSSY = 2,
};

/**
 * struct quire_channel_right - one line of a listener's access list
 * @uid: of the client, or QUIRE_ANYBODY
 * @gid: one of the client's groups, or QUIRE_ANYBODY
 * @may: bits of enum quire_channel_role: what such a client may do
 * @reserved: 0
 *
 * Since: 0.1   See: quire_channel_listen(3)
 */
struct quire_channel_right {
	uint32_t uid;
	uint32_t gid;
	uint32_t may;
	uint32_t reserved;
};

/**
 * struct quire_channel_options - how to listen or connect
 * @size: sizeof(struct quire_channel_options), set by QUIRE_OPTIONS
 * @role: an enum quire_channel_role of this side; must be given
 * @mode: an enum quire_channel_mode
 * @pattern: an enum quire_channel_pattern; listener only
 * @policy: an enum quire_channel_policy; the listener of a topic only
 * @ring_bytes: capacity of the ring this side writes; a power of two, 4 KiB to 1 TiB; 0: 1 MiB. A message takes its
 *	length, 8 bytes, and padding to 8; the longest has 16 bytes less than the ring
 * @huge: 1: huge pages of 2 MiB for this side's memory, or -ENOMEM
 * @permissions: of the socket's file, as in chmod(2), 0777 at most; listener only; 0: 0600
 * @rights: access list, checked against the credentials the kernel has for the client; listener only; NULL: the same
 *	user, and root
 * @right_count: its length
 * @schema: up to 63 bytes that both sides must give alike; NULL: none
 * @fd: a listening Unix socket of type SOCK_SEQPACKET that was inherited, plus 1; 0: none, the name says where
 * @deadline_ns: for quire_channel_connect(); 0: as long as it takes
 * @spin_ns: how long this side may look for an answer before it sleeps, at most; it finds out by itself what is worth it;
 *	0: 100 us; 1: it sleeps at once, which is right where others need the processor
 *
 * Since: 0.1   See: quire_channel_connect(3), quire_channel_listen(3)
 */
struct quire_channel_options {
	size_t size;
	uint32_t role;
	uint32_t mode;
	uint32_t pattern;
	uint32_t policy;
	uint64_t ring_bytes;
	uint32_t huge;
	uint32_t permissions;
	const struct quire_channel_right *rights;
	size_t right_count;
	const char *schema;
	int32_t fd;
	uint32_t reserved;
	uint64_t deadline_ns;
	uint64_t spin_ns;
};

/**
 * quire_channel_listen - offer a channel under a name
 * @quire: the address space, or NULL
 * @name: without '/': the socket is $XDG_RUNTIME_DIR/quire/NAME, or abstract (@quire-UID/NAME) where there is no such
 *	directory; "@name" is an abstract socket; with '/' it is the path of the socket; with '/' at its end
 *	("jobs/", "/srv/jobs/") it is a directory, where many listen to one queue
 * @options: what is offered, and to whom
 * @listener: out: to be given back with quire_channel_unlisten()
 *
 * In a directory each listener has a socket of its own, and a client that connects to the directory's name has all of
 * them, also those who come later: a queue with many at both ends and nobody in the middle. In $XDG_RUNTIME_DIR the
 * directory is made when it is missing.
 *
 * A name whose owner was killed is taken over. Who may connect is decided twice: by the permissions of the socket's file
 * and its directory, and by the access list.
 *
 * Threads: any. Blocks: no. Memory: some KiB. Signals: none.
 * Returns: 0, or
 *   -EINVAL       an option is out of range
 *   -E2BIG        the options struct is newer than this library
 *   -EADDRINUSE   another process listens there
 *   -EEXIST       a file that is no socket stands there
 *   -EBUSY        another program keeps the directory locked
 *   -EACCES       no permission to make the socket
 *   -ENOENT       its directory does not exist
 *   -ENAMETOOLONG the path of the socket has more than 107 bytes
 *   -EMFILE       too many open files
 *   -ENOMEM       no memory
 *   -ECHILD       never here; see the other functions
 * Since: 0.1   Example: examples/channel-queue.c   Source: docs/channel.md   See: quire_channel_accept(3), quire_channel_gather(3)
 */
QUIRE_API int quire_channel_listen(struct quire *quire, const char *name,
	const struct quire_channel_options *options, struct quire_listener **listener);

/**
 * quire_channel_unlisten - take a name away
 * @listener: from quire_channel_listen(), or NULL
 *
 * Channels that were accepted go on.
 *
 * Threads: any, when no other thread uses it. Blocks: no. Memory: freed. Signals: none.
 * Returns: 0, or
 *   -EBUSY   quire_channel_gather() has made a channel that is still open
 * Since: 0.1   Example: examples/channel-server.c   See: quire_channel_listen(3)
 */
QUIRE_API int quire_channel_unlisten(struct quire_listener *listener);

/**
 * quire_channel_listener_fd - a descriptor for epoll: readable when a client may be there
 * @listener: the listener
 *
 * Call quire_channel_accept() with QUIRE_NOW until -EAGAIN, then wait for it.
 *
 * Threads: any. Blocks: no. Memory: one descriptor. Signals: none.
 * Returns: the descriptor, valid until quire_channel_unlisten()
 *   -EINVAL   no listener
 *   -EMFILE   too many open files
 * Since: 0.1   Example: examples/channel-epoll.c   See: quire_channel_accept(3)
 */
QUIRE_API int quire_channel_listener_fd(struct quire_listener *listener);

/**
 * quire_channel_accept - the channel with the next client
 * @listener: a listener of pairs
 * @deadline_ns: when to give up
 * @channel: out: to be given back with quire_channel_close()
 *
 * Clients that are not on the access list, speak another version or do not fit are refused, told why, and not returned.
 *
 * Threads: one at a time on a listener. Blocks: until a client comes, or the deadline. Memory: two rings at most, and 16
 * KiB; the listener keeps one more ring ready once a client has come that says nothing. The first channel of a process starts a thread that watches for dead peers; it blocks all signals and ends with
 * the last channel. Signals: none.
 * Returns: 0, or
 *   -EAGAIN    QUIRE_NOW, and nobody is there
 *   -ETIMEDOUT nobody came before the deadline
 *   -EINVAL    the listener is one of a queue or topic: use quire_channel_gather()
 *   -ENOMEM    no memory
 *   -EMFILE    a client is there, and too many files are open to take it in; it was told so, or waits
 *   -ENFILE    the same, of the whole machine
 *   -ECHILD    the listener belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-server.c   See: quire_channel_listen(3)
 */
QUIRE_API int quire_channel_accept(
	struct quire_listener *listener, uint64_t deadline_ns, struct quire_channel **channel);

/**
 * quire_channel_gather - one channel with all clients, present and future
 * @listener: a listener of a queue or a topic
 * @count: wait until so many clients are there; 0: do not wait
 * @deadline_ns: when to give up waiting for them
 * @channel: in, out: NULL at the first call, which makes it; later calls wait for clients
 *
 * Clients come in and go while the channel is used; nothing has to be called for them.
 *
 * Threads: the one that uses the channel. Blocks: until the clients are there. Memory: a ring, and 16 KiB a client.
 * Signals: none.
 * Returns: how many clients are there now, or
 *   -EAGAIN    QUIRE_NOW, and fewer are there
 *   -ETIMEDOUT fewer came before the deadline
 *   -EINVAL    the listener is one of pairs, or .role is wrong for the pattern
 *   -EBUSY     the listener has a channel already
 *   -ENOMEM    no memory
 *   -EMFILE    a client is there, and too many files are open to take it in
 *   -ECHILD    the listener belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_listen(3)
 */
QUIRE_API int quire_channel_gather(struct quire_listener *listener, uint32_t count, uint64_t deadline_ns,
	struct quire_channel **channel);

/**
 * quire_channel_connect - a channel with who listens on a name
 * @quire: the address space, or NULL
 * @name: as quire_channel_listen()
 * @options: what this side does
 * @channel: out: to be given back with quire_channel_close()
 *
 * With the name of a directory (see quire_channel_listen()) it waits for the first listener there; others may come and go.
 *
 * Threads: any. Blocks: until the listener has answered, or .deadline_ns. Memory: as quire_channel_accept(). Signals:
 * none.
 * Returns: 0, or
 *   -EINVAL          an option is out of range
 *   -E2BIG           the options struct is newer than this library
 *   -ENOENT          nobody listens there
 *   -EACCES          the socket's permissions or the access list say no; or another user listens under an abstract name
 *                    in place of $XDG_RUNTIME_DIR
 *   -EPROTONOSUPPORT the other side speaks another version of the layout
 *   -EPROTOTYPE      role, mode or schema do not fit
 *   -EPERM           the other side's memory is not sealed
 *   -EBADMSG         the other side is no channel
 *   -ECONNREFUSED    the listener went away
 *   -ETIMEDOUT       no answer before the deadline
 *   -ENAMETOOLONG    the path of the socket has more than 107 bytes
 *   -EUSERS          the queue has as many clients as it can have: 126
 *   -EMFILE          too many open files, here or at the listener
 *   -ENOMEM          no memory
 * Since: 0.1   Example: examples/channel-client.c   See: quire_channel_listen(3)
 */
QUIRE_API int quire_channel_connect(struct quire *quire, const char *name,
	const struct quire_channel_options *options, struct quire_channel **channel);

/**
 * quire_channel_close - end a conversation
 * @channel: the channel, or NULL
 *
 * The other side gets everything that was published, and then -EPIPE. What was reserved and not published is gone.
 *
 * Threads: any, when no other thread uses it. Blocks: no. Memory: freed. Signals: none.
 * Returns: 0
 *   -EINVAL   never
 * Since: 0.1   Example: examples/channel-server.c   See: quire_channel_connect(3)
 */
QUIRE_API int quire_channel_close(struct quire_channel *channel);

/**
 * quire_channel_reserve - memory in the ring for the next message
 * @channel: a channel that sends
 * @bytes: at most so many will be written
 * @deadline_ns: when to give up waiting for room
 * @record: out: where to write; 8 bytes behind a multiple of 8; valid until publish, abandon or the next reserve
 *
 * A queue or topic with many clients goes on without the one that closes, dies or breaks the protocol: the three errors
 * below are for who has one peer.
 *
 * Threads: one at a time for each direction. Blocks: while the ring is full. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EAGAIN     QUIRE_NOW, and the ring is full
 *   -ETIMEDOUT  the ring was full until the deadline
 *   -EMSGSIZE   longer than the ring
 *   -EPIPE      the other side has closed the channel
 *   -EOWNERDEAD the other side died
 *   -EPROTO     the other side has broken the protocol; the channel is of no use any more
 *   -EINVAL     the channel does not send
 *   -ECHILD     the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_publish(3), quire_channel_abandon(3)
 */
QUIRE_API int quire_channel_reserve(
	struct quire_channel *channel, size_t bytes, uint64_t deadline_ns, void **record);

/**
 * quire_channel_publish - let the reserved message be seen
 * @channel: with a reserved message
 * @bytes: how many of the reserved bytes it has
 *
 * Threads: as quire_channel_reserve(). Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL   nothing is reserved, or fewer bytes
 *   -ECHILD   the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_reserve(3)
 */
QUIRE_API int quire_channel_publish(struct quire_channel *channel, size_t bytes);

/**
 * quire_channel_abandon - give reserved memory back unseen
 * @channel: with something reserved
 *
 * Threads: as quire_channel_reserve(). Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL   nothing is reserved
 *   -ECHILD   the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_reserve(3)
 */
QUIRE_API int quire_channel_abandon(struct quire_channel *channel);

/**
 * quire_channel_reserve_batch - memory for several messages of one length
 * @channel: a channel that sends
 * @bytes: length of each
 * @count: how many
 * @deadline_ns: when to give up waiting for room for all
 * @first: out: where the first goes; each stands @stride bytes behind the one before
 * @stride: out: in bytes
 *
 * Threads: as quire_channel_reserve(). Blocks: while there is no room for all. Memory: none. Signals: none.
 * Returns: 0, or as quire_channel_reserve()
 *   -EMSGSIZE   together longer than the ring
 *   -EINVAL     count is 0, or the channel does not send
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_publish_batch(3)
 */
QUIRE_API int quire_channel_reserve_batch(struct quire_channel *channel, size_t bytes, size_t count,
	uint64_t deadline_ns, void **first, size_t *stride);

/**
 * quire_channel_publish_batch - let reserved messages be seen, all at once
 * @channel: with reserved messages
 * @count: the first so many of them; the others are given back
 *
 * A reader sees all or none: a writer that dies in between has published nothing.
 *
 * Threads: as quire_channel_reserve(). Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL   fewer are reserved
 *   -ECHILD   the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_reserve_batch(3)
 */
QUIRE_API int quire_channel_publish_batch(struct quire_channel *channel, size_t count);

/**
 * quire_channel_peek - the next message, where it lies
 * @channel: a channel that receives
 * @deadline_ns: when to give up waiting
 * @record: out: the message, valid until it is released
 *
 * Messages are looked at one after the other and given back in the same order; what is not given back takes room. The
 * memory is the writer's: a hostile one may change it while it is looked at, so copy before you check, and check before
 * you use, unless you trust the writer. A queue with many clients goes on without the one that closes, dies or breaks the
 * protocol: those three errors are for who has one peer.
 *
 * Threads: one at a time for each direction. Blocks: while nothing is there. Memory: none. Signals: none.
 * Returns: the length in bytes, or
 *   -EAGAIN     QUIRE_NOW, and nothing is there
 *   -ETIMEDOUT  nothing came before the deadline
 *   -EPIPE      the other side has closed the channel, and everything was delivered
 *   -EOWNERDEAD the other side died, and everything it had published was delivered
 *   -ENOBUFS    the topic's writer has dropped this reader as too slow
 *   -EPROTO     the other side has broken the protocol; the channel is of no use any more
 *   -EBUSY      stream mode: quire_channel_recv() has left bytes of a piece, which come first
 *   -EINVAL     the channel does not receive
 *   -ECHILD     the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_release(3)
 */
QUIRE_API int64_t quire_channel_peek(
	struct quire_channel *channel, uint64_t deadline_ns, const void **record);

/**
 * quire_channel_peek_batch - the next messages, where they lie
 * @channel: a channel that receives
 * @records: out: so many are filled in
 * @count: at most so many
 * @deadline_ns: when to give up waiting for the first
 *
 * Threads: as quire_channel_peek(). Blocks: while nothing is there. Memory: none. Signals: none.
 * Returns: how many, at least 1, or as quire_channel_peek()
 *   -EINVAL     count is 0, or the channel does not receive
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_release(3)
 */
QUIRE_API int64_t quire_channel_peek_batch(
	struct quire_channel *channel, struct iovec *records, size_t count, uint64_t deadline_ns);

/**
 * quire_channel_release - give messages back
 * @channel: with messages that were looked at
 * @count: the oldest so many
 *
 * The writer learns of the room an eighth of the ring at a time, and whenever the reader finds nothing more to read.
 *
 * Threads: as quire_channel_peek(). Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL   fewer are held
 *   -ESTALE   topic: the writer waits for nobody and has overwritten them meanwhile; what was read may be wrong. They are released
 *   -EPROTO   the other side has changed them so that they have no length any more
 *   -ECHILD   the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-broadcast.c   See: quire_channel_peek(3)
 */
QUIRE_API int quire_channel_release(struct quire_channel *channel, size_t count);

/**
 * quire_channel_send - send a copy of bytes
 * @channel: a channel that sends
 * @bytes: what to send
 * @length: in bytes
 * @deadline_ns: when to give up waiting for room
 *
 * A message goes whole or not at all. In stream mode, what is longer than the ring goes in pieces.
 *
 * Threads: one at a time for each direction. Blocks: while the ring is full. Memory: none. Signals: none (no SIGPIPE).
 * Returns: the length; in stream mode what was sent before an error or the deadline, or as quire_channel_reserve()
 *   -EMSGSIZE   a message that is longer than the ring
 * Since: 0.1   Example: examples/channel-client.c   See: quire_channel_recv(3)
 */
QUIRE_API int64_t quire_channel_send(
	struct quire_channel *channel, const void *bytes, size_t length, uint64_t deadline_ns);

/**
 * quire_channel_sendv - send a copy of several parts as one message
 * @channel: a channel that sends
 * @parts: as writev(2)
 * @count: how many parts
 * @deadline_ns: when to give up waiting for room
 *
 * Threads: as quire_channel_send(). Blocks: as quire_channel_send(). Memory: none. Signals: none.
 * Returns: as quire_channel_send()
 *   -EMSGSIZE   a message that is longer than the ring
 * Since: 0.1   Example: examples/channel-server.c   See: quire_channel_send(3)
 */
QUIRE_API int64_t quire_channel_sendv(
	struct quire_channel *channel, const struct iovec *parts, size_t count, uint64_t deadline_ns);

/**
 * quire_channel_recv - receive into memory of one's own
 * @channel: a channel that receives
 * @bytes: where to
 * @room: in bytes
 * @deadline_ns: when to give up waiting
 *
 * In message mode one message; in stream mode at least one byte, and as many as are there.
 *
 * Threads: one at a time for each direction. Blocks: while nothing is there. Memory: none. Signals: none.
 * Returns: how many bytes; 0 is an empty message, or as quire_channel_peek()
 *   -EMSGSIZE   the message is longer than @room, and still there
 *   -EBUSY      messages that were peeked at have not been released
 * Since: 0.1   Example: examples/channel-client.c   See: quire_channel_send(3)
 */
QUIRE_API int64_t quire_channel_recv(
	struct quire_channel *channel, void *bytes, size_t room, uint64_t deadline_ns);

/**
 * quire_channel_fd - a descriptor for poll, select and epoll
 * @channel: the channel
 *
 * It is readable when something may have happened: messages, room, a peer that is gone, a client that came. After it
 * was asked for, a call with QUIRE_NOW that returns -EAGAIN declares that this side is about to sleep, and the other one
 * then makes the descriptor readable. So: call until -EAGAIN, and only then wait. No system call is made for a message
 * while there are messages.
 *
 * Threads: any. Blocks: no. Memory: one descriptor. Signals: none.
 * Returns: the descriptor, valid until quire_channel_close()
 *   -EINVAL   no channel
 *   -EMFILE   too many open files
 *   -ECHILD   the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-epoll.c   See: quire_channel_recv(3)
 */
QUIRE_API int quire_channel_fd(struct quire_channel *channel);

/**
 * quire_channel_map - the shared memory of a channel, as a mapping
 * @channel: a pair or a topic
 * @role: QUIRE_CHANNEL_SEND: what this side writes; QUIRE_CHANNEL_RECEIVE: what it reads
 * @map: out: a mapping like any other, for quire_map_lock(), quire_map_advise(), quire_map_place(), quire_map_stat() ...;
 *	it belongs to the channel, and is valid until quire_channel_close(): quire_unmap(), quire_map_unmap(),
 *	quire_map_resize(), quire_map_move() and advice that destroys content are refused with -EBUSY
 *
 * It begins with the header of docs/format.md; the ring stands in it twice.
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL   the channel does not do that, or has many memories (a queue)
 *   -ECHILD   the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-server.c   See: quire_map_lock(3)
 */
QUIRE_API int quire_channel_map(struct quire_channel *channel, uint32_t role, struct quire_map **map);

/**
 * struct quire_channel_stat - what a channel has done, and how it stands
 * @size: sizeof(struct quire_channel_stat), set by the caller
 * @pattern: an enum quire_channel_pattern
 * @policy: an enum quire_channel_policy
 * @mode: an enum quire_channel_mode
 * @role: an enum quire_channel_role of this side
 * @peers: processes at the other end
 * @peer_pid: of the first, as this process numbers it; 0 when it is not visible
 * @peer_uid: of the first, as the kernel has it
 * @peer_gid: of the first
 * @ring_bytes: of the ring written, or else of the ring read
 * @fill_bytes: of it, published and not given back
 * @sent_records: messages published
 * @sent_bytes: in them
 * @received_records: messages received and given back
 * @received_bytes: in messages that were looked at
 * @lost_records: lossy topic: messages this reader has not seen, exactly
 * @dropped_readers: topic: readers sent away as too slow
 * @refused_clients: clients that were not let in
 * @data_sleeps: how often this side slept because nothing was there
 * @data_sleep_ns: how long, in all
 * @space_sleeps: how often this side slept because the ring was full
 * @space_sleep_ns: how long, in all
 * @bells: how often this side woke the other one
 * @lost_peers: queue: clients that died, broke the protocol, or closed before they had read everything
 *
 * Since: 0.1   See: quire_channel_stat(3)
 */
struct quire_channel_stat {
	size_t size;
	uint32_t pattern;
	uint32_t policy;
	uint32_t mode;
	uint32_t role;
	uint32_t peers;
	int32_t peer_pid;
	uint32_t peer_uid;
	uint32_t peer_gid;
	uint64_t ring_bytes;
	uint64_t fill_bytes;
	uint64_t sent_records;
	uint64_t sent_bytes;
	uint64_t received_records;
	uint64_t received_bytes;
	uint64_t lost_records;
	uint64_t dropped_readers;
	uint64_t refused_clients;
	uint64_t data_sleeps;
	uint64_t data_sleep_ns;
	uint64_t space_sleeps;
	uint64_t space_sleep_ns;
	uint64_t bells;
	uint64_t lost_peers;
};

/**
 * quire_channel_stat - what is known of a channel of this process
 * @channel: the channel
 * @stat: out: .size is set by the caller; fields it does not know are not written
 *
 * Threads: any; figures that another thread is changing may be a little apart. Blocks: no. Memory: none. Signals: none.
 * Returns: 0, or
 *   -EINVAL   .size is too small
 *   -ECHILD   the channel belongs to the parent of this process
 * Since: 0.1   Example: examples/channel-server.c   See: quire_channel_find(3)
 */
QUIRE_API int quire_channel_stat(struct quire_channel *channel, struct quire_channel_stat *stat);

/**
 * struct quire_channel_sight - one participant of a channel of any process, seen from outside
 * @size: sizeof(struct quire_channel_sight)
 * @name: of the channel, valid during the call
 * @schema: of the channel, valid during the call
 * @id: the same for both sides of a pair
 * @pid: of the participant
 * @uid: its user
 * @role: an enum quire_channel_role
 * @mode: an enum quire_channel_mode
 * @pattern: an enum quire_channel_pattern
 * @policy: an enum quire_channel_policy
 * @stopped: 1: the process is stopped (SIGSTOP, a debugger)
 * @closed: 1: it has closed its side
 * @waits_data: 1: it sleeps until messages come
 * @waits_space: 1: it sleeps until there is room
 * @ring_bytes: of the ring it writes; 0: it does not write
 * @head: position up to which it has published, in bytes since the beginning
 * @tail: position up to which it has given room back in the other side's ring
 * @sent_records: messages it has published
 * @sent_bytes: in them
 * @received_records: messages it has given back
 * @received_bytes: in them
 * @lost_records: lossy topic: messages it has not seen
 * @data_sleeps: how often it slept because nothing was there
 * @data_sleep_ns: how long
 * @space_sleeps: how often it slept because the ring was full
 * @space_sleep_ns: how long
 * @bells: how often it woke the other side
 *
 * Since: 0.1   See: quire_channel_find(3)
 */
struct quire_channel_sight {
	size_t size;
	const char *name;
	const char *schema;
	uint64_t id;
	uint32_t pid;
	uint32_t uid;
	uint32_t role;
	uint32_t mode;
	uint32_t pattern;
	uint32_t policy;
	uint32_t stopped;
	uint32_t closed;
	uint32_t waits_data;
	uint32_t waits_space;
	uint64_t ring_bytes;
	uint64_t head;
	uint64_t tail;
	uint64_t sent_records;
	uint64_t sent_bytes;
	uint64_t received_records;
	uint64_t received_bytes;
	uint64_t lost_records;
	uint64_t data_sleeps;
	uint64_t data_sleep_ns;
	uint64_t space_sleeps;
	uint64_t space_sleep_ns;
	uint64_t bells;
};

/* Called for each participant that is seen; a value other than 0 ends the search. */
typedef int quire_channel_sight_fn(const struct quire_channel_sight *sight, void *user);

/**
 * quire_channel_find - the channels of this machine, without disturbing them
 * @name: of the channels looked for, as it was given to quire_channel_listen(), of which the last part is compared; NULL: all
 * @fn: called for each participant
 * @user: handed to it
 * @hidden: out, may be NULL: processes this user may not look into
 *
 * The statistics lie in the shared memory of each participant, which /proc shows to who may trace the process. They are
 * copied from there: nobody has to answer, not even a process that is stopped, and nobody is slowed.
 *
 * Threads: any. Blocks: no. Memory: none. Signals: none.
 * Returns: how many participants were seen, or
 *   -EINVAL   no function
 *   -ENOENT   there is no /proc
 * Since: 0.1   Example: examples/channel-server.c   See: quire-channel(1)
 */
QUIRE_API int quire_channel_find(const char *name, quire_channel_sight_fn *fn, void *user, uint32_t *hidden);

#ifdef __cplusplus
}
#endif

#endif
