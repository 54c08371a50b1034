/* SPDX-License-Identifier: Apache-2.0 */
/* verb-doctor.c - quire doctor: settings, limits and filesystems that make mapped memory fail, and what to do. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor.h"
#include "file-view.h"
#include "process.h"
#include "room.h"

struct doctor_settings {
	unsigned int profile;
	bool all;
	bool fix;
};

static const char *const profiles[] = { "any", "elasticsearch", "lmdb", "postgres", "security", "quire",
	NULL };

struct finding *doctor_find(
	struct doctor *doctor, enum level level, const char *check, const char *figure, ...)
{
	struct finding *f;
	size_t n = doctor->count;
	va_list list;

	if ((n & (n - 1)) == 0)
		doctor->findings = allocate(doctor->findings, n == 0 ? 1 : n * 2, sizeof(*f));
	f = &doctor->findings[doctor->count++];
	*f = (struct finding){ .level = level, .check = check };
	va_start(list, figure);
	vsnprintf(f->figure, sizeof(f->figure), figure, list);
	va_end(list);
	return f;
}

void doctor_meaning(struct finding *finding, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(finding->meaning, sizeof(finding->meaning), format, list);
	va_end(list);
}

void doctor_fix(struct finding *finding, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(finding->fix, sizeof(finding->fix), format, list);
	va_end(list);
}

void doctor_setting(struct finding *finding, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(finding->setting, sizeof(finding->setting), format, list);
	va_end(list);
}

bool doctor_line(const struct doctor *doctor, const char *path, char *text, size_t bytes)
{
	char full[4600];
	FILE *file;
	bool got;

	snprintf(full, sizeof(full), "%s%s", doctor->root, path);
	file = fopen(full, "re");
	if (file == NULL)
		return false;
	got = fgets(text, (int)bytes, file) != NULL;
	if (!got)
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	got = got || feof(file);
	fclose(file);
	return got;
}

bool doctor_number(const struct doctor *doctor, const char *path, uint64_t *number)
{
	char text[64], *end;

	if (!doctor_line(doctor, path, text, sizeof(text)))
		return false;
	if (strcmp(text, "max") == 0) {
		*number = QUIRE_UNKNOWN;
		return true;
	}
	errno = 0;
	*number = strtoull(text, &end, 10);
	return end != text && errno == 0;
}

bool doctor_sysctl(struct doctor *doctor, const char *name, uint64_t *number)
{
	char path[200];

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	if (doctor_number(doctor, path, number))
		return true;
	doctor_meaning(doctor_find(doctor, LEVEL_UNKNOWN, name, "%s cannot be read", path),
		"this kernel or this container does not show it");
	return false;
}

bool doctor_is_for(const struct doctor *doctor, enum profile profile)
{
	return doctor->profile == profile;
}

static void examine(struct doctor *doctor)
{
	doctor_check *const *const sets[] = { doctor_limit_checks, doctor_memory_checks, doctor_place_checks,
		doctor_kernel_checks };

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		for (doctor_check *const *check = sets[i]; *check != NULL; check++)
			(*check)(doctor);
}

static const struct {
	const char *word;
	const char *json;
	enum ink ink;
} levels[LEVEL_COUNT] = {
	[LEVEL_FAIL] = { "FAIL", "fail", INK_PROBLEM },
	[LEVEL_WARN] = { "WARN", "warn", INK_DIRTY },
	[LEVEL_UNKNOWN] = { "?   ", "unknown", INK_SWAPPED },
	[LEVEL_OK] = { "OK  ", "ok", INK_GOOD },
	[LEVEL_SKIPPED] = { "-   ", "skipped", INK_FAINT },
};

static void tally(const struct doctor *doctor, unsigned int counts[LEVEL_COUNT])
{
	for (int i = 0; i < LEVEL_COUNT; i++)
		counts[i] = 0;
	for (size_t i = 0; i < doctor->count; i++)
		counts[doctor->findings[i].level]++;
}

static void show_finding(struct screen *screen, const struct finding *f, bool all)
{
	bool matters = f->level == LEVEL_FAIL || f->level == LEVEL_WARN;

	char mark[16];

	snprintf(mark, sizeof(mark), "  %s ", levels[f->level].word);
	say_item(screen, levels[f->level].ink, mark, matters ? INK_STRONG : INK_PLAIN, "%s", f->figure);
	if (f->meaning[0] != '\0' && (matters || f->level == LEVEL_UNKNOWN || all))
		say_paragraph(screen, matters ? INK_PLAIN : INK_FAINT, 7, "%s.", f->meaning);
	if (f->fix[0] != '\0' && (matters || all))
		say_paragraph(screen, INK_PLAIN, 7, "To do: %s%s%s.", f->fix,
			f->setting[0] != '\0' ? ": " : "", f->setting);
}

static void show(struct call *call, const struct doctor *doctor)
{
	const struct doctor_settings *settings = call->settings;
	struct screen *screen = &call->screen;
	unsigned int counts[LEVEL_COUNT];

	tally(doctor, counts);
	say_paragraph(screen, INK_STRONG, 0, "%u %s, %u %s, %u fine, %u not known%s%s.", counts[LEVEL_FAIL],
		counts[LEVEL_FAIL] == 1 ? "failure" : "failures", counts[LEVEL_WARN],
		counts[LEVEL_WARN] == 1 ? "warning" : "warnings", counts[LEVEL_OK], counts[LEVEL_UNKNOWN],
		doctor->profile == FOR_ANY ? "" : ", for ",
		doctor->profile == FOR_ANY ? "" : profiles[doctor->profile]);
	say(screen, INK_PLAIN, "\n");
	for (int level = 0; level < LEVEL_COUNT; level++) {
		if (level == LEVEL_SKIPPED && !settings->all)
			continue;
		for (size_t i = 0; i < doctor->count; i++)
			if (doctor->findings[i].level == (enum level)level)
				show_finding(screen, &doctor->findings[i], settings->all);
	}
	if (!settings->all && counts[LEVEL_SKIPPED] != 0)
		say(screen, INK_FAINT, "  %u %s not apply here (--all)\n", counts[LEVEL_SKIPPED],
			counts[LEVEL_SKIPPED] == 1 ? "check does" : "checks do");
	say(screen, INK_PLAIN, "\n");
	if (counts[LEVEL_FAIL] + counts[LEVEL_WARN] != 0)
		say_next(screen, "print a sysctl.d file; nothing is changed", QUIRE_PROGRAM " doctor --fix");
	else
		say_next(screen, "what each of these means", QUIRE_PROGRAM " doctor --all");
}

static void put(struct call *call, const struct doctor *doctor)
{
	json_t *document = json_document("doctor");
	json_t *array;

	json_put_text(document, "for", profiles[doctor->profile]);
	array = json_put_array(document, "findings");
	for (size_t i = 0; i < doctor->count; i++) {
		const struct finding *f = &doctor->findings[i];
		json_t *object = json_add_object(array);

		json_put_text(object, "check", f->check);
		json_put_text(object, "level", levels[f->level].json);
		json_put_text(object, "figure", f->figure);
		json_put_text(object, "meaning", f->meaning);
		json_put_text(object, "fix", f->fix[0] != '\0' ? f->fix : NULL);
		json_put_text(object, "setting", f->setting[0] != '\0' ? f->setting : NULL);
	}
	json_print(call, document);
}

static void print_settings(struct call *call, const struct doctor *doctor)
{
	say(&call->screen, INK_PLAIN, "# For /etc/sysctl.d/90-quire.conf; then: sysctl --system\n");
	for (size_t i = 0; i < doctor->count; i++)
		if (doctor->findings[i].setting[0] != '\0')
			say(&call->screen, INK_PLAIN, "# %s\n%s\n", doctor->findings[i].figure,
				doctor->findings[i].setting);
}

static enum status read_operand(struct doctor *doctor, const char *operand)
{
	struct quire_process process = { .size = sizeof(process) };
	struct stat about;
	int pid = process_number(operand);

	if (pid > 0 && stat(operand, &about) != 0) {
		int r = quire_process_read(pid, 0, &process);

		doctor->pid = pid;
		return r < 0 ? fail(status_of(r), "%s", quire_error_text()) : STATUS_OK;
	}
	doctor->path = operand;
	return stat(operand, &about) == 0 ? STATUS_OK
					  : fail(STATUS_NOT_FOUND, "%s: %s", operand, strerror(errno));
}

static enum status run_doctor(struct call *call)
{
	const struct doctor_settings *settings = call->settings;
	struct doctor doctor = { .profile = (enum profile)settings->profile,
		.memory = { .size = sizeof(doctor.memory) } };
	unsigned int counts[LEVEL_COUNT];
	enum status status = STATUS_OK;

	if (settings->fix && call->json)
		return fail(STATUS_USAGE,
			"--fix prints a file for sysctl.d, --json a document with the same settings: "
			"one of them");
	doctor.root = system_root();
	for (unsigned int i = 0; i < call->operand_count && status == STATUS_OK; i++)
		status = read_operand(&doctor, call->operands[i]);
	if (status != STATUS_OK)
		return status;
	if (quire_memory_read(&doctor.memory) < 0)
		return fail(STATUS_SYSTEM, "%s", quire_error_text());

	examine(&doctor);
	tally(&doctor, counts);
	if (settings->fix)
		print_settings(call, &doctor);
	else if (call->json)
		put(call, &doctor);
	else
		show(call, &doctor);
	free(doctor.findings);
	return counts[LEVEL_FAIL] != 0       ? STATUS_FAILURE
		: counts[LEVEL_UNKNOWN] != 0 ? STATUS_FORBIDDEN
					     : STATUS_OK;
}

#define AT(field) offsetof(struct doctor_settings, field)

static const struct verb_option options[] = {
	{ "for", 'f', OPTION_CHOICE, AT(profile), "WHAT",
		"judge by the needs of: any, elasticsearch, lmdb, postgres, security, quire", profiles },
	{ "all", 'a', OPTION_FLAG, AT(all), NULL, "explain also what is fine, and say what does not apply",
		NULL },
	{ "fix", 0, OPTION_FLAG, AT(fix), NULL, "print a file for sysctl.d instead; nothing is changed",
		NULL },
	{ 0 },
};

static const char *const description[] = {
	"Looks at everything that makes mapped memory fail, stall or leak on this machine: the limit of mappings and who is "
	"near it, overcommit, huge pages, swap, dirty pages, /dev/shm, locked memory, the limit of the control group and "
	"what of it is working set, and what mapping means on the filesystem of PATH (NFS, SMB, 9p, FUSE, overlay). Each "
	"finding is a figure, its meaning and what to do.",
	"With PID, limits and use of that process. --for judges by the needs of a program: then settings that are harmless "
	"in general may be failures. Nothing is changed.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " doctor /srv/db", "the machine, and the filesystem of a database" },
	{ QUIRE_PROGRAM " doctor --for elasticsearch", "would it start here?" },
	{ QUIRE_PROGRAM " doctor 812", "limits of a process, and how near it is to them" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FAILURE, "at least one failure was found" },
	{ STATUS_FORBIDDEN, "no failure, but something could not be looked at" },
	{ STATUS_NOT_FOUND, "no such path or process" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-features(1)", "quire-maps(1)", "quire-shm(1)", "sysctl.d(5)",
	NULL };

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "settings and limits that make mapped memory fail, with cures",
	.usage = "[PATH|PID]...",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_min = 0,
	.operands_max = 2,
	.settings_bytes = sizeof(struct doctor_settings),
	.run = run_doctor,
};
