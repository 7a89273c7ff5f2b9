"""The alert sensor on a real Dagster instance: it tells what failed, once, and nothing makes it fail or fall silent."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.defs.alerts import alert_sensor, failed_checks, failed_runs
from eth_pipeline.operations.alerting import rules
from eth_pipeline.operations.alerting.book import AlertBook
from eth_pipeline_tests.alert_receiver import Receiver, alert_receiver

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LONG_AGO = timedelta(days=1)


class Switch(dg.ConfigurableResource):
    """What the asset does."""

    mode: str = "works"


@dg.asset(name="hourly_signal", check_specs=[dg.AssetCheckSpec("not_blocked", asset="hourly_signal")])
def signal_asset(switch: Switch) -> Iterator[Any]:
    if switch.mode == "breaks":
        raise RuntimeError("the lake is gone")
    yield dg.AssetCheckResult(check_name="not_blocked", passed=switch.mode == "works")
    if switch.mode == "blocked":
        raise dg.Failure("Signal 12:00 is BLOCKED: klines are 3 h old", allow_retries=False)
    yield dg.MaterializeResult()


CHECKED = dg.AssetCheckSpec("fresh", asset="klines")


@dg.asset(name="klines", check_specs=[CHECKED])
def klines_asset(switch: Switch) -> Iterator[Any]:
    severity = dg.AssetCheckSeverity.WARN if switch.mode == "a bit stale" else dg.AssetCheckSeverity.ERROR
    fine = "stale" not in switch.mode
    yield dg.AssetCheckResult(check_name="fresh", passed=fine, severity=severity, description="klines are 3 h old")
    yield dg.MaterializeResult()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with alert_receiver() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that tells at once, named by the environment as in production."""
    targets = tmp_path / "targets"
    targets.write_text(receiver.url)
    targets.chmod(0o600)
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ETH_PIPELINE_ALERTS__TARGETS_FILE", str(targets))
    monkeypatch.setenv("ETH_PIPELINE_ALERTS__HOLD_OFF_MINUTES", "0")
    monkeypatch.setenv("ETH_PIPELINE_ALERTS__MIN_FREE_GIGABYTES", "0.001")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def definitions(mode: str) -> dg.Definitions:
    return dg.Definitions(assets=[signal_asset, klines_asset], resources={"switch": Switch(mode=mode)})


def run(instance: dg.DagsterInstance, mode: str) -> None:
    job = definitions(mode).resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)


def tick(instance: dg.DagsterInstance) -> str:
    """One evaluation, as the daemon does it."""
    context = dg.build_sensor_context(instance=instance, definitions=definitions("works"))
    answer = alert_sensor(context)
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


def told(instance: dg.DagsterInstance) -> list[str]:
    """Identities of the failed runs that a tick would report."""
    return [happening.identity for happening in rules.run_failed(failed_runs(instance, since=yesterday()))]


def yesterday() -> datetime:
    return SystemClock().now() - LONG_AGO


def test_a_failed_run_and_a_failed_check_reach_the_target_once(
    home: Path, instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    run(instance, "breaks")
    run(instance, "stale")
    for _ in range(3):
        tick(instance)
    ours = [message for message in receiver.received if "run_failed" in message["title"]]
    assert len(ours) == 1
    assert "the lake is gone" in ours[0]["message"]
    assert [title for title in receiver.titles if "check_failed" in title and title.endswith("klines fresh")] != []
    assert len(receiver.titles) == len(set(receiver.titles))


def test_a_job_that_fails_every_hour_is_told_once_until_it_succeeds(instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        run(instance, "breaks")
    assert len(told(instance)) == 3
    assert len(set(told(instance))) == 1
    run(instance, "works")
    run(instance, "breaks")
    assert len(set(told(instance))) == 2


def test_an_hour_that_is_blocked_on_purpose_is_no_failed_run_and_no_failed_check(instance: dg.DagsterInstance) -> None:
    """A stale night would bring a message an hour; the change of state has told it already."""
    run(instance, "blocked")
    assert told(instance) == []
    key = dg.AssetCheckKey(dg.AssetKey("hourly_signal"), "not_blocked")
    assert failed_checks(instance, [key]) == ()


@pytest.mark.parametrize(("mode", "failed"), [("works", 0), ("a bit stale", 0), ("stale", 1)])
def test_the_newest_evaluation_of_a_check_counts_and_a_warning_does_not(
    instance: dg.DagsterInstance, mode: str, failed: int
) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("klines"), "fresh")
    assert failed_checks(instance, [key]) == ()
    run(instance, "stale")
    run(instance, mode)
    assert len(failed_checks(instance, [key])) == failed


def test_a_target_that_is_down_fails_no_tick_and_loses_nothing(
    home: Path, instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    receiver.down = True
    run(instance, "breaks")
    message = tick(instance)
    assert "0 messages delivered, 1 not taken" in message
    assert ", 0 wait" not in message
    book = AlertBook(home, targets=1, hold_off=timedelta(0), calm=timedelta(0))
    assert book.undelivered() >= 1
    assert receiver.received == []
    book.close()


@pytest.mark.parametrize("damage", ["lake", "targets", "log"])
def test_what_breaks_one_rule_fails_no_tick_and_silences_no_other(
    home: Path, instance: dg.DagsterInstance, receiver: Receiver, tmp_path: Path, damage: str
) -> None:
    run(instance, "breaks")
    if damage == "lake":
        (home / "lake" / "signals" / "_delta_log").mkdir(parents=True)
        (home / "lake" / "signals" / "_delta_log" / f"{0:020}.json").write_text("{ no json")
    elif damage == "targets":
        (tmp_path / "targets").write_text("nonsense")
    else:
        (home / "promotions.jsonl").write_text("nonsense\n")
    tick(instance)
    book = AlertBook(home, targets=1, hold_off=timedelta(0), calm=timedelta(0))
    titles = [title for _, title, _, _ in book.history()]
    book.close()
    broken = {"lake": "stale_streak", "targets": "delivery", "log": "promotion"}[damage]
    assert f"rule_broken: {broken}" in titles
    assert "run_failed" in titles


def test_the_sensor_watches_by_itself_and_starts_no_run() -> None:
    assert alert_sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert alert_sensor.minimum_interval_seconds == 60
