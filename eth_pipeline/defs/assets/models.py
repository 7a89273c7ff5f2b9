"""Model plane, training: one asset per algorithm, walk-forward evaluated, exported with a parity proof.

Belongs here: training on the pinned training set and keeping the outcome. Does not belong: judging it, making a bundle
of it (`defs.assets.candidate`).
"""

import dagster as dg
import numpy as np

from eth_pipeline.defs.assets.features import GROUP
from eth_pipeline.defs.assets.training_set import (
    PinnedTrainingSet,
    new_folder,
    pinned_training_set,
    registry_store,
)
from eth_pipeline.defs.plots import (
    attention_plot,
    calibration_plot,
    decile_plot,
    importance_plot,
    permutation_plot,
    weights_plot,
    yearly_plot,
)
from eth_pipeline.defs.pools import TRAINING, network_pool
from eth_pipeline.defs.presentation import OWNERS, horizon_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.features.catalogue import feature_specs
from eth_pipeline.features.panel import prefix
from eth_pipeline.models.algorithms import ALGORITHMS, TFT, forecaster_named
from eth_pipeline.models.candidate import Candidate, Scrutiny, train_candidate
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.registry.air_gap.snapshot import snapshot_in_use
from eth_pipeline.registry.bundles.trained import save_trained, trained_model
from eth_pipeline.registry.promotions.production import pointer
from eth_pipeline.registry.runs.tried import champion_oof, store_tried, tried_before, try_id
from eth_pipeline.settings import load_settings

_SETTINGS = load_settings()

_INTERPRETED_ROWS = 500
_PERMUTED_WINDOWS = 2
"""A network scores a window too slowly on a small host to do it some thirty times over."""


def _model_asset(algorithm: str) -> dg.AssetsDefinition:
    entry = ALGORITHMS[algorithm]

    @dg.asset(
        name=f"{algorithm}_model",
        group_name=GROUP,
        deps=["features", "labels"],
        description=(
            f"{entry.description} Evaluated by purged walk-forward and exported to ONNX with a parity proof. "
            "One materialization is one try."
        ),
        kinds={entry.made_with, "onnx"},
        owners=OWNERS,
        code_version="1",
        pool=network_pool(_SETTINGS) if entry.network else TRAINING,
    )
    def model(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Train, evaluate out of fold, export, keep."""
        settings = pipeline.settings()
        pinned = pinned_training_set(pipeline)
        forecaster = forecaster_named(
            algorithm, cross_prefixes=tuple(map(prefix, settings.cross_symbols)), networks=settings.networks
        )
        name = try_id(
            parameters_digest=forecaster.digest(), feature_names=pinned.data.feature_names, settings=settings.training
        )
        scrutiny, tries = _scrutiny(pipeline, pinned, name=name, algorithm=algorithm)
        candidate = train_candidate(pinned.data, forecaster, settings=settings.training, tries=tries, scrutiny=scrutiny)
        store_tried(
            pipeline.lake(),
            candidate.oof,
            name=name,
            algorithm=algorithm,
            symbol=pinned.data.symbol,
            provenance=pinned.data.provenance,
            cost_bps=settings.training.round_trip_cost_bps,
        )
        folder = new_folder(context, pipeline, name=algorithm)
        save_trained(folder, trained_model(candidate, pinned.data, versions=pinned.versions))
        report = candidate.report
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{candidate.training_digest[:16]}-{candidate.parameters_digest[:16]}"),
            metadata={
                "folder": dg.MetadataValue.path(str(folder)),
                "verdict": report.verdict,
                "out_of_sample": horizon_table(report),
                "auc_by_year": yearly_plot(report),
                "calibration": calibration_plot(candidate.oof),
                "deciles": decile_plot(report),
                "importance": importance_plot(report),
                **_insight(algorithm, candidate, pinned.data),
                "inputs": len(candidate.feature_names),
                "tries": tries,
                "features_version": pinned.versions["features"],
                "labels_version": pinned.versions["labels"],
            },
        )

    return model


def _scrutiny(pipeline: Pipeline, pinned: PinnedTrainingSet, *, name: str, algorithm: str) -> tuple[Scrutiny, int]:
    """What the report compares with, and how many configurations were tried on this history, this one included."""
    settings, lake, data = pipeline.settings(), pipeline.lake(), pinned.data
    found, origin = pointer(settings.home), snapshot_in_use(settings.home)
    champion = found.fingerprint if found is not None else None
    if champion is None and origin is not None and origin.champion is not None:
        champion = origin.champion.fingerprint
    tried = tried_before(lake, symbol=data.symbol, provenance=data.provenance, without=name)
    registered = registry_store(settings).tries(symbol=data.symbol, provenance=data.provenance)
    specs = feature_specs(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    scrutiny = Scrutiny(
        champion=champion_oof(lake, symbol=data.symbol, fingerprint=champion),
        tried=tried,
        families={spec.name: spec.family for spec in specs},
        permutation_windows=0 if ALGORITHMS[algorithm].network else _PERMUTED_WINDOWS,
    )
    others = 0 if tried is None else tried["try_id"].n_unique()
    return scrutiny, max(registered, others + 1, origin.tries if origin is not None else 0)


def _insight(algorithm: str, candidate: Candidate, data: TrainingSet) -> dict[str, dg.MarkdownMetadataValue]:
    """What the models look at, beyond their gain: permutation of the trees, attention of the transformer."""
    if candidate.report.permutation is not None:
        return {"permutation": permutation_plot(candidate.report.permutation)}
    if algorithm != TFT:
        return {}
    from eth_pipeline.models.networks.tft import interpret

    newest = np.arange(max(0, len(data.decision_time) - _INTERPRETED_ROWS), len(data.decision_time))
    seen = interpret(candidate.fitted, data, newest)
    attention = {horizon: weights.tolist() for horizon, weights in seen.attention_by_lag.items()}
    return {"attention": attention_plot(attention), "variable_selection": weights_plot(seen.variable_weights)}


model_assets = tuple(map(_model_asset, ALGORITHMS))
