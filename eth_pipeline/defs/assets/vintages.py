"""Model plane, looking back: a model per month as it could have been trained then, and what it said of that month.

Belongs here: the monthly partitions. Does not belong: training (`models.vintages.vintage`), scoring
(`models.vintages.vintage_forecasts`), the storage of models (`registry.runs.vintages`). A partition is a month: the
vintage `2024-05-01` knows nothing from May 2024 on and forecasts May 2024. The primary's months are partitions of their
own, since signals and accounts are rebuilt from them.
"""

from datetime import datetime
from pathlib import Path
from typing import cast

import dagster as dg
import numpy as np
import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.defs.assets.features import GROUP
from eth_pipeline.defs.assets.training_set import PinnedTrainingSet, pinned_training_set
from eth_pipeline.defs.partitions import ALGORITHM, MONTH, MONTHS, OTHERS_BY_MONTH
from eth_pipeline.defs.pools import VINTAGES
from eth_pipeline.defs.presentation import OWNERS, column_schema, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.features.panel import prefix
from eth_pipeline.lake import Lake
from eth_pipeline.models.algorithms import LIGHTGBM, forecaster_named
from eth_pipeline.models.dataset import Rows
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.trees.quantile_forest import QuantileParameters
from eth_pipeline.models.vintages.vintage import Vintage, train_vintage
from eth_pipeline.models.vintages.vintage_forecasts import score_vintage
from eth_pipeline.operations.manifest import code_version
from eth_pipeline.registry.runs.vintages import (
    VintageRecord,
    load_vintage,
    save_vintage,
    upgrade_forecasts,
    vintage_folder,
)
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.bundle_in_use import running_schema

_FEWEST_LABELS = 100


@dg.asset(
    group_name=GROUP,
    partitions_def=MONTHS,
    deps=["features", "labels"],
    description=(
        "One partition is the primary model as it could have been trained at the beginning of a month: nothing that "
        "happened from the embargo before it on is known to it. Its quantiles size the hours that it forecasts."
    ),
    kinds={"lightgbm", "onnx"},
    owners=OWNERS,
    code_version="2",
    pool=VINTAGES,
)
def model_vintage(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Train as of the beginning of the month."""
    return dg.MaterializeResult(
        metadata=_trained(pipeline, LIGHTGBM, cutoff=context.partition_time_window.start, sized=True)
    )


@dg.asset(
    group_name=GROUP,
    partitions_def=MONTHS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["features", model_vintage],
    description=(
        "One row is the forecast of one past hour by the vintage that could have existed then. This is what signals "
        "and accounts are rebuilt from."
    ),
    kinds={"onnx", "deltalake"},
    owners=OWNERS,
    code_version="2",
    metadata=column_schema(HISTORICAL_FORECASTS),
)
def historical_forecasts(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Let each month's vintage forecast its month."""
    settings, lake = pipeline.settings(), pipeline.lake()
    pinned = pinned_training_set(pipeline, every_feature=True)
    frames = [
        _month(pinned, settings, start=window.start, end=window.end, algorithm=LIGHTGBM)
        for window in (MONTHS.time_window_for_partition_key(key) for key in context.partition_keys)
    ]
    return dg.MaterializeResult(metadata={"months": len(frames), **_stored(lake, pl.concat(frames), pinned)})


@dg.asset(
    group_name=GROUP,
    partitions_def=OTHERS_BY_MONTH,
    deps=["features", "labels"],
    description=(
        "One partition is one of the other algorithms as it could have been trained at the beginning of a month, with "
        "what it forecast of that month: for comparing. Signals and accounts are rebuilt from the primary alone."
    ),
    kinds={"onnx", "deltalake"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(HISTORICAL_FORECASTS),
    pool=VINTAGES,
)
def other_vintage(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Train as of the beginning of the month, then forecast the month."""
    named = cast(dg.MultiPartitionKey, context.partition_key).keys_by_dimension
    algorithm, window = named[ALGORITHM], MONTHS.time_window_for_partition_key(named[MONTH])
    metadata = _trained(pipeline, algorithm, cutoff=window.start, sized=False)
    pinned = pinned_training_set(pipeline, every_feature=True)
    rows = _month(pinned, pipeline.settings(), start=window.start, end=window.end, algorithm=algorithm)
    return dg.MaterializeResult(metadata=metadata | _stored(pipeline.lake(), rows, pinned))


def _trained(pipeline: Pipeline, algorithm: str, *, cutoff: datetime, sized: bool) -> dict[str, dg.MetadataValue]:
    """Train and keep one vintage; what is told about it."""
    settings = pipeline.settings()
    pinned = pinned_training_set(pipeline, known_before=cutoff)
    forecaster = forecaster_named(
        algorithm, cross_prefixes=tuple(map(prefix, settings.cross_symbols)), networks=settings.networks
    )
    vintage = train_vintage(
        pinned.data,
        forecaster,
        cutoff=cutoff,
        settings=settings.training,
        quantiles=QuantileParameters() if sized else None,
    )
    folder = vintage_folder(settings.home, algorithm=algorithm, cutoff=cutoff)
    record = save_vintage(
        folder,
        vintage,
        feature_schema=running_schema(settings),
        code_commit=code_version().commit,
        versions=pinned.versions,
    )
    return _told(folder, vintage, record)


def _told(folder: Path, vintage: Vintage, record: VintageRecord) -> dict[str, dg.MetadataValue]:
    rows = [(h, vintage.rows[h], vintage.validation_auc[h]) for h in sorted(vintage.rows)]
    return {
        "folder": dg.MetadataValue.path(str(folder)),
        "trained_until": dg.MetadataValue.text(iso(vintage.trained_until)),
        "inputs": dg.MetadataValue.int(len(vintage.feature_names)),
        "sized_by": dg.MetadataValue.text(record.sized_by),
        "horizons": markdown_table(("horizon, h", "rows learnt from", "validation AUC (optimistic)"), rows),
        "features_version": dg.MetadataValue.int(record.versions["features"]),
        "labels_version": dg.MetadataValue.int(record.versions["labels"]),
    }


def _stored(lake: Lake, rows: pl.DataFrame, pinned: PinnedTrainingSet) -> dict[str, dg.MetadataValue]:
    """Keep forecasts; what is told about them."""
    upgrade_forecasts(lake)
    version = lake.upsert(HISTORICAL_FORECASTS, rows).version
    return {
        "rows": dg.MetadataValue.int(rows.height),
        "sized_by_conviction": dg.MetadataValue.int(rows["quantiles"].null_count()),
        "lake_version": dg.MetadataValue.int(-1 if version is None else version),
        "skill": markdown_table(("horizon, h", "labelled hours", "sign AUC"), _skill(rows, pinned)),
    }


def _month(
    pinned: PinnedTrainingSet, settings: Settings, *, start: datetime, end: datetime, algorithm: str
) -> pl.DataFrame:
    vintage = load_vintage(
        vintage_folder(settings.home, algorithm=algorithm, cutoff=start), feature_schema=running_schema(settings)
    )
    begin, stop = (np.datetime64(instant.replace(tzinfo=None), "us") for instant in (start, end))
    rows: Rows = np.flatnonzero((pinned.data.decision_time >= begin) & (pinned.data.decision_time < stop))
    scored = score_vintage(vintage, pinned.data, rows=rows)
    return HISTORICAL_FORECASTS.conform(
        scored.join(_thresholds(vintage), on="horizon_hours").with_columns(
            symbol=pl.lit(pinned.data.symbol),
            algorithm=pl.lit(vintage.algorithm),
            available_at=pl.col("decision_time"),
            cutoff=pl.lit(vintage.cutoff).cast(HISTORICAL_FORECASTS.schema["cutoff"]),
            provenance=pl.lit(pinned.data.provenance),
        )
    )


def _thresholds(vintage: Vintage) -> pl.DataFrame:
    return pl.DataFrame(
        [(m.horizon_hours, m.long_threshold, m.short_threshold) for m in vintage.models],
        schema={"horizon_hours": pl.Int32, "long_threshold": pl.Float64, "short_threshold": pl.Float64},
        orient="row",
    )


def _skill(rows: pl.DataFrame, pinned: PinnedTrainingSet) -> list[tuple[int, int, float | None]]:
    found = []
    time = pl.Series(pinned.data.decision_time).dt.replace_time_zone("UTC")
    for horizon, target in pinned.data.targets.items():
        outcome = pl.DataFrame({"decision_time": time, "up": target.up}).filter(pl.col("up").is_finite())
        joined = rows.filter(horizon_hours=horizon).join(outcome, on="decision_time")
        up, score = joined["up"].to_numpy().astype(np.float64), joined["probability"].to_numpy()
        enough = joined.height >= _FEWEST_LABELS and 0 < up.sum() < len(up)
        found.append((horizon, joined.height, auc(score, up) if enough else None))
    return found
