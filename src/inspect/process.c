/* SPDX-License-Identifier: Apache-2.0 */
/* inspect/process.c - a process in a dozen figures: /proc/PID/status (anybody may) and smaps_rollup (its user may). */
#include <errno.h>
#include <quire/inspect.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "inspect/lines.h"
#include "sys/file.h"

static ssize_t read_text(int pid, const char *what, char *text, size_t text_bytes)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return sys_read_small(path, text, text_bytes);
}

/* "Name:\tcat": status escapes what is no good in it, so a name is a line. */
static void read_name(const char *text, char *name, size_t name_bytes)
{
	const char *end = strchr(text, '\n');
	size_t length;

	name[0] = '\0';
	if (strncmp(text, "Name:\t", 6) != 0 || end == NULL)
		return;
	length = (size_t)(end - (text + 6));
	if (length >= name_bytes)
		length = name_bytes - 1;
	memcpy(name, text + 6, length);
	name[length] = '\0';
}

static uint32_t read_user(const char *text)
{
	const char *at = strstr(text, "\nUid:");

	if (at == NULL)
		return UINT32_MAX;
	at += 5;
	(void)read_decimal(&at); /* the real one; the effective one comes second */
	return (uint32_t)read_decimal(&at);
}

static void read_status(const char *text, struct quire_process *process)
{
	read_name(text, process->name, sizeof(process->name));
	process->user = read_user(text);
	process->virtual_bytes = field_bytes(text, "VmSize");
	process->resident_bytes = field_bytes(text, "VmRSS");
	process->anonymous_bytes = field_bytes(text, "RssAnon");
	process->file_bytes = field_bytes(text, "RssFile");
	process->shared_memory_bytes = field_bytes(text, "RssShmem");
	process->swap_bytes = field_bytes(text, "VmSwap");
	process->locked_bytes = field_bytes(text, "VmLck");
	process->page_table_bytes = field_bytes(text, "VmPTE");
	process->pool_bytes = field_bytes(text, "HugetlbPages");
}

static void read_rollup(const char *text, struct quire_process *process)
{
	process->share_bytes = field_bytes(text, "Pss");
	process->private_bytes = field_bytes(text, "Private_Clean") + field_bytes(text, "Private_Dirty");
	process->dirty_bytes = field_bytes(text, "Shared_Dirty") + field_bytes(text, "Private_Dirty");
	process->huge_bytes = field_bytes(text, "AnonHugePages") + field_bytes(text, "ShmemPmdMapped") +
		field_bytes(text, "FilePmdMapped");
	process->swap_share_bytes = field_bytes(text, "SwapPss");
}

int quire_process_read(int pid, unsigned int flags, struct quire_process *process)
{
	struct quire_process found = { .size = 0 };
	char text[4096];
	ssize_t n;

	if (process == NULL || process->size < sizeof(*process) || pid <= 0)
		return error_set(-EINVAL, "quire_process_read: process.size is not set");
	if ((flags & ~(unsigned int)QUIRE_PROCESS_SHARES) != 0)
		return error_set(-EINVAL, "quire_process_read: unknown flags %#x", flags);

	n = read_text(pid, "status", text, sizeof(text));
	if (n < 0)
		return error_set(n == -ENOENT ? -ESRCH : (int)n, "there is no process %d", pid);
	found.size = process->size;
	found.pid = pid;
	found.why = "";
	found.share_bytes = found.private_bytes = found.dirty_bytes = QUIRE_UNKNOWN;
	found.huge_bytes = found.swap_share_bytes = QUIRE_UNKNOWN;
	read_status(text, &found);

	if ((flags & QUIRE_PROCESS_SHARES) != 0) {
		n = read_text(pid, "smaps_rollup", text, sizeof(text));
		if (n > 0)
			read_rollup(text, &found);
		else if (found.virtual_bytes == QUIRE_UNKNOWN)
			found.why = "a kernel thread or a process that has ended has no memory of its own";
		else
			found.why = "only the process's user and root may see how memory is shared";
	}
	*process = found;
	return 0;
}
