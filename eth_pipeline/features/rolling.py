"""Windows over the regular hourly grid, and the one rule for what is missing inside them.

Belongs here: rolling statistics as polars expressions. Does not belong: which of them is a feature.

The grid has one row per hour, so a window of w rows is w hours. **The rule:** a window answers when at least
80 % of its hours are present (the statistic is then over those), else it is null. A window that reaches back
before the history is a window with missing hours and obeys the same rule, so no value depends on where the
history happens to begin. Nothing here has infinite memory: exponential means are cut to a finite window.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PRESENT_SHARE = 0.8
SMALLEST_DEVIATION = 1e-6
_SMALLEST_VARIANCE = 1e-14
_ROUNDING_OF_A_MEAN = 1e-12
"""Relative: the mean of 20 equal prices is off by up to 5e-15, one tick of an exchange is 1e-6 and more."""
_ROWS_AT_ONCE = 4096
"""Up to here six series together stay in the processor's cache, and one call for all is the faster way."""


def needed(window_hours: int) -> int:
    """Hours of a window that must be present."""
    return max(1, math.ceil(PRESENT_SHARE * window_hours))


def mean(expr: pl.Expr, window_hours: int) -> pl.Expr:
    """Mean over the present hours of the window; exactly zero where all of them are.

    A running sum keeps the rounding of what left its window. Volumes of 1e5 followed by an exchange halt leave some
    1e-12, which is nothing as a mean, but two such residues over one another are a ratio of any size.
    """
    moved = expr.abs().rolling_max(window_hours, min_samples=1).sign()
    return running_mean(expr, window_hours) * moved


def running_mean(expr: pl.Expr, window_hours: int) -> pl.Expr:
    """`mean`, but of a still window only zero to rounding: for what is never a divisor, nor inside a logarithm.

    Prices are never zero, and a share of hours or a premium is read as it is. It costs less.
    """
    return expr.rolling_mean(window_hours, min_samples=needed(window_hours))


def deviation(expr: pl.Expr, window_hours: int) -> pl.Expr:
    """Sample standard deviation over the present hours of the window."""
    return expr.rolling_std(window_hours, min_samples=max(2, needed(window_hours)))


def floored(deviation: pl.Expr) -> pl.Expr:
    """A deviation as a divisor: at least 1e-6, missing where it is missing.

    Funding stands still for days; dividing by the rounding error of a constant makes a number out of nothing.
    Only for deviations of quantities without a scale (rates, logs, shares).
    """
    return deviation.clip(lower_bound=SMALLEST_DEVIATION)


def highest(expr: pl.Expr, window_hours: int) -> pl.Expr:
    """Maximum over the present hours of the window."""
    return expr.rolling_max(window_hours, min_samples=needed(window_hours))


def lowest(expr: pl.Expr, window_hours: int) -> pl.Expr:
    """Minimum over the present hours of the window."""
    return expr.rolling_min(window_hours, min_samples=needed(window_hours))


def zscore(expr: pl.Expr, window_hours: int) -> pl.Expr:
    """Distance from the window's mean in its standard deviations (see `floored`).

    The plain running mean will do: its residue is nothing beside the floor of the deviation.
    """
    return (expr - running_mean(expr, window_hours)) / floored(deviation(expr, window_hours))


def rank_share(expr: pl.Expr, window_hours: int) -> pl.Expr:
    """Rank of the newest value among the present ones of the window, 0 (lowest) to 1 (highest), ties halved."""
    present = max(2, needed(window_hours))
    rank = expr.rolling_rank(window_hours, method="average", min_samples=present)
    others = expr.is_not_null().cast(pl.Float64).rolling_sum(window_hours, min_samples=1) - 1
    return (rank - 1) / others


def absolute_deviation(expr: pl.Expr, window_hours: int) -> pl.Expr:
    """Mean distance of the window's present values from their mean."""
    return expr.map_batches(partial(_absolute_deviation, window_hours=window_hours), return_dtype=pl.Float64)


def same_hour_mean(column: str, days: int) -> pl.Expr:
    """Mean of a column at this clock hour over the last `days` days, the newest hour included.

    It takes a column, not an expression: a shift inside `over` would count days, not hours.
    """
    return mean(pl.col(column), days).over(pl.col("decision_time").dt.hour())


def correlation(left: pl.Expr, right: pl.Expr, window_hours: int) -> pl.Expr:
    """Pearson correlation over the hours where both are present; null where one of them stands still."""
    return pl.map_batches(
        [left, right], partial(_comoment, window_hours=window_hours, slope=False), return_dtype=pl.Float64
    )


def beta(left: pl.Expr, right: pl.Expr, window_hours: int) -> pl.Expr:
    """Slope of `left` on `right` over the hours where both are present; null where `right` stands still."""
    return pl.map_batches(
        [left, right], partial(_comoment, window_hours=window_hours, slope=True), return_dtype=pl.Float64
    )


def exponential_mean(expr: pl.Expr, span_hours: int) -> pl.Expr:
    """Exponentially weighted mean with weight 2 / (span + 1), cut after a finite window.

    The window is the smallest power of two that holds 99.9 % of the weight (64 hours for a span of 12, 128
    for 26), so a value is the same wherever the history begins. Null where present hours hold less than 80 %
    of the window's weight.
    """
    return expr.map_batches(partial(_exponential_mean, span_hours=span_hours), return_dtype=pl.Float64)


def _exponential_mean(series: pl.Series, *, span_hours: int) -> pl.Series:
    decay = 1 - 2 / (span_hours + 1)
    length = 2 ** math.ceil(math.log2(math.log(1e-3) / math.log(decay)))
    values, present = _split(series)
    weighted, weight = (_decaying_sum(array, decay=decay, length=length) for array in (values, present))
    full = (1 - decay**length) / (1 - decay)
    return _series(series.name, weighted, weight, where=weight >= PRESENT_SHARE * full)


def _absolute_deviation(series: pl.Series, *, window_hours: int) -> pl.Series:
    windows = _windows(series.to_numpy(), window_hours)
    present = ~np.isnan(windows)
    count = present.sum(axis=1)
    mean_of_window = np.where(present, windows, 0.0).sum(axis=1) / np.maximum(count, 1)
    distance = np.where(present, np.abs(windows - mean_of_window[:, None]), 0.0).sum(axis=1)
    distance[distance <= _ROUNDING_OF_A_MEAN * np.abs(mean_of_window) * count] = 0.0
    return _series(series.name, distance, count, where=count >= needed(window_hours))


def _comoment(pair: Sequence[pl.Series], *, window_hours: int, slope: bool) -> pl.Series:
    left, right = (series.to_numpy() for series in pair)
    both = ~np.isnan(left) & ~np.isnan(right)
    x, y = np.where(both, left, 0.0), np.where(both, right, 0.0)
    moments = np.stack([both, x, y, x * y, x * x, y * y])
    if len(x) <= _ROWS_AT_ONCE:
        count, sx, sy, sxy, sxx, syy = _window_sum(moments, window_hours)
    else:
        count, sx, sy, sxy, sxx, syy = (_window_sum(moment, window_hours) for moment in moments)
    hours = np.maximum(count, 1)
    covariance, x_variance, y_variance = (
        moment / hours - first * second / hours**2
        for moment, first, second in ((sxy, sx, sy), (sxx, sx, sx), (syy, sy, sy))
    )
    where = (count >= needed(window_hours)) & (y_variance > _SMALLEST_VARIANCE)
    if slope:
        return _series(pair[0].name, covariance, y_variance, where=where)
    where &= x_variance > _SMALLEST_VARIANCE
    return _series(pair[0].name, covariance, np.sqrt(np.abs(x_variance * y_variance)), where=where)


def _split(series: pl.Series) -> tuple[Floats, Floats]:
    """Values with zeros where missing, and 1 or 0 for present or missing."""
    values = series.to_numpy()
    present = ~np.isnan(values)
    return np.where(present, values, 0.0), present.astype(np.float64)


def _series(name: str, top: NDArray[Any], bottom: NDArray[Any], *, where: NDArray[np.bool_]) -> pl.Series:
    out = np.full(len(top), np.nan)
    np.divide(top, bottom, out=out, where=where)
    return pl.Series(name, out, nan_to_null=True)


def _windows(values: Floats, window_hours: int) -> Floats:
    """Trailing windows [rows, window], missing before the first row; a view."""
    padded = np.concatenate([np.full(window_hours - 1, np.nan), values])
    return sliding_window_view(padded, window_hours)


def _decaying_sum(values: Floats, *, decay: float, length: int) -> Floats:
    """Sum of decay**j * values[t - j] for j < length (a power of two), by doubling: log2(length) passes."""
    total, reach = values.copy(), 1
    while reach < length:
        total[reach:] += decay**reach * total[:-reach]
        reach *= 2
    return total


def _window_sum(values: Floats, window_hours: int) -> Floats:
    """Sum of values[..., t - j] for j < window, by doubling between two buffers.

    Unlike a running sum it carries nothing from row to row, so a value is bit for bit the same wherever the
    history begins.
    """
    rows = values.shape[-1]
    total, covered = np.zeros_like(values), 0
    block, longer, size = values.copy(), np.empty_like(values), 1
    while True:
        if window_hours & size:
            total[..., covered:] += block[..., : max(0, rows - covered)]
            covered += size
        if covered == window_hours:
            return total
        longer[..., :size] = block[..., :size]
        np.add(block[..., size:], block[..., :-size], out=longer[..., size:])
        block, longer, size = longer, block, 2 * size
