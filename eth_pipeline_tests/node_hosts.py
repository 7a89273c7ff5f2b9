"""A signal host and a training node for tests: the real commands in their own processes, on one machine or on two.

Belongs here: starting them, asking the host. Does not belong: assertions.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import psutil

from eth_pipeline_tests.waiting import wait_until

BIN = Path(sys.executable).parent
INSTANCE = Path(__file__).resolve().parents[1] / "eth_pipeline" / "defs" / "dagster.yaml"
NODE_PORT = 4267
START_SECONDS = 120
_LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on PipelineNotFoundError { message } ... on InvalidSubsetError { message } } }"""
_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
    __typename ... on PythonError { message } } } } } }"""
_RUN = """query ($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value }
    eventConnection { events { __typename ... on MessageEvent { message stepKey }
        ... on MaterializationEvent { metadataEntries { label ... on IntMetadataEntry { intValue } } } } } } } }"""


@dataclass
class Machine:
    """One machine: its home, and how a command gets onto it.

    Attributes:
        home: what only this machine writes.
        environment: settings of its processes.
        prefix: put before every command; `ip netns exec NAME` is another machine's network.
        running: started and not stopped.
    """

    home: Path
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """A command in a session of its own, its output in a log of the home."""
        self.home.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            **self.environment,
            "ETH_PIPELINE_HOME": str(self.home),
            "DAGSTER_HOME": str(self.home / "dagster"),
        }
        with (self.home / f"{name}.log").open("ab") as log:
            process = self.running[name] = subprocess.Popen(
                [*self.prefix, *command], stdout=log, stderr=log, env=environment, cwd=self.home, start_new_session=True
            )
        return process

    def log(self, name: str) -> str:
        """What a process wrote."""
        return (self.home / f"{name}.log").read_text(errors="replace")

    def dead(self) -> list[str]:
        """Names of processes that ended by themselves."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def kill(self, name: str) -> None:
        """The process and all its children at once, as when the power fails."""
        process = self.running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)

    def __enter__(self) -> "Machine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.running):
            self.kill(name)


def serve_node(machine: Machine, *, host: str, port: int) -> psutil.Process:
    """`eth-pipeline node serve`, until it is ready; the process."""
    command = [sys.executable, "-m", "eth_pipeline", "node", "serve", "--host", host, "--port", str(port)]
    process = machine.start("node", *command)
    wait_until(lambda: process.poll() is not None or listens(host, port), seconds=START_SECONDS)
    assert process.poll() is None, machine.log("node")
    return psutil.Process(process.pid)


def listens(host: str, port: int) -> bool:
    """True when somebody accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def serve_host(machine: Machine, *, node: str, node_port: int, web_port: int) -> "Host":
    """Webserver and daemon of a signal host whose workspace has the node alone."""
    workspace = machine.home / "workspace.yaml"
    (machine.home / "dagster").mkdir(parents=True, exist_ok=True)
    (machine.home / "dagster" / "dagster.yaml").write_text(_impatient(INSTANCE.read_text()))
    workspace.write_text(f"load_from:\n  - grpc_server: {{host: {node}, port: {node_port}, location_name: h800}}\n")
    machine.start(
        "webserver", str(BIN / "dagster-webserver"), "-w", str(workspace), "-h", "127.0.0.1", "-p", str(web_port)
    )
    machine.start("daemon", str(BIN / "dagster-daemon"), "run", "-w", str(workspace))
    host = Host(machine, f"http://127.0.0.1:{web_port}/graphql")
    wait_until(lambda: host.location() is not None or machine.dead(), seconds=START_SECONDS)
    assert not machine.dead(), machine.log(machine.dead()[0])
    return host


def _impatient(instance: str) -> str:
    """As `eth-pipeline prepare` writes it, but what is tried for minutes is tried for less than one."""
    patient = "user_code_failure_retry_delay: 30"
    assert patient in instance
    return instance.replace(patient, "user_code_failure_retry_delay: 4")


@dataclass(frozen=True)
class Host:
    """The UI's own interface, asked over HTTP."""

    machine: Machine
    url: str

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL query."""
        answer = httpx2.post(self.url, json={"query": query, "variables": variables}, timeout=60.0).json()
        assert not answer.get("errors"), answer
        data: dict[str, Any] = answer["data"]
        return data

    def location(self) -> dict[str, Any] | None:
        """The node's location as the UI shows it; None while the webserver starts or loads it."""
        try:
            (entry,) = self.ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        except (httpx2.HTTPError, ValueError):
            return None
        found: dict[str, Any] = entry
        return found if entry["loadStatus"] == "LOADED" and entry["locationOrLoadError"] is not None else None

    def launch(self, asset: str) -> dict[str, Any]:
        """What the UI's button does; the answer of `launchRun`."""
        selector = {
            "repositoryLocationName": "h800",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]}],
        }
        answer: dict[str, Any] = self.ask(_LAUNCH, params={"selector": selector, "mode": "default"})["launchRun"]
        return answer

    def launched(self, asset: str) -> str:
        """Id of a run; asks again as long as the webserver has not noticed that the node is back."""
        answer = wait_until(lambda: found if "run" in (found := self.launch(asset)) else None, seconds=START_SECONDS)
        return str(answer["run"]["runId"])

    def run(self, run_id: str) -> "Seen":
        """A run as the UI shows it."""
        found = self.ask(_RUN, id=run_id)["runOrError"]
        return Seen(found["status"], {t["key"]: t["value"] for t in found["tags"]}, found["eventConnection"]["events"])


@dataclass(frozen=True)
class Seen:
    """A run as the UI shows it: status, tags, events."""

    status: str
    tags: dict[str, str]
    events: list[dict[str, Any]]

    @property
    def ended(self) -> bool:
        """True when nothing more will happen to it."""
        return self.status in ("SUCCESS", "FAILURE", "CANCELED")

    @property
    def messages(self) -> str:
        """Every message, in order."""
        return "\n".join(str(event.get("message")) for event in self.events)

    def metadata(self) -> dict[str, int]:
        """Whole numbers that materializations brought."""
        entries = [entry for event in self.events for entry in event.get("metadataEntries", ())]
        return {entry["label"]: entry["intValue"] for entry in entries if "intValue" in entry}
