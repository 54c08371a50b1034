"""What the tests of the command share: running it, asking JSON of it, and TAP.

A case is a function whose name is the sentence it proves; it raises AssertionError when that is not so, and Skip when
this machine cannot show it.
"""
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import jsonschema

SOURCE = Path(os.environ.get('QUIRE_SOURCE') or Path(__file__).resolve().parents[2])
COMMAND = os.environ['QUIRE_COMMAND']
QUICK = os.environ.get('QUIRE_TEST_QUICK') == '1'
HUNT = os.environ.get('QUIRE_HUNT') is not None


def turns(quick, usual, hunt):
    """How often a case that waits for an unlucky moment tries: the default run must stay short."""
    return hunt if HUNT else quick if QUICK else usual


class Skip(Exception):
    pass


# A test must not depend on who runs it: a shell starts what it puts into the background with an interrupt ignored.
os.umask(0o022)
signal.signal(signal.SIGINT, signal.default_int_handler)


def environment(**more):
    """A plain one: a test must not depend on who runs it."""
    keep = ('PATH', 'TMPDIR', 'LD_LIBRARY_PATH', 'QUIRE_MASK', 'ASAN_OPTIONS', 'UBSAN_OPTIONS')
    base = {k: v for k, v in os.environ.items() if k in keep}
    return {**base, 'LC_ALL': 'C.UTF-8', 'TERM': 'xterm-256color', **more}


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f'status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}'

    @property
    def text(self):
        return self.out.decode()

    @property
    def json(self):
        """The document, checked against the schema it names."""
        document = json.loads(self.out.decode())
        name, version = document['schema'].split('/')
        schema = json.loads((SOURCE / 'docs' / 'schema' / f'{name}.{version}.json').read_text())
        jsonschema.validate(document, schema)
        return document


def quire(*args, status=0, env=None, **how):
    """Run it; a status other than the expected one is a failure. None expects nothing."""
    how.setdefault('stdin', subprocess.DEVNULL)
    done = Result(subprocess.run([COMMAND, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=environment(**(env or {})), timeout=120, **how))
    assert status is None or done.status == status, f'{args}: status {status} wanted\n{done!r}'
    return done


def quire_on_terminal(*args, env=None, columns=80):
    """The same with a terminal of so many columns for stdout and stderr; returns the bytes it received."""
    import fcntl
    import struct
    import termios
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 40, columns, 0, 0))
    process = subprocess.Popen([COMMAND, *args], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                               env=environment(**(env or {})))
    os.close(theirs)
    received = b''
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        received += part
    os.close(ours)
    return process.wait(), received


def as_nobody(*args, **how):
    """As uid 65534, from a copy that everybody may run: the checkout may lie where only its owner may look."""
    if os.geteuid() != 0:
        raise Skip('not root, so nobody else can be impersonated')
    with tempfile.TemporaryDirectory(prefix='quire-nobody-', dir='/tmp') as where:
        os.chmod(where, 0o755)
        command = shutil.copy(COMMAND, where)
        for library in Path(COMMAND).parent.glob('libquire.so*'):
            if library.is_file():
                shutil.copy(library, Path(where) / library.name)
        os.chmod(command, 0o755)
        env = environment(LD_LIBRARY_PATH=where)
        return Result(subprocess.run([command, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, env=env, timeout=120, cwd='/', user=65534, group=65534,
                                     extra_groups=[], **how))


def widest(text):
    return max((len(line) for line in text.splitlines()), default=0)


def scratch(on_disk=False):
    """on_disk: /tmp may be memory, whose files have no cache to forget."""
    return tempfile.TemporaryDirectory(prefix='quire-test-', dir='/var/tmp' if on_disk else None)


def run(*cases):
    """TAP on stdout; exit status 1 when a case failed."""
    print(f'1..{len(cases)}', flush=True)
    failed = 0
    for number, case in enumerate(cases, 1):
        name = case.__name__.replace('_', ' ')
        try:
            case()
            print(f'ok {number} - {name}', flush=True)
        except Skip as why:
            print(f'ok {number} - {name} # SKIP {why}', flush=True)
        except Exception:
            failed += 1
            print(f'not ok {number} - {name}', flush=True)
            for line in traceback.format_exc().splitlines():
                print(f'# {line}', flush=True)
    sys.exit(1 if failed else 0)
