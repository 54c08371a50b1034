"""man(3): one page a function, options struct, enum or macro, from the docstrings."""
import re

from docstrings import TYPES
from scdoc import bold, code, definitions, escape, page, rich

COLUMNS = 68  # what man(1) leaves of 80 for a line of code
HEADING = {'function': 'PARAMETERS', 'macro': 'PARAMETERS', 'enum': 'VALUES'}


def fold(text):
    """Breaks what is too long for a line behind a comma."""
    lines = ['']
    for part in re.split(r'(?<=,) ', text):
        if lines[-1] and len(lines[-1]) + 1 + len(part) > COLUMNS - 4:
            lines.append('    ' + part)
        else:
            lines[-1] = f'{lines[-1]} {part}'.strip() if len(lines) == 1 else f'{lines[-1]} {part}'
    return lines


def synopsis(doc):
    lines = [f'#include <{doc.header}>', '']
    declaration = doc.declaration
    if doc.kind in ('struct', 'union', 'enum'):
        inside = declaration[declaration.find('{') + 1:declaration.rfind('}')]
        parts = [p.strip() for p in re.split(r';' if doc.kind != 'enum' else r',', inside) if p.strip()]
        end = ';' if doc.kind != 'enum' else ','
        lines += [f'{doc.kind} {doc.name} {{', *[f'    {line}' for p in parts for line in fold(f'{p}{end}')], '};']
    elif len(declaration) > COLUMNS and '(' in declaration:
        head, _, rest = declaration.partition('(')
        args, tail = rest.rsplit(')', 1)
        # A comma inside a callback's own parentheses is not ours.
        args = [a.strip() for a in re.split(r',(?![^()]*\))', args)]
        lines += [head + '(', *[f'    {line}' for a in args[:-1] for line in fold(f'{a},')], f'    {args[-1]}){tail}']
    else:
        lines.append(declaration)
    return code(lines)


def returns(doc):
    text = rich(doc.returns)
    if doc.errors:
        text += '\n\n' + definitions((', '.join(codes), why) for codes, why in doc.errors)
    return text


def see_also(doc, docs):
    """What the docstring names, the types it takes, and for a type, the functions that take it."""
    pages = set(doc.see)
    for other in docs:
        if other is doc or other.name == '?':
            continue
        kind, text = (other, doc) if other.kind in TYPES else (doc, other)
        if kind.kind in TYPES and re.search(rf'\b{kind.kind} {kind.name}\b', text.declaration):
            pages.add('{}({})'.format(*other.page))
    return ', '.join(bold(p) for p in sorted(pages, key=lambda p: (p.split('(')[1], p)))


def describe(doc):
    return '\n\n'.join(code(p) if isinstance(p, list) else rich(p) for p in doc.paragraphs)


def man3(doc, docs, version):
    footer = doc.footer
    example = footer.get('Example')
    return page(*doc.page, version, [
        ('NAME', f'{doc.name} - {escape(doc.summary)}'),
        ('SYNOPSIS', synopsis(doc)),
        ('DESCRIPTION', describe(doc)),
        (HEADING.get(doc.kind, 'FIELDS'), definitions(doc.params)),
        ('RETURN VALUE', returns(doc) if doc.returns or doc.errors else ''),
        ('ATTRIBUTES', definitions(doc.traits.items())),
        ('EXAMPLE', f'A whole program: {escape(example)}' if example else ''),
        ('SOURCE', f'How it works: {escape(footer["Source"])}' if 'Source' in footer else ''),
        ('HISTORY', f'Since Quire {escape(footer["Since"])}.' if 'Since' in footer else ''),
        ('SEE ALSO', see_also(doc, docs)),
    ])
