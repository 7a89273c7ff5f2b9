"""What a host does to a process: a full disk, a lake nobody may write, a death at any moment.

Belongs here: the system calls that make such a fault real, for a user without privileges too. Does not belong: when
they happen (`schedule`), which process suffers them (`worker`).

- A full disk is a limit on the size of files (RLIMIT_FSIZE): every write beyond it fails, as with ENOSPC, whoever
  writes: Python, SQLite, the Rust code of Delta. Only the errno differs (EFBIG).
- A read-only lake is a lake whose folders have lost their write permission. Root may write there all the same, so a
  worker lays that privilege down before it starts.
- A death is SIGKILL from within, at the n-th time the process touches the outside: no handler runs, nothing is closed.
"""

import ctypes
import os
import resource
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOUCHES = frozenset(
    {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock", "socket.connect", "sqlite3.connect"}
)
"""Audit events that count as touching the outside; between any two of them a crash leaves another state behind."""

_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER = 1, 2, 3
_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def full_disk(largest_file_bytes: int | None) -> Iterator[None]:
    """Let no file of this process grow beyond `largest_file_bytes`; None changes nothing."""
    if largest_file_bytes is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does by itself: an error instead of a death
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take the write permission from every folder and file below `folder`, and give back what was there before."""
    touched = [(path, path.stat().st_mode) for path in [folder, *folder.rglob("*")] if not path.is_symlink()]
    try:
        for path, mode in touched:
            path.chmod(mode & ~_WRITE)
        yield
    finally:
        for path, mode in touched:
            path.chmod(mode)


def lay_privileges_down() -> None:
    """Let file permissions hold for this process even if it runs as root; call it before any thread exists.

    Raises:
        OSError: the kernel refused.
    """
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER):
        data[0] &= ~(1 << capability)
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


class Touches:
    """Counts how often this process touches the outside, and kills it at a given time; there is one per process.

    An audit hook can never be taken away again, so it stays and does nothing while no death is wanted.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last: int | None = None
        sys.addaudithook(self._seen)

    def begin(self, *, die_at: int | None) -> None:
        """Count from zero; SIGKILL at the `die_at`-th touch, None never."""
        self.count, self._last = 0, die_at

    def _seen(self, event: str, _: tuple[object, ...]) -> None:
        if event in TOUCHES:
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
