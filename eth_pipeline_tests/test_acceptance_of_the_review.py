"""What the review of the system before this one asks of its successor, line by line, on real parts.

The first half is its acceptance list, the second its commands and what does the same here. One test is one line; each
is proven in breadth elsewhere. `lived` is a home that goes through a good hour, a changed setting, two hours without
an exchange (the real hourly job) and a click on a stale hour; `board` one with three days of signals of a promoted
model; `host` one with two promoted versions in a real registry.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eth_pipeline.cli import app
from eth_pipeline.cli.processes import ProcessGroup
from eth_pipeline.cli.start import noted
from eth_pipeline.contracts.clock import HOUR, floor_hour, iso
from eth_pipeline.contracts.signal import SignalRecord, SignalState
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.operations.manifest import code_version
from eth_pipeline.operations.signal_line import stored_schema
from eth_pipeline.registry.mlflow_store import PRODUCTION
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline.signals.forecasting.bundle_in_use import running_schema
from eth_pipeline.signals.forecasting.inference import inference_coverage
from eth_pipeline_tests.board_home import BoardHome
from eth_pipeline_tests.decision_samples import NOON
from eth_pipeline_tests.inference_host import CLOCK, TOKEN, InferenceHost, plain_parts, service_process
from eth_pipeline_tests.registry_host import Host
from eth_pipeline_tests.registry_maker import NOW, registry_folder
from eth_pipeline_tests.schema_faults import faults
from eth_pipeline_tests.small_home import SmallHome, small_home

REPOSITORY = Path(__file__).resolve().parents[1]


def run(*arguments: str) -> Result:
    """`eth-pipeline ...` in this process."""
    return CliRunner().invoke(app, list(arguments))


@contextmanager
def entered(settings: Settings, **further: str) -> Iterator[None]:
    """The environment names a home with other settings than the defaults."""
    before = dict(os.environ)
    names = {
        "HOME": str(settings.home),
        "BASE_INTERVAL": settings.base_interval,
        "CROSS_SYMBOLS": json.dumps(settings.cross_symbols),
    }
    os.environ.update({f"ETH_PIPELINE_{name}": value for name, value in (names | further).items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass
class Lived:
    """A home after its hours; `asked` is how many requests each of the offline hours sent."""

    home: SmallHome
    good: datetime
    offline: tuple[datetime, datetime]
    asked: tuple[int, int]
    stale: datetime
    clicked: bool

    def record(self, hour: datetime) -> SignalRecord:
        (found,) = [record for record in self.home.signals() if record.decision_time == hour]
        return found

    def lines(self) -> list[dict[str, Any]]:
        """Every line of the signal log."""
        paths = sorted((self.home.folder / "logs").glob("signals_*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    with small_home(tmp_path_factory.mktemp("lived"), history=timedelta(days=12)) as home:
        home.environment["ETH_PIPELINE_EXCHANGE__ATTEMPTS"] = "1"
        good = next_hour(home)
        home.environment["ETH_PIPELINE_SIGNALS__MIN_CONSENSUS_STRENGTH"] = "41"
        asked, offline = [], []
        for _ in range(2):
            home.sandbox.faults.switch_on("server_error")
            home.sandbox.requests.clear()
            offline.append(next_hour(home))
            asked.append(home.sandbox.requests.total)
        home.sandbox.faults.clear()
        for path in home.folder.glob("exchange_state.sqlite*"):  # breakers wait on the real clock
            path.unlink()
        with home.entered():
            assert Pipeline().moment().reachable
        stale = floor_hour(home.sandbox.clock.now()) + HOUR
        home.sandbox.faults.switch_on("stale", streams=("klines",), symbols=("ETHUSDT",), since=stale - HOUR)
        home.sandbox.clock.advance(HOUR)
        with home.entered() as instance:
            clicked = home.materialize("klines", "hourly_signal", instance=instance).success
        yield Lived(home, good, (offline[0], offline[1]), (asked[0], asked[1]), stale, clicked)


def next_hour(home: SmallHome) -> datetime:
    """One more hour passes and the hourly job runs; the hour that it decided."""
    home.sandbox.clock.advance(HOUR)
    with home.entered() as instance:
        home.run_job("hourly", instance=instance)
    return floor_hour(home.sandbox.clock.now())


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> BoardHome:
    return BoardHome(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Two promoted versions in a registry of their own."""
    schema = running_schema(load_settings(base_interval="1h"))
    made = Host(registry_folder(tmp_path_factory), tmp_path_factory.mktemp("host"), schema=schema)
    made.promote("first", skill=0.3)
    made.promote("second", skill=0.6, hours_later=1)
    return made


@pytest.fixture(scope="module")
def exchange() -> Iterator[str]:
    """Address of an exchange whose clock stands at the hour of those bundles."""
    market = SyntheticMarket(seed=1, start=NOW.replace(day=28), end=NOW.replace(day=30), signal_strength=0.0)
    with Sandbox(market, now=NOW) as running:
        yield running.url


def copied(host: Host, folder: Path) -> Host:
    """The same host again, for a test that changes it."""
    copy = host.copy_to(folder / "copy")
    return Host(copy.registry, copy.folder, schema=host.schema)


# The acceptance list.


def test_the_log_of_a_new_start_holds_the_runtime_manifest(lived: Lived, tmp_path: Path) -> None:
    with lived.home.entered(), ProcessGroup(logs=tmp_path, environment={}, note=noted) as group:  # as `up` does
        group.start("daemon", [sys.executable, "-c", ""])
    manifest = json.loads((tmp_path / "daemon.log").read_text().splitlines()[0])["runtime_manifest"]
    assert manifest["code"]["commit"] == code_version().commit
    (line,) = [line for line in lived.lines() if line["data"]["decision_time"] == iso(lived.good)]
    assert line["runtime_manifest"]["config_digest"] == line["data"]["config_digest"]
    assert line["runtime_manifest"]["table_versions"]["klines"] >= 0


def test_a_signal_record_holds_the_consensus_strength(lived: Lived) -> None:
    schema = stored_schema()
    assert len(lived.lines()) == 4
    for line in lived.lines():
        assert faults(line, schema, schema) == []
        assert (line["level"], 0 <= line["data"]["consensus_strength"] <= 100) == ("SIGNAL", True)
    assert lived.record(lived.good).consensus_strength > 0


def test_the_service_manager_asks_the_health_check_before_the_start_and_heeds_it(lived: Lived, tmp_path: Path) -> None:
    unit = (REPOSITORY / "deploy" / "systemd" / "eth-pipeline-daemon.service").read_text()
    (before,) = re.findall(r"^ExecStartPre=/opt/eth-pipeline/bin/eth-pipeline (.*)$", unit, flags=re.MULTILINE)
    broken = tmp_path / "lake"
    broken.write_text("a file where the tables should be")
    for changes, code in (({}, 0), ({"ETH_PIPELINE_LAKE_URL": str(broken)}, 1)):
        answer = CliRunner().invoke(app, before.split(), env={**lived.home.environment, **changes})
        assert answer.exit_code == code, answer.output


def test_offline_hours_ask_little_and_less_and_leave_one_line_each(lived: Lived) -> None:
    """The reviewed system tried for long every hour and filled its log."""
    first, second = lived.asked
    assert 0 < first <= 60, "every endpoint a few times until its breaker opens"
    assert second < first / 2, "breakers outlive the run, so the next hour hardly asks"
    for hour in lived.offline:
        assert sum(line["data"]["decision_time"] == iso(hour) for line in lived.lines()) == 1
        assert lived.record(hour).state is SignalState.BLOCKED


def test_stale_data_never_gives_a_tradeable_signal_however_it_is_asked_for(lived: Lived) -> None:
    record = lived.record(lived.stale)
    assert (record.state, record.allow_open) == (SignalState.BLOCKED, False)
    assert "stream_stale" in record.gating_reason
    assert not lived.clicked, "clicking it in the UI is such a run"
    for kept in lived.home.signals():
        stale = [row for row in kept.freshness if not row.fresh and row.stale_policy in ("block", "halt")]
        assert not (stale and kept.state is SignalState.TRADEABLE)


def test_every_change_of_the_configuration_has_a_difference(lived: Lived) -> None:
    with lived.home.entered():
        history = json.loads(run("config", "history", "--json").stdout)
        changed = json.loads(run("config", "diff", "--json").stdout)
    assert [(item["setting"], item["before"], item["after"]) for item in changed] == [
        ("signals.min_consensus_strength", 40.0, 41.0)
    ]
    used = [lived.record(hour).config_digest for hour in (lived.good, *lived.offline)]
    assert [change["digest"] for change in history] == used[:2]
    assert used[1] == used[2]


def test_the_online_model_traces_to_a_single_promotion_record(board: BoardHome) -> None:
    with entered(board.settings):
        lineage = json.loads(run("signals", "lineage", "newest", "--json").stdout)
        entries = json.loads(run("promotions", "list", "--json").stdout)
    moves = [entry for entry in entries if entry["fingerprint"] == lineage["model"]["fingerprint"]]
    assert [entry["action"] for entry in moves] == ["promoted"]
    assert lineage["promotion"]["log_sha256"] == moves[0]["sha256"]
    assert lineage["model"]["files"] == "as fingerprinted"


def test_ml_coverage_stays_above_95_percent_through_the_switch_to_the_inference_service(tmp_path: Path) -> None:
    """Four hours on this host, four through the service, four after it was killed."""
    inference_host = InferenceHost(tmp_path, hours=14)
    inference_host.produce("7", plain_parts(), created_at=NOON - timedelta(days=3))
    token = tmp_path / "token"
    token.write_text(TOKEN)
    hours = [NOON - n * HOUR for n in reversed(range(12))]
    with service_process(inference_host.settings, now=CLOCK, token_file=token) as (service, url):
        for number, hour in enumerate(hours):
            if number == 4:
                inference_host.configure(enabled=True, url=url, token_file=token, attempts=1)
            if number == 8:
                service.kill()
                service.wait()
            inference_host.forecast(hour)
    counted = inference_coverage(inference_host.lake, symbol="ETHUSDT", first=hours[0], last=hours[-1])
    assert (counted.remote, counted.local, counted.fallback) == (4, 4, 4)
    assert counted.share > 0.95


def test_one_command_returns_to_the_previous_signed_model(host: Host, exchange: str, tmp_path: Path) -> None:
    copy = copied(host, tmp_path)
    assert copy.in_use() == "2"
    urls = {f"EXCHANGE__{name}_URL": exchange for name in ("FUTURES", "SPOT", "ARCHIVE")}
    with entered(copy.settings, MLFLOW_TRACKING_URI=copy.store.tracking_uri, **urls):
        back = run("rollback")
    assert back.exit_code == 0, back.stderr
    assert copy.in_use() == "1", "verified again, signature included"
    assert [entry.action for entry in copy.log.verify()][-1] == "rolled_back"


# Commands of the reviewed system, and what does the same here.


def test_sync_stacking_alias_check_only_is_alias_check_only(host: Host, tmp_path: Path) -> None:
    copy = copied(host, tmp_path)
    with entered(copy.settings, MLFLOW_TRACKING_URI=copy.store.tracking_uri):
        assert run("alias", "--check-only").exit_code == 0
        copy.store.name(PRODUCTION, "1")
        moved = run("alias", "--check-only")
    assert (moved.exit_code, "not consistent" in moved.stdout) == (1, True)
    assert copy.aliases()[0] == "1", "it only looks"


def test_check_ml_health_verbose_is_health_verbose(lived: Lived) -> None:
    with lived.home.entered():
        verbose, answer = run("health", "--verbose"), run("health", "--json")
    assert verbose.exit_code == answer.exit_code == 1, "the newest klines are stale"
    checks = {check["name"]: check["passed"] for check in json.loads(answer.stdout)["checks"]}
    model = {"bundle verifies", "bundle forecasts the newest hour", "alias agrees", "newest signal carries ml_*"}
    asked = model | {"dependencies", "klines ETHUSDT fresh", "newest signal recent"}
    assert asked <= set(checks)
    assert (checks["dependencies"], checks["klines ETHUSDT fresh"], checks["bundle verifies"]) == (True, False, False)
    shown = "".join(verbose.stdout.replace("│", " ").split())
    assert all("".join(name.split()) in shown for name in asked)


def test_analyze_shadow_logs_of_7_days_is_shadow_report_of_7_days(lived: Lived) -> None:
    with lived.home.entered():
        report = json.loads(run("shadow-report", "--days", "7", "--json").stdout)
        page = run("shadow-report", "--days", "7").stdout
    assert (report["hours"], report["recorded"]) == (7 * 24, 4)
    assert (report["ml_coverage"], report["states"]["blocked"]) == (0.0, 3)
    assert {"judged", "agreement"} <= set(report)
    assert "ML coverage" in page


def test_the_latest_signals_are_shown_with_their_ml_fields(board: BoardHome) -> None:
    with entered(board.settings):
        newest = json.loads(run("signals", "tail", "-n", "100", "--json").stdout)
        table = run("signals", "tail", "-n", "1").stdout
    assert len(newest) == 72
    assert all(record["ml_available"] and record["ml_prob_up_5h"] is not None for record in newest)
    assert len(table.splitlines()) >= 3


def test_since_when_the_service_runs_and_on_which_version_is_the_manifest(lived: Lived) -> None:
    with lived.home.entered():
        noted("webserver", os.getpid())
        found = json.loads(run("manifest", "--json").stdout)
    (process,) = [process for process in found["processes"] if process["name"] == "webserver"]
    assert (process["state"], process["commit"]) == ("running", found["code"]["commit"])
    assert datetime.fromisoformat(process["started_at"]).tzinfo is not None
    assert process["same_configuration"] is True
