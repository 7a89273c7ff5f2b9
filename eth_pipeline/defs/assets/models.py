"""Model plane, training: one asset per algorithm, walk-forward evaluated, exported with a parity proof.

Belongs here: training on the pinned training set and keeping the outcome. Does not belong: judging it, making a bundle
of it (`defs.assets.candidate`).
"""

import dagster as dg

from eth_pipeline.defs.assets.features import GROUP
from eth_pipeline.defs.assets.training_set import new_folder, pinned_training_set, registry_store
from eth_pipeline.defs.plots import calibration_plot, importance_plot, yearly_plot
from eth_pipeline.defs.presentation import OWNERS, horizon_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.features.panel import prefix
from eth_pipeline.models.algorithms import CROSS_ASSET, LIGHTGBM, LSTM, TFT, forecaster_named
from eth_pipeline.models.candidate import train_candidate
from eth_pipeline.registry.trained import save_trained, trained_model

_DESCRIPTIONS = {
    LIGHTGBM: "The primary: gradient-boosted trees on every feature, one ensemble per horizon.",
    CROSS_ASSET: "Gradient-boosted trees that see the other coins only: a second opinion with other eyes.",
    LSTM: "A recurrent network over the last hours, one body and a head per horizon.",
    TFT: "A temporal fusion transformer: variable selection, gated residuals, interpretable attention.",
}
_KINDS = {LIGHTGBM: {"lightgbm", "onnx"}, CROSS_ASSET: {"lightgbm", "onnx"}, LSTM: {"pytorch", "onnx"}}


def _model_asset(algorithm: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"{algorithm}_model",
        group_name=GROUP,
        deps=["features", "labels"],
        description=(
            f"{_DESCRIPTIONS[algorithm]} Evaluated by purged walk-forward and exported to ONNX with a parity proof. "
            "One materialization is one try."
        ),
        kinds=_KINDS.get(algorithm, {"pytorch", "onnx"}),
        owners=OWNERS,
        code_version="1",
        pool="training",
    )
    def model(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        """Train, evaluate out of fold, export, keep."""
        settings = pipeline.settings()
        pinned = pinned_training_set(pipeline)
        forecaster = forecaster_named(algorithm, cross_prefixes=tuple(map(prefix, settings.cross_symbols)))
        tries = registry_store(settings).tries() + 1
        candidate = train_candidate(pinned.data, forecaster, settings=settings.training, tries=tries)
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
                "importance": importance_plot(report),
                "inputs": len(candidate.feature_names),
                "tries": tries,
                "features_version": pinned.versions["features"],
                "labels_version": pinned.versions["labels"],
            },
        )

    return model


lightgbm_model = _model_asset(LIGHTGBM)
cross_asset_model = _model_asset(CROSS_ASSET)
lstm_model = _model_asset(LSTM)
tft_model = _model_asset(TFT)
model_assets = (lightgbm_model, cross_asset_model, lstm_model, tft_model)
