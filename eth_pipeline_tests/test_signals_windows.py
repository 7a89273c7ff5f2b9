"""Rolling windows: right against polars, and equal to the last bit wherever the history starts."""

import numpy as np
import polars as pl
import pytest

from eth_pipeline.signals.technical.windows import (
    Candles,
    Floats,
    lagged,
    mean_true_range,
    ratio,
    rolling_deviation,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_sum,
)
from eth_pipeline_tests.decision_samples import NOON, bars, walk

VALUES: Floats = np.random.default_rng(3).normal(100, 5, 200)
ROLLING = {
    "sum": (rolling_sum, lambda s, n: s.rolling_sum(n)),
    "mean": (rolling_mean, lambda s, n: s.rolling_mean(n)),
    "deviation": (rolling_deviation, lambda s, n: s.rolling_std(n, ddof=0)),
    "max": (rolling_max, lambda s, n: s.rolling_max(n)),
    "min": (rolling_min, lambda s, n: s.rolling_min(n)),
}


@pytest.mark.parametrize("name", ROLLING)
@pytest.mark.parametrize("window", [1, 2, 9, 60])
def test_a_rolling_window_agrees_with_polars(name: str, window: int) -> None:
    ours, theirs = ROLLING[name]
    expected = theirs(pl.Series(VALUES), window).to_numpy()
    np.testing.assert_allclose(ours(VALUES, window), expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("name", ROLLING)
def test_a_rolling_window_is_bit_equal_on_a_tail(name: str) -> None:
    """Running sums made indicators of the reviewed system depend on whether bars came from cache or API."""
    ours, _ = ROLLING[name]
    assert ours(VALUES, 20)[-1] == ours(VALUES[-20:], 20)[-1]


def test_a_lag_longer_than_the_history_is_unknown() -> None:
    assert np.isnan(lagged(np.arange(3.0), 5)).all()


def test_a_ratio_to_zero_is_zero_and_to_the_unknown_unknown() -> None:
    np.testing.assert_array_equal(
        ratio(np.array([1.0, 1.0, np.nan]), np.array([0.0, np.nan, 2.0])), [0.0, np.nan, np.nan]
    )


def test_the_mean_true_range_counts_the_gap_to_the_close_before() -> None:
    candles = Candles.from_frame(bars([(10, 11, 9, 10), (20, 21, 19, 20), *walk(1)], first=NOON))
    assert mean_true_range(candles, 1)[1] == 11.0
