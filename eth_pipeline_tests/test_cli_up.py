"""`eth-pipeline up` as a user starts it: a real process, everything healthy, gone without a trace afterwards."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from eth_pipeline.cli.processes import accepts, free_port, require_free
from eth_pipeline.contracts.clock import HOUR, floor_hour, to_milliseconds
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.lake import Lake
from eth_pipeline.operations.processes import process_statuses
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.decision_samples import bars, walk
from eth_pipeline_tests.running_up import running_up, small_demo_home
from eth_pipeline_tests.small_home import AS_OF

pytestmark = pytest.mark.slow

CHILDREN = ("sandbox", "mlflow", "code-server", "webserver", "daemon", "board")

STATE = """{
  assetNodes { assetKey { path } groupName }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  repositoryOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "eth_pipeline"}) {
    ... on Repository {
      schedules { name scheduleState { status } }
      sensors { name sensorState { status } }
    }
  }
}"""


def assert_gone(processes: list[psutil.Process], *ports: int) -> None:
    """No process is left and every port can be listened on again."""
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def states(home: Path) -> dict[str, str]:
    """State of every process that was started in a home, as `eth-pipeline manifest` says."""
    return {process.name: str(process.state) for process in process_statuses(load_settings(home=home))}


def test_everything_is_healthy_and_nothing_is_left_after_a_stop_signal(tmp_path: Path) -> None:
    """The exchange's clock goes on after the newest stored bar: at first each `up` began at the demo's hour again."""
    home = small_demo_home(tmp_path / "demo")
    three_hours_later = floor_hour(AS_OF) + 3 * HOUR
    Lake(str(home / "lake")).upsert(KLINES, bars(walk(1), first=three_hours_later - HOUR))
    with running_up(home) as up:
        assert up.sandbox_url is not None
        assert "virtual clock from 2025-06-29 15:00 UTC" in up.printed
        exchange_time = httpx2.get(f"{up.sandbox_url}/fapi/v1/time").json()["serverTime"]
        assert exchange_time >= to_milliseconds(three_hours_later)
        assert httpx2.get(f"http://127.0.0.1:{up.mlflow_port}/health").is_success
        assert "ETHUSDT" in httpx2.get(f"http://127.0.0.1:{up.board_port}/", timeout=30).text
        state = up.ask(STATE)
        assets = {node["assetKey"]["path"][-1]: node["groupName"] for node in state["assetNodes"]}
        assert set(assets.values()) == {"data", "model", "decision", "operations"}
        assert (assets["klines"], assets["features"], assets["hourly_signal"]) == ("data", "model", "decision")
        daemons = state["instance"]["daemonHealth"]["allDaemonStatuses"]
        assert all(daemon["healthy"] for daemon in daemons if daemon["required"])
        repository = state["repositoryOrError"]
        schedules = {s["name"]: s["scheduleState"]["status"] for s in repository["schedules"]}
        assert schedules == {
            "hourly_schedule": "RUNNING",
            "maintenance_schedule": "RUNNING",
            "training_schedule": "STOPPED",
        }
        assert {s["name"]: s["sensorState"]["status"] for s in repository["sensors"]}.items() >= {
            ("production_alias_sensor", "RUNNING"),
            ("failed_hour_sensor", "RUNNING"),
        }
        assert states(home) == dict.fromkeys(CHILDREN, "running")
        family = up.family()
        assert up.stop(signal.SIGTERM) == 0
        assert states(home) == dict.fromkeys(CHILDREN, "ended")
        assert_gone(family, up.port, up.mlflow_port, up.board_port, int(up.sandbox_url.rsplit(":", 1)[1]))


def test_a_home_that_is_no_demo_starts_without_exchange_and_without_a_mlflow_of_its_own(tmp_path: Path) -> None:
    """Production settings: Binance is asked by runs only, and the team's MLflow server is not ours to serve."""
    registry = {"ETH_PIPELINE_MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    with running_up(tmp_path / "home", environment=registry) as up:
        assert up.sandbox_url is None
        assert not accepts(up.mlflow_port)
        assert not (tmp_path / "home" / "exchange_state.sqlite").exists(), "starting alone must not open the exchange"
        family = up.family()
        assert up.stop(signal.SIGINT) == 0
        assert_gone(family, up.port)


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        home = ["--home", str(tmp_path / "home"), "--port", str(free_port())]
        ended = subprocess.run(
            [sys.executable, "-m", "eth_pipeline", "up", *home, "--mlflow-port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        with pytest.raises(NeedsHuman, match=f"Port {port} .* the Dagster UI: Address already in use.* with --port"):
            require_free(port, purpose="the Dagster UI", option="--port")
    assert ended.returncode == 1
    said = " ".join(ended.stderr.split())
    assert f"Port {port} of 127.0.0.1 cannot be used for MLflow" in said
    assert "name another port with --mlflow-port" in said
    assert not (tmp_path / "home" / "logs").exists()


def test_a_closed_port_accepts_nothing_and_a_listening_one_does() -> None:
    assert not accepts(free_port())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert accepts(int(listening.getsockname()[1]))
