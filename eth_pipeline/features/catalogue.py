"""The ordered list of all features: their families, their names, the contract of their table.

Belongs here: order, dtype, coverage, the version of the definitions. Does not belong: any definition
(`families`), computing them (`build`).
"""

from functools import cache

import polars as pl

from eth_pipeline.contracts.table import INSTANT, PROVENANCES, Column, Rule, TableContract
from eth_pipeline.errors import ContractViolation, SettingsInvalid
from eth_pipeline.features.definition import Family, FeatureSpec
from eth_pipeline.features.families import (
    basis,
    candles,
    cross,
    funding,
    momentum,
    open_interest,
    order_flow,
    oscillators,
    positioning,
    premium,
    seasonality,
    timeframes,
    trend,
    volatility,
    volume,
)

DEFINITION_VERSION = "3"
"""Names the definitions: models state it, and refuse to run on another. Raise it with any change of value."""


@cache
def families(cross_symbols: tuple[str, ...]) -> tuple[Family, ...]:
    """Every family, in the order of the table."""
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
        premium.family(),
        positioning.family(),
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
    specs = tuple(spec for family in families(cross_symbols) for spec in family.specs())
    names = [spec.name for spec in specs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsInvalid(f"Feature names occur twice: {twice[:5]}. Two cross symbols share a prefix; drop one.")
    return specs


def feature_names(*, symbol: str, cross_symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Names of `feature_specs`, in order."""
    return tuple(spec.name for spec in feature_specs(symbol=symbol, cross_symbols=cross_symbols))


def available_feature_names(
    rows: pl.DataFrame, *, symbol: str, cross_symbols: tuple[str, ...], min_coverage: float
) -> tuple[str, ...]:
    """Features that `rows` have: the choice of model inputs, made and recorded before training.

    Much of the recorded history has no premium, positioning or taker volume. A model cannot learn from a column of
    nulls, and it would lower the coverage that promotion asks for.

    Args:
        rows: feature rows of the time from which a model may learn, never of the time that judges it.
        symbol: the main symbol.
        cross_symbols: other symbols.
        min_coverage: share of `rows` in which a feature must not be missing, 0..1.

    Returns:
        Names of `feature_names` in their order, without those below `min_coverage`.

    Raises:
        ContractViolation: no rows, so no share.
    """
    names = feature_names(symbol=symbol, cross_symbols=cross_symbols)
    if not rows.height:
        raise ContractViolation(
            "There are no feature rows to choose model inputs from. Materialize `features` for the training span first."
        )
    coverage = rows.select(pl.col(names).is_not_null().mean()).row(0, named=True)
    return tuple(name for name in names if coverage[name] >= min_coverage)


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
