"""Model plane, the candidate: the newest trained models of one training set together, as an unsigned bundle.

Belongs here: which trained models belong together, the stack over them, writing the bundle. Does not belong: training
(`defs.assets.models`), the decision (`defs.assets.registry`).
"""

from dataclasses import replace
from pathlib import Path

import dagster as dg

from eth_pipeline.contracts.artifact import QuantileModel, RegimeModel
from eth_pipeline.defs.assets.features import GROUP
from eth_pipeline.defs.assets.training_set import new_folder, newest_folder
from eth_pipeline.defs.presentation import OWNERS, interval, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.algorithms import ALGORITHMS, LIGHTGBM
from eth_pipeline.models.figures.comparison import compare_members
from eth_pipeline.models.stacking import ALGORITHM as STACKING
from eth_pipeline.models.stacking import Stack, fit_stack
from eth_pipeline.operations.manifest import code_version, lock_digest
from eth_pipeline.registry.bundles.candidate_bundle import Companions, write_candidate
from eth_pipeline.registry.bundles.sizing_parts import load_sizing
from eth_pipeline.registry.bundles.trained import TrainedModel, load_trained
from eth_pipeline.registry.promotions.champion import store_oof
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.bundle_in_use import running_schema

SIZING = ("quantile_model", "regime_model")


@dg.asset(
    group_name=GROUP,
    deps=[*(f"{name}_model" for name in ALGORITHMS), *SIZING],
    description=(
        "The newest candidate: the primary with every other model that was trained on the same rows, the stack over "
        "their out-of-fold forecasts, quantiles and regime, written as an unsigned bundle with its runtime contract."
    ),
    kinds={"onnx"},
    owners=OWNERS,
    code_version="1",
    pool="training",
)
def candidate_bundle(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Put the newest trained models together."""
    settings, now = pipeline.settings(), pipeline.moment().now
    primary = _primary(context.instance)
    members, left_out = _members(context.instance, primary)
    quantiles, regime, files, missing = _sizing(context.instance, primary)
    stack = _stack(primary, members, settings=settings)
    others = {model.record.algorithm: model.oof for model in members} | ({STACKING: stack.oof} if stack else {})
    figures = compare_members(primary.oof, others, settings=settings.training)
    report = primary.record.report.model_copy(update={"members": figures})
    primary = replace(primary, record=primary.record.model_copy(update={"report": report}))
    folder = new_folder(context, pipeline, name="bundle", under="candidates")
    fingerprint = write_candidate(
        folder,
        primary=primary,
        companions=Companions(members=members, stack=stack, quantiles=quantiles, regime=regime, files=files),
        settings=settings,
        feature_schema=running_schema(settings),
        code_commit=code_version().commit,
        lock_digest=lock_digest(),
        created_at=now,
    )
    record = primary.record
    store_oof(pipeline.lake(), primary.oof, fingerprint=fingerprint, symbol=record.symbol, provenance=record.provenance)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(fingerprint),
        metadata={
            "folder": dg.MetadataValue.path(str(folder)),
            "fingerprint": fingerprint,
            "parameters_digest": record.parameters_digest,
            "verdict": record.report.verdict,
            "models": markdown_table(
                ("algorithm", "horizon, h", "AUC, common hours [95 %]", "minus primary", "log loss", "primary's"),
                [
                    (
                        figure.algorithm,
                        figure.horizon_hours,
                        interval(figure.auc, digits=3),
                        interval(figure.auc_minus_primary, digits=3),
                        f"{figure.log_loss:.5f}",
                        f"{figure.log_loss_primary:.5f}",
                    )
                    for figure in figures
                ],
                notes=[f"The primary is {record.algorithm}.", *left_out, *missing],
            ),
            "stack": markdown_table(
                ("horizon, h", "rows", "weights"),
                [
                    (w.horizon_hours, w.rows, ", ".join(map("{} {:.2f}".format, w.algorithms, w.coefficients)))
                    for w in (stack.weights if stack else ())
                ],
            ),
        },
    )


def newest_candidate(instance: dg.DagsterInstance) -> Path:
    """Bundle folder of the newest materialized candidate.

    Raises:
        dg.Failure: there is none, or its folder is gone.
    """
    folder = newest_folder(instance, "candidate_bundle")
    if folder is None:
        raise dg.Failure("No candidate bundle to decide about. Materialize candidate_bundle.")
    return folder


def _primary(instance: dg.DagsterInstance) -> TrainedModel:
    folder = newest_folder(instance, f"{LIGHTGBM}_model")
    if folder is None:
        raise dg.Failure(f"No trained primary. Materialize {LIGHTGBM}_model.")
    return load_trained(folder)


def _members(instance: dg.DagsterInstance, primary: TrainedModel) -> tuple[tuple[TrainedModel, ...], list[str]]:
    """Other algorithms trained on the primary's rows, and a sentence for each that was left out."""
    members, left_out = [], []
    for algorithm in ALGORITHMS:
        folder = newest_folder(instance, f"{algorithm}_model") if algorithm != primary.record.algorithm else None
        if folder is None:
            continue
        try:
            member = load_trained(folder)
        except ContractViolation as error:
            left_out.append(f"{algorithm} was left out: {error}")
            continue
        if member.record.training_digest == primary.record.training_digest:
            members.append(member)
        else:
            left_out.append(f"{algorithm} was left out: its newest model was trained on other rows; train it again.")
    return tuple(members), left_out


def _sizing(
    instance: dg.DagsterInstance, primary: TrainedModel
) -> tuple[tuple[QuantileModel, ...], RegimeModel | None, dict[str, bytes], list[str]]:
    """Quantiles and regime trained on the primary's rows, their files, and a sentence for each that was left out."""
    quantiles: tuple[QuantileModel, ...] = ()
    regime: RegimeModel | None = None
    files: dict[str, bytes] = {}
    left_out = []
    for asset in SIZING:
        folder = newest_folder(instance, asset)
        parts = load_sizing(folder) if folder is not None else None
        if parts is None or parts.record.training_digest != primary.record.training_digest:
            left_out.append(f"{asset} was left out: it was not trained on these rows; materialize it.")
            continue
        quantiles, regime = quantiles or parts.record.quantiles, regime or parts.record.regime
        files |= parts.files
    return quantiles, regime, files, left_out


def _stack(primary: TrainedModel, members: tuple[TrainedModel, ...], *, settings: Settings) -> Stack | None:
    if not members:
        return None
    oofs = {model.record.algorithm: model.oof for model in (primary, *members)}
    return fit_stack(oofs, settings=settings.training)
