/* SPDX-License-Identifier: Apache-2.0 */
/* verb-why.c - quire why: what a program died of that touched memory it could not have. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "file-view.h"
#include "why.h"

static const char *signal_name(int number)
{
	return number == SIGBUS ? "SIGBUS" : number == SIGSEGV ? "SIGSEGV" : strsignal(number);
}

static void show_mapping(struct screen *screen, const struct crash *crash, const struct why_answer *answer)
{
	const struct why_mapping *m = answer->mapping;

	say(screen, INK_PLAIN, "\n  cause    %s\n", why_cause_name(answer->cause));
	if (answer->cause == WHY_SENT)
		return;
	say(screen, INK_PLAIN, "  address  0x%llx", (unsigned long long)crash->address);
	if (crash->pc != 0)
		say(screen, INK_FAINT, "   instruction at %#llx", (unsigned long long)crash->pc);
	say(screen, INK_PLAIN, "\n");
	if (m == NULL)
		return;
	say(screen, INK_PLAIN, "  mapping  %llx-%llx %c%c%c%c %s\n", (unsigned long long)m->start,
		(unsigned long long)m->end, (m->flags & QUIRE_MAPPING_READ) != 0 ? 'r' : '-',
		(m->flags & QUIRE_MAPPING_WRITE) != 0 ? 'w' : '-',
		(m->flags & QUIRE_MAPPING_EXECUTE) != 0 ? 'x' : '-',
		crash->from_core                                 ? ' '
			: (m->flags & QUIRE_MAPPING_SHARED) != 0 ? 's'
								 : 'p',
		m->name[0] == '\0' ? "(anonymous)" : text_name(m->name).s);
	if (m->name[0] == '/')
		say(screen, INK_PLAIN, "  offset   %llu (%s)\n", (unsigned long long)answer->offset,
			text_bytes(answer->offset).s);
}

static void show(struct call *call, const struct crash *crash, const struct why_answer *answer)
{
	struct screen *screen = &call->screen;

	say_paragraph(screen, INK_STRONG, 0, "%s died of %s. %s", text_name(crash->program).s,
		signal_name(crash->signal), answer->text);
	show_mapping(screen, crash, answer);
	if (crash->from_core)
		say_paragraph(screen, INK_FAINT, 2,
			"The file and the filesystem were looked at now, not when the program died.");
	if (answer->advice[0] != '\0')
		say_paragraph(screen, INK_PLAIN, 2, "To do: %s.", answer->advice);
	if (answer->cause == WHY_SENT)
		return;
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "limits and filesystems that lead to such deaths", QUIRE_PROGRAM " doctor");
}

static void put(struct call *call, const struct crash *crash, const struct why_answer *answer)
{
	json_t *document = json_document("why");

	json_put_bool(document, "died", true);
	json_put_text(document, "program", crash->program);
	json_put_text(document, "signal", signal_name(crash->signal));
	json_put_text(document, "cause", why_cause_name(answer->cause));
	json_put_text(document, "text", answer->text);
	if (answer->cause == WHY_SENT) {
		json_put_count(document, "sender", (uint64_t)crash->sender);
	} else {
		put_address(document, "address", crash->address);
		put_address(document, "instruction", crash->pc);
	}
	if (answer->mapping != NULL) {
		json_t *mapping = json_put_object(document, "mapping");

		put_address(mapping, "start", answer->mapping->start);
		put_address(mapping, "end", answer->mapping->end);
		json_put_name(mapping, "name", answer->mapping->name);
		json_put_count(document, "offset", answer->offset);
	}
	json_put_bool(document, "from_core", crash->from_core);
	json_print(call, document);
}

static enum status tell(struct call *call, const struct crash *crash, const struct why_answer *answer)
{
	if (call->json)
		put(call, crash, answer);
	else
		show(call, crash, answer);
	return answer->cause == WHY_UNKNOWN ? STATUS_PARTLY : STATUS_OK;
}

static void tell_ended(struct call *call, int status)
{
	bool killed = WIFSIGNALED(status);

	if (call->json) {
		json_t *document = json_document("why");

		json_put_bool(document, "died", false);
		json_put_count(document, killed ? "killed_by" : "exit",
			(uint64_t)(killed ? WTERMSIG(status) : WEXITSTATUS(status)));
		json_print(call, document);
	} else if (killed) {
		say_paragraph(&call->screen, INK_STRONG, 0, "%s was killed by %s: no fault of memory.",
			text_name(call->operands[0]).s, strsignal(WTERMSIG(status)));
	} else {
		say_paragraph(&call->screen, INK_STRONG, 0,
			"%s ended by itself with status %d: no fault of memory.",
			text_name(call->operands[0]).s, WEXITSTATUS(status));
	}
}

static enum status run_program(struct call *call, struct crash *crash)
{
	struct why_answer answer = { .cause = WHY_UNKNOWN };
	int status = 0, r;

	fflush(call->screen.out);
	r = why_run(call->operands, crash, &answer, &status);
	if (r < 0)
		return fail(status_of(r), "%s %scannot be started: %s", call->operands[0],
			call->operand_count == 1 && access(call->operands[0], F_OK) == 0
				? "is no core dump, and "
				: "",
			strerror(-r));
	if (r > 0)
		return tell(call, crash, &answer);
	tell_ended(call, status);
	return STATUS_OK;
}

static enum status run_why(struct call *call)
{
	struct crash crash = { .pid = 0 };
	struct why_answer answer;
	enum status status;
	int r = call->operand_count == 1 ? why_read_core(call->operands[0], &crash) : -ENOEXEC;

	if (r == 0) {
		why_explain(&crash, &answer);
		status = tell(call, &crash, &answer);
	} else if (r == -EACCES || r == -EPERM) {
		status = fail(STATUS_FORBIDDEN, "%s: %s", call->operands[0], strerror(-r));
	} else {
		status = run_program(call, &crash);
	}
	why_forget_mappings(&crash);
	return status;
}

static const char *const description[] = {
	"Runs a program, and if it dies of SIGBUS or SIGSEGV, says which file, which offset and which cause: the file was "
	"cut, the disk was full in a hole, the device could not read, the pool of huge pages or a tmpfs was full, the page "
	"was poisoned, the protection forbade it, or the address belongs to nothing (and what lies next to it). Children "
	"and threads are watched too. Faults that the program handles itself are left to it.",
	"With the name of a core dump instead, the same from what the dump remembers; files are then looked at as they are "
	"now.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " why -- ./server --port 80", "run a program and say what it dies of" },
	{ QUIRE_PROGRAM " why core", "explain a core dump" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_PARTLY, "the program died of a fault, and no test says why" },
	{ STATUS_FORBIDDEN, "the core dump may not be read, or the program not be run" },
	{ STATUS_NOT_FOUND, "there is no such program or core dump" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-doctor(1)", "quire-maps(1)", "quire_map(3)", "core(5)", NULL };

const struct verb verb_why = {
	.name = "why",
	.summary = "what a program died of that touched memory it could not have",
	.usage = "-- COMMAND [ARG...] | CORE",
	.description = description,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 1,
	.run = run_why,
};
