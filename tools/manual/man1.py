"""man(1) and the bash completion, from the table of verbs that the command itself prints (--dump-verbs)."""
from scdoc import bold, code, definitions, escape, page, rich

# The shape of the table; tests/lint/manual holds the command to it. Lists may be empty, names may not be missing.
VERB_KEYS = {'name': str, 'summary': str, 'usage': str, 'description': list, 'options': list, 'examples': list,
             'exit': list, 'see_also': list}
PART_KEYS = {'options': ('long', 'short', 'arg', 'help'), 'examples': ('cmd', 'what'), 'exit': ('code', 'what')}


def problems(table):
    """What the table lacks, as sentences."""
    if not table.get('verbs'):
        yield 'no verbs'
    for verb in table.get('verbs', []):
        name = verb.get('name', '?')
        for key, kind in VERB_KEYS.items():
            if not isinstance(verb.get(key), kind):
                yield f'{name}: "{key}" is missing or no {kind.__name__}'
        for part, keys in PART_KEYS.items():
            for entry in verb.get(part) or []:
                for key in keys:
                    if key not in entry:
                        yield f'{name}: an entry of "{part}" has no "{key}"'
        for key in ('summary', 'description', 'examples', 'exit'):
            if key in verb and not verb[key]:
                yield f'{name}: "{key}" is empty'
        for option in verb.get('options') or []:
            if not option.get('long') or not option.get('help'):
                yield f'{name}: an option without a long name or without help'


def option_term(option):
    long = f'--{option["long"].lstrip("-")}'
    short = (option.get('short') or '').lstrip('-')
    arg = option.get('arg') or ''
    return (f'-{short}, ' if short else '') + long + (f'={arg}' if arg else '')


def shown(text, program):
    """Texts of the table say quire; the installed name may differ."""
    return program + text[5:] if text.split(' ')[0] == 'quire' else text


def verb_page(verb, program, version):
    usage = '\n\n'.join(bold(shown(line, program)) for line in verb['usage'].splitlines())
    examples = '\n\n'.join(f'{rich(e["what"])}\n\n{code(["    " + shown(e["cmd"], program)])}' for e in verb['examples'])
    see = [s for s in verb['see_also']]
    return page(f'{program}-{verb["name"]}', '1', version, [
        ('NAME', f'{program}-{verb["name"]} - {escape(verb["summary"])}'),
        ('SYNOPSIS', usage),
        ('DESCRIPTION', '\n\n'.join(rich(p) for p in verb['description'])),
        ('OPTIONS', definitions((option_term(o), o['help']) for o in verb['options'])),
        ('EXAMPLES', examples),
        ('EXIT STATUS', definitions((str(e['code']), e['what']) for e in verb['exit'])),
        ('SEE ALSO', ', '.join(bold(s) for s in [f'{program}(1)', *[x for x in see if x != f'{program}(1)']])),
    ])


def main_page(table, program, version):
    verbs = table['verbs']
    return page(program, '1', version, [
        ('NAME', f'{program} - {escape(table.get("summary") or "memory mapping as one complete system")}'),
        ('SYNOPSIS', f'{bold(program)} _VERB_ [_OPTION_...] [_ARGUMENT_...]'),
        ('DESCRIPTION', '\n\n'.join(rich(p) for p in table.get('description') or [])),
        ('VERBS', definitions((v['name'], f'{v["summary"]}; see {program}-{v["name"]}(1)') for v in verbs)),
        ('OPTIONS', definitions((option_term(o), o['help']) for o in table.get('options') or [])),
        ('SEE ALSO', ', '.join(bold(f'{program}-{v["name"]}(1)') for v in verbs)),
    ])


def completion(table, program):
    """bash completion: verbs first, then the options of the verb, else file names."""
    function = '_' + ''.join(c if c.isalnum() else '_' for c in program)
    top = ' '.join('--' + o['long'].lstrip('-') for o in table.get('options') or [])
    lines = [
        f'# bash completion of {program}; written from the table of verbs.',
        f'{function}()',
        '{',
        '\tlocal current=${COMP_WORDS[COMP_CWORD]} words',
        '\tif ((COMP_CWORD == 1)); then',
        f'\t\twords="{" ".join([v["name"] for v in table["verbs"]] + ([top] if top else []))}"',
        '\t\tmapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")',
        '\t\treturn',
        '\tfi',
        '\tcase ${COMP_WORDS[1]} in',
    ]
    for verb in table['verbs']:
        words = ' '.join('--' + o['long'].lstrip('-') for o in verb['options'])
        lines.append(f'\t{verb["name"]}) words="{words}" ;;')
    lines += [
        '\t*) words="" ;;',
        '\tesac',
        '\tif [[ $current == -* ]]; then',
        '\t\tmapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")',
        '\telse',
        '\t\tmapfile -t COMPREPLY < <(compgen -f -- "$current")',
        '\tfi',
        '}',
        f'complete -o filenames -F {function} {program}',
    ]
    return '\n'.join(lines) + '\n'
