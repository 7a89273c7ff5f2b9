"""Expected return of a horizon: against integrals that are known in closed form, and against plain sense."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.contracts.signal import Action
from eth_pipeline.settings import AccountSettings
from eth_pipeline.signals.sizing.expected import expected_gross_bps, expected_returns, implied_probability_up
from eth_pipeline.signals.sizing.funding import FundingOutlook
from eth_pipeline_tests.decision_samples import HOUR, NOON, forecast

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def _normal(mean: float, deviation: float) -> dict[float, float]:
    """Quantiles of a normal distribution of log returns."""
    return {level: NormalDist(mean, deviation).inv_cdf(level) for level in LEVELS}


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.01), (0.004, 0.02), (-0.01, 0.03)])
def test_normal_quantiles_and_their_own_probability_give_the_log_normal_mean(mean: float, deviation: float) -> None:
    up = 1 - NormalDist(mean, deviation).cdf(0)
    expected = 1e4 * np.expm1(mean + deviation**2 / 2)
    assert implied_probability_up(_normal(mean, deviation)) == pytest.approx(up, abs=0.005)
    assert expected_gross_bps(_normal(mean, deviation), probability_up=up) == pytest.approx(expected, abs=1.5)


def test_the_probability_moves_the_expectation_by_what_the_quantiles_say_is_at_stake() -> None:
    levels = _normal(0.0, 0.02)
    half_normal_bps = 1e4 * 0.02 * np.sqrt(2 / np.pi)
    gained = expected_gross_bps(levels, probability_up=0.6) - expected_gross_bps(levels, probability_up=0.5)
    assert gained == pytest.approx(0.1 * 2 * half_normal_bps, rel=0.02)


def test_quantiles_that_know_one_side_only_promise_nothing_for_the_other() -> None:
    rising = {0.05: 0.03, 0.5: 0.04, 0.95: 0.05}
    assert expected_gross_bps(rising, probability_up=0.0) == 0


def test_costs_and_funding_come_off_on_both_sides() -> None:
    account = AccountSettings(taker_fee_bps=4, slippage_bps=3)
    answer = replace(forecast(0.6, 0.4, 0.5), quantiles={5: _normal(0, 0.01), 12: _normal(0, 0.01)})
    outlook = FundingOutlook(rate=0.0001, next_settlement=NOON + HOUR, interval_hours=8)
    found = expected_returns(answer, decision_time=NOON, funding=outlook, account=account, held_share=-0.1)
    long, short = found
    assert [(item.horizon_hours, item.side) for item in found] == [(5, Action.LONG), (12, Action.SHORT)]
    assert (long.cost_bps, long.funding_bps) == (14, pytest.approx(1))
    assert (short.cost_bps, short.funding_bps) == (0, pytest.approx(-2)), "what is held has paid its entry"
    for item in found:
        assert item.net_bps == pytest.approx(item.gross_bps - item.cost_bps - (item.funding_bps or 0))
    assert long.gross_bps == pytest.approx(short.gross_bps, abs=1.5), "a mirrored forecast promises the same"


def test_a_horizon_without_quantiles_has_no_expectation() -> None:
    account = AccountSettings()
    found = expected_returns(
        forecast(0.6, 0.6, 0.6), decision_time=NOON, funding=None, account=account, held_share=None
    )
    assert found == ()


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(-0.2, 0.2), min_size=5, max_size=5).map(sorted),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_surer_rise_never_promises_less(values: list[float], one: float, other: float) -> None:
    levels = dict(zip(LEVELS, values, strict=True))
    lower, higher = (expected_gross_bps(levels, probability_up=p) for p in sorted((one, other)))
    assert higher >= lower - 1e-6
