"""What the lint tests share: a tree to read, planted mistakes, and TAP.

A check is a function of a tree: check(root) yields "path:line: what is wrong" for each problem. A check is worth
having only if it can fail, so each script also plants mistakes: small trees (path -> text) in which the check must
find a problem that contains the given words, and one clean tree in which it must find none.
"""
import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(os.environ.get('QUIRE_SOURCE') or Path(__file__).resolve().parents[2])
BUILD = Path(os.environ.get('QUIRE_BUILD') or ROOT / 'build' / 'gcc')
HUNT = os.environ.get('QUIRE_HUNT') == '1'
CODE_FOLDERS = ('include', 'src', 'tools', 'tests', 'examples', 'bench')


def sources(root, folders=CODE_FOLDERS, suffixes=('.c', '.h')):
    """All source files below the folders, in a stable order."""
    return sorted(p for f in folders for p in (root / f).rglob('*') if p.suffix in suffixes and p.is_file())


def bare(text):
    """C without comments and without what stands in strings; every line stays where it was."""
    def blank(found):
        token = found.group()
        if token[0] in '"\'':
            return token[0] * 2
        return re.sub(r'[^\n]', '', token) or ' '
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def plant(root, tree):
    """Write a small tree of files."""
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def skip_all(reason):
    print(f'1..0 # SKIP {reason}')
    sys.exit(0)


def run(check, mistakes, clean=None, note=None):
    """Prove the check on the planted mistakes, then run it on the whole tree; print TAP and leave."""
    results = []
    cases = [(name, tree, words) for name, (tree, words) in mistakes.items()]
    if clean is not None:
        cases.append(('finds nothing in a clean tree', clean, None))
    for name, tree, words in cases:
        with tempfile.TemporaryDirectory(prefix='quire-lint-') as where:
            plant(Path(where), tree)
            found = list(check(Path(where)))
        if words is None:
            results.append((name, found))
        else:
            hit = any(words in problem for problem in found)
            results.append((f'notices {name}', [] if hit else [f'expected "{words}", got {found or "nothing"}']))
    results.append(('the tree', list(check(ROOT))))

    print(f'1..{len(results)}')
    for number, (name, problems) in enumerate(results, 1):
        print(f'{"not ok" if problems else "ok"} {number} - {name}')
        for problem in problems:
            print(f'#   {problem}')
    if note is not None:
        for line in note():
            print(f'# {line}')
    sys.exit(0 if not any(problems for _, problems in results) else 1)
