"""Model plane, inputs: the features and the labels of every full hour.

Belongs here: reading the streams, calling one function, storing the rows. Does not belong: any definition of a
feature or a label. The hourly run computes only the newest hours from the tail; a changed definition or
`rebuild` recomputes everything from the same code.
"""

from datetime import datetime, timedelta

import dagster as dg
import polars as pl

from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.presentation import OWNERS, column_schema, figures
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.features.build import LOOKBACK, build_features
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.features.quality import with_quality
from eth_pipeline.features.sources import load_sources
from eth_pipeline.labels.direction import build_labels, labels_contract
from eth_pipeline.settings import Settings, load_settings

GROUP = "model"
_SETTINGS = load_settings()
_RECOMPUTED = timedelta(hours=6)
"""The newest stored hours are computed again: a cross asset's bar may have come after the row was written."""


class FeaturesConfig(dg.Config):
    """`rebuild`: recompute every hour instead of the hours that are missing."""

    rebuild: bool = False


@dg.asset(
    group_name=GROUP,
    deps=list(STREAMS),
    description="One row is everything a model may know of one full hour, from rows available at that hour.",
    kinds={"polars", "deltalake"},
    owners=OWNERS,
    code_version="2",
    metadata=column_schema(features_contract(symbol=_SETTINGS.symbol, cross_symbols=_SETTINGS.cross_symbols)),
)
def features(context: dg.AssetExecutionContext, config: FeaturesConfig, pipeline: Pipeline) -> dg.MaterializeResult:
    """Compute the missing hours (or all of them) and store them."""
    settings, lake = pipeline.settings(), pipeline.lake()
    table = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    whole = config.rebuild or not lake.is_current(table)
    newest = None if whole else lake.newest(table, where=pl.col("symbol") == settings.symbol)
    start = None if newest is None else newest - _RECOMPUTED
    rows = _compute(pipeline, settings, start=start)
    if whole and rows.height:
        version: int | None = lake.replace(table, rows)
    else:
        version = lake.upsert(table, rows).version
    context.log.info(f"features: {rows.height} hours {'rebuilt' if whole else 'added'}")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(version)),
        metadata={
            "rows": rows.height,
            "coverage": figures({"mean share of non-missing values": rows["coverage"].mean() if rows.height else None}),
            "doubted_hours": rows.filter(~rows["clean"]).height,
            "lake_version": -1 if version is None else version,
            "rebuilt": whole,
        },
    )


def _compute(pipeline: Pipeline, settings: Settings, *, start: datetime | None) -> pl.DataFrame:
    sources = load_sources(
        pipeline.lake(),
        symbols=settings.symbols,
        base_interval=settings.base_interval,
        since=None if start is None else start - LOOKBACK,
        until=None,
    )
    rows = build_features(
        sources,
        symbol=settings.symbol,
        cross_symbols=settings.cross_symbols,
        base_interval=settings.base_interval,
        start=start,
    )
    return with_quality(rows, pipeline.lake(), symbol=settings.symbol)


@dg.asset(
    group_name=GROUP,
    deps=["klines", "mark_klines"],
    description=(
        "One row is what became of one full hour: direction and cost-aware outcome per horizon, entered at the next "
        "bar, on the mark price, with the instant at which each label became known."
    ),
    kinds={"polars", "deltalake"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(labels_contract(horizons_hours=_SETTINGS.training.horizons_hours)),
)
def labels(pipeline: Pipeline) -> dg.MaterializeResult:
    """Label every hour whose outcome is known."""
    settings, lake = pipeline.settings(), pipeline.lake()
    sources = load_sources(
        lake, symbols=(settings.symbol,), base_interval=settings.base_interval, since=None, until=None
    )
    rows = build_labels(
        mark_klines=sources.mark_klines,
        klines=sources.klines,
        symbol=settings.symbol,
        base_interval=settings.base_interval,
        horizons_hours=settings.training.horizons_hours,
        round_trip_cost_bps=settings.training.round_trip_cost_bps,
    )
    version = lake.replace(labels_contract(horizons_hours=settings.training.horizons_hours), rows)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(version)), metadata={"rows": rows.height, "lake_version": version}
    )
