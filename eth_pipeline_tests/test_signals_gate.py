"""The gate: observations become reasons, and what was not observed is no excuse."""

from typing import Any

import pytest

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.quality import DataGap
from eth_pipeline.contracts.signal import ReasonCode, SignalState, StreamFreshness
from eth_pipeline.settings import SignalSettings, StalePolicy
from eth_pipeline.signals.gating.gate import MlAvailability, evaluate_gate
from eth_pipeline.signals.gating.policy import GateVerdict
from eth_pipeline_tests.decision_samples import NOON, sample_settings

SETTINGS = sample_settings()
ANSWERED = MlAvailability(True, None, "version 7 answered")
ABSENT = MlAvailability(False, ReasonCode.BUNDLE_ABSENT, "no bundle was promoted")


def _stream(
    stream: str, *, lag_hours: float | None = 0.0, policy: StalePolicy = "block", symbol: str = "ETHUSDT"
) -> StreamFreshness:
    return StreamFreshness(
        stream=stream,
        symbol=symbol,
        newest_available_at=NOON if lag_hours is not None else None,
        lag_hours=lag_hours,
        max_lag_hours=1.0,
        stale_policy=policy,
        freshness_source="api",
        fresh=lag_hours is not None and lag_hours < 1,
    )


MAIN = (_stream("klines"), _stream("mark_klines"))


def _gate(**changes: Any) -> GateVerdict:
    observed: dict[str, Any] = {
        "freshness": MAIN,
        "exchange_reachable": True,
        "features_present": True,
        "feature_coverage": 0.95,
        "consensus_coverage": 0.9,
        "ml": ANSWERED,
        "settings": SETTINGS,
        "phase": "paper",
        "kill_switch": None,
    }
    return evaluate_gate(**{**observed, **changes})


def _codes(verdict: GateVerdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def test_an_hour_with_everything_is_tradeable() -> None:
    assert _gate().state is SignalState.TRADEABLE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"freshness": (*MAIN, _stream("funding_rates", lag_hours=9.5))}, ReasonCode.STREAM_STALE),
        ({"freshness": (*MAIN, _stream("funding_rates", lag_hours=None))}, ReasonCode.STREAM_ABSENT),
        ({"freshness": ()}, ReasonCode.STREAM_ABSENT),
        ({"freshness": (*MAIN, _stream("open_interest", lag_hours=4, policy="degrade"))}, ReasonCode.SOURCE_DEGRADED),
        ({"freshness": (*MAIN, _stream("klines", lag_hours=None, policy="degrade"))}, ReasonCode.SOURCE_DEGRADED),
        ({"exchange_reachable": False}, ReasonCode.EXCHANGE_UNREACHABLE),
        ({"features_present": False, "feature_coverage": None}, ReasonCode.FEATURES_MISSING),
        ({"feature_coverage": 0.79}, ReasonCode.COVERAGE_LOW),
        ({"feature_coverage": None}, ReasonCode.COVERAGE_LOW),
        ({"consensus_coverage": 0.49}, ReasonCode.CONSENSUS_THIN),
        ({"consensus_coverage": None}, ReasonCode.CONSENSUS_THIN),
        ({"ml": ABSENT}, ReasonCode.BUNDLE_ABSENT),
        ({"ml": MlAvailability(False, None, "it did not say why")}, ReasonCode.ML_UNAVAILABLE),
        ({"kill_switch": "drawdown"}, ReasonCode.KILL_SWITCH),
        ({"archive_only": True}, ReasonCode.ARCHIVE_ONLY),
        ({"archive_only": True, "exchange_reachable": False}, ReasonCode.ARCHIVE_ONLY),
        ({"gaps": (DataGap("klines", "ETHUSDT", "missing", 4, NOON),)}, ReasonCode.DATA_GAP),
    ],
)
def test_what_is_wrong_becomes_its_reason(changes: dict[str, Any], code: ReasonCode) -> None:
    verdict = _gate(**changes)
    assert set(_codes(verdict)) == {code}
    assert not _gate(**changes, phase="live").allow_open


def test_a_stream_that_nothing_reads_yet_changes_no_signal() -> None:
    stale = _stream("positioning", lag_hours=None, policy="record")
    assert _gate(freshness=(*MAIN, stale), phase="live").state is SignalState.TRADEABLE


def test_a_gap_says_where_it_is() -> None:
    verdict = _gate(gaps=(DataGap("mark_klines", "ETHUSDT", "missing", 4, NOON),))
    assert verdict.gating_reason == (f"data_gap mark_klines ETHUSDT: 4 rows missing, the first at {iso(NOON)}")
    assert _gate(gaps=()).state is SignalState.TRADEABLE


def test_limits_are_met_at_their_edge() -> None:
    assert _gate(feature_coverage=0.80, consensus_coverage=0.5).state is SignalState.TRADEABLE


def test_a_stale_stream_names_itself_its_lag_and_its_limit() -> None:
    verdict = _gate(freshness=(_stream("klines", lag_hours=77.8), MAIN[1]))
    assert verdict.gating_reason == "stream_stale klines ETHUSDT: newest data is 77.80 h old, limit 1.00 h"
    assert (verdict.state, verdict.allow_open, verdict.allow_close) == (SignalState.BLOCKED, False, True)


def test_a_missing_model_is_no_reason_where_the_model_would_change_nothing() -> None:
    for signals in (SignalSettings(shadow_mode=True), SignalSettings(ml_weight=0.0)):
        settings = sample_settings(signals=signals)
        assert _gate(ml=ABSENT, settings=settings, phase="live").state is SignalState.TRADEABLE


def test_all_reasons_are_kept_with_the_worst_state() -> None:
    verdict = _gate(kill_switch="drawdown", ml=ABSENT, feature_coverage=0.1)
    assert _codes(verdict) == [ReasonCode.KILL_SWITCH, ReasonCode.COVERAGE_LOW, ReasonCode.BUNDLE_ABSENT]
    assert verdict.state is SignalState.BLOCKED
