/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/keeper.h"

#include <poll.h>

#include "base/align.h"
#include "pmap/uffd.h"
#include "serve/serve.h"
#include "sys/event.h"
#include "sys/futex.h"
#include "sys/thread.h"
#include "sys/uapi.h"
#include "sys/userfaultfd.h"
#include "vm/fault.h"

/* Where no handler is left, who faults waits for two or three looks. Where there are some, they are slow - all wait for a
 * slow disk, or for a processor - or each waits for a fault that none is left to answer: a minute tells the two apart. */
enum { LOOK_MS = 300, LOOKS_ALONE = 1, LOOKS_BESIDE = 200, MESSAGES = 16, WAKE_NS = 100000 };

static bool is_waiting(const struct uffd *uffd)
{
	struct pollfd fds[2] = {
		{ .fd = uffd_descriptor(uffd, true), .events = POLLIN },
		{ .fd = uffd_descriptor(uffd, false), .events = POLLIN },
	};

	return sys_poll(fds, 2, 0) > 0 && ((fds[0].revents | fds[1].revents) & POLLIN) != 0;
}

static void refuse_all(struct serve *serve, int fd)
{
	struct uffd_msg messages[MESSAGES];
	int n;

	while ((n = sys_uffd_read(fd, messages, MESSAGES)) > 0)
		for (int i = 0; i < n; i++) {
			uintptr_t va = align_down(messages[i].arg.pagefault.address, PAGE_BYTES);

			if (messages[i].event != UFFD_EVENT_PAGEFAULT)
				continue;
			fault_fail(serve->as, va);
			(void)uffd_wake(serve->uffd, va);
		}
}

/* Who ends it may have no descriptor to say so. Those of the watches live as long as ours do. */
static void wake_all(struct serve *serve)
{
	while (!atomic_load(&serve->ended)) {
		sys_event_signal(serve->stop);
		sys_sleep(WAKE_NS);
	}
}

void *keeper_run(void *user)
{
	struct serve *serve = user;
	struct pollfd stop = { .fd = serve->stop, .events = POLLIN };
	const int ours[] = { serve->stop, uffd_descriptor(serve->uffd, true),
		uffd_descriptor(serve->uffd, false) };
	unsigned long before = 0;
	unsigned int looks = 0; /* at which somebody waited, and no message was read between them */

	atomic_store(&serve->kept, sys_keep_descriptors(ours, sizeof(ours) / sizeof(ours[0])) == 0);
	atomic_store(&serve->settled, 1);
	sys_futex_wake(&serve->settled, false);
	if (!atomic_load(&serve->kept))
		return NULL; /* an old kernel: nobody keeps them */
	for (;;) {
		unsigned long answered;
		unsigned int most;

		(void)sys_poll(&stop, 1, LOOK_MS);
		if (atomic_load(&serve->ending)) {
			wake_all(serve);
			return NULL;
		}
		answered = atomic_load(&serve->answered);
		looks = !is_waiting(serve->uffd) ? 0 : answered != before ? 1 : looks + 1;
		before = answered;
		most = atomic_load(&serve->running) == 0 ? LOOKS_ALONE : LOOKS_BESIDE;
		if (looks > most) {
			refuse_all(serve, uffd_descriptor(serve->uffd, true));
			refuse_all(serve, uffd_descriptor(serve->uffd, false));
		}
	}
}
