"""The features of every hour: the ordered list, its table contract, and the one function that computes it.

Belongs here: order, dtype, coverage. Does not belong: any definition (the family modules). Batch and last row
are the same code over more or fewer hours; what makes them equal is that no feature looks back farther than
`LOOKBACK` and none remembers where the history began.
"""

from datetime import datetime, timedelta
from functools import cache

import polars as pl

from eth_pipeline.contracts.tables import INSTANT, PROVENANCES, Column, Rule, TableContract
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.features import (
    basis,
    candles,
    cross,
    funding,
    momentum,
    open_interest,
    order_flow,
    oscillators,
    seasonality,
    timeframes,
    trend,
    volatility,
    volume,
)
from eth_pipeline.features.bars import aggregate
from eth_pipeline.features.definition import Family, FeatureSpec
from eth_pipeline.features.derived import derived_steps
from eth_pipeline.features.panel import hourly_panel, of_symbol
from eth_pipeline.features.sources import FeatureSources

DEFINITION_VERSION = "1"
"""Names the definitions: models state it, and refuse to run on another. Raise it with any change of value."""

LOOKBACK = timedelta(hours=800)
"""History before an hour that suffices for its exact values: the longest window is 30 days (720 hours), of
quantities that look back a day themselves (24-hour volatility, volume and open interest: 744), and the last
known settlement or snapshot before that (9)."""


@cache
def _families(cross_symbols: tuple[str, ...]) -> tuple[Family, ...]:
    return (
        momentum.family(),
        trend.family(),
        oscillators.family(),
        volatility.family(),
        volume.family(),
        order_flow.family(),
        candles.family(),
        seasonality.family(),
        funding.family(),
        open_interest.family(),
        basis.family(),
        timeframes.family(),
        cross.family(cross_symbols),
    )


@cache
def feature_specs(*, symbol: str, cross_symbols: tuple[str, ...]) -> tuple[FeatureSpec, ...]:
    """Every feature, in the order of the table and of the models' inputs.

    Raises:
        SettingsInvalid: `symbol` is also a cross symbol, or two features would share a name.
    """
    if symbol in cross_symbols:
        raise SettingsInvalid(f"{symbol} is both the main symbol and a cross symbol. Remove it from `cross_symbols`.")
    specs = tuple(spec for family in _families(cross_symbols) for spec in family.specs())
    names = [spec.name for spec in specs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsInvalid(f"Feature names occur twice: {twice[:5]}. Two cross symbols share a prefix; drop one.")
    return specs


def feature_names(*, symbol: str, cross_symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Names of `feature_specs`, in order."""
    return tuple(spec.name for spec in feature_specs(symbol=symbol, cross_symbols=cross_symbols))


def features_contract(*, symbol: str, cross_symbols: tuple[str, ...]) -> TableContract:
    """The table `features`: one row per symbol and full hour."""
    specs = feature_specs(symbol=symbol, cross_symbols=cross_symbols)
    return TableContract(
        name="features",
        row_is="everything a model may know of one symbol at one full hour",
        key=("symbol", "decision_time"),
        columns=(
            Column("symbol", pl.String, "text", "Exchange symbol."),
            Column("decision_time", INSTANT, "instant, UTC", "The full hour; every value was known at it."),
            Column("available_at", INSTANT, "instant, UTC", "The same as decision_time."),
            Column("coverage", pl.Float64, "share", "Share of features that are not missing."),
            Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
            Column(
                "clean",
                pl.Boolean,
                "flag",
                "The gap ledger doubts nothing of the hour; null: not asked.",
                nullable=True,
            ),
            *[Column(spec.name, pl.Float32, spec.unit, spec.description, nullable=True) for spec in specs],
        ),
        rules=(
            Rule("known provenance", pl.col("provenance").is_in(PROVENANCES), "origin decides what may go live"),
            Rule("full hour", pl.col("decision_time") == pl.col("decision_time").dt.truncate("1h"), "one row per hour"),
            Rule("coverage is a share", pl.col("coverage").is_between(0, 1), "gates compare it with shares"),
        ),
        definition=f"definition {DEFINITION_VERSION}",
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
    families = _families(cross_symbols)
    panel = _panel(sources, symbol=symbol, cross_symbols=cross_symbols, base_interval=base_interval)
    if not panel.height:
        return features_contract(symbol=symbol, cross_symbols=cross_symbols).empty()
    for step in (*derived_steps(cross_symbols), [expr for family in families for expr in family.shared]):
        panel = panel.with_columns(step)
    values = panel.select(
        "decision_time",
        *[_value(feature.expr).alias(feature.name) for family in families for feature in family.features],
        pl.col("close").is_not_null().alias("_has_bar"),
    )
    wanted = pl.col("_has_bar")
    if start is not None:
        wanted = wanted & (pl.col("decision_time") > start)
    if end is not None:
        wanted = wanted & (pl.col("decision_time") <= end)
    return values.filter(wanted).select(
        pl.lit(symbol).alias("symbol"),
        "decision_time",
        pl.col("decision_time").alias("available_at"),
        (pl.sum_horizontal(pl.col(names).is_not_null()) / len(names)).alias("coverage"),
        pl.lit(provenance).alias("provenance"),
        pl.lit(None, dtype=pl.Boolean).alias("clean"),
        *names,
    )


def _panel(sources: FeatureSources, *, symbol: str, cross_symbols: tuple[str, ...], base_interval: str) -> pl.DataFrame:
    panel = hourly_panel(sources, symbol=symbol, cross_symbols=cross_symbols, base_interval=base_interval)
    bars = aggregate(of_symbol(sources.klines, symbol), interval="1h", base_interval=base_interval)
    return timeframes.join_timeframes(panel, bars)


def _value(expr: pl.Expr) -> pl.Expr:
    """As stored: Float32, and a division by zero is a missing value."""
    value = expr.cast(pl.Float32)
    return pl.when(value.is_finite()).then(value)
