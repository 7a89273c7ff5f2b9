"""Model plane, training: the candidate, walk-forward evaluated, exported and written as a bundle.

Belongs here: reading a pinned training set, training, storing the candidate. Does not belong: judging it.
"""

from pathlib import Path

import dagster as dg

from eth_pipeline.contracts.clock import iso
from eth_pipeline.defs.assets.features import GROUP
from eth_pipeline.defs.plots import calibration_plot, importance_plot, yearly_plot
from eth_pipeline.defs.presentation import OWNERS, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.features.build import DEFINITION_VERSION, feature_names, features_contract
from eth_pipeline.labels.direction import labels_contract
from eth_pipeline.models.boosting import Boosting
from eth_pipeline.models.candidate import train_candidate
from eth_pipeline.models.dataset import TrainingSet, make_training_set
from eth_pipeline.models.report import Estimate, EvaluationReport
from eth_pipeline.operations.manifest import code_version, lock_digest
from eth_pipeline.registry.candidate_bundle import write_candidate
from eth_pipeline.registry.champion import store_oof
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.settings import Settings


@dg.asset(
    group_name=GROUP,
    deps=["features", "labels"],
    description=(
        "The newest LightGBM candidate: one model per horizon, evaluated by purged walk-forward, exported to ONNX with "
        "a parity proof and written as an unsigned bundle. One materialization is one try."
    ),
    kinds={"lightgbm", "onnx"},
    owners=OWNERS,
    code_version="1",
    pool="training",
)
def lightgbm_candidate(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Train, evaluate out of fold, export, write the bundle."""
    settings = pipeline.settings()
    moment = pipeline.moment()
    training_set, versions = _training_set(pipeline, settings)
    tries = registry_store(settings).tries() + 1
    candidate = train_candidate(training_set, Boosting(), settings=settings.training, tries=tries)
    folder = (
        settings.home
        / "candidates"
        / f"{candidate.algorithm}-{iso(moment.now).replace(':', '')}-{context.run.run_id[:8]}"
    )
    fingerprint = write_candidate(
        folder,
        candidate=candidate,
        training_set=training_set,
        settings=settings,
        definition_version=DEFINITION_VERSION,
        versions=versions,
        code_commit=code_version().commit,
        lock_digest=lock_digest(),
        created_at=moment.now,
    )
    store_oof(
        pipeline.lake(),
        candidate.oof,
        fingerprint=fingerprint,
        symbol=settings.symbol,
        provenance=training_set.provenance,
    )
    report = candidate.report
    return dg.MaterializeResult(
        data_version=dg.DataVersion(fingerprint),
        metadata={
            "bundle": dg.MetadataValue.path(str(folder)),
            "fingerprint": fingerprint,
            "verdict": report.verdict,
            "out_of_sample": horizon_table(report),
            "auc_by_year": yearly_plot(report),
            "calibration": calibration_plot(candidate.oof),
            "importance": importance_plot(report),
            "tries": tries,
            "features_version": versions["features"],
            "labels_version": versions["labels"],
        },
    )


def _training_set(pipeline: Pipeline, settings: Settings) -> tuple[TrainingSet, dict[str, int]]:
    lake = pipeline.lake()
    tables = {
        "features": features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols),
        "labels": labels_contract(horizons_hours=settings.training.horizons_hours),
    }
    versions = {name: version for name, table in tables.items() if (version := lake.version(table)) is not None}
    if len(versions) != len(tables):
        raise dg.Failure(f"Only {sorted(versions)} exist in the lake. Materialize features and labels first.")
    training_set = make_training_set(
        lake.read(tables["features"], version=versions["features"]),
        lake.read(tables["labels"], version=versions["labels"]),
        feature_names=feature_names(symbol=settings.symbol, cross_symbols=settings.cross_symbols),
        horizons_hours=settings.training.horizons_hours,
    )
    return training_set, versions


def registry_store(settings: Settings) -> RegistryStore:
    """The MLflow registry that the settings name."""
    return RegistryStore(settings.mlflow_location, artifact_root=settings.home / "mlflow" / "artifacts")


def newest_candidate(instance: dg.DagsterInstance) -> Path:
    """Bundle folder of the newest materialized candidate.

    Raises:
        dg.Failure: there is none, or its folder is gone.
    """
    event = instance.get_latest_materialization_event(dg.AssetKey("lightgbm_candidate"))
    found = event.asset_materialization.metadata.get("bundle") if event and event.asset_materialization else None
    folder = Path(str(found.value)) if found is not None else None
    if folder is None or not folder.is_dir():
        raise dg.Failure(f"No candidate bundle to decide about (looked at {folder}). Materialize lightgbm_candidate.")
    return folder


def horizon_table(report: EvaluationReport) -> dg.MarkdownMetadataValue:
    """Out-of-sample figures, a column per horizon, beside the volatility-only and the constant baseline."""
    figures: dict[str, list[object]] = {
        "rows": [h.rows for h in report.horizons],
        "sign AUC": [_interval(h.auc, digits=3) for h in report.horizons],
        "volatility only": [_interval(h.auc_volatility, digits=3) for h in report.horizons],
        "constant": [0.5 for _ in report.horizons],
        "moves > 0.30 %": [_interval(h.auc_large_moves, digits=3) for h in report.horizons],
        "one hour late": [_interval(h.auc_one_hour_late, digits=3) for h in report.horizons],
        "decile spread, bps": [_interval(h.decile_spread_bps, digits=1) for h in report.horizons],
        "net per trade, bps": [_interval(h.net_bps_per_trade, digits=1) for h in report.horizons],
        "calibration error": [h.calibration_error for h in report.horizons],
    }
    header = ("figure [95 %]", *(f"{h.horizon_hours} h" for h in report.horizons))
    return markdown_table(header, [(name, *values) for name, values in figures.items()])


def _interval(estimate: Estimate, *, digits: int) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f},\N{NO-BREAK SPACE}{estimate.high:.{digits}f}]"
