"""Finite rolling windows over closed bars, bit-equal wherever the history starts.

Belongs here: the arrays of one symbol and timeframe, and sums, means, deviations and extremes over the last
n bars. Does not belong: indicators and what they mean (one module per family beside this one).

Running sums (polars, pandas, TA-Lib) carry rounding from the first row of the history into every later one,
and exponential averages never forget it. Here each window is added up in the same order at every position,
so the last row of a short tail equals the same row of a long history to the last bit.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candles:
    """Closed bars of one symbol and one timeframe, oldest first; arrays of shape [bars]."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @classmethod
    def from_frame(cls, bars: pl.DataFrame) -> "Candles":
        """Take the five columns of `bars`; prices in USDT per coin, volume in coin."""
        wanted = (bars[name].cast(pl.Float64).to_numpy() for name in ("open", "high", "low", "close", "volume"))
        return cls(*wanted)


def lagged(values: Floats, bars: int) -> Floats:
    """`values` as they were `bars` bars ago; NaN before the history begins."""
    if not bars:
        return values
    shifted = np.full_like(values, np.nan)
    shifted[bars:] = values[:-bars]
    return shifted


def rolling_sum(values: Floats, bars: int) -> Floats:
    """Sum over the last `bars` values; NaN until the window is full."""
    total = np.zeros_like(values)
    for back in range(bars):
        total = total + lagged(values, back)
    return total


def rolling_mean(values: Floats, bars: int) -> Floats:
    """Mean over the last `bars` values; NaN until the window is full."""
    return rolling_sum(values, bars) / bars


def rolling_deviation(values: Floats, bars: int) -> Floats:
    """Population standard deviation over the last `bars` values; NaN until the window is full."""
    mean = rolling_mean(values, bars)
    squares = np.zeros_like(values)
    for back in range(bars):
        squares = squares + (lagged(values, back) - mean) ** 2
    return np.asarray(np.sqrt(squares / bars), dtype=np.float64)


def rolling_max(values: Floats, bars: int) -> Floats:
    """Largest of the last `bars` values; NaN until the window is full."""
    highest = values
    for back in range(1, bars):
        highest = np.maximum(highest, lagged(values, back))
    return highest


def rolling_min(values: Floats, bars: int) -> Floats:
    """Smallest of the last `bars` values; NaN until the window is full."""
    return -rolling_max(-values, bars)


def mean_true_range(candles: Candles, bars: int) -> Floats:
    """Simple mean of the true range over the last `bars` bars, in USDT (Wilder 1978, without his smoothing)."""
    before = lagged(candles.close, 1)
    spread = np.maximum(candles.high - candles.low, np.abs(candles.high - before))
    return rolling_mean(np.maximum(spread, np.abs(candles.low - before)), bars)


def ratio(part: Floats, whole: Floats) -> Floats:
    """`part / whole`; 0 where `whole` is 0 (a market that stood still), NaN where either is unknown."""
    answer = np.where(np.isnan(part) | np.isnan(whole), np.nan, 0.0)
    return np.divide(part, whole, out=answer, where=np.abs(whole) > 0)


def clipped(values: Floats) -> Floats:
    """`values` limited to -1..1; NaN stays NaN."""
    return np.clip(values, -1.0, 1.0)
