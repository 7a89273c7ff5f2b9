"""Tests of eth_pipeline.models.figures.pnl and .pnl_figures."""

import json

import numpy as np
import polars as pl
import pytest

from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.pnl import (
    PNL_SCHEMA,
    WEEKS_PER_YEAR,
    daily_pnl,
    moments,
    net_of_decisions,
    sharpe_estimate,
    turnover_per_day,
    weekly_sums,
)
from eth_pipeline.models.figures.pnl_figures import net_pnl, tries_by_day

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-01-04", "us")  # a Thursday, where numpy's weeks begin


def forecasts(position: np.ndarray, forward_return: np.ndarray, *, horizon_hours: int = 5) -> pl.DataFrame:
    """The columns that an account reads."""
    decision_time = pl.Series(START + np.arange(len(position)) * HOUR).dt.replace_time_zone("UTC")
    return pl.DataFrame(
        {"decision_time": decision_time, "position": position, "forward_return": forward_return}
    ).with_columns(horizon_hours=pl.lit(horizon_hours, dtype=pl.Int32))


def series(net_bps: np.ndarray, *, try_id: str, first: str = "2024-01-04") -> pl.DataFrame:
    day = np.datetime64(first, "D") + np.arange(len(net_bps))
    return pl.DataFrame({"day": day, "net_bps": net_bps}).with_columns(
        pl.col("day").cast(pl.Date), try_id=pl.lit(try_id), horizon_hours=pl.lit(5, dtype=pl.Int32)
    )


def test_a_decision_earns_its_share_of_the_capital_less_a_whole_round_trip() -> None:
    """+1 % for a long and a short, 14 bps each, a fifth of the capital; standing aside costs nothing."""
    net = net_of_decisions(
        np.array([1.0, -1.0, 0.0]), np.full(3, np.log(1.01)), horizon_hours=5, round_trip_cost_bps=14.0
    )
    np.testing.assert_allclose(net, [(100 - 14) / 5, (-100 - 14) / 5, 0.0])


def test_days_are_summed_by_the_day_of_the_decision_and_idle_days_earn_nothing() -> None:
    position = np.zeros(24 * 4)
    position[[0, 23, 24, 95]] = 1
    daily = daily_pnl(forecasts(position, np.full(96, np.log(1.01))), round_trip_cost_bps=0.0)
    assert daily.schema == pl.Schema(PNL_SCHEMA)
    np.testing.assert_allclose(daily["net_bps"].to_numpy(), [40.0, 20.0, 0.0, 20.0])
    with_hole = forecasts(position, np.full(96, np.log(1.01))).filter(pl.col("decision_time").dt.day() != 6)
    np.testing.assert_allclose(daily_pnl(with_hole, round_trip_cost_bps=0.0)["net_bps"], [40.0, 20.0, 0.0, 20.0])


@pytest.mark.parametrize(("horizon_hours", "turnover"), [(24, 2.0), (5, 9.6)])
def test_acting_every_hour_turns_the_capital_over_once_per_horizon_both_ways(
    horizon_hours: int, turnover: float
) -> None:
    assert turnover_per_day(np.ones(480), horizon_hours=horizon_hours) == pytest.approx(turnover)
    assert turnover_per_day(np.zeros(480), horizon_hours=horizon_hours) == 0.0


def test_the_sharpe_ratio_is_that_of_weekly_sums_and_its_draws_those_of_the_repeated_weeks() -> None:
    net = np.random.default_rng(1).normal(0.1, 1.0, 168 * 30)
    weeks = net.reshape(30, 168).sum(axis=1)
    decision_time = START + np.arange(len(net)) * HOUR
    np.testing.assert_allclose(weekly_sums(net, decision_time), weeks)
    resamples = WeeklyResamples.of(decision_time, samples=200, seed=1)
    estimate = sharpe_estimate(net, resamples)
    assert estimate.value == pytest.approx(weeks.mean() / weeks.std(ddof=1) * np.sqrt(WEEKS_PER_YEAR))
    drawn = [np.repeat(weeks, draw.astype(int)) for draw in resamples.draws]
    ratios = [each.mean() / each.std(ddof=1) * np.sqrt(WEEKS_PER_YEAR) for each in drawn]
    assert [estimate.low, estimate.high] == pytest.approx(list(np.quantile(ratios, [0.025, 0.975])))


def test_overlapping_positions_do_not_flatter_the_ratio() -> None:
    """A day's 24 h positions share most of their hours with the next day's; daily sums called independent would show
    too large a ratio. Over many random walks the weekly one is as spread out as a ratio of one year must be: 1.
    """
    ratios = []
    for seed in range(200):
        path = np.concatenate([[0.0], np.cumsum(np.random.default_rng(seed).normal(0, 0.005, 168 * 52 + 24))])
        net = net_of_decisions(np.ones(168 * 52), path[24:-1] - path[:-25], horizon_hours=24, round_trip_cost_bps=0.0)
        sums = net.reshape(52, 168).sum(axis=1)
        found = moments(sums)
        assert found is not None
        ratios.append(found.sharpe * np.sqrt(WEEKS_PER_YEAR))
    assert 0.85 < np.std(ratios) < 1.2


def test_moments_are_those_of_scipy() -> None:
    from scipy import stats

    returns = np.random.default_rng(2).standard_t(4, 500)
    found = moments(returns)
    assert found is not None
    assert found.skewness == pytest.approx(stats.skew(returns))
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert moments(np.zeros(50)) is None


def reported(position: np.ndarray, *, tried: pl.DataFrame | None = None, tries: int = 1, drift: float = 0.0) -> dict:
    random = np.random.default_rng(3)
    forward_return = random.normal(0, 0.01, len(position)) + drift * position
    of_horizon = forecasts(position, forward_return)
    resamples = WeeklyResamples.of(of_horizon["decision_time"].to_numpy(), samples=100, seed=1)
    found = net_pnl(of_horizon, resamples, horizon_hours=5, round_trip_cost_bps=14.0, tried=tried, tries=tries)
    return json.loads(found.model_dump_json())


def test_a_model_that_never_acts_has_no_ratio_and_says_so_in_json() -> None:
    found = reported(np.zeros(168 * 40))
    assert found["turnover_per_day"] == found["annual_return_bps"]["value"] == 0.0
    nothing = {"value": None, "low": None, "high": None}
    assert found["sharpe"] == nothing
    for name in ("sharpe_per_week", "deflated_sharpe", "overfitting_probability", "tries_sharpe_variance"):
        assert found[name] is None


def test_the_number_of_tries_deflates_with_and_without_their_series() -> None:
    position = np.where(np.random.default_rng(4).random(168 * 60) < 0.3, 1.0, 0.0)
    alone, often = (reported(position, tries=tries, drift=0.002)["deflated_sharpe"] for tries in (1, 50))
    assert alone > often
    random = np.random.default_rng(5)
    tried = pl.concat([series(random.normal(0, 20, 420), try_id=f"try {number}") for number in range(9)])
    compared = reported(position, tried=tried, tries=50, drift=0.002)
    assert compared["tries_compared"] == 10
    assert compared["tries_sharpe_variance"] > 0
    assert 0 <= compared["overfitting_probability"] <= 1
    few, ten = (reported(position, tried=tried, tries=tries, drift=0.002)["deflated_sharpe"] for tries in (2, 10))
    assert few == ten > compared["deflated_sharpe"], "a count below the number of series is not believed"


def test_tries_are_compared_on_the_days_that_all_of_them_have() -> None:
    own = series(np.arange(100.0), try_id="x").drop("try_id")
    other = series(np.arange(100.0) * 2, try_id="a", first="2024-02-03")
    days, matrix = tries_by_day(own, other, horizon_hours=5)
    assert str(days[0]).startswith("2024-02-03")
    np.testing.assert_allclose(matrix, np.column_stack([np.arange(30.0, 100), np.arange(70.0) * 2]))
    assert tries_by_day(own, other, horizon_hours=12)[1].shape == (100, 1)
