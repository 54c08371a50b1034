/* SPDX-License-Identifier: Apache-2.0 */
/* quire send | quire recv against cat through a FIFO: the same bytes, with the progress line on. */
#include <bench.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quire/quire.h>

#include "carry.h"

static char source[64], fifo[64];
static uint64_t bytes;

static double timed(const char *command)
{
	uint64_t began = bench_ns();

	fail_if(system(command) != 0, command); /* NOLINT: our own words */
	return (double)(bench_ns() - began);
}

static double by_quire(void *arg)
{
	static int number;
	char command[600];

	(void)arg;
	snprintf(command, sizeof(command),
		"%s send --progress @quire-cli-%d-%d < %s 2>/dev/null & "
		"test $(%s recv --progress @quire-cli-%d-%d 2>/dev/null | wc -c) = %llu && wait",
		getenv("QUIRE_COMMAND"), (int)getpid(), number, source, getenv("QUIRE_COMMAND"),
		(int)getpid(), number, (unsigned long long)bytes);
	number++;
	return timed(command);
}

static double by_cat(void *arg)
{
	char command[400];

	(void)arg;
	snprintf(command, sizeof(command), "cat %s > %s & test $(cat %s | wc -c) = %llu && wait", source,
		fifo, fifo, (unsigned long long)bytes);
	return timed(command);
}

int main(void)
{
	struct bench_pairs p;
	FILE *f;
	char block[65536];

	snprintf(source, sizeof(source), "/tmp/quire-bench-%d", (int)getpid());
	snprintf(fifo, sizeof(fifo), "/tmp/quire-fifo-%d", (int)getpid());
	f = fopen(source, "w");
	fail_if(f == NULL || mkfifo(fifo, 0600) < 0, "files in /tmp");
	bytes = (bench_quick() ? 256U : 512U) << 20;
	memset(block, 7, sizeof(block));
	for (uint64_t i = 0; i < bytes; i += sizeof(block))
		fail_if(fwrite(block, sizeof(block), 1, f) != 1, "write");
	fclose(f);
	p = bench_pairs(by_quire, by_cat, NULL);
	bench_goal("channel.command", 1 / p.ratio, &p);
	unlink(source);
	unlink(fifo);
	return 0;
}
