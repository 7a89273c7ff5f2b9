"""A candidate: the production models of one training run, with the report that judges how they were made.

Belongs here: the order of training: walk-forward, final fit, export, parity, calibration, thresholds, report.
Does not belong: writing bundles, promotion (`registry`).

The final models are fitted on every labelled row (of the rolling window, where one is set) for the median of
the rounds that early stopping chose in the folds. No row is left to judge them, so nothing is: the report
judges the procedure on out-of-fold rows. Their calibration and thresholds come from the pooled out-of-fold
forecasts, which they inherit as the best available estimate of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import polars as pl

from eth_pipeline.models.baselines import find_volatility_feature
from eth_pipeline.models.calibration import fit_calibration
from eth_pipeline.models.dataset import Matrix, Rows, TrainingSet
from eth_pipeline.models.figures.evaluation import evaluate, primary_horizon_hours
from eth_pipeline.models.figures.permutation import permutation_importance
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.models.forecaster import FittedForecaster, Forecaster, OnnxModel, Progress
from eth_pipeline.models.out_of_fold import WalkForward
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.thresholds import choose_thresholds
from eth_pipeline.models.walk_forward import walk_forward
from eth_pipeline.settings import TrainingSettings

Bounds = tuple[float, float] | None
_BOUND_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True)
class TrainedHorizon:
    """One horizon's production model; probability = sigmoid(slope * logit(onnx output) + intercept)."""

    horizon_hours: int
    onnx: bytes
    input_name: str
    output_name: str
    calibration_slope: float
    calibration_intercept: float
    long_threshold: float
    short_threshold: float


@dataclass(frozen=True)
class Candidate:
    """What a training run hands to the registry.

    Attributes:
        algorithm: short name of the forecaster.
        window_hours: feature rows one forecast reads.
        models: one per horizon, shortest first.
        feature_names: model inputs in order.
        feature_bounds: 0.1 and 99.9 percentile of each input over the rows learnt from; None where it was
            never present.
        trained_until: the newest instant of which the models know anything: the latest label end learnt from.
        opset: ONNX operator set of the files.
        report: out-of-sample figures of the procedure.
        oof: out-of-fold forecasts, `walk_forward.OOF_SCHEMA`.
        parameters_digest: sha256 of the algorithm's parameters.
        training_digest: sha256 of the training set.
        fitted: the production models in memory, to be asked what they look at; never stored.
    """

    algorithm: str
    window_hours: int
    models: tuple[TrainedHorizon, ...]
    feature_names: tuple[str, ...]
    feature_bounds: tuple[Bounds, ...]
    trained_until: datetime
    opset: int
    report: EvaluationReport
    oof: pl.DataFrame
    parameters_digest: str
    training_digest: str
    fitted: FittedForecaster


@dataclass(frozen=True)
class Scrutiny:
    """What a report compares a candidate with, beyond its baselines.

    Attributes:
        champion: the last champion's out-of-fold forecasts; columns decision_time, horizon_hours, probability.
        tried: daily series of earlier tries on this history, `pnl.PNL_SCHEMA` with a column try_id.
        families: feature to family, for permutation importance.
        permutation_windows: newest windows on which features are permuted; 0 leaves it out. Each costs one scoring of
            its rows per family and for 20 features.
    """

    champion: pl.DataFrame | None = None
    tried: pl.DataFrame | None = None
    families: Mapping[str, str] = field(default_factory=dict)
    permutation_windows: int = 4


def train_candidate(
    training_set: TrainingSet,
    forecaster: Forecaster,
    *,
    settings: TrainingSettings,
    tries: int,
    progress: Progress | None = None,
    volatility_feature: str | None = None,
    scrutiny: Scrutiny | None = None,
) -> Candidate:
    """Evaluate by purged walk-forward, then train the production models.

    Args:
        training_set: the whole history that may be learnt from.
        forecaster: algorithm with its parameters.
        settings: windows, embargo, seed, cost, bootstrap samples.
        tries: configurations tried on this history, this one included.
        progress: called as (what, done, total).
        volatility_feature: input of the volatility-only baseline; by default the first feature named
            realised_vol* or *vol_24*.
        scrutiny: champion, earlier tries and feature families for the report.

    Raises:
        SettingsInvalid: the history is too short for the windows.
        ContractViolation: no volatility feature is found.
        ParityFailed: the ONNX export is not the model.
    """
    volatility = find_volatility_feature(training_set.feature_names, volatility_feature)
    scrutiny = scrutiny or Scrutiny()
    walk = walk_forward(
        training_set,
        forecaster,
        settings=settings,
        volatility_feature=volatility,
        progress=progress,
        keep=scrutiny.permutation_windows,
    )
    rows = _production_rows(training_set, settings)
    effort = {h: round(float(np.median(walk.effort[h]))) for h in training_set.horizons_hours}
    final = forecaster.refit(training_set, rows, effort=effort, seed=settings.seed)
    exports = final.to_onnx()
    learnt = np.unique(np.concatenate(list(rows.values())))
    parity = check_parity(
        exports,
        lambda features, horizon: final.probability_of(features, horizon_hours=horizon),
        final.probes(training_set, sample=learnt, seed=settings.seed),
    )
    return Candidate(
        algorithm=forecaster.algorithm,
        window_hours=final.window_hours,
        models=tuple(_production(exports[h], walk, h, settings) for h in training_set.horizons_hours),
        feature_names=training_set.feature_names,
        feature_bounds=feature_bounds(training_set.features[learnt]),
        trained_until=max(_latest(training_set, horizon_hours=h, rows=used) for h, used in rows.items()),
        opset=next(iter(exports.values())).opset,
        report=evaluate(
            training_set,
            walk,
            algorithm=forecaster.algorithm,
            importance=final.importance(),
            parity=parity,
            settings=settings,
            tries=tries,
            volatility_feature=volatility,
            champion=scrutiny.champion,
            tried=scrutiny.tried,
            permutation=permutation_importance(
                training_set,
                walk.kept,
                horizon_hours=primary_horizon_hours(training_set.horizons_hours),
                families=scrutiny.families,
                settings=settings,
            ),
        ),
        oof=walk.oof,
        parameters_digest=forecaster.digest(),
        training_digest=training_set.digest(),
        fitted=final,
    )


def feature_bounds(features: Matrix) -> tuple[Bounds, ...]:
    """0.1 and 99.9 percentile of each column's present values; None where there are none."""
    found: list[Bounds] = []
    for column in features.T:
        present = column[np.isfinite(column)]
        if len(present):
            low, high = np.percentile(present, _BOUND_PERCENTILES)
            found.append((float(low), float(high)))
        else:
            found.append(None)
    return tuple(found)


def _production_rows(data: TrainingSet, settings: TrainingSettings) -> dict[int, Rows]:
    rows = {}
    for horizon, target in data.targets.items():
        usable = target.labelled
        if settings.max_train_hours is not None:
            newest = data.decision_time[usable][-1]
            usable = usable & (data.decision_time > newest - np.timedelta64(settings.max_train_hours, "h"))
        rows[horizon] = np.flatnonzero(usable)
    return rows


def _production(export: OnnxModel, walk: WalkForward, horizon_hours: int, settings: TrainingSettings) -> TrainedHorizon:
    oof = walk.oof.filter(pl.col("horizon_hours") == horizon_hours)
    raw = oof["raw_probability"].to_numpy()
    calibration = fit_calibration(raw, oof["up"].to_numpy().astype(np.float64), horizon_hours=horizon_hours)
    thresholds = choose_thresholds(
        calibration.apply(raw),
        oof["forward_return"].to_numpy(),
        horizon_hours=horizon_hours,
        round_trip_cost_bps=settings.round_trip_cost_bps,
    )
    return TrainedHorizon(
        horizon_hours=horizon_hours,
        onnx=export.onnx,
        input_name=export.input_name,
        output_name=export.output_name,
        calibration_slope=calibration.slope,
        calibration_intercept=calibration.intercept,
        long_threshold=thresholds.long,
        short_threshold=thresholds.short,
    )


def _latest(data: TrainingSet, *, horizon_hours: int, rows: Rows) -> datetime:
    newest = data.targets[horizon_hours].label_end[rows].max()
    instant: datetime = newest.astype("datetime64[us]").item()
    return instant.replace(tzinfo=UTC)
