"""Every reason code in every phase: provoked where it is made, and judged exactly as the document says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from eth_pipeline.contracts.quality import DataGap
from eth_pipeline.contracts.signal import Action, Reason, ReasonCode, SignalRecord, SignalState, StreamFreshness
from eth_pipeline.settings import Phase, Settings
from eth_pipeline.signals.gating.gate import MlAvailability, evaluate_gate
from eth_pipeline.signals.gating.policy import CLEAN_HOURS, POLICY
from eth_pipeline.signals.gating.states import PastHour
from eth_pipeline.signals.history import assumed_fresh
from eth_pipeline.signals.hourly import failed_record, missed_record
from eth_pipeline_tests.decision_samples import HOUR, MODEL, NOON, ORIGIN, forecast, sample_settings, signal

DOCUMENT = Path(__file__).parents[1] / "docs" / "reason_codes.md"
PHASES: tuple[Phase, ...] = get_args(Phase)
ANSWERED = MlAvailability(True, None, "version 7 answered")
TRADEABLE, DEGRADED, BLOCKED = SignalState.TRADEABLE, SignalState.DEGRADED, SignalState.BLOCKED

TABLE: dict[ReasonCode, tuple[SignalState, SignalState]] = {
    ReasonCode.STREAM_STALE: (BLOCKED, BLOCKED),
    ReasonCode.STREAM_ABSENT: (BLOCKED, BLOCKED),
    ReasonCode.SOURCE_DEGRADED: (DEGRADED, BLOCKED),
    ReasonCode.EXCHANGE_UNREACHABLE: (DEGRADED, BLOCKED),
    ReasonCode.ARCHIVE_ONLY: (DEGRADED, BLOCKED),
    ReasonCode.DATA_GAP: (DEGRADED, BLOCKED),
    ReasonCode.FEATURES_MISSING: (BLOCKED, BLOCKED),
    ReasonCode.COVERAGE_LOW: (DEGRADED, BLOCKED),
    ReasonCode.CONSENSUS_THIN: (DEGRADED, BLOCKED),
    ReasonCode.ML_UNAVAILABLE: (DEGRADED, BLOCKED),
    ReasonCode.BUNDLE_ABSENT: (DEGRADED, BLOCKED),
    ReasonCode.BUNDLE_REFUSED: (DEGRADED, BLOCKED),
    ReasonCode.BUNDLE_EXPIRED: (DEGRADED, BLOCKED),
    ReasonCode.HOUR_MISSED: (BLOCKED, BLOCKED),
    ReasonCode.RUN_FAILED: (BLOCKED, BLOCKED),
    ReasonCode.KILL_SWITCH: (BLOCKED, BLOCKED),
    ReasonCode.RISK_LIMIT: (BLOCKED, BLOCKED),
    ReasonCode.REGISTRY_DOUBTED: (DEGRADED, BLOCKED),
    ReasonCode.RECOVERING: (DEGRADED, BLOCKED),
}
"""Paper and live, written once more by hand: the policy is data, and data is edited by mistake."""


def _hour(settings: Settings, **changes: Any) -> SignalRecord:
    """The record of an hour in which everything is well but what `changes` says."""
    observed: dict[str, Any] = {
        "freshness": assumed_fresh(settings, decision_time=NOON),
        "exchange_reachable": True,
        "features_present": True,
        "feature_coverage": 0.95,
        "consensus_coverage": 0.9,
        "ml": ANSWERED,
        "kill_switch": None,
    }
    verdict = evaluate_gate(**{**observed, **changes}, settings=settings, phase=settings.phase)
    if not {**observed, **changes}["ml"].available:
        return signal(settings, verdict=verdict, ml=changes["ml"])
    return signal(settings, verdict=verdict, ml=ANSWERED, forecast=forecast(0.6, 0.6, 0.6), model=MODEL)


def _late(settings: Settings, stream: str, lag_hours: float | None) -> tuple[StreamFreshness, ...]:
    """All streams fresh, the main symbol's `stream` not."""
    return tuple(
        item.model_copy(update={"lag_hours": lag_hours, "fresh": False})
        if (item.stream, item.symbol) == (stream, settings.symbol)
        else item
        for item in assumed_fresh(settings, decision_time=NOON)
    )


def _no_bundle(code: ReasonCode) -> Callable[[Settings], SignalRecord]:
    return lambda settings: _hour(settings, ml=MlAvailability(False, code, "why"))


PROVOKED: dict[ReasonCode, Callable[[Settings], SignalRecord]] = {
    ReasonCode.STREAM_STALE: lambda s: _hour(s, freshness=_late(s, "klines", 77.8)),
    ReasonCode.STREAM_ABSENT: lambda s: _hour(s, freshness=_late(s, "mark_klines", None)),
    ReasonCode.SOURCE_DEGRADED: lambda s: _hour(s, freshness=_late(s, "open_interest", 4.0)),
    ReasonCode.EXCHANGE_UNREACHABLE: lambda s: _hour(s, exchange_reachable=False),
    ReasonCode.ARCHIVE_ONLY: lambda s: _hour(s, archive_only=True),
    ReasonCode.DATA_GAP: lambda s: _hour(s, gaps=(DataGap("klines", "ETHUSDT", "missing", 4, NOON),)),
    ReasonCode.FEATURES_MISSING: lambda s: _hour(s, features_present=False, feature_coverage=None),
    ReasonCode.COVERAGE_LOW: lambda s: _hour(s, feature_coverage=0.5),
    ReasonCode.CONSENSUS_THIN: lambda s: _hour(s, consensus_coverage=0.1),
    ReasonCode.ML_UNAVAILABLE: lambda s: signal(s, ml=ANSWERED, forecast=forecast(0.999, 0.5, 0.5), model=MODEL),
    ReasonCode.BUNDLE_ABSENT: _no_bundle(ReasonCode.BUNDLE_ABSENT),
    ReasonCode.BUNDLE_REFUSED: _no_bundle(ReasonCode.BUNDLE_REFUSED),
    ReasonCode.BUNDLE_EXPIRED: _no_bundle(ReasonCode.BUNDLE_EXPIRED),
    ReasonCode.HOUR_MISSED: lambda s: missed_record(settings=s, decision_time=NOON, emitted_at=NOON + HOUR, **ORIGIN),
    ReasonCode.RUN_FAILED: lambda s: failed_record(
        settings=s, decision_time=NOON, emitted_at=NOON, detail="features: boom", **ORIGIN
    ),
    ReasonCode.KILL_SWITCH: lambda s: _hour(s, kill_switch="drawdown"),
    ReasonCode.RISK_LIMIT: lambda s: _hour(s, further=(Reason(code=ReasonCode.RISK_LIMIT, subject="x", detail="y"),)),
    ReasonCode.REGISTRY_DOUBTED: lambda s: _hour(
        s, further=(Reason(code=ReasonCode.REGISTRY_DOUBTED, subject="registry", detail="silent"),)
    ),
    ReasonCode.RECOVERING: lambda s: signal(s, past=[PastHour(NOON - HOUR, frozenset({ReasonCode.STREAM_STALE}))]),
}


def test_the_tables_have_every_code() -> None:
    assert set(TABLE) == set(PROVOKED) == set(POLICY) == set(ReasonCode)
    assert set(CLEAN_HOURS) <= set(ReasonCode)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("code", ReasonCode)
def test_a_provoked_reason_gives_the_state_of_the_table_and_of_the_document(code: ReasonCode, phase: Phase) -> None:
    record = PROVOKED[code](sample_settings(phase=phase))
    assert {reason.code for reason in record.reasons} == {code}, "provoked alone"
    assert record.state is TABLE[code][PHASES.index(phase)]
    assert (record.allow_open, record.allow_close) == (record.state is not BLOCKED, True)
    if record.state is BLOCKED:
        assert (record.action, record.position_share) == (Action.HOLD, 0)
    assert _documented(code)[phase] == (str(record.state), record.allow_open, record.allow_close)
    assert code.value in record.gating_reason


def test_an_hour_without_any_of_them_is_tradeable() -> None:
    for phase in PHASES:
        record = _hour(sample_settings(phase=phase))
        assert (record.state, record.reasons, record.action) == (TRADEABLE, (), Action.LONG)


def test_the_document_says_how_long_a_reason_lingers() -> None:
    for code in ReasonCode:
        assert _cells(code)[-1] == str(CLEAN_HOURS.get(code, 1))


def test_a_forecast_that_is_believed_again_recovers_like_any_other_source() -> None:
    past = [PastHour(NOON - HOUR, frozenset({ReasonCode.ML_UNAVAILABLE}))]
    answer = {"ml": ANSWERED, "forecast": replace(forecast(0.6, 0.6, 0.6)), "model": MODEL}
    assert signal(sample_settings(), past=past, **answer).reasons[0].subject == "ml_unavailable"


def _cells(code: ReasonCode) -> list[str]:
    """The code's row of the policy table in the document."""
    text = DOCUMENT.read_text(encoding="utf-8").split("## Policy")[1]
    (line,) = [line for line in text.splitlines() if line.startswith(f"| `{code}` |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def _documented(code: ReasonCode) -> dict[str, tuple[str, bool, bool]]:
    cells = _cells(code)
    rows = (cells[1:4], cells[4:7])
    return {
        phase: (state, opens == "yes", closes == "yes")
        for phase, (state, opens, closes) in zip(PHASES, rows, strict=True)
    }
