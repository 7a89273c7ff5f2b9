"""Windows: equal to naive loops, and the 80 % rule for what is missing."""

import math

import numpy as np
import polars as pl
import pytest

from eth_pipeline.features import rolling

Values = np.ndarray
N = 400


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    x, y = rng.normal(0, 0.01, (2, N))
    x[rng.random(N) < 0.08] = np.nan
    y[rng.random(N) < 0.08] = np.nan
    x[200:230] = np.nan
    return pl.DataFrame({"x": x, "y": 0.5 * np.nan_to_num(x) + y}).fill_nan(None)


def naive(frame: pl.DataFrame, window: int, statistic, least: int = 1) -> list[float | None]:
    """`statistic` over the present pairs of each trailing window, None below 80 %."""
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    out: list[float | None] = []
    for t in range(len(x)):
        wx, wy = x[max(0, t - window + 1) : t + 1], y[max(0, t - window + 1) : t + 1]
        value = statistic(wx, wy)
        out.append(None if value is None or np.isnan(value) else float(value))
    return out


def enough(values: Values, window: int) -> bool:
    return int((~np.isnan(values)).sum()) >= math.ceil(0.8 * window)


def agree(got: pl.Series, expected: list[float | None]) -> None:
    assert [v is None for v in got] == [v is None for v in expected]
    assert [v for v in got if v is not None] == pytest.approx(
        [v for v in expected if v is not None], rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("window", [5, 24, 60])
def test_mean_deviation_and_range_are_over_the_present_hours(frame: pl.DataFrame, window: int) -> None:
    cases = {
        rolling.mean: np.nanmean,
        rolling.highest: np.nanmax,
        rolling.lowest: np.nanmin,
        rolling.deviation: lambda w: np.nanstd(w, ddof=1),
    }
    for function, statistic in cases.items():
        got = frame.select(function(pl.col("x"), window)).to_series()
        agree(got, naive(frame, window, lambda x, _, s=statistic: s(x) if enough(x, window) else None))


@pytest.mark.parametrize("window", [20, 60, 168])
def test_correlation_and_beta_are_over_the_hours_where_both_are_present(frame: pl.DataFrame, window: int) -> None:
    def pairs(x: Values, y: Values) -> Values | None:
        both = ~np.isnan(x) & ~np.isnan(y)
        return np.stack([x[both], y[both]]) if both.sum() >= math.ceil(0.8 * window) else None

    def correlation(x: Values, y: Values) -> float | None:
        found = pairs(x, y)
        return None if found is None else float(np.corrcoef(found)[0, 1])

    def beta(x: Values, y: Values) -> float | None:
        found = pairs(x, y)
        return None if found is None else float(np.polyfit(found[1], found[0], 1)[0])

    left, right = pl.col("x"), pl.col("y")
    agree(frame.select(rolling.correlation(left, right, window)).to_series(), naive(frame, window, correlation))
    agree(frame.select(rolling.beta(left, right, window)).to_series(), naive(frame, window, beta))


def test_rank_share_and_absolute_deviation_equal_a_loop(frame: pl.DataFrame) -> None:
    window = 20

    def rank(x: Values, _: Values) -> float | None:
        if not enough(x, window) or np.isnan(x[-1]):
            return None
        present = x[~np.isnan(x)]
        return ((present < x[-1]).sum() + 0.5 * ((present == x[-1]).sum() - 1)) / (len(present) - 1)

    def spread(x: Values, _: Values) -> float | None:
        return np.nanmean(np.abs(x - np.nanmean(x))) if enough(x, window) else None

    agree(frame.select(rolling.rank_share(pl.col("x"), window)).to_series(), naive(frame, window, rank))
    agree(frame.select(rolling.absolute_deviation(pl.col("x"), window)).to_series(), naive(frame, window, spread))


@pytest.mark.parametrize(("span", "length"), [(9, 32), (12, 64), (26, 128)])
def test_an_exponential_mean_has_a_finite_window(span: int, length: int) -> None:
    x = np.random.default_rng(1).normal(size=300)
    weights = (1 - 2 / (span + 1)) ** np.arange(length)
    got = pl.DataFrame({"x": x}).select(rolling.exponential_mean(pl.col("x"), span)).to_series()
    t = 250
    assert got[t] == pytest.approx(np.average(x[t - length + 1 : t + 1][::-1], weights=weights))
    x[t - length] = 1e9
    again = pl.DataFrame({"x": x}).select(rolling.exponential_mean(pl.col("x"), span)).to_series()
    assert again[t] == got[t]
    assert again[t - 1] != got[t - 1]


def test_an_exponential_mean_close_to_the_endless_one() -> None:
    x = pl.DataFrame({"x": 100 + np.random.default_rng(1).normal(size=400).cumsum()})
    both = x.select(rolling.exponential_mean(pl.col("x"), 26).alias("cut"), endless=pl.col("x").ewm_mean(span=26))
    assert (both["cut"] - both["endless"]).abs()[200:].max() < 0.05


def test_a_score_of_a_constant_is_zero_not_noise() -> None:
    """A third of ETH's funding rates are exactly 0.0001, for days in a row."""
    x = np.concatenate([np.random.default_rng(2).normal(0, 5, 300), np.full(200, 1e-4)])
    score = pl.DataFrame({"x": x}).select(rolling.zscore(pl.col("x"), 100)).to_series()
    assert score[450:].abs().max() < 1e-3


def test_a_constant_has_no_correlation() -> None:
    frame = pl.DataFrame({"x": np.full(100, 0.3), "y": np.random.default_rng(2).normal(size=100)})
    assert frame.select(rolling.correlation(pl.col("x"), pl.col("y"), 20)).to_series().null_count() == 100


@pytest.mark.parametrize("seed", range(12))
def test_the_mean_of_a_still_window_is_exactly_zero(seed: int) -> None:
    """What a running sum keeps of the loud past is nothing as a mean and any number as a divisor."""
    window = 14
    x = np.random.default_rng(seed).lognormal(7, 2, 1_500)
    x[600:1_200] = 0.0
    x[900:902] = np.nan
    frame = pl.DataFrame({"x": x, "y": x}).fill_nan(None)
    got = frame.select(rolling.mean(pl.col("x"), window)).to_series()
    assert set(got[600 + window - 1 : 1_200]) == {0.0}
    agree(got, naive(frame, window, lambda values, _: np.nanmean(values) if enough(values, window) else None))


def test_the_same_hours_mean_of_still_days_is_exactly_zero() -> None:
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 3, 1), interval="1h", eager=True)
    x = np.random.default_rng(3).lognormal(7, 2, len(times))
    x[600:] = 0.0
    got = pl.DataFrame({"decision_time": times, "x": x}).select(rolling.same_hour_mean("x", 7)).to_series()
    assert set(got[600 + 6 * 24 :]) == {0.0}
    assert got[600 + 6 * 24 - 25] > 0


def test_a_price_that_stands_still_has_no_distance_from_its_mean() -> None:
    x = pl.DataFrame({"x": np.full(60, 2301.37)})
    assert set(x.select(rolling.absolute_deviation(pl.col("x"), 20)).to_series()[20:]) == {0.0}


def test_a_window_needs_four_fifths_of_its_hours() -> None:
    x = [None, None, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, None, 1.0]
    got = pl.DataFrame({"x": x}).select(rolling.mean(pl.col("x"), 10)).to_series()
    assert got.is_null().to_list() == [True] * 9 + [False, False, False]


def test_the_same_hour_mean_looks_at_one_clock_hour_only() -> None:
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 20), interval="1h", eager=True)
    frame = pl.DataFrame({"decision_time": times}).with_columns(
        pl.when(pl.col("decision_time").dt.hour() == 7)
        .then(pl.col("decision_time").dt.day())
        .cast(pl.Float64)
        .alias("x")
    )
    got = frame.with_columns(rolling.same_hour_mean("x", 5).alias("mean")).filter(pl.col("x").is_not_null())
    assert got["mean"][10] == pytest.approx(np.mean([7, 8, 9, 10, 11]))
