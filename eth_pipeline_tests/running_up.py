"""A running `eth-pipeline up` for tests: the real command in its own process, on free ports.

Belongs here: starting it, asking it, stopping it. Does not belong: assertions about what it serves.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.cli.processes import free_port
from eth_pipeline_tests.small_home import AS_OF


@dataclass(frozen=True)
class Up:
    """A running `up` and what it printed until it was healthy."""

    process: subprocess.Popen[str]
    printed: str
    port: int
    mlflow_port: int
    board_port: int

    @property
    def sandbox_url(self) -> str | None:
        """Where the home's embedded exchange answers; None where there is none."""
        found = re.search(r"^Exchange +(http://\S+)", self.printed, re.MULTILINE)
        return found.group(1) if found else None

    def ask(self, query: str) -> dict[str, Any]:
        """The data of a GraphQL query."""
        answer = httpx2.post(f"http://127.0.0.1:{self.port}/graphql", json={"query": query}, timeout=60.0).json()
        assert not answer.get("errors"), answer
        data: dict[str, Any] = answer["data"]
        return data

    def family(self) -> list[psutil.Process]:
        """Every process that `up` started, itself included."""
        mother = psutil.Process(self.process.pid)
        return [mother, *mother.children(recursive=True)]

    def stop(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def running_up(home: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[Up]:
    """`eth-pipeline up --home home` on free ports, from healthy until the block ends."""
    port, mlflow_port, board_port = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "eth_pipeline", "up", "--home", str(home)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--mlflow-port", str(mlflow_port), "--board-port", str(board_port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
    )
    printed = ""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            printed += line
            if line.startswith("Ctrl-C"):
                break
        assert "Healthy after" in printed, printed
        yield Up(process, printed, port, mlflow_port, board_port)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)
        process.stdout.close()


def assert_gone(processes: list[psutil.Process], *ports: int) -> None:
    """No process is left and every port can be listened on again."""
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def small_demo_home(folder: Path) -> Path:
    """A home as `demo` leaves it, without data: the market is remembered beside it."""
    MarketPlan(replay=None, as_of=AS_OF, strength=1.0, seed=7, years=0.5).save(folder)
    return folder
