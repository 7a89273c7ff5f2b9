"""Sizes: Kelly against closed forms, every clip by name, and a sentence wherever there is no position."""

import math
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.settings import AccountSettings
from eth_pipeline.signals.sizing.size import CLIPS, PositionSize, largest_share, size_position, size_without_forecast

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
UNCLIPPED = AccountSettings(
    kelly_fraction=1.0, max_single_share=1.0, max_total_share=1.0, reserve_share=0.0, volatility_target_share_per_year=9
)


def normal(mean: float, deviation: float) -> dict[float, float]:
    return {level: NormalDist(mean, deviation).inv_cdf(level) for level in LEVELS}


def up(mean: float, deviation: float) -> float:
    return 1 - NormalDist(mean, deviation).cdf(0.0)


def size(
    account: AccountSettings = UNCLIPPED, *, mean: float = 0.004, deviation: float = 0.04, **over: Any
) -> PositionSize:
    values: dict[str, Any] = {
        "side": 1,
        "quantiles": normal(mean, deviation),
        "probability_up": up(mean, deviation),
        "cost_bps": 0.0,
        "volatility_per_hour": 0.008,
        "settings": account,
    }
    return size_position(**{**values, **over})


def test_a_coin_of_two_outcomes_gives_the_textbook_share() -> None:
    """Win 10 % with probability 0.55, lose 10 % with 0.45: Kelly's f = (0.55 - 0.45) / 0.1 = 1, at even odds."""
    step = {0.1: math.log(0.9), 0.4999999: math.log(0.9), 0.5000001: math.log(1.1), 0.9: math.log(1.1)}
    assert size(quantiles=step, probability_up=0.55).kelly_share == pytest.approx(1.0, rel=0.01)


def test_a_normal_forecast_gives_mean_over_variance() -> None:
    """Merton's share for a log-normal price: (mean + variance / 2) / variance; small returns, so nearly exact."""
    mean, deviation = 0.0004, 0.02
    expected = (mean + deviation**2 / 2) / deviation**2
    assert size(mean=mean, deviation=deviation).kelly_share == pytest.approx(expected, rel=0.05)


def test_the_levels_at_which_a_forecast_is_given_do_not_matter() -> None:
    few = {level: NormalDist(0.004, 0.04).inv_cdf(level) for level in (0.1, 0.5, 0.9)}
    assert size(quantiles=few).kelly_share == pytest.approx(size().kelly_share, rel=1e-6)


def test_crossing_quantiles_are_put_in_order() -> None:
    good = normal(0.004, 0.04)
    crossed = {**good, 0.25: good[0.5], 0.5: good[0.25]}
    assert size(quantiles=crossed) == size(quantiles=good)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-0.02, 0.02),
    st.floats(0.005, 0.08),
    st.floats(0.4, 0.6),
    st.floats(0, 40),
    st.floats(0.002, 0.03),
    st.sampled_from((-1, 1)),
)
def test_a_size_is_within_every_cap_and_explains_itself(
    mean: float, deviation: float, probability: float, cost: float, volatility: float, side: int
) -> None:
    account = AccountSettings()
    found = size(
        account,
        side=side,
        quantiles=normal(mean, deviation),
        probability_up=probability,
        cost_bps=cost,
        volatility_per_hour=volatility,
    )
    assert 0 <= found.share <= largest_share(settings=account)
    assert found.share * volatility * math.sqrt(8760) <= account.volatility_target_share_per_year * (1 + 1e-9)
    assert (found.share == 0) == (found.refusal is not None)
    assert list(found.limited_by) == [name for name in CLIPS if name in found.limited_by]
    if found.share:
        assert found.kelly_share is not None
        assert found.share <= found.kelly_share * account.kelly_fraction * (1 + 1e-9)
        assert (found.expected_net_share or 0) > 0


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 0.6), st.floats(0, 30), st.floats(0.1, 20))
def test_higher_costs_never_make_a_position_larger(probability: float, cost: float, more: float) -> None:
    account = UNCLIPPED.model_copy(update={"max_single_share": 1.0})
    cheap = size(account, probability_up=probability, cost_bps=cost)
    dear = size(account, probability_up=probability, cost_bps=cost + more)
    assert dear.share <= cheap.share + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 0.6), st.floats(0.0, 0.02))
def test_a_more_probable_direction_never_makes_a_position_smaller(probability: float, more: float) -> None:
    assert size(probability_up=probability + more).share >= size(probability_up=probability).share - 1e-9


def test_the_share_maximises_expected_log_growth() -> None:
    """Checked on a plain grid over a plain sample of the same distribution, not through the code's own derivative."""
    sample = [math.expm1(NormalDist(0.002, 0.05).inv_cdf((n + 0.5) / 200)) - 0.0014 for n in range(200)]
    grid = [n / 1000 for n in range(1, 3000)]
    best = max(grid, key=lambda share: sum(math.log1p(share * net) for net in sample))
    found = size(mean=0.002, deviation=0.05, cost_bps=14.0)
    assert found.kelly_share == pytest.approx(best, abs=0.002)


def test_a_short_is_sized_from_the_other_side() -> None:
    down = size(side=-1, quantiles=normal(-0.006, 0.04), probability_up=up(-0.006, 0.04))
    assert down.share > 0
    assert size(side=1, quantiles=normal(-0.006, 0.04), probability_up=up(-0.006, 0.04)).share == 0


@pytest.mark.parametrize(
    ("changes", "over", "named"),
    [
        ({"kelly_fraction": 0.01}, {}, ("kelly_fraction",)),
        ({"volatility_target_share_per_year": 0.01}, {}, ("volatility_target",)),
        ({"max_single_share": 0.1}, {}, ("single_cap",)),
        ({"max_total_share": 0.1}, {}, ("total_cap",)),
        ({}, {"other_exposure_share": 0.9}, ("single_cap", "total_cap")),
        ({"reserve_share": 0.9, "leverage": 1.0}, {}, ("reserve",)),
    ],
)
def test_every_clip_is_named_and_changes_the_size(
    changes: dict[str, float], over: dict[str, float], named: tuple[str, ...]
) -> None:
    free = size()
    clipped = size(UNCLIPPED.model_copy(update=changes), **over)
    assert 0 < clipped.share < free.share
    assert clipped.limited_by[-1] == named[-1]
    assert set(named) <= {*clipped.limited_by}


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        ({"probability_up": 0.5, "cost_bps": 30.0}, "expected return after 30.0 bps"),
        ({"quantiles": {0.5: 0.001}}, "two are needed"),
        ({"quantiles": {0.1: math.nan, 0.9: 0.1}}, "no number"),
        ({"quantiles": {0.1: 0.09, 0.9: 0.1}, "probability_up": 0.2}, "all have one sign"),
        ({"probability_up": math.nan}, "which is none"),
        ({"cost_bps": math.nan}, "costs are unknown"),
        ({"volatility_per_hour": None}, "volatility is unknown"),
        ({"volatility_per_hour": 0.0}, "volatility is unknown"),
        ({"other_exposure_share": math.nan}, "no share"),
        ({"other_exposure_share": 1.0}, "no room"),
    ],
)
def test_no_position_says_why(over: dict[str, Any], sentence: str) -> None:
    found = size(**over)
    assert found.share == 0
    assert sentence in (found.refusal or "")


def test_an_interval_that_straddles_costs_gives_no_position() -> None:
    """A mean that a fat right tail lifts above the costs is no reason while the asked interval lies below them."""
    assert size(cost_bps=14.0).share > 0
    asked = size(UNCLIPPED.model_copy(update={"kelly_interval_share": 0.5}), cost_bps=14.0)
    assert asked.share == 0
    assert "the central 50% interval reaches" in (asked.refusal or "")
    skewed = {0.05: -0.01, 0.25: -0.004, 0.5: -0.001, 0.75: 0.002, 0.95: 0.2}
    tail = size(quantiles=skewed, probability_up=0.45, cost_bps=14.0)
    assert (tail.expected_net_share or 0) > 0
    assert "the median outcome reaches" in (tail.refusal or "")


def test_a_side_is_long_or_short() -> None:
    with pytest.raises(ValueError, match="side is 0"):
        size(side=0)


def test_without_a_forecast_conviction_scales_the_single_cap_under_the_same_clips() -> None:
    account = AccountSettings()
    half = size_without_forecast(conviction=0.5, volatility_per_hour=0.005, settings=account)
    assert half == PositionSize(0.5 * account.max_single_share)
    wild = size_without_forecast(conviction=1.0, volatility_per_hour=0.05, settings=account)
    assert wild.limited_by == ("volatility_target",)
    assert wild.share == pytest.approx(0.2 / (0.05 * math.sqrt(8760)))
    for refused in (
        size_without_forecast(conviction=0.0, volatility_per_hour=0.005, settings=account),
        size_without_forecast(conviction=1.0, volatility_per_hour=None, settings=account),
        size_without_forecast(conviction=1.0, volatility_per_hour=0.005, settings=account, other_exposure_share=0.5),
    ):
        assert refused.share == 0
        assert refused.refusal
