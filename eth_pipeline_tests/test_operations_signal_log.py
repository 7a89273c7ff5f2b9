"""The signal log: exactly one record per hour, and the rule of which evaluation stands."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalRecord, SignalState
from eth_pipeline.lake import Lake
from eth_pipeline.operations.manifest import collect_manifest
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.signals.hourly import missed_record
from eth_pipeline_tests.decision_samples import HOUR, NOON, ORIGIN, sample_settings, signal

SETTINGS = sample_settings()
STALE = judge([Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="2 h")], phase="paper")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def log(lake: Lake, tmp_path: Path) -> SignalLog:
    return SignalLog(lake, folder=tmp_path / "logs")


def _record(hour: int = 0, *, after: timedelta = timedelta(), blocked: bool = False, net: float = 60.0) -> SignalRecord:
    time = NOON + hour * HOUR
    changes = {"verdict": STALE} if blocked else {}
    return signal(SETTINGS, time, net=net, emitted_at=time + after, **changes)


def _lines(tmp_path: Path) -> list[dict[str, object]]:
    files = sorted((tmp_path / "logs").glob("signals_*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_record_is_a_row_and_a_line_with_manifest_and_consensus(lake: Lake, log: SignalLog, tmp_path: Path) -> None:
    record = _record()
    assert log.write(record) == record
    assert log.get(NOON) == record
    assert (tmp_path / "logs" / "signals_20250303.jsonl").is_file()
    (line,) = _lines(tmp_path)
    assert line["level"] == "SIGNAL"
    manifest, data = line["runtime_manifest"], line["data"]
    assert isinstance(manifest, dict)
    assert isinstance(data, dict)
    assert (manifest["code_commit"], manifest["config_digest"]) == ("c0ffee", "d1gest")
    assert {"consensus_strength", "gating_reason", "freshness", "model_version", "ml_available"} <= set(data)
    row = lake.read(SIGNALS).row(0, named=True)
    assert (row["state"], row["action"], row["allow_open"]) == ("tradeable", "LONG", True)


def test_a_given_manifest_is_carried_on_every_line(lake: Lake, tmp_path: Path) -> None:
    manifest = collect_manifest(SETTINGS, now=NOON, provenance="simulated", versions={"klines": 3})
    SignalLog(lake, folder=tmp_path / "logs", manifest=manifest).write(_record())
    assert _lines(tmp_path)[0]["runtime_manifest"] == manifest.as_dict()


def test_of_two_open_evaluations_the_first_stays_and_nothing_is_appended(log: SignalLog, tmp_path: Path) -> None:
    """An executor may already have acted on the first."""
    first = log.write(_record())
    assert log.write(_record(after=timedelta(minutes=5), net=-60.0)) == first
    assert len(_lines(tmp_path)) == 1


@pytest.mark.parametrize("after", [timedelta(minutes=5), timedelta(hours=30)])
def test_a_blocked_evaluation_replaces_an_open_one_at_any_time(
    lake: Lake, log: SignalLog, tmp_path: Path, after: timedelta
) -> None:
    log.write(_record())
    log.write(_record(after=after, blocked=True))
    found = log.get(NOON)
    assert found is not None
    assert (found.state, found.allow_open) == (SignalState.BLOCKED, False)
    assert lake.read(SIGNALS).height == 1
    assert len(_lines(tmp_path)) == 2


@pytest.mark.parametrize(
    ("after", "replaces"),
    [(timedelta(minutes=59, seconds=59), True), (HOUR, False), (timedelta(days=1), False)],
)
def test_an_open_evaluation_replaces_a_blocked_one_only_within_its_hour(
    log: SignalLog, after: timedelta, replaces: bool
) -> None:
    log.write(_record(blocked=True))
    stands = log.write(_record(after=after))
    assert (stands.state is SignalState.TRADEABLE) is replaces
    assert log.get(NOON) == stands


def test_a_second_blocked_evaluation_changes_nothing(log: SignalLog, tmp_path: Path) -> None:
    first = log.write(_record(blocked=True))
    assert log.write(_record(after=timedelta(minutes=1), blocked=True)) == first
    assert len(_lines(tmp_path)) == 1


def test_an_hour_with_a_record_was_not_missed(log: SignalLog) -> None:
    first = log.write(_record())
    missed = missed_record(settings=SETTINGS, decision_time=NOON, emitted_at=NOON + 3 * HOUR, **ORIGIN)
    assert log.write(missed) == first


def test_many_records_are_one_commit_and_keep_what_stands(lake: Lake, log: SignalLog) -> None:
    first = log.write(_record(1))
    version = lake.version(SIGNALS)
    assert version is not None
    late = [
        missed_record(settings=SETTINGS, decision_time=NOON + n * HOUR, emitted_at=NOON + 9 * HOUR, **ORIGIN)
        for n in range(4)
    ]
    stand = log.write_many(late)
    assert stand == (late[0], first, late[2], late[3])
    assert lake.version(SIGNALS) == version + 1
    assert log.tail(9) == stand
    assert log.write_many(()) == ()


def test_tail_between_and_missing_hours(log: SignalLog) -> None:
    records = {hour: log.write(_record(hour)) for hour in (0, 1, 4)}
    assert log.tail(2) == (records[1], records[4])
    assert log.tail(0) == ()
    assert log.between(NOON, NOON + 4 * HOUR) == (records[0], records[1])
    assert log.hours_without_record(NOON, NOON + 5 * HOUR) == tuple(NOON + n * HOUR for n in (2, 3, 5))
    assert log.get(NOON + 2 * HOUR) is None


def test_phases_are_kept_apart_and_must_be_named_where_both_exist(log: SignalLog) -> None:
    log.write(_record())
    live = log.write(signal(sample_settings(phase="live")))
    assert log.get(NOON, phase="live") == live
    assert len(log.tail(5)) == 2
    with pytest.raises(ValueError, match="Name the symbol and the phase"):
        log.get(NOON)


def test_an_empty_log_has_no_records(log: SignalLog) -> None:
    assert log.tail(3) == ()
    assert log.get(NOON) is None
    assert log.hours_without_record(NOON, NOON) == (NOON,)


def test_a_record_whose_run_died_before_its_line_was_written_gets_it_later_and_once(
    log: SignalLog, tmp_path: Path
) -> None:
    """A run killed between the table and the log left a record that no line tells of (soak, 2026-11-22)."""
    first, second = log.write(_record()), log.write(_record(1))
    (path,) = (tmp_path / "logs").glob("signals_*.jsonl")
    whole = path.read_text()
    path.write_text(whole[: whole.index("\n") + 200])  # the second line is cut off, as by a full disk
    assert log.complete_lines([first, second]) == 1
    assert log.complete_lines([first, second]) == 0
    assert path.read_text().splitlines()[0] == whole.splitlines()[0]
    last = json.loads(path.read_text().splitlines()[-1])
    assert (last["data"]["decision_time"], last["data"]["run_id"]) == ("2025-03-03T13:00:00Z", second.run_id)
