"""The training set that every model asset of a run reads: the same lake versions, the same columns.

Belongs here: pinning versions and choosing inputs. Does not belong: training, any definition of a feature or label.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.features.catalogue import available_feature_names, features_contract
from eth_pipeline.labels.direction import labels_contract
from eth_pipeline.models.dataset import TrainingSet, make_training_set
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.settings import Settings

TRAINED = "trained"


@dataclass(frozen=True)
class PinnedTrainingSet:
    """A training set and the lake version of each table it was read from."""

    data: TrainingSet
    versions: dict[str, int]


def pinned_training_set(
    pipeline: Pipeline, *, known_before: datetime | None = None, every_feature: bool = False
) -> PinnedTrainingSet:
    """Read the newest versions of features and labels, with the inputs that the history has.

    Inputs are chosen by presence alone, before any target is read: `training.min_feature_coverage`.

    Args:
        known_before: only rows before this instant choose the inputs; all rows by default.
        every_feature: take all features, present or not: for asking models that chose before.

    Raises:
        dg.Failure: one of the tables does not exist.
    """
    settings, lake = pipeline.settings(), pipeline.lake()
    tables = {
        "features": features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols),
        "labels": labels_contract(horizons_hours=settings.training.horizons_hours),
    }
    versions = {name: version for name, table in tables.items() if (version := lake.version(table)) is not None}
    if len(versions) != len(tables):
        raise dg.Failure(f"Only {sorted(versions)} exist in the lake. Materialize features and labels first.")
    rows = lake.read(tables["features"], version=versions["features"])
    choosing = rows if known_before is None else rows.filter(pl.col("decision_time") < known_before)
    names = available_feature_names(
        choosing,
        symbol=settings.symbol,
        cross_symbols=settings.cross_symbols,
        min_coverage=0.0 if every_feature else settings.training.min_feature_coverage,
    )
    data = make_training_set(
        rows,
        lake.read(tables["labels"], version=versions["labels"]),
        feature_names=names,
        horizons_hours=settings.training.horizons_hours,
    )
    return PinnedTrainingSet(data, versions)


def registry_store(settings: Settings) -> RegistryStore:
    """The MLflow registry that the settings name."""
    return RegistryStore(settings.mlflow_location, artifact_root=settings.home / "mlflow" / "artifacts")


def new_folder(context: dg.AssetExecutionContext, pipeline: Pipeline, *, name: str, under: str = TRAINED) -> Path:
    """A folder of its own for what this run makes: `<home>/trained/lightgbm-2025-06-29T120020Z-1a2b3c4d`."""
    made_at = iso(pipeline.moment().now).replace(":", "")
    return pipeline.settings().home / under / f"{name}-{made_at}-{context.run.run_id[:8]}"


def newest_folder(instance: dg.DagsterInstance, asset: str) -> Path | None:
    """The folder of an asset's newest materialization; None where there is none, or it is gone."""
    found = newest_metadata(instance, asset, "folder")
    folder = Path(found) if found is not None else None
    return folder if folder is not None and folder.is_dir() else None


def newest_metadata(instance: dg.DagsterInstance, asset: str, name: str) -> str | None:
    """One metadata value of an asset's newest materialization, as text; None where there is none."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    found = event.asset_materialization.metadata.get(name) if event and event.asset_materialization else None
    return None if found is None else str(found.value)
