"""Child processes of a command: started together, waited for until healthy, stopped together.

Belongs here: starting, polling, stopping. Does not belong: what the processes are (`cli.up`, `cli.demo`).
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx2

from eth_pipeline.errors import NeedsHuman

_STOP_SECONDS = 30.0


@dataclass
class ProcessGroup:
    """Processes that live and die with a `with` block; each writes its output to a log file in `logs`."""

    logs: Path
    environment: Mapping[str, str]
    _running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def __enter__(self) -> "ProcessGroup":
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start `command` in its own session, so that Ctrl-C reaches us first and we stop it in order."""
        log = (self.logs / f"{name}.log").open("ab")
        process = subprocess.Popen(  # noqa: S603  # argument lists built by this package, never a shell
            list(command),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )
        log.close()
        self._running.append((name, process))

    def wait_until(self, name: str, healthy: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Poll until healthy.

        Raises:
            NeedsHuman: the process ended, or was not healthy in time; the end of its log is in the message.
        """
        process = dict(self._running)[name]
        deadline = time.monotonic() + timeout_seconds
        while not healthy():
            if process.poll() is not None:
                raise NeedsHuman(f"{name} ended with exit code {process.returncode}:\n{self._tail(name)}")
            if time.monotonic() > deadline:
                raise NeedsHuman(f"{name} was not healthy after {timeout_seconds:.0f} s:\n{self._tail(name)}")
            time.sleep(0.2)

    def dead(self) -> list[str]:
        """Names of processes that ended by themselves."""
        return [name for name, process in self._running if process.poll() is not None]

    def stop(self) -> None:
        """Ask each to stop, newest first; kill what is still there after a while."""
        for _, process in reversed(self._running):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for _, process in reversed(self._running):
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _tail(self, name: str, *, lines: int = 15) -> str:
        text = (self.logs / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def free_port() -> int:
    """A TCP port on loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """True when `url` answers with success."""
    try:
        return httpx2.get(url, timeout=2.0).is_success
    except httpx2.HTTPError:
        return False
