/* SPDX-License-Identifier: Apache-2.0 */
/* verb-choose.c - quire choose: which kind of memory for which data, step by step, with the reason for each step. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quire/quire.h>

#include "json.h"
#include "verbs.h"

/* Answers to the questions of the tree; 0 is "not said". */
enum answer_survive { SURVIVE_UNSAID, SURVIVE_NO, SURVIVE_YES, SURVIVE_CRASH };
enum answer_share { SHARE_UNSAID, SHARE_NOBODY, SHARE_CHILDREN, SHARE_PROCESSES };
enum answer_access {
	ACCESS_UNSAID,
	ACCESS_ONCE,
	ACCESS_SEQUENTIAL,
	ACCESS_RANDOM,
	ACCESS_KEYS,
	ACCESS_MESSAGES
};

struct choose_settings {
	unsigned int preset;
	unsigned int survive;
	unsigned int share;
	unsigned int access;
	uint64_t size;
};

static const char *const presets[] = { "any", "database", "index", "model", "queue", "log", "cache",
	"scratch", NULL };
static const char *const survives[] = { "unsaid", "no", "yes", "crash", NULL };
static const char *const shares[] = { "unsaid", "nobody", "children", "processes", NULL };
static const char *const accesses[] = { "unsaid", "once", "sequential", "random", "keys", "messages", NULL };

static const struct {
	unsigned int survive;
	unsigned int share;
	unsigned int access;
} meant[] = {
	{ SURVIVE_UNSAID, SHARE_UNSAID, ACCESS_UNSAID },
	{ SURVIVE_CRASH, SHARE_PROCESSES, ACCESS_KEYS },    /* database */
	{ SURVIVE_YES, SHARE_PROCESSES, ACCESS_RANDOM },    /* index */
	{ SURVIVE_YES, SHARE_PROCESSES, ACCESS_RANDOM },    /* model */
	{ SURVIVE_NO, SHARE_PROCESSES, ACCESS_MESSAGES },   /* queue */
	{ SURVIVE_CRASH, SHARE_NOBODY, ACCESS_SEQUENTIAL }, /* log */
	{ SURVIVE_NO, SHARE_PROCESSES, ACCESS_RANDOM },     /* cache */
	{ SURVIVE_NO, SHARE_NOBODY, ACCESS_RANDOM },        /* scratch */
};

enum { STEPS_MAX = 12 };

/** One question of the tree, how it was answered, and what follows. */
struct step {
	const char *question;
	char answer[160];
	const char *reason;
};

/** The way through the tree, and where it ends. */
struct choice {
	struct step steps[STEPS_MAX];
	size_t count;
	const char *kind;
	const char *call;
	const char *reason;
	const char *huge; /* advice on huge pages, "" for none */
	const char *caution;
	uint64_t memory;
};

/** What is known of the data. */
struct data {
	unsigned int survive;
	unsigned int share;
	unsigned int access;
	uint64_t size;
	bool file;
	uint32_t backing;
};

static void step(struct choice *choice, const char *question, const char *answer, const char *reason)
{
	struct step *s = &choice->steps[choice->count++];

	s->question = question;
	snprintf(s->answer, sizeof(s->answer), "%s", answer);
	s->reason = reason;
}

/* The right noun, of which there is only the plan. */
#define NO_STORE_YET "planned; until it is there, an index of your own in a region (quire/region.h)"

static void end(struct choice *choice, const char *kind, const char *call, const char *reason)
{
	choice->kind = kind;
	choice->call = call;
	choice->reason = reason;
}

/* Below this the allocator is as fast as any mapping, and shares pages with its neighbours; glibc maps above it too. */
#define SMALL (UINT64_C(128) << 10)
/* From here on fewer entries in the TLB are felt. */
#define LARGE (UINT64_C(64) << 20)

static void choose_private(struct choice *choice, const struct data *d)
{
	if (d->size != 0 && d->size < SMALL) {
		step(choice, "How large?", text_bytes(d->size).s, "small things share pages with others");
		end(choice, "malloc", "malloc(size)",
			"a mapping of its own would waste the rest of a page and cost two system calls");
		return;
	}
	step(choice, "How large?", d->size == 0 ? "not said: taken as large" : text_bytes(d->size).s,
		"whole pages can be given back, grown in place, guarded and placed");
	if (d->size > choice->memory) {
		step(choice, "Does it fit into memory?", "no",
			"then something must be paged out; swap does it blindly");
		end(choice, "paged",
			"quire_map(NULL, QUIRE_OPTIONS(map, .path = scratch, .engine = QUIRE_ENGINE_PAGED, .cache_bytes = bound), &map)",
			"the bound on memory is yours, and so is the order in which pages go");
		return;
	}
	end(choice, "anonymous", "quire_map_anon(NULL, size, &map)",
		"zeros on demand, no file, no name, gone with the process");
}

static void choose_volatile(struct choice *choice, const struct data *d)
{
	const char *who = d->share == SHARE_NOBODY ? "nobody"
		: d->share == SHARE_CHILDREN       ? "its children"
						   : "other processes";

	step(choice, "Who else sees it?", d->share == SHARE_UNSAID ? "not said: nobody" : who,
		"sharing needs something that two processes can both name or inherit");
	if (d->share == SHARE_UNSAID || d->share == SHARE_NOBODY) {
		choose_private(choice, d);
	} else if (d->access == ACCESS_MESSAGES) {
		step(choice, "How is it accessed?", "as messages",
			"a ring of messages needs order, wake-ups and a dead peer's end");
		end(choice, "channel", "quire_channel_listen(), quire_channel_connect() (quire/channel.h)",
			"sealed shared memory, no copy by the kernel, no daemon");
	} else if (d->share == SHARE_CHILDREN) {
		end(choice, "shared anonymous",
			"quire_map(NULL, QUIRE_OPTIONS(map, .kind = QUIRE_ANON, .sharing = QUIRE_SHARED, .length = size), &map)",
			"children made by fork inherit it; it needs no name");
	} else {
		end(choice, "memfd",
			"quire_map(NULL, QUIRE_OPTIONS(map, .kind = QUIRE_MEMFD, .length = size), &map)",
			"has a descriptor to send (quire_map_send), can be sealed so that nobody cuts it, and vanishes with its "
			"last user");
	}
}

static void choose_written(struct choice *choice, const struct data *d)
{
	step(choice, "Must a crash leave it whole?", "yes",
		"the kernel writes mapped pages back in any order: a crash tears them");
	if (d->access == ACCESS_KEYS) {
		step(choice, "How is it accessed?", "by key",
			"a tree that is never half written, read through the map");
		end(choice, "store", NO_STORE_YET,
			"ordered keys, transactions, many reading processes, one flush a commit");
	} else if (d->access == ACCESS_SEQUENTIAL || d->access == ACCESS_ONCE) {
		step(choice, "How is it accessed?", "written from start to end",
			"appending needs no mapping");
		end(choice, "write + fdatasync", "write(2), fdatasync(2)",
			"the kernel gathers writes; a mapping would fault for each new page");
	} else {
		step(choice, "How is it accessed?",
			d->access == ACCESS_RANDOM ? "at random" : "not said: at random",
			"stores through a pointer, made durable all together");
		end(choice, "region", "quire_region_open(), quire_region_commit() (quire/region.h)",
			"all stores since the last commit become durable together or not at all");
	}
}

static void choose_read(struct choice *choice, const struct data *d)
{
	bool fits = d->size <= choice->memory / 2;

	switch ((enum answer_access)d->access) {
	case ACCESS_ONCE:
		step(choice, "How is it accessed?", "once, from start to end",
			"what is read once need not be cached");
		if (d->size > choice->memory)
			end(choice, "O_DIRECT", "quire sum --by uring is an example",
				"larger than memory: reading around the cache "
				"leaves other programs' pages where they are");
		else
			end(choice, "read", "read(2) in steps of 256 KiB",
				"a copy is cheaper than a fault and the page table behind it");
		return;
	case ACCESS_KEYS:
		step(choice, "How is it accessed?", "by key", "looking up is what a tree is for");
		end(choice, "store", NO_STORE_YET, "zero-copy reads by key");
		return;
	case ACCESS_SEQUENTIAL:
	case ACCESS_RANDOM:
	case ACCESS_MESSAGES:
	case ACCESS_UNSAID:
	default: break;
	}
	step(choice, "How is it accessed?",
		d->access == ACCESS_UNSAID ? "not said: at random, again and again" : "again and again",
		"then the page cache, shared by all processes, is the best copy");
	step(choice, "Does it fit into memory?",
		fits ? "yes" : "not surely: more than half of what is available",
		"a larger mapping stalls threads at faults nobody sees coming");
	if (fits)
		end(choice, "file mapping", "quire_map_file(NULL, path, QUIRE_READ, &map)",
			"no copy, one page cache for all, loads at "
			"the speed of memory once it is warm");
	else
		end(choice, "paged",
			"quire_map(NULL, QUIRE_OPTIONS(map, .path = path, .engine = QUIRE_ENGINE_PAGED, .cache_bytes = bound), &map)",
			"what the kernel drops, it drops without knowing your program");
}

static void add_cautions(struct choice *choice, const struct data *d)
{
	if (d->backing == QUIRE_BACKING_NETWORK || d->backing == QUIRE_BACKING_FUSE)
		choice->caution =
			"the file is on a network or FUSE: a lost server is SIGBUS in an unguarded mapping; use read, or "
			"map it guarded";
	else if (d->backing == QUIRE_BACKING_OVERLAY)
		choice->caution =
			"the file is on overlayfs: the first open for writing copies it, and old mappings keep the old one";
	else if (strcmp(choice->kind, "file mapping") == 0)
		choice->caution =
			"who can cut the file can kill an unguarded reader (SIGBUS): replace files by rename";
	if (d->size >= LARGE &&
		(strcmp(choice->kind, "anonymous") == 0 || strcmp(choice->kind, "memfd") == 0))
		choice->huge =
			"transparent: .advice = QUIRE_HUGEPAGE; the pool (.page_bytes = 2 << 20) only if it is set up at boot";
	else if (d->size >= LARGE && strcmp(choice->kind, "file mapping") == 0)
		choice->huge =
			"the filesystem's large folios come by themselves; reading ahead in large steps brings them";
}

static void decide(struct choice *choice, const struct data *d)
{
	choice->huge = choice->caution = "";
	step(choice, "Must it survive the process?",
		d->survive == SURVIVE_NO               ? "no"
			: d->survive == SURVIVE_UNSAID ? d->file ? "yes: it is a file" : "not said: no"
						       : "yes",
		"what survives needs a file; what does not should have none");
	if (d->survive == SURVIVE_CRASH)
		choose_written(choice, d);
	else if (d->survive == SURVIVE_YES || (d->survive == SURVIVE_UNSAID && d->file))
		choose_read(choice, d);
	else
		choose_volatile(choice, d);
	add_cautions(choice, d);
}

static void show(struct call *call, const struct choice *choice)
{
	struct screen *screen = &call->screen;

	say_paragraph(screen, INK_STRONG, 0, "Use %s: %s.", choice->kind, choice->reason);
	say(screen, INK_PLAIN, "\n");
	for (size_t i = 0; i < choice->count; i++) {
		char question[100];

		snprintf(question, sizeof(question), "  %zu. %s ", i + 1, choice->steps[i].question);
		say_item(screen, INK_PLAIN, question, INK_PRESENT, "%s", choice->steps[i].answer);
		say_paragraph(screen, INK_FAINT, 5, "%s", choice->steps[i].reason);
	}
	say(screen, INK_PLAIN, "\n");
	say_paragraph(screen, INK_PLAIN, 2, "in C: %s", choice->call);
	if (choice->huge[0] != '\0')
		say_paragraph(screen, INK_PLAIN, 2, "huge pages: %s", choice->huge);
	if (choice->caution[0] != '\0')
		say_paragraph(screen, INK_DIRTY, 2, "! %s", choice->caution);
	say(screen, INK_PLAIN, "\n");
	say_next(screen, "what mapping means where the data lies", QUIRE_PROGRAM " doctor PATH");
}

static void put(struct call *call, const struct choice *choice, const struct data *d)
{
	json_t *document = json_document("choose");
	json_t *steps;

	json_put_text(document, "kind", choice->kind);
	json_put_text(document, "call", choice->call);
	json_put_text(document, "reason", choice->reason);
	json_put_text(document, "huge_pages", choice->huge[0] != '\0' ? choice->huge : NULL);
	json_put_text(document, "caution", choice->caution[0] != '\0' ? choice->caution : NULL);
	json_put_count(document, "size", d->size);
	steps = json_put_array(document, "steps");
	for (size_t i = 0; i < choice->count; i++) {
		json_t *object = json_add_object(steps);

		json_put_text(object, "question", choice->steps[i].question);
		json_put_text(object, "answer", choice->steps[i].answer);
		json_put_text(object, "reason", choice->steps[i].reason);
	}
	json_print(call, document);
}

static enum status look_at_file(const char *path, struct data *d)
{
	struct quire_presence figures = { .size = sizeof(figures) };
	int fd, r = quire_presence_open(AT_FDCWD, path, &fd);

	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	r = quire_presence_read(fd, 0, 0, 0, &figures);
	close(fd);
	if (r < 0)
		return fail(status_of(r), "%s", quire_error_text());
	d->file = true;
	d->backing = figures.backing;
	if (d->size == 0)
		d->size = figures.file_bytes;
	return STATUS_OK;
}

static enum status run_choose(struct call *call)
{
	const struct choose_settings *settings = call->settings;
	struct quire_memory memory = { .size = sizeof(memory) };
	struct choice choice = { .count = 0 };
	struct data data = {
		.survive = settings->survive != 0 ? settings->survive : meant[settings->preset].survive,
		.share = settings->share != 0 ? settings->share : meant[settings->preset].share,
		.access = settings->access != 0 ? settings->access : meant[settings->preset].access,
		.size = settings->size,
	};
	enum status status = call->operand_count != 0 ? look_at_file(call->operands[0], &data) : STATUS_OK;

	if (status != STATUS_OK)
		return status;
	choice.memory = quire_memory_read(&memory) == 0 ? memory.available_bytes : UINT64_C(1) << 30;
	decide(&choice, &data);
	if (call->json)
		put(call, &choice, &data);
	else
		show(call, &choice);
	return STATUS_OK;
}

#define AT(field) offsetof(struct choose_settings, field)

static const struct verb_option options[] = {
	{ "for", 'f', OPTION_CHOICE, AT(preset), "WHAT",
		"database, index, model, queue, log, cache or scratch: answers the questions "
		"that are not answered otherwise",
		presets },
	{ "survive", 0, OPTION_CHOICE, AT(survive), "HOW",
		"must it survive the process: no, yes, or crash (whole after a crash)", survives },
	{ "share", 0, OPTION_CHOICE, AT(share), "WHO", "who else sees it: nobody, children or processes",
		shares },
	{ "access", 0, OPTION_CHOICE, AT(access), "HOW", "once, sequential, random, keys or messages",
		accesses },
	{ "size", 0, OPTION_SIZE, AT(size), "BYTES", "how large it is; with FILE, its size", NULL },
	{ 0 },
};

static const char *const description[] = {
	"Walks the decision tree from the needs of some data to the kind of memory that suits it: malloc, anonymous memory, "
	"shared memory, memfd, file mapping, plain reads, direct reads, a pager, a region with commit, a key-value store, or "
	"a channel. Each step is shown with its answer and its reason, so that it can be disagreed with.",
	"With FILE, its size and filesystem are looked at.",
	NULL,
};

static const struct verb_example examples[] = {
	{ QUIRE_PROGRAM " choose --for model weights.bin", "how to load this model" },
	{ QUIRE_PROGRAM " choose --survive no --share processes --access messages", "between two processes" },
	{ QUIRE_PROGRAM " choose --size 40G --access random", "a large table of one process" },
	{ NULL, NULL },
};

static const struct verb_exit exits[] = {
	{ STATUS_FORBIDDEN, "FILE may not be read" },
	{ STATUS_NOT_FOUND, "there is no FILE" },
	{ 0, NULL },
};

static const char *const see_also[] = { "quire-doctor(1)", "quire_map(3)", NULL };

const struct verb verb_choose = {
	.name = "choose",
	.summary = "which kind of memory suits some data, and why",
	.usage = "[FILE]",
	.description = description,
	.options = options,
	.examples = examples,
	.exits = exits,
	.see_also = see_also,
	.operands_max = 1,
	.settings_bytes = sizeof(struct choose_settings),
	.run = run_choose,
};
