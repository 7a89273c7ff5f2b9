"""Child processes of a command: started together, waited for until healthy, stopped together.

Belongs here: starting, polling, stopping, ports. Does not belong: what the processes are (`cli.up`, `cli.demo`).

Each child leads its own process group. Several of them have children of their own (MLflow's server, a code
server's loader, the runs it launched), and a child that is stopped alone leaves those behind.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx2
import psutil

from eth_pipeline.errors import NeedsHuman

LOOPBACK = "127.0.0.1"
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.2


@dataclass
class ProcessGroup:
    """Processes that live and die with a `with` block; each writes its output to a log file in `logs`.

    Attributes:
        note: told name and pid of everything that starts; what it answers is the line that its log begins with.
    """

    logs: Path
    environment: Mapping[str, str]
    note: Callable[[str, int], str] | None = None
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> "ProcessGroup":
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        """Start `command` in its own session, so that Ctrl-C reaches us first and we stop it in order."""
        with (self.logs / f"{name}.log").open("ab") as log:
            process = self._running[name] = subprocess.Popen(  # noqa: S603  # lists built by this package, never a shell
                list(command),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment, **(environment or {})},
                start_new_session=True,
            )
            if self.note is not None:
                log.write(f"{self.note(name, process.pid)}\n".encode())

    def wait_until(self, name: str, healthy: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Poll until healthy.

        Raises:
            NeedsHuman: the process ended, or was not healthy in time; the end of its log is in the message.
        """
        process = self._running[name]
        deadline = time.monotonic() + timeout_seconds
        while not healthy():
            if process.poll() is not None:
                raise NeedsHuman(f"{name} ended with exit code {process.returncode}:\n{self._tail(name)}")
            if time.monotonic() > deadline:
                raise NeedsHuman(f"{name} was not healthy after {timeout_seconds:.0f} s:\n{self._tail(name)}")
            time.sleep(_POLL_SECONDS)

    def dead(self) -> list[str]:
        """Names of processes that ended by themselves."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def stop(self) -> None:
        """Ask every process and its children to stop, newest first; kill what is still there after a while.

        A second Ctrl-C ends the patience, not the stopping.
        """
        groups = [process.pid for process in reversed(self._running.values())]
        try:
            for group in groups:
                _signal_group(group, signal.SIGTERM)
            deadline = time.monotonic() + _STOP_SECONDS
            while _alive(groups) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        finally:
            for group in groups:
                _signal_group(group, signal.SIGKILL)
            for process in self._running.values():
                process.wait()
            self._running.clear()

    def _tail(self, name: str, *, lines: int = 15) -> str:
        path = self.logs / f"{name}.log"
        return "\n".join([*path.read_text(errors="replace").splitlines()[-lines:], f"The whole log: {path}"])


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _alive(groups: Sequence[int]) -> bool:
    """Whether a process of these groups still runs; one that ended and was not collected yet does not."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) in groups and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def free_port() -> int:
    """A TCP port on loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def require_free(port: int, *, purpose: str, option: str) -> None:
    """Make sure that `port` can be listened on, before anything is started for it.

    Raises:
        NeedsHuman: somebody listens there; names the port, what it is for and the option that moves it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection in TIME_WAIT is no listener
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise NeedsHuman(
                f"Port {port} of {LOOPBACK} cannot be used for {purpose}: {error.strerror}. "
                f"Stop what listens there, or name another port with {option}."
            ) from error


def accepts(port: int) -> bool:
    """True when somebody accepts connections on `port` of loopback."""
    with socket.socket() as probe:
        probe.settimeout(2.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def answers(url: str) -> bool:
    """True when `url` answers with success."""
    try:
        return httpx2.get(url, timeout=2.0).is_success
    except httpx2.HTTPError:
        return False
