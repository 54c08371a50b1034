"""Read the docstrings of the public headers: the single source of the manual pages.

The form is described in CONTRIBUTING.md. Docstring.problems says, by line, what a docstring lacks; nothing here raises on
a bad docstring, so that a lint can show all problems at once.
"""
import errno
import re
from dataclasses import dataclass, field
from pathlib import Path

# What the kernel knows and Python does not.
ERRORS = {*dir(errno), 'EHWPOISON', 'ERFKILL'}
TYPES = ('struct', 'union', 'enum', 'typedef')
# Words before a declaration that say nothing to the reader of a page.
NOISE = re.compile(r'\bQUIRE_API\b\s*|\b__attribute__\s*\(\(.*?\)\)\s*')

BLOCK = re.compile(r'/\*\*\n(.*?)\*/[ \t]*\n', re.S)
HEAD = re.compile(r'(?:(struct|enum|union|typedef) )?(\w+)(?:\(\))? - (.+)')
PARAM = re.compile(r'@(\w+(?:\.\w+)*|\.\.\.):\s*(.*)')
TRAITS = ('Threads', 'Blocks', 'Memory', 'Signals')
FOOTER = ('Since', 'Example', 'Source', 'See')
CODE = re.compile(r'^(?:\t| {2,})')  # text set in by two spaces or a tab is shown as it stands
ERROR_LINE = re.compile(r'^\s+((?:-E[A-Z0-9]+)(?:,\s*-E[A-Z0-9]+)*)(?:\s+|$)(.*)')


@dataclass
class Docstring:
    header: str  # as included: quire/region.h
    line: int
    kind: str  # function struct enum union typedef macro
    name: str
    summary: str
    declaration: str = ''
    params: list = field(default_factory=list)  # (name, text)
    paragraphs: list = field(default_factory=list)  # text, or a list of lines of code
    traits: dict = field(default_factory=dict)
    returns: str = ''
    errors: list = field(default_factory=list)  # ([-ECODE, ...], text)
    footer: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)  # (line, text)

    @property
    def returns_value(self):
        return self.kind == 'function' and not re.match(r'void\s+quire', self.declaration)

    @property
    def key(self):
        """A struct and a function may share a name."""
        return (self.kind if self.kind in TYPES else 'function', self.name)

    @property
    def page(self):
        """quire_map_stat(3) is the function, quire_map_stat(3type) the struct."""
        return self.name, '3type' if self.kind in TYPES else '3'

    @property
    def see(self):
        return [x for x in re.split(r'[,\s]+', self.footer.get('See', '')) if x]


def split_keys(text, keys):
    """'A: x B: y' as {'A': 'x', 'B': 'y'}."""
    parts = re.split(r'(?:^|(?<=\s))(' + '|'.join(keys) + r'):\s*', text)
    return {key: ' '.join(value.split()) for key, value in zip(parts[1::2], parts[2::2])}


def fold_params(doc, lines):
    """Lines of '@name: text', a text going on until the next name."""
    for line in lines:
        found = PARAM.match(line.strip())
        if found:
            doc.params.append([found.group(1), found.group(2)])
        elif doc.params:
            doc.params[-1][1] += ' ' + line.strip()
    doc.params = [(name, ' '.join(text.split())) for name, text in doc.params]


def fold_paragraphs(doc, lines):
    text, code = [], []

    def end():
        if text:
            doc.paragraphs.append(' '.join(' '.join(text).split()))
        while code and not code[-1].strip():
            code.pop()
        if code:
            depth = min(len(x) - len(x.lstrip()) for x in code if x.strip())
            doc.paragraphs.append([x[depth:] for x in code])
        text.clear()
        code.clear()

    for line in lines:
        if CODE.match(line) and not text:
            code.append(line.replace('\t', '        '))
        elif not line.strip():
            if code:
                code.append('')
            else:
                end()
        else:
            if code:
                end()
            text.append(line)
    end()


def fold_returns(doc, lines, first_line):
    """'Returns: 0, or' and the indented lines of error numbers behind it."""
    for offset, line in enumerate(lines):
        found = ERROR_LINE.match(line)
        if found:
            codes = [c.strip() for c in found.group(1).split(',')]
            doc.errors.append([codes, found.group(2)])
            for code in codes:
                if code[1:] not in ERRORS:
                    doc.problems.append((first_line + offset, f'{code} is no error number'))
            if not found.group(2).strip():
                doc.problems.append((first_line + offset, f'{codes[0]} has no cause'))
        elif line.lstrip().startswith('-'):
            doc.problems.append((first_line + offset, f'"{line.strip()}" is not "  -ECODE  cause"'))
        elif doc.errors and line.startswith('  '):
            doc.errors[-1][1] += ' ' + line.strip()
        else:
            doc.returns += ' ' + line.strip()
    doc.returns = ' '.join(doc.returns.split()).removeprefix('Returns:').strip()
    doc.errors = [(codes, ' '.join(text.split())) for codes, text in doc.errors]


def parse_block(header, line, text):
    """One comment; None when its first line is not 'name - summary'."""
    lines = [re.sub(r'^\s*\* ?', '', x).rstrip() for x in text.splitlines()]
    if lines and not lines[-1]:
        lines.pop()
    start = {}  # where each part begins
    for number, content in enumerate(lines):
        key = content.split(':')[0]
        for part, keys in (('traits', TRAITS), ('returns', ('Returns',)), ('footer', FOOTER)):
            if key in keys and ':' in content and part not in start:
                start[part] = number
    # The head: name, summary, parameters, up to the first empty line.
    end = min([len(lines), *start.values()])
    head_end = next((i for i in range(end) if not lines[i]), end)
    first_param = next((i for i in range(head_end) if lines[i].startswith('@')), head_end)
    found = HEAD.fullmatch(' '.join(lines[:first_param]))
    if not found:
        return None
    doc = Docstring(header, line, found.group(1) or 'function', found.group(2), found.group(3))
    fold_params(doc, lines[first_param:head_end])
    fold_paragraphs(doc, lines[head_end:end])

    def part(name):
        if name not in start:
            return []
        later = [n for n in start.values() if n > start[name]]
        return lines[start[name]:min(later, default=len(lines))]

    doc.traits = split_keys(' '.join(part('traits')), TRAITS)
    fold_returns(doc, part('returns'), line + 1 + start.get('returns', 0))
    doc.footer = split_keys(' '.join(part('footer')), FOOTER)
    return doc


def declaration_at(text, at):
    """The declaration (or macro) that begins at this offset, in one line."""
    rest = text[at:]
    if rest.lstrip().startswith('#'):
        found = re.match(r'\s*#\s*define\s+(\w+(?:\([^)]*\))?)', rest)
        return found.group(1) if found else ''
    depth = 0
    rest = re.sub(r'/\*.*?\*/|//[^\n]*', ' ', rest, flags=re.S)
    rest = re.sub(r'^\s*#.*$', ' ', rest, flags=re.M)
    for index, char in enumerate(rest):
        depth += {'{': 1, '}': -1}.get(char, 0)
        if char == ';' and depth == 0:
            return NOISE.sub('', ' '.join(rest[:index + 1].split()))
    return ''


def parse_header(path, include):
    """All docstrings of one header, each with its declaration."""
    text = Path(path).read_text()
    docs = []
    for found in BLOCK.finditer(text):
        line = text.count('\n', 0, found.start()) + 1
        doc = parse_block(include, line, found.group(1))
        if doc is None:
            bad = Docstring(include, line, 'function', '?', '')
            bad.problems.append((line, 'a docstring begins with "name - what it does"'))
            docs.append(bad)
            continue
        doc.declaration = declaration_at(text, found.end())
        if text[found.end():].lstrip().startswith('#'):
            doc.kind = 'macro'
        if not re.search(rf'\b{doc.name}\b', doc.declaration):
            doc.problems.append((line, f'the declaration of {doc.name} does not follow its docstring'))
        docs.append(doc)
    return docs


def declared(path):
    """What a header declares: {(kind, name): (line, [parameters, fields or constants])}."""
    text = Path(path).read_text()
    text = re.sub(r'/\*.*?\*/|//[^\n]*', lambda m: re.sub(r'[^\n]', ' ', m.group()), text, flags=re.S)
    text = re.sub(r'^[ \t]*#(?:.*\\\n)*.*$', lambda m: re.sub(r'[^\n]', ' ', m.group()), text, flags=re.M)
    text = re.sub(r'extern\s+"C"\s*\{', lambda m: ' ' * len(m.group()), text)
    found = {}

    def line_of(offset):
        return text.count('\n', 0, offset) + 1

    for m in re.finditer(r'\b(struct|union|enum)\s+(quire\w*)\s*(?:\w+\(.*?\)\s*)?\{(.*?)\n?\}', text, re.S):
        if m.group(1) == 'enum':
            inside = [re.match(r'\s*(\w+)', part).group(1) for part in m.group(3).split(',') if part.strip()]
        else:
            inside = re.findall(r'(\w+)\s*(?:\[[^\]]*\]\s*)*(?::\s*\d+\s*)?;', re.sub(r'\(\*\s*(\w+)\)\s*\([^)]*\)', r'\1', m.group(3)))
        found[m.group(1), m.group(2)] = (line_of(m.start()), inside)
    flat = re.sub(r'\{[^{}]*\}', lambda m: re.sub(r'[^\n]', ' ', m.group()), text)
    for m in re.finditer(r'\b(quire_\w+)\s*\(', flat):
        before = re.split(r'[;{}]', flat[:m.start()])[-1]
        if not before.strip() or re.search(r'\btypedef\b|\(', before):
            continue
        depth, end = 0, m.end() - 1
        for end in range(m.end() - 1, len(flat)):
            depth += {'(': 1, ')': -1}.get(flat[end], 0)
            if depth == 0:
                break
        found['function', m.group(1)] = (line_of(m.start()), parameter_names(flat[m.end():end]))
    return found


def parameter_names(args):
    """'struct a *x, int (*f)(void *), ...' -> [x, f, ...]"""
    names, depth, current = [], 0, ''
    for char in args + ',':
        depth += {'(': 1, ')': -1}.get(char, 0)
        if char == ',' and depth == 0:
            current = ' '.join(current.split())
            pointer = re.search(r'\(\s*\*\s*(\w+)', current)
            last = re.search(r'(\w+)\s*(?:\[[^\]]*\])*$', current)
            if pointer:
                names.append(pointer.group(1))
            elif current == '...':
                names.append('...')
            elif last and current != 'void':
                names.append(last.group(1))
            current = ''
        else:
            current += char
    return names


def problems_of(doc, known, root):
    """What the manual would lack: (line, text) for each. known is declared() of the header."""
    yield from doc.problems
    if doc.name == '?':
        return
    here = doc.line
    kind = doc.kind
    _, inside = known.get(doc.key, (0, None))
    documented = [name for name, _ in doc.params]
    if inside is not None:
        for name in inside:
            if name not in documented and not re.match(r'reserved\d*$', name):
                yield here, f'{doc.name}: no line "@{name}:"'
        for name in documented:
            if name.split('.')[0] not in inside:
                yield here, f'{doc.name}: "@{name}:" is not there'
    for name, text in doc.params:
        if not text:
            yield here, f'{doc.name}: "@{name}:" says nothing'
    wanted = []
    if kind == 'function':
        for key in ('Threads', 'Blocks', 'Memory'):
            if not doc.traits.get(key):
                yield here, f'{doc.name}: no "{key}:"'
        if doc.returns_value and not doc.returns:
            yield here, f'{doc.name}: no "Returns:"'
        wanted = ['Example']
    for key in ['Since', *wanted]:
        if not doc.footer.get(key):
            yield here, f'{doc.name}: no "{key}:"'
    for key in ('Example', 'Source'):
        value = doc.footer.get(key)
        # A source may also be somebody else's page, as madvise(2).
        if value and (key == 'Example' or '/' in value) and not (root / value).is_file():
            yield here, f'{doc.name}: {key}: there is no {value}'
    for page in doc.see:
        if not re.fullmatch(r'[\w.-]+\(\d\w*\)', page):
            yield here, f'{doc.name}: See: "{page}" is not "page(7)"'


def pages_of(root):
    """Every page of ours: name(section)."""
    docs = [d for h in (root / 'include/quire').glob('*.h') for d in parse_header(h, '')]
    pages = {f'{d.page[0]}({d.page[1]})' for d in docs}
    return pages | {f'{p.name.split(".")[0]}(7)' for p in (root / 'docs/man').glob('*.7.scd')}


def check_headers(root):
    """'path:line: problem' for all public headers of a tree."""
    pages = pages_of(root)
    for path in sorted((root / 'include/quire').glob('*.h')):
        name = path.relative_to(root)
        known = declared(path)
        docs = parse_header(path, f'quire/{path.name}')
        for doc in docs:
            for line, text in problems_of(doc, known, root):
                yield f'{name}:{line}: {text}'
            for page in doc.see:
                # The pages of the command come from the command; tests/lint/manual does not know them here.
                if page.startswith('quire') and not page.endswith('(1)') and page not in pages:
                    yield f'{name}:{doc.line}: {doc.name}: See: there is no page {page}'
        have = {doc.key for doc in docs}
        for (kind, thing), (line, _) in known.items():
            if (kind, thing) not in have:
                yield f'{name}:{line}: {kind} {thing} has no docstring'
