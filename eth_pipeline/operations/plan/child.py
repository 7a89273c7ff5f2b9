"""One stage's process: bounded in time and memory, and never outliving whoever started it.

Belongs here: starting, watching, stopping; the other end in the child. Does not belong: what the process does.

The child leads a process group of its own. It holds the reading end of a pipe whose writing end only its starter has:
when the starter dies, however it dies, the kernel closes that end, the child reads the end of the file and kills its
whole group. So a killed plan leaves no training behind that a second plan would meet.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_POLL_SECONDS = 0.25
_PATIENCE_SECONDS = 10.0
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Bounds:
    """What a process may take."""

    seconds: float
    memory_bytes: float


@dataclass(frozen=True)
class Ended:
    """How it went: `limit` names the bound that stopped it, None where it ended by itself."""

    exit_code: int
    seconds: float
    peak_memory_megabytes: float
    limit: str | None


def run_bounded(
    command: Sequence[str],
    *,
    bounds: Bounds,
    log: Path,
    environment: Mapping[str, str],
    inherited: Sequence[int] = (),
    looked: Callable[[], None] = lambda: None,
) -> Ended:
    """Run `command` to its end, or stop it with all its children at a bound or at any exception here.

    Args:
        command: program and arguments.
        bounds: of wall-clock and of the resident memory of all its processes together.
        log: its output is appended there.
        environment: beside that of this process.
        inherited: descriptors that it keeps open.
        looked: called a few times a second.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started, peak, limit = time.monotonic(), 0.0, None
    with (
        log.open("ab") as output,
        subprocess.Popen(  # noqa: S603  # a list built by this package, never a shell
            list(command),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
            pass_fds=tuple(inherited),
        ) as process,
    ):
        try:
            while limit is None and not _ended(process):
                looked()
                used = resident_bytes(process.pid)
                peak = max(peak, used)
                limit = _passed(bounds, seconds=time.monotonic() - started, memory_bytes=used)
        finally:
            _stop_group(process)
    return Ended(process.returncode, time.monotonic() - started, peak / _MEGABYTE, limit)


def die_with_starter(descriptor: int = 0) -> None:
    """In the child: kill this process's group as soon as the starter is gone. Returns at once.

    Reads the descriptor itself: a thread inside a buffered reader would abort the interpreter when it ends.
    """

    def watch() -> None:
        while os.read(descriptor, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="die-with-starter", daemon=True).start()


def resident_bytes(pid: int) -> float:
    """Resident memory of a process and its descendants; shared pages count in each."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _passed(bounds: Bounds, *, seconds: float, memory_bytes: float) -> str | None:
    if seconds > bounds.seconds:
        return f"it took longer than {bounds.seconds / 60:g} minutes"
    if memory_bytes > bounds.memory_bytes:
        return f"it used {memory_bytes / 1e9:.2f} GB of memory, more than {bounds.memory_bytes / 1e9:g}"
    return None


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to stop, then kill what is left of it; of one that ended by itself only the leftovers."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_PATIENCE_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
