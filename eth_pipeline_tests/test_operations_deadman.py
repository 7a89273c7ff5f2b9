"""The dead-man's switch: it fires when nothing writes records, whatever it is that died."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from eth_pipeline.cli.deadman import deadman, tell
from eth_pipeline.contracts.clock import SystemClock, floor_hour
from eth_pipeline.defs.resources import exchange_state
from eth_pipeline.exchange.http.exchange_time import remember_offset
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.lake import Lake
from eth_pipeline.operations.alerting.book import FILE, open_book
from eth_pipeline.operations.alerting.deadman import known_offset, sighting, silence
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline_tests.alert_receiver import alert_receiver
from eth_pipeline_tests.decision_samples import HOUR, NOON, sample_settings, signal

MINUTE = timedelta(minutes=1)
DUE = NOON + 2 * HOUR + 15 * MINUTE


def home(folder: Path, *hours: datetime, **overrides: object) -> Settings:
    settings = sample_settings(folder / "home", **overrides)
    log = SignalLog(Lake(settings.lake_location), folder=settings.home / "logs")
    log.write_many([signal(settings, hour) for hour in hours])
    return settings


def subjects(settings: Settings, *, now: datetime) -> list[str]:
    return [condition.subject for condition in silence(settings, exchange_now=now)]


@pytest.mark.parametrize(("now", "found"), [(DUE - MINUTE, []), (DUE, ["ETHUSDT paper"])])
def test_a_record_is_overdue_an_hour_and_the_grace_past_due(tmp_path: Path, now: datetime, found: list[str]) -> None:
    assert subjects(home(tmp_path, NOON - HOUR, NOON), now=now) == found


def test_a_home_that_never_recorded_anything_is_silent_too(tmp_path: Path) -> None:
    (condition,) = silence(sample_settings(tmp_path), exchange_now=NOON)
    assert "ever recorded" in condition.text


def test_records_of_another_phase_are_no_sign_of_life(tmp_path: Path) -> None:
    home(tmp_path, NOON, phase="live")
    assert subjects(sample_settings(tmp_path / "home"), now=NOON) == ["ETHUSDT paper"]


def test_a_record_of_a_later_hour_does_not_mute_the_switch(tmp_path: Path) -> None:
    """A clock that went wrong for a minute may leave a record of next year behind."""
    settings = home(tmp_path, NOON, NOON + timedelta(days=365))
    assert subjects(settings, now=NOON + HOUR) == []
    assert subjects(settings, now=DUE) == ["ETHUSDT paper"]


def remove(lake: Path) -> None:
    shutil.rmtree(lake)


def cut(lake: Path) -> None:
    for commit in (lake / "signals" / "_delta_log").glob("*.json"):
        commit.write_text("{ no json")


@pytest.mark.parametrize("damage", [remove, cut])
def test_a_lake_that_is_gone_is_an_alert_and_the_log_tells_the_age(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    settings = home(tmp_path, NOON)
    damage(Path(settings.lake_location))
    seen = sighting(settings, until=NOON + HOUR)
    assert seen.newest == NOON
    assert seen.lake_problem
    assert subjects(settings, now=NOON + HOUR) == ["lake"]
    assert subjects(settings, now=DUE) == ["lake", "ETHUSDT paper"]


def test_a_store_that_accepts_and_never_answers_does_not_hang_the_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client of an object store retries for minutes; the timer would end the look before it says anything."""
    with socket.create_server(("127.0.0.1", 0)) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ALLOW_HTTP"):
            monkeypatch.setenv(name, "true")
        home(tmp_path, NOON)
        settings = sample_settings(tmp_path / "home", lake_url="s3://bucket/lake")
        seen = sighting(settings, until=NOON + HOUR, lake_seconds=0.5)
    assert seen.newest == NOON
    assert seen.lake_problem == "TimeoutError: no answer within 0.5 s."


def test_torn_and_foreign_lines_of_the_log_are_passed_over(tmp_path: Path) -> None:
    settings = home(tmp_path, NOON)
    remove(Path(settings.lake_location))
    (path,) = (settings.home / "logs").glob("signals_*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"data": {"symbol": "ETHUSDT"}}\n[]\n\xff{"data"')
    assert sighting(settings, until=NOON + HOUR).newest == NOON


def test_the_exchange_is_where_the_hourly_runs_measured_it_last(tmp_path: Path) -> None:
    """An embedded exchange lives at another date; so may a host whose clock is wrong."""
    settings = home(tmp_path, NOON)
    assert known_offset(settings) is None
    state = HostState(exchange_state(settings))
    remember_offset(
        state, "fapi.binance.com", exchange_time=NOON, asked=NOON - timedelta(days=3), round_trip=timedelta(0)
    )
    state.close()
    assert known_offset(settings) == timedelta(days=3)


def test_it_fires_once_when_the_writer_is_killed_and_says_when_records_come_again(tmp_path: Path) -> None:
    """A timer every five minutes for a day; the daemon is dead from 15:00 to 23:00."""
    with alert_receiver() as receiver:
        targets = tmp_path / "targets"
        targets.write_text(receiver.url)
        targets.chmod(0o600)
        settings = home(tmp_path, NOON, alerts={"targets_file": targets})
        log = SignalLog(Lake(settings.lake_location), folder=settings.home / "logs")
        told_at = []
        for minute in range(0, 16 * 60, 5):
            now = NOON + minute * MINUTE
            if now == floor_hour(now) and not 3 * 60 <= minute < 11 * 60:
                log.write(signal(settings, now))
            before = len(receiver.titles)
            tell(settings, silence(settings, exchange_now=now), now=now)
            told_at += [minute] * (len(receiver.titles) - before)
        titles = [title.partition(": ")[2] for title in receiver.titles]
    assert titles == ["signal_overdue: ETHUSDT paper", "over: signal_overdue ETHUSDT paper"]
    assert told_at == [4 * 60 + 15, 11 * 60 + 5]


def test_a_full_disk_does_not_silence_it(tmp_path: Path) -> None:
    """Where the book cannot be written, the alert is sent without it."""
    with alert_receiver() as receiver:
        targets = tmp_path / "targets"
        targets.write_text(receiver.url)
        targets.chmod(0o600)
        settings = home(tmp_path, NOON, alerts={"targets_file": targets})
        (settings.home / FILE).mkdir()
        problem = tell(settings, silence(settings, exchange_now=DUE), now=DUE)
        assert problem is not None
        assert "cannot be written" in problem
        assert [title.partition(": ")[2] for title in receiver.titles] == ["signal_overdue: ETHUSDT paper"]


def command(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> tuple[int, str]:
    """Exit code and output of `eth-pipeline deadman` in a home."""
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(settings.home))
    app = typer.Typer()
    app.command()(deadman)
    answer = CliRunner().invoke(app, [])
    return answer.exit_code, answer.output


def test_the_command_exits_0_when_alive_and_1_when_overdue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = floor_hour(SystemClock().now())
    assert command(monkeypatch, home(tmp_path / "alive", now))[0] == 0
    code, output = command(monkeypatch, home(tmp_path / "dead", now - 5 * HOUR))
    assert code == 1
    assert "overdue" in output


def test_the_command_raises_what_it_found_in_the_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = home(tmp_path, floor_hour(SystemClock().now()) - 5 * HOUR)
    assert command(monkeypatch, settings)[0] == 1
    with open_book(settings, targets=0) as book:
        assert [condition.subject for condition, _ in book.raised()] == ["ETHUSDT paper"]


def test_it_needs_neither_dagster_nor_a_registry() -> None:
    """What it watches must not be able to take it along."""
    code = "import sys, eth_pipeline.cli.deadman; sys.exit(str({'dagster', 'mlflow', 'torch'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert answer.stderr.strip() == "set()"
