/* SPDX-License-Identifier: Apache-2.0 */
/* Two processes hand out work, two others do it: each job is done once. Nobody stands in the middle. */
#undef NDEBUG /* these checks are never left out */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

enum { MASTERS = 2, WORKERS = 2, JOBS = 1000 };

static char queue[64]; /* a directory, with '/' at its end: each worker listens there */

static struct quire_listener *listen_there(void)
{
	struct quire_listener *listener;

	assert(quire_channel_listen(NULL, queue,
		       QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_RECEIVE, .pattern = QUIRE_CHANNEL_QUEUE),
		       &listener) == 0);
	return listener;
}

static void work(int done)
{
	struct quire_channel *channel = NULL;
	uint64_t job;

	assert(quire_channel_gather(listen_there(), 0, QUIRE_NOW, &channel) >= 0);
	while (quire_channel_recv(channel, &job, sizeof(job), QUIRE_FOREVER) == sizeof(job))
		assert(write(done, &job, sizeof(job)) == sizeof(job));
	_exit(1);
}

/* To whoever listens, in turn; who comes later gets his share from then on. */
static void hand_out(void)
{
	struct quire_channel *channel;

	assert(quire_channel_connect(
		       NULL, queue, QUIRE_OPTIONS(channel, .role = QUIRE_CHANNEL_SEND), &channel) == 0);
	for (uint64_t job = 1; job <= JOBS; job++)
		assert(quire_channel_send(channel, &job, sizeof(job), QUIRE_FOREVER) == sizeof(job));
	_exit(quire_channel_close(channel));
}

int main(void)
{
	uint64_t job, sum = 0;
	pid_t pids[MASTERS + WORKERS];
	int done[2];

	snprintf(queue, sizeof(queue), "/tmp/example-%d/", (int)getpid());
	assert(mkdir(queue, 0700) == 0 && pipe(done) == 0);
	for (int i = 0; i < MASTERS + WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			i < MASTERS ? hand_out() : work(done[1]);
	}
	for (int i = 0; i < MASTERS * JOBS; i++, sum += job)
		assert(read(done[0], &job, sizeof(job)) == sizeof(job));
	assert(sum == (uint64_t)MASTERS * JOBS * (JOBS + 1) / 2);
	for (int i = MASTERS; i < MASTERS + WORKERS; i++)
		assert(kill(pids[i], SIGKILL) == 0);
	while (wait(NULL) > 0) {
	}
	printf("%d jobs of %d masters, each done once by one of %d\n", MASTERS * JOBS, MASTERS, WORKERS);
	quire_channel_unlisten(listen_there()); /* whoever listens next removes what the killed have left */
	return rmdir(queue);
}
