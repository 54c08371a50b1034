/* SPDX-License-Identifier: Apache-2.0 */
/* why-core.c - the fault and the mappings that a core dump remembers. Its bytes are the world: each is checked. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quire/quire.h>

#include "file-view.h"
#include "why.h"

/* Notes are some KiB; a table of 65,530 files with long names some MiB. */
#define NOTES_MAX ((size_t)64 << 20)

/** A core dump that is being read. */
struct core {
	int fd;
	Elf64_Ehdr header;
	Elf64_Phdr *segments;
	char *notes;
	size_t notes_bytes;
};

static int read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
	ssize_t n = pread(fd, to, bytes, (off_t)offset);

	return n < 0 ? -errno : (size_t)n < bytes ? -ENOEXEC : 0;
}

static int read_header(struct core *core)
{
	const Elf64_Ehdr *h = &core->header;
	int r = read_at(core->fd, &core->header, sizeof(core->header), 0);

	if (r < 0)
		return r;
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
		h->e_type != ET_CORE || h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0)
		return -ENOEXEC;
	core->segments = allocate(NULL, h->e_phnum, sizeof(*core->segments));
	return read_at(core->fd, core->segments, h->e_phnum * sizeof(*core->segments), h->e_phoff);
}

static int read_notes(struct core *core)
{
	for (int i = 0; i < core->header.e_phnum; i++) {
		const Elf64_Phdr *s = &core->segments[i];

		if (s->p_type != PT_NOTE)
			continue;
		if (s->p_filesz == 0 || s->p_filesz > NOTES_MAX)
			return -ENOEXEC;
		core->notes = allocate(NULL, s->p_filesz + 1, 1);
		core->notes_bytes = s->p_filesz;
		core->notes[s->p_filesz] = '\0';
		return read_at(core->fd, core->notes, s->p_filesz, s->p_offset);
	}
	return -ENOEXEC;
}

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* The first note of a type, NULL without one. */
static const char *find_note(const struct core *core, uint32_t type, size_t *bytes)
{
	size_t at = 0;

	while (core->notes_bytes - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t body, next;

		memcpy(&note, core->notes + at, sizeof(note));
		body = at + sizeof(note) + padded(note.n_namesz);
		next = body + padded(note.n_descsz);
		if (body > core->notes_bytes || note.n_descsz > core->notes_bytes - body || next <= at)
			return NULL;
		if (note.n_type == type) {
			*bytes = note.n_descsz;
			return core->notes + body;
		}
		at = next < core->notes_bytes ? next : core->notes_bytes;
	}
	return NULL;
}

static int read_fault(const struct core *core, struct crash *crash)
{
	prstatus_t status;
	prpsinfo_t process;
	siginfo_t info;
	size_t bytes;
	const char *note = find_note(core, NT_SIGINFO, &bytes);

	if (note == NULL || bytes < sizeof(info))
		return -ENOEXEC;
	memcpy(&info, note, sizeof(info));
	why_set_signal(crash, &info);
	note = find_note(core, NT_PRSTATUS, &bytes);
	if (note != NULL && bytes >= sizeof(status)) {
		struct user_regs_struct registers;

		memcpy(&status, note, sizeof(status));
		memcpy(&registers, status.pr_reg, sizeof(registers));
		crash->pc = registers.rip;
		crash->sp = registers.rsp;
	}
	note = find_note(core, NT_PRPSINFO, &bytes);
	if (note != NULL && bytes >= sizeof(process)) {
		memcpy(&process, note, sizeof(process));
		snprintf(crash->program, sizeof(crash->program), "%.*s", (int)sizeof(process.pr_fname),
			process.pr_fname);
	}
	return 0;
}

/* Which file stands behind an address: NT_FILE is a count, a page size, triples of numbers, then the names. */
static const char *file_at(const char *note, size_t bytes, uint64_t start, uint64_t *offset)
{
	uint64_t count, page, triple[3];
	const char *name, *end;

	if (note == NULL || bytes < 16)
		return "";
	end = note + bytes;
	memcpy(&count, note, 8);
	memcpy(&page, note + 8, 8);
	if (count > (bytes - 16) / 24)
		return "";
	name = note + 16 + count * 24;
	for (uint64_t i = 0; i < count && name < end; i++) {
		memcpy(triple, note + 16 + i * 24, 24);
		if (triple[0] <= start && start < triple[1]) {
			*offset = triple[2] * page + (start - triple[0]);
			return memchr(name, '\0', (size_t)(end - name)) == NULL ? "" : name;
		}
		name += strnlen(name, (size_t)(end - name)) + 1;
	}
	return "";
}

static void read_mappings(const struct core *core, struct crash *crash)
{
	size_t bytes = 0;
	const char *files = find_note(core, NT_FILE, &bytes);

	for (int i = 0; i < core->header.e_phnum; i++) {
		const Elf64_Phdr *s = &core->segments[i];
		struct why_mapping m = { .start = s->p_vaddr, .end = s->p_vaddr + s->p_memsz };
		const char *name;

		if (s->p_type != PT_LOAD || s->p_memsz == 0)
			continue;
		m.flags = ((s->p_flags & PF_R) != 0 ? QUIRE_MAPPING_READ : 0U) |
			((s->p_flags & PF_W) != 0 ? QUIRE_MAPPING_WRITE : 0U) |
			((s->p_flags & PF_X) != 0 ? QUIRE_MAPPING_EXECUTE : 0U);
		name = file_at(files, bytes, m.start, &m.offset);
		if (name[0] == '\0' && m.start <= crash->sp && crash->sp < m.end)
			name = "[stack]";
		why_add_mapping(crash, &m, name);
	}
}

int why_read_core(const char *path, struct crash *crash)
{
	struct core core = { .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
	struct stat about;
	int r;

	if (core.fd < 0)
		return -errno;
	r = fstat(core.fd, &about) != 0 || !S_ISREG(about.st_mode) ? -ENOEXEC : read_header(&core);
	if (r == 0)
		r = read_notes(&core);
	if (r == 0)
		r = read_fault(&core, crash);
	if (r == 0) {
		crash->from_core = true;
		read_mappings(&core, crash);
	}
	free(core.segments);
	free(core.notes);
	close(core.fd);
	return r;
}
