"""`eth-pipeline up`: everything embedded with one command.

Belongs here: which processes there are and when each is healthy. Does not belong: supervision in production
(service units do that).

One code server is shared by UI and daemon: it saves a process and makes a scheduled run start sooner.
"""

import os
import sys
import time
from pathlib import Path

from eth_pipeline.cli.console import out
from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.cli.processes import ProcessGroup, answers, free_port
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.settings import Settings, load_settings

_BIN = Path(sys.executable).parent


def run_up(*, home: Path | None, port: int, mlflow_port: int, stop_when_healthy: bool) -> None:
    """Start, wait until healthy, print the addresses, stay until Ctrl-C (or not, with `stop_when_healthy`).

    Raises:
        NeedsHuman: a process did not become healthy, or ended by itself.
    """
    if home is not None:
        os.environ["ETH_PIPELINE_HOME"] = str(home.resolve())
    settings = load_settings()
    plan = MarketPlan.load(settings.home)
    with ProcessGroup(logs=settings.home / "logs", environment={}) as group:
        if plan is not None:
            settings = _start_sandbox(group, plan, settings)
        open_instance(settings).dispose()
        _start_mlflow(group, settings, mlflow_port)
        _start_dagster(group, settings, port)
        out.print(f"Dagster UI   http://127.0.0.1:{port}")
        out.print(f"MLflow       http://127.0.0.1:{mlflow_port}")
        out.print(f"Logs         {settings.home / 'logs'}")
        if stop_when_healthy:
            return
        out.print("Ctrl-C stops everything.")
        _stay(group)


def _start_sandbox(group: ProcessGroup, plan: MarketPlan, settings: Settings) -> Settings:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "eth_pipeline", "sandbox", "serve", "--port", str(port), "--clock-speed", "1"]
    group.start("sandbox", [*command, *plan.serve_arguments()])
    group.wait_until("sandbox", lambda: answers(f"{url}/sandbox/health"), timeout_seconds=120)
    os.environ.update(plan.environment(home=settings.home, url=url))
    out.print(f"Exchange     {url} (embedded, virtual clock from {plan.as_of:%Y-%m-%d %H:%M} UTC)")
    return load_settings()


def _start_mlflow(group: ProcessGroup, settings: Settings, port: int) -> None:
    (settings.home / "mlflow").mkdir(parents=True, exist_ok=True)
    command = [str(_BIN / "mlflow"), "server", "--backend-store-uri", settings.mlflow_location]
    command += ["--default-artifact-root", str(settings.home / "mlflow" / "artifacts")]
    group.start("mlflow", [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"])
    group.wait_until("mlflow", lambda: answers(f"http://127.0.0.1:{port}/health"), timeout_seconds=120)


def _start_dagster(group: ProcessGroup, settings: Settings, port: int) -> None:
    code_port = free_port()
    workspace = settings.home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server:\n      host: 127.0.0.1\n      port: {code_port}\n"
        "      location_name: eth_pipeline\n"
    )
    dagster = str(_BIN / "dagster")
    serve = [dagster, "code-server", "start", "-m", "eth_pipeline.definitions", "-h", "127.0.0.1"]
    group.start("code-server", [*serve, "-p", str(code_port)])
    check = [dagster, "api", "grpc-health-check", "-h", "127.0.0.1", "-p", str(code_port)]
    group.wait_until("code-server", lambda: _succeeds(check), timeout_seconds=120)
    web = [str(_BIN / "dagster-webserver"), "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    group.start("webserver", web)
    group.start("daemon", [str(_BIN / "dagster-daemon"), "run", "-w", str(workspace)])
    group.wait_until("webserver", lambda: answers(f"http://127.0.0.1:{port}/server_info"), timeout_seconds=120)


def _succeeds(command: list[str]) -> bool:
    import subprocess

    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603  # our own list


def _stay(group: ProcessGroup) -> None:
    try:
        while not (dead := group.dead()):
            time.sleep(1.0)
    except KeyboardInterrupt:
        out.print("Stopping.")
        return
    raise NeedsHuman(f"{', '.join(dead)} ended by itself; the rest is being stopped. See its log.")
