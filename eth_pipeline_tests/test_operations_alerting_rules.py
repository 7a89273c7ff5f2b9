"""Tests of eth_pipeline.operations.alerting.rules: when a fact is an alert, and what is none."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.decision_tables import TRANSITIONS
from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalRecord
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.operations.alerting import rules
from eth_pipeline.operations.alerting.evidence import Disk, ExchangeTrouble, FailedRun, exchange_troubles
from eth_pipeline.operations.alerting.kinds import Condition, Happening
from eth_pipeline.operations.alerting.watch import Question, ask
from eth_pipeline.registry.promotions.alias import AliasCheck
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.signals.gating.transitions import new_transitions
from eth_pipeline.signals.hourly import missed_record
from eth_pipeline_tests.decision_samples import HOUR, MODEL, NOON, ORIGIN, forecast, sample_settings, signal

SETTINGS = sample_settings()
HOLD: dict[str, Any] = {"net": 0.0}
MODELLED: dict[str, Any] = {"ml": MlAvailability(True, None, "7"), "model": MODEL, "forecast": forecast(0.6, 0.6, 0.6)}


def verdict(code: ReasonCode, subject: str) -> dict[str, Any]:
    return {"verdict": judge([Reason(code=code, subject=subject, detail="x")], phase="paper")}


STALE = verdict(ReasonCode.STREAM_STALE, "klines ETHUSDT")
ABSENT = verdict(ReasonCode.STREAM_ABSENT, "funding_rates ETHUSDT")
GAP = verdict(ReasonCode.DATA_GAP, "klines ETHUSDT")


def hours(*kinds: dict[str, Any] | None) -> list[SignalRecord]:
    """Records of consecutive hours; None is an hour that nobody decided."""
    made = []
    for n, kind in enumerate(kinds):
        hour = NOON + n * HOUR
        if kind is None:
            made.append(missed_record(settings=SETTINGS, decision_time=hour, emitted_at=hour + 9 * HOUR, **ORIGIN))
        else:
            made.append(signal(SETTINGS, hour, **kind))
    return made


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (hours(STALE, STALE, STALE), True),
        (hours(STALE, ABSENT, STALE), True),
        (hours(STALE, None, STALE, None, STALE), True),
        (hours({}, STALE, STALE, STALE), True),
        (hours(STALE, STALE), False),
        (hours(STALE, {}, STALE, STALE), False),
        (hours(STALE, STALE, STALE, {}), False),
        (hours(GAP, GAP, GAP), False),
        (hours(None, None, None), False),
        ([], False),
    ],
)
def test_a_stale_streak_is_three_decided_hours_with_a_stale_stream(records: list[SignalRecord], found: bool) -> None:
    assert bool(rules.stale_streak(records, hours=3)) is found


def test_a_stale_streak_names_the_streams_that_are_stale_now() -> None:
    (condition,) = rules.stale_streak(hours(STALE, STALE, ABSENT), hours=3)
    assert "funding_rates ETHUSDT" in condition.text
    assert condition.subject == "ETHUSDT paper", "another stream must not be another alert"


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (hours({}, {}, {}), True),
        (hours({}, {}), False),
        (hours({}, {}, MODELLED), False),
        (hours(MODELLED, {}, None, {}, {}), True),
    ],
)
def test_models_are_silent_when_none_answered_three_decided_hours(records: list[SignalRecord], found: bool) -> None:
    assert bool(rules.ml_silent(records, hours=3)) is found


def test_models_that_nobody_asks_are_not_silent() -> None:
    base_only = sample_settings(signals={"ml_weight": 0.0})
    records = [signal(base_only, NOON + n * HOUR) for n in range(3)]
    assert rules.ml_silent(records, hours=3) == ()


def test_holding_for_ever_counts_blocked_and_missed_hours_too() -> None:
    (condition,) = rules.always_hold(hours({}, HOLD, STALE, None), hours=3)
    assert "2 of them because they were blocked" in condition.text
    assert rules.always_hold(hours(HOLD, {}, HOLD), hours=3) == ()
    assert rules.always_hold(hours(HOLD, HOLD), hours=3) == ()


def test_a_change_of_state_is_identified_by_its_row() -> None:
    rows = new_transitions(hours({}, STALE, STALE, {}), known=TRANSITIONS.empty())
    found = rules.state_changed(rows)
    assert [(happening.severity, "blocked" in happening.text) for happening in found] == [
        ("failure", True),
        ("info", True),
    ]
    assert len({happening.identity for happening in found}) == 2
    assert rules.state_changed(rows) == found
    assert rules.state_changed(rows.with_columns(pl.lit(False).alias("alertable"))) == ()


def test_a_failed_run_is_the_same_trouble_until_the_job_succeeds_or_fails_elsewhere() -> None:
    def identity(run_id: str, steps: tuple[str, ...], last_success: str | None) -> str:
        (happening,) = rules.run_failed([FailedRun("hourly", run_id, steps, last_success, "boom")])
        return happening.identity

    first = identity("1", ("features",), "good")
    assert identity("2", ("features",), "good") == first
    assert identity("3", ("klines",), "good") != first
    assert identity("4", ("features",), "better") != first


@pytest.mark.parametrize(("changed", "found"), [(timedelta(minutes=50), 1), (timedelta(hours=3), 0)])
def test_a_breaker_that_nobody_probes_any_more_is_no_evidence(tmp_path: Path, changed: timedelta, found: int) -> None:
    """The embedded exchange listens on another port at every start; its old breakers stay in the file."""
    settings = sample_settings(tmp_path)
    assert exchange_troubles(settings, now=NOON) == ()
    at = (NOON - changed).timestamp()
    state = HostState(tmp_path / "exchange_state.sqlite")
    with state.transaction() as db:
        db.execute("INSERT INTO breakers VALUES ('a', 'open', 5, ?, 'timeout')", (at,))
        db.execute("INSERT INTO breakers VALUES ('b', 'closed', 0, ?, '')", (at,))
    state.close()
    assert len(exchange_troubles(settings, now=NOON)) == found


@pytest.mark.parametrize(("is_ban", "left", "found"), [(1, 60, 1), (1, -60, 0), (0, 60, 0)])
def test_a_running_ban_is_trouble_and_a_pause_is_not(tmp_path: Path, is_ban: int, left: float, found: int) -> None:
    state = HostState(tmp_path / "exchange_state.sqlite")
    with state.transaction() as db:
        db.execute("INSERT INTO holds VALUES ('host', ?, ?)", (is_ban, NOON.timestamp() + left))
    state.close()
    assert len(exchange_troubles(sample_settings(tmp_path), now=NOON)) == found


def test_every_endpoint_is_its_own_condition() -> None:
    troubles = [ExchangeTrouble(name, datetime.fromtimestamp(0, NOON.tzinfo), 5, "503") for name in ("a", "b")]
    assert [condition.subject for condition in rules.exchange_failing(troubles)] == ["a", "b"]


def test_a_consistent_alias_is_no_alert() -> None:
    assert rules.alias_moved(AliasCheck(())) == ()
    (condition,) = rules.alias_moved(AliasCheck(("One.", "Two.")))
    assert condition.text == "One. Two."


def test_a_disk_is_low_below_its_limit() -> None:
    found = [Disk(Path("/a"), 4_999_999_999, 10**11), Disk(Path("/b"), 5_000_000_000, 10**11)]
    assert [condition.subject for condition in rules.disk_low(found, min_free_bytes=5e9)] == ["/a"]


def test_a_rule_that_breaks_is_a_condition_and_its_kind_is_left_unjudged() -> None:
    def breaks() -> tuple[Condition, ...]:
        raise OSError("no space left\nsecond line")

    questions: dict[AlertKind, Question] = {
        AlertKind.STALE_STREAK: breaks,
        AlertKind.PROMOTION: lambda: (Happening(AlertKind.PROMOTION, "x", "Version 3."),),
    }
    found = ask(questions)
    assert [(condition.kind, condition.subject) for condition in found.conditions] == [
        (AlertKind.RULE_BROKEN, "stale_streak")
    ]
    assert "OSError: no space left" in found.conditions[0].text
    assert "second line" not in found.conditions[0].text
    assert len(found.happenings) == 1
    assert found.judged == {"promotion", "rule_broken"}
