"""The health check: green means a signal can be made from fresh data now; it never passes because something is absent.

The incident behind it: the reviewed system's health check was green with no model and with bars 77.8 hours old.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.health import Check, HealthReport, examine
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, funding, mark_bars, sample_settings, signal, walk

CLOCK = NOON + timedelta(seconds=20)


def working_home(folder: Path, **overrides: Any) -> Settings:
    """A home with fresh required streams and a signal of the newest hour; no model, no spot, no open interest."""
    settings = sample_settings(folder, **overrides)
    lake = Lake(settings.lake_location)
    for symbol in settings.symbols:
        lake.upsert(KLINES, bars(walk(4), first=NOON - 4 * HOUR, symbol=symbol))
        lake.upsert(MARK_KLINES, mark_bars(walk(4), first=NOON - 4 * HOUR, symbol=symbol))
        lake.upsert(FUNDING_RATES, funding({NOON - 4 * HOUR: 0.0001}, symbol=symbol))
    SignalLog(lake, folder=folder / "logs").write(signal(settings))
    return settings


def examined(settings: Settings, *, now: datetime = CLOCK, reachable: bool = True) -> HealthReport:
    return examine(settings, now=now, exchange_reachable=reachable, exchange="exchange time 12:00:20")


def failed(report: HealthReport) -> set[str]:
    """Names of the required checks that failed."""
    return {check.name for check in report.checks if check.required and not check.passed}


def check(report: HealthReport, name: str) -> Check:
    return next(found for found in report.checks if found.name == name)


def test_a_working_paper_host_is_healthy_and_warns_of_what_it_lacks(tmp_path: Path) -> None:
    report = examined(working_home(tmp_path))
    assert report.healthy
    assert failed(report) == set()
    warned = {found.name for found in report.checks if not found.passed}
    assert {"bundle verifies", "bundle forecasts the newest hour", "newest signal carries ml_*"} <= warned
    assert "open_interest ETHUSDT fresh" in warned


def test_the_same_host_is_unhealthy_in_live_where_a_model_is_needed(tmp_path: Path) -> None:
    report = examined(working_home(tmp_path, phase="live"))
    needed = {"bundle verifies", "bundle forecasts the newest hour", "newest signal carries ml_*"}
    assert needed <= failed(report)


def test_an_empty_home_fails_by_name_and_creates_nothing(tmp_path: Path) -> None:
    report = examined(sample_settings(tmp_path / "never_used"))
    assert not report.healthy
    assert {"lake readable", "klines ETHUSDT fresh", "mark_klines ETHUSDT fresh", "newest signal recent"} <= failed(
        report
    )
    assert "Run the hourly job once" in check(report, "lake readable").detail
    assert check(report, "klines ETHUSDT fresh").detail == "no rows"
    assert not (tmp_path / "never_used").exists()


def test_a_stale_stream_is_named_with_its_lag_and_limit(tmp_path: Path) -> None:
    report = examined(working_home(tmp_path), now=CLOCK + timedelta(hours=77))
    assert {"klines ETHUSDT fresh", "mark_klines ETHUSDT fresh", "newest signal recent"} <= failed(report)
    assert check(report, "klines ETHUSDT fresh").detail == "newest data is 77.01 h old, limit 1.00 h"


def test_an_exchange_that_does_not_answer_is_unhealthy_on_fresh_rows(tmp_path: Path) -> None:
    assert failed(examined(working_home(tmp_path), reachable=False)) == {"exchange answers"}


@pytest.mark.parametrize(("late", "recent"), [(timedelta(hours=2) - timedelta(seconds=1), True), (2 * HOUR, False)])
def test_a_signal_is_recent_for_less_than_two_hours(tmp_path: Path, late: timedelta, recent: bool) -> None:
    report = examined(working_home(tmp_path), now=NOON + late)
    assert check(report, "newest signal recent").passed is recent


def test_a_signal_of_another_phase_is_no_signal(tmp_path: Path) -> None:
    working_home(tmp_path, phase="live")
    report = examined(sample_settings(tmp_path))
    assert "no signal was ever recorded" in check(report, "newest signal recent").detail
    assert failed(report) == {"newest signal recent"}


def cut_log(home: Path) -> None:
    for commit in (home / "lake" / "klines" / "_delta_log").glob("*.json"):
        commit.write_text("{ no json")


def remove_rows(home: Path) -> None:
    for file in (home / "lake" / "klines").rglob("*.parquet"):
        file.unlink()


@pytest.mark.parametrize("damage", [cut_log, remove_rows])
def test_a_damaged_lake_fails_its_check_and_does_not_end_the_examination(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    settings = working_home(tmp_path)
    damage(tmp_path)
    report = examined(settings)
    assert "lake readable" in failed(report)
    assert check(report, "lake readable").detail


def test_a_damaged_signal_table_fails_the_check_of_the_signal(tmp_path: Path) -> None:
    settings = working_home(tmp_path)
    for commit in (tmp_path / "lake" / "signals" / "_delta_log").glob("*.json"):
        commit.write_text("{ no json")
    assert "newest signal recent" in failed(examined(settings))


def test_the_report_is_json_and_says_the_verdict_first(tmp_path: Path) -> None:
    value = json.loads(json.dumps(examined(working_home(tmp_path)).as_dict()))
    assert value["healthy"] is True
    assert value["checked_at"] == "2025-03-03T12:00:20Z"
    assert {"name", "passed", "detail", "required"} == set(value["checks"][0])
