"""Premium features against the plainest computation, and Binance's funding formula at its edges."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from eth_pipeline.features.build import build_features
from eth_pipeline.features.families.premium import next_funding
from eth_pipeline.features.sources import FeatureSources
from eth_pipeline_tests.random_market import BEGIN, MAIN, random_market

HOUR = timedelta(hours=1)
MARKET = random_market(hours=420, seed=5, symbols=(MAIN,))
OPEN, HIGH, LOW, CLOSE = (MARKET.premium_klines[name].to_numpy() for name in ("open", "high", "low", "close"))
RATES = MARKET.funding_rates["funding_rate"].to_numpy()
"""Index t of a bar: it closes at BEGIN + (t + 1) hours. Index s of a rate: it settled at BEGIN + 8 s hours."""
MIDDLE = (OPEN + CLOSE) / 2


def build(market: FeatureSources) -> pl.DataFrame:
    return build_features(market, symbol=MAIN, cross_symbols=(), base_interval="1h")


ROWS = build(MARKET)


def value(name: str, hours: int, rows: pl.DataFrame = ROWS) -> float | None:
    """The feature at BEGIN + `hours`."""
    return rows.filter(pl.col("decision_time") == BEGIN + hours * HOUR)[name].item()


def average_since(hours: int, settled: int) -> float:
    """Mean premium of the hours from `settled` to `hours`, weights 1, 2 .. n; at a settlement the newest hour."""
    n = max(1, hours - settled)
    return float(np.average(MIDDLE[hours - n : hours], weights=np.arange(1, n + 1)))


@pytest.mark.parametrize("hours", [400, 401, 402, 405, 407])
def test_the_average_since_a_settlement_weights_the_newest_hour_most(hours: int) -> None:
    settled = hours // 8 * 8
    average = average_since(hours, settled)
    predicted = average + min(max(1e-4 - average, -5e-4), 5e-4)
    assert value("premium_since_funding", hours) == pytest.approx(average, rel=1e-5)
    assert value("premium_next_funding", hours) == pytest.approx(predicted, rel=1e-5)
    assert value("premium_funding_surprise", hours) == pytest.approx(predicted - RATES[hours // 8], rel=1e-4)
    assert value("premium_funding_gap", hours) == pytest.approx(CLOSE[hours - 1] - RATES[hours // 8], rel=1e-4)


@pytest.mark.parametrize(
    ("premium", "rate"),
    [(0.0, 1e-4), (3e-4, 1e-4), (6e-4, 1e-4), (-4e-4, 1e-4), (1e-3, 5e-4), (-1e-3, -5e-4), (None, None)],
)
def test_funding_is_the_interest_while_the_premium_is_near_it(premium: float | None, rate: float | None) -> None:
    frame = pl.DataFrame({"premium": pl.Series([premium], dtype=pl.Float64)})
    assert frame.select(next_funding(pl.col("premium"))).item() == pytest.approx(rate)


def test_a_four_hour_interval_averages_over_its_own_window() -> None:
    """Binance halves the interval of a symbol whose rate hits the cap; the window is what the settlements say."""
    between = MARKET.funding_rates.with_columns(pl.col("funding_time") + 4 * HOUR, pl.col("available_at") + 4 * HOUR)
    rows = build(replace(MARKET, funding_rates=pl.concat([MARKET.funding_rates, between])))
    assert value("premium_since_funding", 407, rows) == pytest.approx(average_since(407, 404), rel=1e-5)
    assert value("premium_since_funding", 403, rows) == pytest.approx(average_since(403, 400), rel=1e-5)


def test_a_missing_hour_of_the_window_leaves_no_average() -> None:
    lost = pl.col("close_time") == BEGIN + 402 * HOUR
    rows = build(replace(MARKET, premium_klines=MARKET.premium_klines.filter(~lost)))
    found = [value("premium_since_funding", hours, rows) is None for hours in range(400, 411)]
    assert found == [False, False, *[True] * 6, False, False, False]
    assert value("premium", 402, rows) is None
    assert value("premium_24h", 402, rows) == pytest.approx(np.delete(CLOSE[378:402], -1).mean(), rel=1e-4)


@pytest.mark.parametrize("hours", [390, 413])
def test_levels_and_ranges_equal_their_hand_computation(hours: int) -> None:
    t = hours - 1
    week = CLOSE[t - 167 : t + 1]
    assert value("premium", hours) == pytest.approx(CLOSE[t], rel=1e-5)
    assert value("premium_change_4h", hours) == pytest.approx(CLOSE[t] - CLOSE[t - 4], rel=1e-4)
    assert value("premium_zscore_168h", hours) == pytest.approx((CLOSE[t] - week.mean()) / week.std(ddof=1), rel=1e-4)
    assert value("premium_range_1h", hours) == pytest.approx(HIGH[t] - LOW[t], rel=1e-5)
    assert value("premium_location", hours) == pytest.approx((CLOSE[t] - LOW[t]) / (HIGH[t] - LOW[t]), rel=1e-4)
    assert value("premium_positive_24h", hours) == pytest.approx((CLOSE[t - 23 : t + 1] > 0).mean(), rel=1e-5)
