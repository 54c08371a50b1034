/* SPDX-License-Identifier: Apache-2.0 */
/* The other ways, at their best settings: bench/PEERS.md says why these are. */
#include "carry.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { PIPE_BYTES = 1 << 20, STREAM_BYTES = 1 << 20, PACKET_BYTES = 8 << 20, SLOTS = 16 };

static void nothing(struct route *r)
{
	(void)r;
}

static void *buffer(size_t bytes)
{
	void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	fail_if(memory == NULL, "memory");
	return memory;
}

/* ---- descriptors: pipe, stream, seqpacket ---- */

struct fds {
	int fd[2]; /* reader, writer */
};

static void pipe_make(struct route *r)
{
	struct fds *f = malloc(sizeof(*f));

	fail_if(f == NULL || pipe(f->fd) < 0, "pipe");
	(void)fcntl(f->fd[1], F_SETPIPE_SZ, PIPE_BYTES);
	r->peer = f;
}

static void socket_make(struct route *r, int type, int bytes)
{
	struct fds *f = malloc(sizeof(*f));

	fail_if(f == NULL || socketpair(AF_UNIX, type, 0, f->fd) < 0, "socketpair");
	(void)setsockopt(f->fd[1], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(f->fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	r->peer = f;
}

static void stream_make(struct route *r)
{
	socket_make(r, SOCK_STREAM, STREAM_BYTES);
}

static void packet_make(struct route *r)
{
	socket_make(r, SOCK_SEQPACKET, PACKET_BYTES);
}

static void fds_write(struct route *r, uint64_t count)
{
	const struct fds *f = r->peer;
	unsigned char *bytes = buffer(r->bytes);

	for (uint64_t i = 0; i < count; i++) {
		fill_words(bytes, r->bytes, i);
		for (size_t at = 0; at < r->bytes;) {
			ssize_t n = write(f->fd[1], bytes + at, r->bytes - at);

			fail_if(n <= 0, "write");
			at += (size_t)n;
		}
	}
	free(bytes);
}

static uint64_t fds_read(struct route *r, uint64_t count)
{
	const struct fds *f = r->peer;
	unsigned char *bytes = buffer(r->bytes);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		for (size_t at = 0; at < r->bytes;) {
			ssize_t n = read(f->fd[0], bytes + at, r->bytes - at);

			fail_if(n <= 0, "read");
			at += (size_t)n;
		}
		sum += sum_words(bytes, r->bytes);
	}
	free(bytes);
	return sum;
}

static void fds_done(struct route *r)
{
	struct fds *f = r->peer;

	close(f->fd[0]);
	close(f->fd[1]);
	free(f);
}

const struct transport by_pipe = { "pipe", pipe_make, nothing, nothing, fds_write, fds_read, nothing, NULL,
	fds_done };
const struct transport by_stream = { "unix-stream", stream_make, nothing, nothing, fds_write, fds_read,
	nothing, NULL, fds_done };
const struct transport by_seqpacket = { "unix-seqpacket", packet_make, nothing, nothing, fds_write, fds_read,
	nothing, NULL, fds_done };

/* ---- POSIX message queue ---- */

int queue_allows(size_t bytes)
{
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = (long)bytes };
	mqd_t q = mq_open("/quire-bench-probe", O_RDWR | O_CREAT, 0600, &attr);

	if (q >= 0)
		mq_close(q);
	mq_unlink("/quire-bench-probe");
	return q >= 0;
}

static void mq_make(struct route *r)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = (long)r->bytes };
	char name[80];
	mqd_t q;

	(void)setrlimit(RLIMIT_MSGQUEUE, &all); /* refused to ordinary users, who then get the small queue */
	snprintf(name, sizeof(name), "/%s", r->name);
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	fail_if(q < 0, "mq_open");
	mq_unlink(name);
	r->peer = (void *)(intptr_t)q;
}

static void mq_write(struct route *r, uint64_t count)
{
	void *bytes = buffer(r->bytes);

	for (uint64_t i = 0; i < count; i++) {
		fill_words(bytes, r->bytes, i);
		fail_if(mq_send((mqd_t)(intptr_t)r->peer, bytes, r->bytes, 0) < 0, "mq_send");
	}
	free(bytes);
}

static uint64_t mq_read(struct route *r, uint64_t count)
{
	void *bytes = buffer(r->bytes);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		fail_if(mq_receive((mqd_t)(intptr_t)r->peer, bytes, r->bytes, NULL) != (ssize_t)r->bytes,
			"mq_receive");
		sum += sum_words(bytes, r->bytes);
	}
	free(bytes);
	return sum;
}

static void mq_done(struct route *r)
{
	mq_close((mqd_t)(intptr_t)r->peer);
}

const struct transport by_queue = { "posix-mq", mq_make, nothing, nothing, mq_write, mq_read, nothing, NULL,
	mq_done };

/* ---- the textbook: slots in shared memory, two semaphores; read and written in place ---- */

struct slots {
	sem_t full;
	sem_t empty;
};

static void slots_make(struct route *r)
{
	struct slots *s = shared_memory(4096 + SLOTS * r->bytes);

	fail_if(sem_init(&s->full, 1, 0) < 0 || sem_init(&s->empty, 1, SLOTS) < 0, "sem_init");
	r->peer = s;
}

static unsigned char *slot(const struct route *r, uint64_t i)
{
	return (unsigned char *)r->peer + 4096 + i % SLOTS * r->bytes;
}

static void take(sem_t *sem)
{
	while (sem_wait(sem) < 0)
		fail_if(errno != EINTR, "sem_wait");
}

static void slots_write(struct route *r, uint64_t count)
{
	struct slots *s = r->peer;

	for (uint64_t i = 0; i < count; i++) {
		take(&s->empty);
		fill_words(slot(r, i), r->bytes, i);
		sem_post(&s->full);
	}
}

static uint64_t slots_read(struct route *r, uint64_t count)
{
	struct slots *s = r->peer;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		take(&s->full);
		sum += sum_words(slot(r, i), r->bytes);
		sem_post(&s->empty);
	}
	return sum;
}

static void slots_done(struct route *r)
{
	unshare_memory(r->peer, 4096 + SLOTS * r->bytes);
}

const struct transport by_semaphores = { "shm-semaphores", slots_make, nothing, nothing, slots_write,
	slots_read, nothing, NULL, slots_done };

/* ---- ZeroMQ ---- */

struct zmq {
	void *context;
	void *socket;
};

static void zmq_join(struct route *r, int type, int binds)
{
	struct zmq *z = malloc(sizeof(*z));
	char address[100];
	int result;

	fail_if(z == NULL, "memory");
	snprintf(address, sizeof(address), "ipc://@%s", r->name);
	z->context = zmq_ctx_new();
	z->socket = zmq_socket(z->context, type);
	result = binds ? zmq_bind(z->socket, address) : zmq_connect(z->socket, address);
	fail_if(result < 0, "zmq");
	r->peer = z;
}

static void zmq_join_writer(struct route *r)
{
	zmq_join(r, ZMQ_PUSH, 0);
}

static void zmq_join_reader(struct route *r)
{
	zmq_join(r, ZMQ_PULL, 1);
}

static void zmq_write(struct route *r, uint64_t count)
{
	const struct zmq *z = r->peer;
	void *bytes = buffer(r->bytes);

	for (uint64_t i = 0; i < count; i++) {
		fill_words(bytes, r->bytes, i);
		fail_if(zmq_send(z->socket, bytes, r->bytes, 0) != (int)r->bytes, "zmq_send");
	}
	free(bytes);
}

static uint64_t zmq_read(struct route *r, uint64_t count)
{
	const struct zmq *z = r->peer;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		zmq_msg_t message;

		zmq_msg_init(&message);
		fail_if(zmq_msg_recv(&message, z->socket, 0) != (int)r->bytes, "zmq_recv");
		sum += sum_words(zmq_msg_data(&message), r->bytes);
		zmq_msg_close(&message);
	}
	return sum;
}

static void zmq_done(struct route *r)
{
	struct zmq *z = r->peer;

	zmq_close(z->socket);
	zmq_ctx_term(z->context);
	free(z);
}

const struct transport by_zmq = { "zeromq", nothing, zmq_join_writer, nothing, zmq_write, zmq_read, zmq_done,
	zmq_join_reader, NULL };

/* ---- nng ---- */

static void nng_join(struct route *r, int listens)
{
	nng_socket *s = malloc(sizeof(*s));
	char address[100];
	int result;

	fail_if(s == NULL || nng_pair0_open(s) != 0, "nng");
	snprintf(address, sizeof(address), "abstract://%s", r->name);
	(void)nng_socket_set_int(*s, NNG_OPT_RECVBUF, 128);
	(void)nng_socket_set_int(*s, NNG_OPT_SENDBUF, 128);
	(void)nng_socket_set_size(*s, NNG_OPT_RECVMAXSZ, 0);
	do {
		result = listens ? nng_listen(*s, address, NULL, 0) : nng_dial(*s, address, NULL, 0);
		if (result != 0)
			usleep(1000);
	} while (result == NNG_ECONNREFUSED);
	fail_if(result != 0, nng_strerror(result));
	r->peer = s;
}

static void nng_join_writer(struct route *r)
{
	nng_join(r, 0);
}

static void nng_join_reader(struct route *r)
{
	nng_join(r, 1);
}

static void nng_write(struct route *r, uint64_t count)
{
	const nng_socket *s = r->peer;
	void *bytes = buffer(r->bytes);

	for (uint64_t i = 0; i < count; i++) {
		fill_words(bytes, r->bytes, i);
		fail_if(nng_send(*s, bytes, r->bytes, 0) != 0, "nng_send");
	}
	free(bytes);
}

static uint64_t nng_read(struct route *r, uint64_t count)
{
	const nng_socket *s = r->peer;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		void *bytes;
		size_t length;

		fail_if(nng_recv(*s, &bytes, &length, NNG_FLAG_ALLOC) != 0 || length != r->bytes, "nng_recv");
		sum += sum_words(bytes, r->bytes);
		nng_free(bytes, length);
	}
	return sum;
}

static void nng_done(struct route *r)
{
	nng_socket *s = r->peer;

	nng_close(*s);
	free(s);
}

const struct transport by_nng = { "nng", nothing, nng_join_writer, nothing, nng_write, nng_read, nng_done,
	nng_join_reader, NULL };
