"""The features of every hour: the one function that computes them.

Belongs here: from sources to rows. Does not belong: which features there are (`catalogue`), any definition
(`families`). Batch and last row are the same code over more or fewer hours; what makes them equal is that no feature
looks back farther than `LOOKBACK` and none remembers where the history began.
"""

from datetime import datetime, timedelta
from functools import cache

import numpy as np
import polars as pl

from eth_pipeline.features.catalogue import families, feature_names, features_contract
from eth_pipeline.features.derived import derived_steps
from eth_pipeline.features.families import timeframes
from eth_pipeline.features.panel import hourly_bars, hourly_panel
from eth_pipeline.features.sources import FeatureSources

LOOKBACK = timedelta(hours=800)
"""History before an hour that suffices for its exact values: the longest window is 30 days (720 hours), of
quantities that look back a day themselves (24-hour volatility, volume and open interest: 744), and the last
known settlement or snapshot before that (9)."""

_ROWS_AT_ONCE = 4096
"""Up to here waking threads for some hundred short expressions costs more than they take, and a block of all
features stays in the processor's cache."""


@cache
def _expressions(cross_symbols: tuple[str, ...]) -> tuple[tuple[tuple[pl.Expr, ...], ...], tuple[pl.Expr, ...]]:
    """Steps that add shared columns to the panel, and the features over it; made once, 4 ms a time otherwise."""
    every = families(cross_symbols)
    shared = tuple(expr for family in every for expr in family.shared)
    features = [feature for family in every for feature in family.features]
    return (
        (*derived_steps(cross_symbols), shared),
        tuple(feature.expr.cast(pl.Float32).alias(feature.name) for feature in features),
    )


def build_features(
    sources: FeatureSources,
    *,
    symbol: str,
    cross_symbols: tuple[str, ...],
    base_interval: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> pl.DataFrame:
    """Features of every full hour T with start < T <= end, from rows with `available_at` <= T only.

    Args:
        sources: history from at least `start - LOOKBACK`; more changes nothing.
        symbol: the main symbol. An hour has a row when its one-hour bar closing at T is complete and known.
        cross_symbols: other symbols; their features carry their prefix.
        base_interval: bar size of `sources`, `15m` or `1h`.
        start: hours after this one; all by default.
        end: hours up to this one; all by default.

    Returns:
        Rows of `features_contract`, ascending. A missing value is null, never zero, never carried farther than
        its source's maximum age.

    Raises:
        SettingsInvalid: see `feature_specs`.
        ContractViolation: one-hour bars cannot be made from `base_interval`.
        ProvenanceMismatch: the sources mix origins.
    """
    names = feature_names(symbol=symbol, cross_symbols=cross_symbols)
    if start is not None:
        sources = sources.since(start - LOOKBACK)
    if end is not None:
        sources = sources.until(end)
    provenance = sources.provenance()
    panel = _panel(sources, symbol=symbol, cross_symbols=cross_symbols, base_interval=base_interval)
    if not panel.height:
        return features_contract(symbol=symbol, cross_symbols=cross_symbols).empty()
    steps, features = _expressions(cross_symbols)
    for step in steps:
        panel = _with_columns(panel, step)
    values = _select(panel, ("decision_time", *features, pl.col("close").is_not_null().alias("_has_bar")))
    wanted = pl.col("_has_bar")
    if start is not None:
        wanted = wanted & (pl.col("decision_time") > start)
    if end is not None:
        wanted = wanted & (pl.col("decision_time") <= end)
    values = values.filter(wanted)
    numbers, present = _without_infinities(values[list(names)])
    hours = values["decision_time"]
    leading = (
        pl.Series("symbol", [symbol], dtype=pl.String).new_from_index(0, values.height),
        hours,
        hours.alias("available_at"),
        (1 - (len(names) - present) / len(names)).alias("coverage"),  # polars makes 389 / 389 less than 1
        pl.Series("provenance", [provenance], dtype=pl.String).new_from_index(0, values.height),
        pl.Series("clean", [None], dtype=pl.Boolean).new_from_index(0, values.height),
    )
    return pl.DataFrame(leading).hstack(numbers)


def _select(panel: pl.DataFrame, expressions: tuple[pl.Expr | str, ...]) -> pl.DataFrame:
    return panel.select_seq(expressions) if panel.height <= _ROWS_AT_ONCE else panel.select(expressions)


def _with_columns(panel: pl.DataFrame, expressions: tuple[pl.Expr, ...]) -> pl.DataFrame:
    few = panel.height <= _ROWS_AT_ONCE
    return panel.with_columns_seq(expressions) if few else panel.with_columns(expressions)


def _without_infinities(values: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """A division by zero is a missing value. Also the number of values present, by row.

    Written into each feature's expression this would compute every feature twice: nothing is shared within
    `select`, and the lazy optimizer, which shares, took longer than it saved.
    """
    numbers = np.zeros(values.width, dtype=np.int64)
    present = np.zeros(values.height, dtype=np.uint32)
    for begin in range(0, values.height, _ROWS_AT_ONCE):
        finite = np.isfinite(values.slice(begin, _ROWS_AT_ONCE).to_numpy())
        numbers += np.count_nonzero(finite, axis=0)
        present[begin : begin + _ROWS_AT_ONCE] = finite.sum(axis=1, dtype=np.uint32)
    nulls = np.array([series.null_count() for series in values.get_columns()])
    touched = [values.columns[at] for at in np.flatnonzero(numbers + nulls != values.height)]
    if touched:
        values = values.with_columns(pl.when(pl.col(touched).is_finite()).then(pl.col(touched)))
    return values, pl.Series(present)


def _panel(sources: FeatureSources, *, symbol: str, cross_symbols: tuple[str, ...], base_interval: str) -> pl.DataFrame:
    panel = hourly_panel(sources, symbol=symbol, cross_symbols=cross_symbols, base_interval=base_interval)
    bars = hourly_bars(sources.klines, symbol, base_interval=base_interval)
    return timeframes.join_timeframes(panel, bars)
