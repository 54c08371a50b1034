"""Files and processes in known states, and the kernel's own word on them, asked without Quire."""
import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAGE = 4096
TRIES = 1000  # until nobody else was quicker: a sync of others, or the kernel, writes back whatever is dirty at any moment
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def disk():
    """A folder on a disk that everybody may enter: /tmp may be tmpfs, whose pages cannot be dropped."""
    where = tempfile.TemporaryDirectory(prefix='quire-test-', dir='/var/tmp')
    os.chmod(where.name, 0o755)
    return where


def memory_or_disk(files):
    """A folder for many small files: in memory where there is room, for these come and go quickly there."""
    room = os.statvfs('/dev/shm') if os.access('/dev/shm', os.W_OK) else None
    if room is None or room.f_favail < 2 * files or room.f_bavail * room.f_frsize < files * PAGE // 50:
        return disk()
    return tempfile.TemporaryDirectory(prefix='quire-test-', dir='/dev/shm')


def make(path, pages, owner=None, mode=0o644):
    """A file of random bytes, on the disk and in the cache."""
    with open(path, 'wb') as file:
        for _ in range(pages // 256):
            file.write(os.urandom(256 * PAGE))
        file.write(os.urandom(pages % 256 * PAGE))
        file.flush()
        os.fsync(file.fileno())
    os.chmod(path, mode)
    if owner is not None:
        os.chown(path, owner, owner)
    return str(path)


def drop(path, first=0, pages=0):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, first * PAGE, pages * PAGE, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def cachestat(path):
    """(cached, dirty, writing, evicted, recently evicted) in pages, whole file; None where the kernel refuses."""
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        if size == 0:
            return (0, 0, 0, 0, 0)
        span, counts = (ctypes.c_uint64 * 2)(0, size), (ctypes.c_uint64 * 5)()
        return tuple(counts) if libc.syscall(451, fd, span, counts, 0) == 0 else None
    finally:
        os.close(fd)


def mincore(path):
    """One byte a page, as root or the owner: 1 where its bytes are in memory."""
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        pages = (size + PAGE - 1) // PAGE
        if pages == 0:
            return b''
        at = libc.mmap(None, pages * PAGE, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
        bits = ctypes.create_string_buffer(pages)
        assert libc.mincore(at, pages * PAGE, bits) == 0
        libc.munmap(at, pages * PAGE)
        return bytes(b & 1 for b in bits.raw)
    finally:
        os.close(fd)


MAPPER = '''
import ctypes, mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
m = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
touched = sum(m[i] for i in range(0, int(sys.argv[2]) * 4096, 4096))
if sys.argv[3] == "lock":
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    at = libc.mmap(None, ctypes.c_size_t(size), 1, 1, fd, ctypes.c_long(0))
    assert libc.mlock(ctypes.c_void_p(at), ctypes.c_size_t(size)) == 0
print("ready", flush=True)
sys.stdin.read()
'''


class Mapper:
    """A process that maps a file and has touched its first pages."""

    def __init__(self, path, pages, how='map'):
        self.process = subprocess.Popen([sys.executable, '-c', MAPPER, path, str(pages), how],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b'ready\n'
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Mount:
    """A filesystem for the length of a block; None in .where when this machine cannot."""

    def __init__(self, *how):
        self.how, self.where = how, None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix='quire-mount-', dir='/var/tmp')
        os.chmod(self.folder, 0o755)
        done = subprocess.run(['mount', *self.how, self.folder], capture_output=True)
        self.where = Path(self.folder) if done.returncode == 0 else None
        return self

    def __exit__(self, *_):
        for _ in range(20):
            if self.where is None or subprocess.run(['umount', self.folder], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        os.rmdir(self.folder)
