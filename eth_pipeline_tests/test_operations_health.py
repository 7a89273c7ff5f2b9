"""The health check: green means a signal can be made from fresh data now; it never passes because something is absent.

The incident behind it: the reviewed system's health check was green with no model and with bars 77.8 hours old.
"""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.exchange.http.exchange_time import remember_offset
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.lake import Lake
from eth_pipeline.operations.alerting.book import open_book
from eth_pipeline.operations.alerting.kinds import Happening
from eth_pipeline.operations.health import HealthReport, Occasion, examine
from eth_pipeline.operations.host_health import Check
from eth_pipeline.operations.processes import note_start
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


def examined(
    settings: Settings, *, now: datetime = CLOCK, reachable: bool = True, occasion: Occasion = "running"
) -> HealthReport:
    return examine(
        settings, now=now, exchange_reachable=reachable, exchange="exchange time 12:00:20", occasion=occasion
    )


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


def test_a_host_that_was_down_for_a_night_may_start_again(tmp_path: Path) -> None:
    """Old rows and an old signal are cured by the daemon; refusing its start because of them would be for ever."""
    settings = working_home(tmp_path)
    later = CLOCK + timedelta(hours=77)
    assert not examined(settings, now=later).healthy
    report = examined(settings, now=later, reachable=False, occasion="start")
    assert report.healthy
    assert not check(report, "klines ETHUSDT fresh").passed


def test_a_new_host_may_start_and_is_left_as_it_was(tmp_path: Path) -> None:
    report = examined(sample_settings(tmp_path / "never_used"), occasion="start")
    assert report.healthy
    assert not (tmp_path / "never_used").exists()


def test_a_live_host_does_not_start_without_a_bundle(tmp_path: Path) -> None:
    report = examined(working_home(tmp_path, phase="live"), occasion="start")
    assert {"bundle verifies", "bundle forecasts the newest hour", "public keys"} <= failed(report)


@pytest.mark.parametrize("damage", [cut_log, remove_rows])
def test_a_damaged_lake_refuses_the_start(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    settings = working_home(tmp_path)
    damage(tmp_path)
    assert "lake readable" in failed(examined(settings, occasion="start"))


def test_the_lake_is_written_to_and_nothing_is_left_behind(tmp_path: Path) -> None:
    settings = working_home(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert check(examined(settings), "lake writable").passed
    assert sorted(tmp_path.rglob("*")) == before


def test_a_lake_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    """Root may write into a folder of mode 500, so a mode would prove nothing in a container."""
    settings = sample_settings(tmp_path)
    (tmp_path / "lake").write_text("no folder")
    report = examined(settings, occasion="start")
    assert "lake writable" in failed(report)


def test_an_alert_that_waits_for_its_target_is_a_warning(tmp_path: Path) -> None:
    settings = working_home(tmp_path)
    assert check(examined(settings), "alerts delivered").passed
    with open_book(settings, targets=1) as book:
        book.happened([Happening(AlertKind.PROMOTION, "x", "Version 3.")], now=NOON)
    report = examined(settings)
    assert check(report, "alerts delivered").detail.startswith("1 messages wait")
    assert report.healthy


def test_a_targets_file_that_others_can_read_is_unhealthy_and_none_at_all_a_warning(tmp_path: Path) -> None:
    targets = tmp_path / "targets"
    targets.write_text("json://127.0.0.1/hook\n")
    targets.chmod(0o644)
    assert failed(examined(working_home(tmp_path / "a", alerts={"targets_file": targets}))) == {"alert targets"}
    warned = check(examined(working_home(tmp_path / "b")), "alert targets")
    assert (warned.passed, warned.required) == (False, False)


@pytest.mark.parametrize(("behind", "passed"), [(timedelta(seconds=3), True), (timedelta(minutes=3), False)])
def test_a_clock_that_is_further_off_than_a_run_waits_is_a_warning(
    tmp_path: Path, behind: timedelta, passed: bool
) -> None:
    settings = sample_settings(tmp_path)
    state = HostState(tmp_path / "exchange_state.sqlite")
    exchange = {"exchange_time": NOON + behind, "asked": NOON, "round_trip": timedelta(0)}
    remember_offset(state, "fapi.binance.com", **exchange)
    state.close()
    assert check(examined(settings), "clock").passed is passed


def test_a_registry_that_is_not_there_is_a_warning_and_is_not_created(tmp_path: Path) -> None:
    report = examined(working_home(tmp_path))
    for name in ("registry answers", "alias agrees"):
        assert (check(report, name).passed, check(report, name).required) == (False, False)
    assert not (tmp_path / "mlflow").exists()


def test_a_process_that_ended_or_runs_other_code_is_a_warning_and_none_at_all_too(tmp_path: Path) -> None:
    settings = working_home(tmp_path)
    assert "No start was noted" in check(examined(settings), "processes").detail
    note_start(settings, name="daemon", pid=os.getpid(), now=NOON)
    assert check(examined(settings), "processes").detail == "daemon run what lies here"
    note = tmp_path / "processes" / "daemon.json"
    for change in ({"files_digest": "0" * 64}, {"config_digest": "0" * 64}, {"created_at": "2020-01-01T00:00:00Z"}):
        kept = note.read_text()
        note.write_text(json.dumps(json.loads(kept) | change))
        report = examined(settings)
        assert not check(report, "processes").passed, change
        assert report.healthy
        note.write_text(kept)
