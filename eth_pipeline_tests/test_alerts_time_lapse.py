"""Eight hours of watching in a second: every alert provoked for real, arriving exactly once at a real HTTP receiver.

Real lake, real files, real registry, real Dagster instance. The incident behind it: the reviewed system's alerts muted
themselves after the first delivery that failed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import numpy as np
import polars as pl
import pytest

from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.clock import FixedClock, floor_hour
from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalRecord
from eth_pipeline.defs.alerts import failed_checks, failed_runs
from eth_pipeline.errors import CircuitOpen
from eth_pipeline.exchange.http.breaker import Breaker
from eth_pipeline.exchange.http.exchange_time import remember_offset
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.features.catalogue import feature_names, features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.models.cloud import make_cloud
from eth_pipeline.models.drift import make_drift_reference
from eth_pipeline.operations.alerting import rules
from eth_pipeline.operations.alerting.watch import Question, home_questions, watch
from eth_pipeline.operations.announcements import announce
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.registry.mlflow_store import PRODUCTION
from eth_pipeline.registry.promotions.production import Pointer
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline_tests.alert_receiver import Receiver, alert_receiver
from eth_pipeline_tests.decision_samples import HOUR, NOON, sample_settings, signal
from eth_pipeline_tests.registry_host import Host
from eth_pipeline_tests.registry_maker import candidate, decision, registry_folder

ROUND = timedelta(minutes=20)
LAPSE = timedelta(hours=8)
OUTAGE = timedelta(hours=6)
BUNDLE = "f" * 64
STREAK = {"stale_streak_hours": 3, "ml_silent_hours": 3, "always_hold_hours": 3}
STALE = judge([Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="2 h")], phase="paper")


@dataclass
class Provocation:
    """What is wrong: the question that finds it, and what goes on meanwhile."""

    kind: AlertKind
    question: Callable[[datetime], Question]
    meanwhile: list[Callable[[datetime], None]] = field(default_factory=list)


@dataclass
class Watched:
    """A home with a target, and its watch."""

    settings: Settings
    receiver: Receiver

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_location)

    def record(self, *records: SignalRecord) -> None:
        SignalLog(self.lake, folder=self.settings.home / "logs").write_many(records)

    def from_home(self, kind: AlertKind) -> Provocation:
        return Provocation(kind, lambda now: home_questions(self.settings, now=now)[kind])

    def lapse(self, provoked: Provocation, *, outage: timedelta) -> None:
        """Eight hours of rounds; the receiver is down for the first `outage` of them."""
        for minute in range(0, int(LAPSE / timedelta(minutes=1)), int(ROUND / timedelta(minutes=1))):
            now = NOON + timedelta(minutes=minute)
            self.receiver.down = now < NOON + outage
            for happens in provoked.meanwhile:
                happens(now)
            watch(self.settings, {provoked.kind: provoked.question(now)}, now=now)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with alert_receiver() as receiver:
        targets = tmp_path / "targets"
        targets.write_text(receiver.url + "\n")
        targets.chmod(0o600)
        settings = sample_settings(tmp_path / "home", alerts={"targets_file": targets, **STREAK})
        settings.home.mkdir()
        state = HostState(settings.home / "exchange_state.sqlite")
        host = urlsplit(settings.exchange.futures_url).netloc
        remember_offset(state, host, exchange_time=NOON, asked=NOON, round_trip=timedelta(0))
        state.close()
        yield Watched(settings, receiver)


def stale(watched: Watched) -> Provocation:
    hours = [NOON - n * HOUR for n in range(3)]
    watched.record(*[signal(watched.settings, hour, verdict=STALE) for hour in hours])
    return watched.from_home(AlertKind.STALE_STREAK)


def silent_model(watched: Watched) -> Provocation:
    watched.record(*[signal(watched.settings, NOON - n * HOUR) for n in range(3)])
    return watched.from_home(AlertKind.ML_SILENT)


def always_hold(watched: Watched) -> Provocation:
    watched.record(*[signal(watched.settings, NOON - n * HOUR, net=0.0) for n in range(3)])
    return watched.from_home(AlertKind.ALWAYS_HOLD)


def failing_exchange(watched: Watched) -> Provocation:
    """An endpoint that fails whenever it is asked; the breaker probes it on and on."""
    clock = FixedClock(NOON)
    state = HostState(watched.settings.home / "exchange_state.sqlite")
    breaker = Breaker(state, clock=clock, failures_to_open=5, cooldown_seconds=600)

    def asked(now: datetime) -> None:
        clock.instant = now
        for _ in range(5):
            try:
                breaker.admit("fapi.binance.com/fapi/v1/klines")
            except CircuitOpen:
                return
            breaker.failed("fapi.binance.com/fapi/v1/klines", "503")

    provoked = watched.from_home(AlertKind.EXCHANGE_FAILING)
    provoked.meanwhile.append(asked)
    return provoked


def changed_state(watched: Watched) -> Provocation:
    records = [signal(watched.settings, NOON - HOUR), signal(watched.settings, NOON, verdict=STALE)]
    watched.record(*records)
    assert announce(watched.lake, records, folder=watched.settings.home / "logs").height == 2
    return watched.from_home(AlertKind.STATE_CHANGED)


def promoted(watched: Watched) -> Provocation:
    folder = watched.settings.home / "candidates" / "a"
    made = decision(folder, candidate(folder))
    PromotionLog.of(watched.settings.home).append(decision=made, version="1", run_id="run", at=NOON)
    return watched.from_home(AlertKind.PROMOTION)


def drifted(watched: Watched) -> Provocation:
    """A bundle with a reference of quiet inputs, and two days of inputs that went through the roof."""
    cross = watched.settings.cross_symbols
    names = feature_names(symbol="ETHUSDT", cross_symbols=cross)[:4]
    table = features_contract(symbol="ETHUSDT", cross_symbols=cross)
    quiet = np.random.default_rng(1).standard_normal((1200, 4)).astype(np.float32)
    reference = make_drift_reference(quiet, names=names, cloud=make_cloud(quiet, components=2), window_rows=48)
    folder = watched.settings.home / "production"
    (folder / BUNDLE).mkdir(parents=True)
    (folder / BUNDLE / "drift.json").write_text(reference.model_dump_json())
    pointer = Pointer(version="1", fingerprint=BUNDLE, folder=BUNDLE, verified_at=NOON)
    (folder / "current").write_text(pointer.model_dump_json())
    hours = [NOON - 48 * HOUR + n * HOUR for n in range(48 + 10)]
    fixed = {"symbol": "ETHUSDT", "coverage": 1.0, "provenance": "simulated", "clean": None}
    rows = [{**dict.fromkeys(table.schema, 9.0), **fixed, "decision_time": h, "available_at": h} for h in hours]
    watched.lake.replace(table, pl.DataFrame(rows, schema=table.schema))
    return watched.from_home(AlertKind.DRIFT)


def full_disk(watched: Watched) -> Provocation:
    limits = watched.settings.alerts.model_copy(update={"min_free_gigabytes": 1e9})
    watched.settings = watched.settings.model_copy(update={"alerts": limits})
    return watched.from_home(AlertKind.DISK_LOW)


def silence(watched: Watched) -> Provocation:
    watched.record(signal(watched.settings, NOON - 3 * HOUR))
    return watched.from_home(AlertKind.SIGNAL_OVERDUE)


def broken_rule(watched: Watched) -> Provocation:
    """A line of the promotion log was edited: nobody can say what was promoted."""
    provoked = promoted(watched)
    path = watched.settings.home / "promotions.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), "reason": "because"}) + "\n")
    return provoked


def moved_alias(watched: Watched, registry: Path) -> Provocation:
    host = Host(registry, watched.settings.home)
    first = host.promote("first", skill=0.3)
    host.promote("second", skill=0.6, hours_later=1)
    with host.store._reached("move the alias as a person in the MLflow UI does") as client:
        client.set_registered_model_alias(host.store.model_name, PRODUCTION, first)
    settings = host.settings.model_copy(
        update={"mlflow_tracking_uri": host.store.tracking_uri, "alerts": watched.settings.alerts}
    )
    watched.settings = settings
    return watched.from_home(AlertKind.ALIAS_MOVED)


@dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="broken_asset")])
def broken_asset() -> Iterator[Any]:
    yield dg.AssetCheckResult(passed=False, description="half of the rows are gone")
    raise RuntimeError("the disk said no")


CHECK = dg.AssetCheckKey(dg.AssetKey("broken_asset"), "whole")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in which one run failed, after one of its checks did."""
    with dg.DagsterInstance.ephemeral() as made:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = dg.Definitions(assets=[broken_asset]).resolve_implicit_global_asset_job_def()
        assert not job.execute_in_process(instance=made, raise_on_error=False, run_config=quiet).success
        yield made


def failed_run(_: Watched, instance: dg.DagsterInstance) -> Provocation:
    long_ago = NOON - timedelta(days=9000)
    question = lambda: rules.run_failed(failed_runs(instance, since=long_ago))  # noqa: E731
    return Provocation(AlertKind.RUN_FAILED, lambda _: question)


def failed_check(_: Watched, instance: dg.DagsterInstance) -> Provocation:
    question = lambda: rules.check_failed(failed_checks(instance, [CHECK]))  # noqa: E731
    return Provocation(AlertKind.CHECK_FAILED, lambda _: question)


OF_FILES: dict[str, Callable[[Watched], Provocation]] = {
    "stale_streak": stale,
    "ml_silent": silent_model,
    "exchange_failing": failing_exchange,
    "always_hold": always_hold,
    "state_changed": changed_state,
    "promotion": promoted,
    "drift": drifted,
    "disk_low": full_disk,
    "signal_overdue": silence,
    "rule_broken": broken_rule,
}
OF_DAGSTER = {"run_failed": failed_run, "check_failed": failed_check}
OUTAGES = pytest.mark.parametrize("outage", [timedelta(0), OUTAGE], ids=["receiver up", "receiver down for six hours"])


def assert_told_once(watched: Watched, kind: str) -> None:
    """The kind's own message, once, and nothing else."""
    titles = [title.partition(": ")[2].partition(":")[0] for title in watched.receiver.titles]
    assert titles == [kind], watched.receiver.received


@OUTAGES
@pytest.mark.parametrize("kind", OF_FILES)
def test_an_alert_of_the_home_arrives_exactly_once(watched: Watched, kind: str, outage: timedelta) -> None:
    watched.lapse(OF_FILES[kind](watched), outage=outage)
    assert_told_once(watched, kind)


@OUTAGES
@pytest.mark.parametrize("kind", OF_DAGSTER)
def test_an_alert_of_dagster_arrives_exactly_once(
    watched: Watched, instance: dg.DagsterInstance, kind: str, outage: timedelta
) -> None:
    watched.lapse(OF_DAGSTER[kind](watched, instance), outage=outage)
    assert_told_once(watched, kind)
    assert "the disk said no" in str(watched.receiver.received) or "half of the rows" in str(watched.receiver.received)


def test_an_alias_that_was_moved_by_hand_arrives_exactly_once(
    watched: Watched, tmp_path_factory: pytest.TempPathFactory
) -> None:
    watched.lapse(moved_alias(watched, registry_folder(tmp_path_factory)), outage=OUTAGE)
    assert_told_once(watched, "alias_moved")
    assert "moved by another hand" in watched.receiver.received[0]["message"]


def test_every_kind_of_alert_is_provoked_here() -> None:
    assert {*OF_FILES, *OF_DAGSTER, "alias_moved"} == {str(kind) for kind in AlertKind}


def test_half_a_day_of_ordinary_hours_tells_nothing(watched: Watched) -> None:
    """Tradeable hours that act, on a home whose exchange answers."""
    for minute in range(0, 12 * 60, 30):
        now = NOON + timedelta(minutes=minute)
        if now == floor_hour(now):
            record = signal(watched.settings, now)
            watched.record(record)
            announce(watched.lake, [record], folder=watched.settings.home / "logs")
        questions = home_questions(watched.settings, now=now)
        for kind in (AlertKind.ALIAS_MOVED, AlertKind.ML_SILENT):  # there is no registry and no model here
            questions.pop(kind)
        watch(watched.settings, questions, now=now)
    assert watched.receiver.titles == []


def test_a_table_that_cannot_be_read_is_no_recovery(watched: Watched) -> None:
    """The streak is told, then the lake breaks: that is a second alert, and not the end of the first."""
    provoked = stale(watched)
    watched.lapse(provoked, outage=timedelta(0))
    for commit in (watched.settings.home / "lake" / "signals" / "_delta_log").glob("*.json"):
        commit.write_text("{ no json")
    for n in range(6):
        now = NOON + LAPSE + n * ROUND
        watch(watched.settings, {provoked.kind: provoked.question(now)}, now=now)
    titles = [title.partition(": ")[2] for title in watched.receiver.titles]
    assert titles == ["stale_streak: ETHUSDT paper", "rule_broken: stale_streak"]


def test_a_registry_that_hangs_delays_no_other_alert(watched: Watched) -> None:
    """A round that takes too long is ended from outside; what was found before must be out by then."""
    provoked, out_by_then = stale(watched), []

    def hangs() -> tuple[()]:
        out_by_then.append(list(watched.receiver.titles))
        raise TimeoutError("MLflow did not answer")

    for n in range(2):
        now = NOON + n * ROUND
        watch(watched.settings, {AlertKind.ALIAS_MOVED: hangs, provoked.kind: provoked.question(now)}, now=now)
    assert ["stale_streak" in title for title in out_by_then[1]] == [True]
