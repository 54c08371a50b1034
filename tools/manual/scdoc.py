"""Write scdoc, which writes the pages."""
import re

VOLUME = {'1': 'Quire commands', '3': 'Quire library', '3type': 'Quire library', '7': 'Quire manual'}


def escape(text):
    """Text in which nothing is markup."""
    text = re.sub(r'([\\*_])', r'\\\1', text)
    return re.sub(r'^([#|;\[\]-])', r'\\\1', text)


def bold(text):
    return f'*{escape(text)}*'


def rich(text):
    """Escape, but set `code`, @parameter and page(3) in bold."""
    parts = re.split(r'(`[^`]+`|(?<!\w)@\w+|\b[\w.-]+\(\d\w*\))', text)
    return ''.join(bold(p.strip('`@')) if i % 2 else escape(p) for i, p in enumerate(parts))


def code(lines):
    return '```\n' + '\n'.join(line for line in lines) + '\n```'


def definitions(pairs):
    """A term in bold, its text set in."""
    return '\n\n'.join(f'{bold(term)}\n\t{rich(text) or "-"}' for term, text in pairs)


def page(name, section, version, parts):
    """parts: (heading, text); an empty text leaves the heading out."""
    head = f'{name}({section}) "Quire {version}" "{VOLUME[section]}"\n'
    return head + ''.join(f'\n# {title}\n\n{text}\n' for title, text in parts if text)
