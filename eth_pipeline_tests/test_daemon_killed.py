"""The real Dagster daemon: it delivers an alert by itself, and when it is killed the dead-man's switch fires once.

Real daemon with the real definitions, real exchange, real lake, real receiver; nothing is asked in its place. The
incident: the reviewed system stood still for days and nobody was told.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.cli.processes import free_port
from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import load_settings
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline_tests.alert_receiver import Receiver, alert_receiver
from eth_pipeline_tests.decision_samples import signal as record_of
from eth_pipeline_tests.small_home import AS_OF, SYMBOLS, SmallHome

PATIENCE_SECONDS = 120.0
STALE = judge([Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="2 h")], phase="paper")
NEWEST = floor_hour(AS_OF)


def wait_for(what: Callable[[], bool], *, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert daemon.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def make_home(folder: Path, sandbox: Sandbox, targets: Path) -> SmallHome:
    """Three stale hours on record, exchange time known, a target for alerts, and no registry that answers."""
    plan = MarketPlan(replay=None, as_of=AS_OF, strength=0.0, seed=7, years=0.5)
    environment = plan.environment(home=folder, url=sandbox.url) | {
        "ETH_PIPELINE_ALERTS__TARGETS_FILE": str(targets),
        "ETH_PIPELINE_ALERTS__HOLD_OFF_MINUTES": "0",
        "ETH_PIPELINE_MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}",
    }
    home = SmallHome(folder, sandbox, environment)
    with home.entered():
        settings = load_settings()
        log = SignalLog(Lake.of(settings), folder=settings.home / "logs")
        log.write_many([record_of(settings, NEWEST - n * HOUR, verdict=STALE) for n in range(3)])
        measure(home)
    return home


def measure(home: SmallHome) -> None:
    """Ask the exchange for its time, as every process that reads it does."""
    with home.entered():
        assert Pipeline().moment().reachable


def told(receiver: Receiver, kind: AlertKind) -> int:
    """How many messages of a kind arrived, recoveries among them."""
    return sum(str(kind) in title for title in receiver.titles)


def process_state(home: SmallHome) -> str:
    answer = home.command("eth_pipeline", "manifest", "--json")
    assert answer.returncode == 0, answer.stderr
    (process,) = json.loads(answer.stdout)["processes"]
    return f"{process['name']} {process['state']}"


@pytest.mark.slow
def test_the_daemon_delivers_an_alert_and_its_death_is_told_once(tmp_path: Path) -> None:
    start, end = NEWEST - timedelta(days=3), NEWEST + timedelta(days=3)
    market = SyntheticMarket(seed=7, start=start, end=end, signal_strength=0.0, symbols=SYMBOLS)
    targets, log = tmp_path / "targets", tmp_path / "daemon.log"
    with Sandbox(market, now=AS_OF) as sandbox, alert_receiver() as receiver:
        targets.write_text(receiver.url)
        targets.chmod(0o600)
        home = make_home(tmp_path / "home", sandbox, targets)
        with home.entered():
            open_instance(load_settings()).dispose()
        program = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "eth_pipeline.definitions"]
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "eth_pipeline", "start", "daemon", "--", *program],
                env={**os.environ, **home.environment, "DAGSTER_HOME": str(home.folder / "dagster")},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_for(lambda: told(receiver, AlertKind.STALE_STREAK) == 1, daemon=daemon, log=log)
            assert process_state(home) == "daemon running"
            alive = home.command("eth_pipeline", "deadman")
            assert alive.returncode == 0, alive.stdout + alive.stderr
        finally:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
        sandbox.clock.advance(timedelta(hours=2, minutes=20))
        measure(home)
        for _ in range(2):
            assert home.command("eth_pipeline", "deadman").returncode == 1
    assert process_state(home) == "daemon ended"
    assert (told(receiver, AlertKind.STALE_STREAK), told(receiver, AlertKind.SIGNAL_OVERDUE)) == (1, 1)
