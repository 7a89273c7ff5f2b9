"""Hysteresis: worse at once, better after clean hours, and the same answer whenever it is asked."""

from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalState
from eth_pipeline.settings import Phase
from eth_pipeline.signals.gating.policy import CLEAN_HOURS, POLICY, GateVerdict, judge
from eth_pipeline.signals.gating.states import LOOK_BACK_HOURS, PastHour, with_hysteresis
from eth_pipeline_tests.decision_samples import HOUR, NOON, ORIGIN, sample_settings, signal

ML, STALE, MISSED = ReasonCode.ML_UNAVAILABLE, ReasonCode.STREAM_STALE, ReasonCode.HOUR_MISSED


def _verdict(*codes: ReasonCode, phase: Phase = "paper") -> GateVerdict:
    return judge([Reason(code=code, subject="x", detail="y") for code in codes], phase=phase)


def _past(*hours: tuple[ReasonCode, ...]) -> list[PastHour]:
    """Hours before noon, the newest last."""
    return [PastHour(NOON - (len(hours) - n) * HOUR, frozenset(codes)) for n, codes in enumerate(hours)]


def _settled(past: list[PastHour], *codes: ReasonCode, phase: Phase = "paper") -> GateVerdict:
    return with_hysteresis(_verdict(*codes, phase=phase), past=past, decision_time=NOON, phase=phase)


def test_a_clean_past_or_none_changes_nothing() -> None:
    assert _settled([]) == _verdict()
    assert _settled(_past((), (), ())) == _verdict()


@pytest.mark.parametrize("code", CLEAN_HOURS)
@pytest.mark.parametrize("phase", get_args(Phase))
def test_a_lingering_reason_recovers_for_as_long_as_the_table_says(code: ReasonCode, phase: Phase) -> None:
    for clean_before in range(CLEAN_HOURS[code] + 1):
        verdict = _settled(_past((code,), *[()] * clean_before), phase=phase)
        recovers = clean_before + 1 < CLEAN_HOURS[code]
        expected = POLICY[ReasonCode.RECOVERING][phase] if recovers else SignalState.TRADEABLE
        assert verdict.state is expected, clean_before
        assert [reason.subject for reason in verdict.reasons] == [str(code)] * recovers


@pytest.mark.parametrize("code", [code for code in ReasonCode if code not in CLEAN_HOURS])
def test_the_other_reasons_end_at_once(code: ReasonCode) -> None:
    assert _settled(_past((code,))).state is SignalState.TRADEABLE


def test_a_state_gets_worse_at_once() -> None:
    verdict = _settled(_past((), (), ()), STALE)
    assert (verdict.state, verdict.allow_open, len(verdict.reasons)) == (SignalState.BLOCKED, False, 1)


def test_recovering_itself_does_not_linger() -> None:
    """Else an hour that recovers would keep the next one from ever being clean."""
    assert _settled(_past((STALE,), (ReasonCode.RECOVERING,))).state is SignalState.TRADEABLE


def test_an_hour_that_nobody_judged_is_no_clean_hour() -> None:
    assert _settled(_past((STALE,), (MISSED,))).state is SignalState.DEGRADED
    assert _settled(_past((STALE,), (MISSED,), ())).state is SignalState.TRADEABLE
    assert _settled(_past((ML,), (ReasonCode.RUN_FAILED,), ())).state is SignalState.DEGRADED


def test_a_reason_that_is_there_is_not_recovering_from_itself() -> None:
    assert [reason.code for reason in _settled(_past((STALE,)), STALE).reasons] == [STALE]
    both = _settled(_past((STALE, ML)), STALE)
    assert [(reason.code, reason.subject) for reason in both.reasons] == [
        (STALE, "x"),
        (ReasonCode.RECOVERING, str(ML)),
    ]


def test_what_is_a_day_old_or_not_yet_past_says_nothing() -> None:
    old = [PastHour(NOON - LOOK_BACK_HOURS * HOUR, frozenset({STALE}))]
    same = [PastHour(NOON, frozenset({STALE})), PastHour(NOON + HOUR, frozenset({STALE}))]
    assert _settled([*old, *same]).state is SignalState.TRADEABLE
    newer = [PastHour(NOON - timedelta(hours=LOOK_BACK_HOURS - 1), frozenset({STALE}))]
    assert _settled(newer).state is SignalState.DEGRADED


def test_a_record_tells_its_reasons_to_later_hours() -> None:
    record = signal(sample_settings(), verdict=_verdict(STALE, ML))
    assert PastHour.of(record) == PastHour(NOON, frozenset({STALE, ML}))
    assert ORIGIN["run_id"] == record.run_id


_hours = st.lists(st.frozensets(st.sampled_from(ReasonCode), max_size=2), max_size=8)


@settings(max_examples=100, deadline=None)
@given(_hours, st.frozensets(st.sampled_from(ReasonCode), max_size=2), st.sampled_from(get_args(Phase)), st.randoms())
def test_the_past_never_opens_what_the_hour_closed_and_its_order_does_not_matter(
    before: list[frozenset[ReasonCode]], now: frozenset[ReasonCode], phase: Phase, shuffle: object
) -> None:
    past = [PastHour(NOON - (n + 1) * HOUR, codes) for n, codes in enumerate(before)]
    alone, settled = _verdict(*now, phase=phase), _settled(past, *now, phase=phase)
    assert settled.allow_open <= alone.allow_open
    assert settled.allow_close
    assert settled.reasons[: len(alone.reasons)] == alone.reasons
    mixed = list(past)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis hands a Random over
    assert _settled(mixed, *now, phase=phase) == settled
