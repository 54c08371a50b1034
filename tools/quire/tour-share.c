/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tour-share.c - the same memory in two processes: a child that inherits it, and a stranger that is sent it.
 *
 * The stranger is this program started anew (the hidden verb "stranger"): it shares nothing with us but a socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "tour.h"

static const size_t shared_bytes = 16 << 20;

/** What another process found: written into shared memory by the child, into the socket by the stranger. */
struct finding {
	uint64_t checksum;
	uint64_t bytes;
	uint64_t pid;
	uint32_t seals;
	int32_t error;       /* of quire_map_receive() */
	int32_t write_error; /* of asking for a writable mapping */
	uint32_t reserved;
};

static int fill(const struct tour *tour, char *to, size_t room, size_t *filled)
{
	int fd = open(tour->corpus, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	*filled = 0;
	if (fd < 0)
		return -errno;
	while (*filled < room && (n = read(fd, to + *filled, room - *filled)) > 0)
		*filled += (size_t)n;
	close(fd);
	return n < 0 ? -EIO : 0;
}

static struct finding look(const struct quire_map *map)
{
	return (struct finding){
		.checksum = XXH3_64bits(quire_map_address(map), quire_map_length(map)),
		.bytes = quire_map_length(map),
		.pid = (uint64_t)getpid(),
	};
}

/* The child looks, and stores what it found in the second mapping; stores are what is shared. */
static int ask_child(const struct quire_map *map, const struct quire_map *answer)
{
	struct finding *finding = quire_map_address(answer);
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		*finding = look(map);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

static int share_with_child(struct tour *tour, json_t *object, const struct quire_map *map, uint64_t checksum)
{
	const struct finding *finding;
	struct quire_map *answer;
	int r = quire_map_shared(NULL, "tour-answer", sizeof(struct finding), &answer);

	if (r < 0)
		return r;
	finding = quire_map_address(answer);
	r = ask_child(map, answer);
	json_put_count(object, "child_pid", finding->pid);
	tour_check(tour, r == 0 && finding->checksum == checksum && finding->bytes == quire_map_length(map),
		"A child sees the same %s at the same addresses: checksum %016llx, and its answer came back by a store "
		"into shared memory.",
		text_bytes(finding->bytes).s, (unsigned long long)finding->checksum);
	quire_unmap(answer);
	return 0;
}

/* Starts this very program, with one end of the socket as its descriptor 3. */
static int start_stranger(int socket, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	char *argv[] = { (char[]){ QUIRE_PROGRAM }, (char[]){ "stranger" }, NULL };
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket, 3);
	r = -posix_spawn(pid, "/proc/self/exe", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

static int ask_stranger(const struct quire_map *map, struct finding *finding)
{
	int ends[2], r, status;
	pid_t pid;
	ssize_t n = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -errno;
	r = start_stranger(ends[1], &pid);
	close(ends[1]);
	if (r == 0) {
		r = quire_map_send(map, ends[0]);
		while (r == 0 && (n = recv(ends[0], finding, sizeof(*finding), 0)) < 0 && errno == EINTR)
			continue;
		close(ends[0]);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
		return r < 0 ? r : n == sizeof(*finding) ? 0 : -ECONNRESET;
	}
	close(ends[0]);
	return r;
}

static int share_with_stranger(struct tour *tour, json_t *object, struct quire_map *map, uint64_t checksum)
{
	const unsigned int seals = QUIRE_SEAL_SHRINK | QUIRE_SEAL_GROW | QUIRE_SEAL_FUTURE_WRITE;
	struct finding finding = { 0 };
	int r = quire_map_seal(map, seals);

	if (r < 0)
		return r;
	r = ask_stranger(map, &finding);
	if (r < 0)
		return r;
	if (finding.error < 0)
		complain("the stranger could not map what it was sent: %s", strerror(-finding.error));
	json_put_count(object, "stranger_pid", finding.pid);
	json_put_count(object, "stranger_seals", finding.seals);
	tour_check(tour,
		finding.error == 0 && finding.checksum == checksum && finding.bytes == quire_map_length(map),
		"A stranger, another program that was sent the descriptor over a Unix socket, maps the same %s: checksum "
		"%016llx.",
		text_bytes(finding.bytes).s, (unsigned long long)finding.checksum);
	tour_check(tour, (finding.seals & seals) == seals,
		"It asked the kernel for the seals and found them: nobody can cut or grow the memory under it.");
	tour_check(tour, finding.write_error < 0, "It may look, not touch: to map it writable is refused.");
	return 0;
}

static int run_share(struct tour *tour, json_t *object)
{
	struct quire_map *map;
	uint64_t checksum;
	size_t bytes;
	int r = quire_map_shared(NULL, "tour-shared",
		tour->corpus_bytes < shared_bytes ? tour->corpus_bytes : shared_bytes, &map);

	if (r < 0) {
		complain("%s", quire_error_text());
		return r;
	}
	r = fill(tour, quire_map_address(map), quire_map_length(map), &bytes);
	checksum = XXH3_64bits(quire_map_address(map), quire_map_length(map));
	json_put_count(object, "bytes", bytes);
	tour_say(tour, "%s of shared memory hold a piece of the corpus; its checksum here is %016llx.",
		text_bytes(bytes).s, (unsigned long long)checksum);
	if (r == 0)
		r = share_with_child(tour, object, map, checksum);
	if (r == 0)
		r = share_with_stranger(tour, object, map, checksum);
	if (r < 0)
		complain("sharing: %s", quire_error_text()[0] != '\0' ? quire_error_text() : strerror(-r));
	quire_unmap(map);
	return r;
}

const struct station station_share = {
	.name = "share",
	.title = "The same memory in a child, and in a stranger",
	.run = run_share,
};

static int try_writing(int fd)
{
	struct quire_map *map;
	int r = quire_map_fd(NULL, fd,
		QUIRE_OPTIONS(map, .protection = QUIRE_READ | QUIRE_WRITE, .sharing = QUIRE_SHARED), &map);

	if (r == 0)
		quire_unmap(map);
	return r;
}

/* The other side: descriptor 3 is the socket. */
static enum status run_stranger(struct call *call)
{
	struct finding finding = { 0 };
	struct quire_map *map;
	int fd,
		r = quire_map_receive(
			NULL, 3, QUIRE_SEAL_SHRINK, QUIRE_OPTIONS(map, .protection = QUIRE_READ), &map);

	(void)call;
	if (r == 0) {
		finding = look(map);
		(void)quire_map_seals(map, &finding.seals);
		if (quire_map_export(map, &fd) == 0) {
			finding.write_error = try_writing(fd);
			close(fd);
		}
		quire_unmap(map);
	}
	finding.error = r;
	if (send(3, &finding, sizeof(finding), MSG_NOSIGNAL) != sizeof(finding))
		return fail(
			STATUS_USAGE, "the tour starts this verb, with a socket; it is of no use by hand");
	return STATUS_OK;
}

const struct verb verb_stranger = {
	.name = "stranger",
	.summary = "the other side of the tour's station share",
	.usage = "",
	.hidden = true,
	.run = run_stranger,
};
