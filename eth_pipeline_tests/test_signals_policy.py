"""The phase policy: every reason in every phase, as a table."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalState
from eth_pipeline.settings import Phase
from eth_pipeline.signals.gating.policy import POLICY, judge

PHASES: tuple[Phase, ...] = get_args(Phase)
PAPER_BLOCKS = {
    "stream_stale",
    "stream_absent",
    "features_missing",
    "hour_missed",
    "run_failed",
    "kill_switch",
    "risk_limit",
}

_reasons = st.lists(
    st.sampled_from(ReasonCode).map(lambda code: Reason(code=code, subject="x", detail="y")), max_size=6
)


@pytest.mark.parametrize("code", ReasonCode)
@pytest.mark.parametrize("phase", PHASES)
def test_one_reason_makes_the_state_of_the_table(code: ReasonCode, phase: Phase) -> None:
    verdict = judge([Reason(code=code, subject="klines ETHUSDT", detail="why")], phase=phase)
    blocked = phase == "live" or code.value in PAPER_BLOCKS
    assert verdict.state is (SignalState.BLOCKED if blocked else SignalState.DEGRADED)
    assert (verdict.allow_open, verdict.allow_close) == (not blocked, True)
    assert verdict.gating_reason == f"{code.value} klines ETHUSDT: why"


def test_the_table_has_every_reason_and_every_phase() -> None:
    assert set(POLICY) == set(ReasonCode)
    assert all(set(states) == set(PHASES) for states in POLICY.values())


def test_live_is_fail_closed() -> None:
    assert {states["live"] for states in POLICY.values()} == {SignalState.BLOCKED}


def test_no_reason_is_tradeable() -> None:
    verdict = judge((), phase="live")
    assert (verdict.state, verdict.allow_open, verdict.gating_reason) == (SignalState.TRADEABLE, True, "")


@given(_reasons, _reasons, st.sampled_from(PHASES))
def test_another_reason_never_opens_what_was_closed(few: list[Reason], more: list[Reason], phase: Phase) -> None:
    before, after = judge(few, phase=phase), judge([*few, *more], phase=phase)
    assert not (after.allow_open and not before.allow_open)
    assert after.allow_close
    assert (before.state is SignalState.TRADEABLE) == (not few)
