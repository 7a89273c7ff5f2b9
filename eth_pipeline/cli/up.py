"""`eth-pipeline up`: everything embedded with one command.

Belongs here: which processes there are and when each is healthy. Does not belong: supervision in production
(service units do that).

One code server is shared by UI and daemon: it saves a process and makes a scheduled run start sooner. MLflow and
the code server load at the same time; the daemon comes last, because its alias sensor would race MLflow's
migrations on a fresh home.
"""

import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import httpx2

from eth_pipeline.cli.console import out
from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.cli.processes import LOOPBACK, ProcessGroup, accepts, answers, free_port, require_free
from eth_pipeline.cli.start import noted
from eth_pipeline.contracts.clock import SystemClock, iso
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.resources import exchange_state
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings, load_settings

_BIN = Path(sys.executable).parent
_START_SECONDS = 180.0

# Without these MLflow reports its use and starts eight more processes for jobs that nobody submits: 1.6 GB of memory
# instead of 0.5 (3.17.2, measured 2026-11).
_MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "DO_NOT_TRACK": "true",
}

_MLFLOW_PAGE = "/#/models"  # its first page is about language models

_STATE_QUERY = """{
  workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {
    __typename ... on PythonError { message } } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy lastHeartbeatTime } } }
}"""


def run_up(*, home: Path | None, port: int, mlflow_port: int, board_port: int, stop_when_healthy: bool) -> None:
    """Start, wait until healthy, print the addresses, stay until Ctrl-C or SIGTERM (not with `stop_when_healthy`).

    Raises:
        NeedsHuman: a port is taken, a process did not become healthy or ended by itself.
    """
    if home is not None:
        os.environ["ETH_PIPELINE_HOME"] = str(home.resolve())
    settings = load_settings()
    require_free(port, purpose="the Dagster UI", option="--port")
    if _owns_mlflow(settings):
        require_free(mlflow_port, purpose="MLflow", option="--mlflow-port")
    require_free(board_port, purpose="the board", option="--board-port")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    started = time.monotonic()
    plan = MarketPlan.load(settings.home)
    with ProcessGroup(logs=settings.home / "logs", environment={}, note=noted) as group:
        if plan is not None:
            settings = _start_sandbox(group, plan, settings)
        if _owns_mlflow(settings):
            _start_mlflow(group, settings, mlflow_port)
        _start_dagster(group, settings, port=port, mlflow_port=mlflow_port)
        _start_board(group, board_port)
        mlflow = f"http://{LOOPBACK}:{mlflow_port}{_MLFLOW_PAGE}" if _owns_mlflow(settings) else "as configured"
        out.print(f"Dagster UI   http://{LOOPBACK}:{port}")
        out.print(f"MLflow       {mlflow}", soft_wrap=True)
        out.print(f"Board        http://{LOOPBACK}:{board_port}")
        out.print(f"Logs         {settings.home / 'logs'}", soft_wrap=True)
        out.print(f"Healthy after {time.monotonic() - started:.0f} s.")
        if not stop_when_healthy:
            _stay(group)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _owns_mlflow(settings: Settings) -> bool:
    """Whether MLflow is ours to serve; a tracking URI over HTTP is somebody else's server."""
    return not settings.mlflow_location.startswith(("http://", "https://"))


def _start_sandbox(group: ProcessGroup, plan: MarketPlan, settings: Settings) -> Settings:
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "eth_pipeline", "sandbox", "serve", "--port", str(port), "--clock-speed", "1"]
    group.start("sandbox", [*command, *plan.serve_arguments()])
    group.wait_until("sandbox", lambda: answers(f"{url}/sandbox/health"), timeout_seconds=_START_SECONDS)
    os.environ.update(plan.environment(home=settings.home, url=url))
    start = _resumed(plan, settings)
    httpx2.post(f"{url}/sandbox/clock", json={"now": iso(start)}, timeout=10.0).raise_for_status()
    with Transport(load_settings().exchange, state_path=exchange_state(settings)) as transport:
        transport.server_time()  # the board and the inference service take the exchange's time from what was seen last
    out.print(f"Exchange     {url} (embedded, virtual clock from {start:%Y-%m-%d %H:%M} UTC)", soft_wrap=True)
    return load_settings()


def _start_board(group: ProcessGroup, port: int) -> None:
    group.start("board", [sys.executable, "-m", "eth_pipeline", "board", "--port", str(port)])
    group.wait_until("board", lambda: accepts(port), timeout_seconds=_START_SECONDS)  # a fresh home has no signal yet


def _resumed(plan: MarketPlan, settings: Settings) -> datetime:
    """Where the virtual clock goes on: time never runs back behind what an earlier `up` stored or signalled."""
    lake = Lake.of(settings)
    stored = (lake.newest(KLINES), lake.newest(SIGNALS))
    return max([plan.as_of, *(instant for instant in stored if instant is not None)])


def _start_mlflow(group: ProcessGroup, settings: Settings, port: int) -> None:
    (settings.home / "mlflow").mkdir(parents=True, exist_ok=True)
    command = [str(_BIN / "mlflow"), "server", "--no-serve-artifacts"]
    command += ["--default-artifact-root", str(settings.home / "mlflow" / "artifacts")]
    command += ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    # Not on the command line: every user of this host can read that, and the location may hold a password.
    where = {"MLFLOW_BACKEND_STORE_URI": settings.mlflow_location}
    group.start("mlflow", command, environment={**_MLFLOW_ENVIRONMENT, **where})


def _start_dagster(group: ProcessGroup, settings: Settings, *, port: int, mlflow_port: int) -> None:
    open_instance(settings).dispose()  # two processes that initialise a fresh home at once can race
    code_port = free_port()
    workspace = _workspace(settings, code_port)
    dagster = str(_BIN / "dagster")
    serve = [dagster, "code-server", "start", "-m", "eth_pipeline.definitions", "--location-name", "eth_pipeline"]
    group.start("code-server", [*serve, "-h", LOOPBACK, "-p", str(code_port)])
    group.wait_until("code-server", lambda: accepts(code_port), timeout_seconds=_START_SECONDS)
    web = [str(_BIN / "dagster-webserver"), "-w", str(workspace), "-h", LOOPBACK, "-p", str(port)]
    group.start("webserver", web)
    if _owns_mlflow(settings):
        health = f"http://{LOOPBACK}:{mlflow_port}/health"
        group.wait_until("mlflow", lambda: answers(health), timeout_seconds=_START_SECONDS)
    began = SystemClock().now()
    group.start("daemon", [str(_BIN / "dagster-daemon"), "run", "-w", str(workspace)])
    group.wait_until("webserver", lambda: _definitions_loaded(port), timeout_seconds=_START_SECONDS)
    group.wait_until("daemon", lambda: _daemon_healthy(port, since=began), timeout_seconds=_START_SECONDS)


def _workspace(settings: Settings, code_port: int) -> Path:
    """The workspace file of this start: the one code server."""
    path = settings.home / "workspace.yaml"
    path.write_text(
        f"load_from:\n  - grpc_server:\n      host: {LOOPBACK}\n      port: {code_port}\n"
        "      location_name: eth_pipeline\n"
    )
    return path


def _definitions_loaded(port: int) -> bool:
    """True when the UI has loaded the code location.

    Raises:
        NeedsHuman: the code location does not load, with Dagster's own message.
    """
    state = _state(port)
    if state is None:
        return False
    entries = state["workspaceOrError"]["locationEntries"]
    for entry in entries:
        problem = entry["locationOrLoadError"]
        if entry["loadStatus"] == "LOADED" and problem and problem["__typename"] == "PythonError":
            raise NeedsHuman(f"The definitions do not load: {problem['message']}")
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _daemon_healthy(port: int, *, since: datetime) -> bool:
    """True when every daemon that is needed has reported after `since`; a heartbeat of an earlier `up` is none."""
    state = _state(port)
    if state is None:
        return False
    needed = [s for s in state["instance"]["daemonHealth"]["allDaemonStatuses"] if s["required"]]
    return all(s["healthy"] and (s["lastHeartbeatTime"] or 0.0) >= since.timestamp() for s in needed)


def _state(port: int) -> dict[str, Any] | None:
    """What the webserver says of its code location and the daemons; None while it does not answer."""
    try:
        answer = httpx2.post(f"http://{LOOPBACK}:{port}/graphql", json={"query": _STATE_QUERY}, timeout=10.0)
    except httpx2.HTTPError:
        return None
    body = answer.json() if answer.is_success else {}
    state: dict[str, Any] | None = body.get("data")
    return state


def _stay(group: ProcessGroup) -> None:
    try:
        out.print("Ctrl-C stops everything.")  # who reads it may press it before the next line of code
        while not (dead := group.dead()):
            time.sleep(1.0)
    except KeyboardInterrupt:
        out.print("Stopping.")
        return
    raise NeedsHuman(f"{', '.join(dead)} ended by itself; the rest is being stopped. See its log in {group.logs}.")
