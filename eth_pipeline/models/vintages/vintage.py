"""A vintage: the model that could have existed at the beginning of a month.

Belongs here: what it is, training it at a cutoff. Does not belong: its forecasts of what follows
(`vintage_forecasts`), what sizes a position (`vintage_sizing`), storing either (`registry.runs.vintages`,
the lake), the loop over months (a partitioned asset).

A vintage is one refit of the walk-forward, taken out of it: early stopping and calibration on the newest part of the
rows known at the cutoff, a refit on all of them, and thresholds from the same validation rows, which chose nothing
else but the rounds and two calibration constants. It carries no out-of-fold report; the months that follow judge it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.calibration import fit_calibration
from eth_pipeline.models.candidate import TrainedHorizon
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.folds import Fold, learnable_rows
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.thresholds import choose_thresholds
from eth_pipeline.models.trees.quantile_forest import QuantileParameters
from eth_pipeline.models.vintages.vintage_sizing import VintageSizing, train_sizing
from eth_pipeline.settings import TrainingSettings

_NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Vintage:
    """The models of one cutoff.

    Attributes:
        algorithm: short name of the forecaster.
        cutoff: the models know nothing that happened less than the embargo before it, or later.
        window_hours: feature rows one forecast reads.
        models: one per horizon, shortest first.
        feature_names: model inputs in order.
        trained_until: the latest label end learnt from.
        rows: rows learnt from, by horizon in hours.
        validation_auc: sign AUC on the rows that stopped and calibrated, by horizon; optimistic by design.
        parameters_digest: of the forecaster.
        sizing: quantiles, regime and input bounds; None in a vintage of before 2026-11-22, or where none were asked
            for. Hours that it forecasts are then sized by conviction.
    """

    algorithm: str
    cutoff: datetime
    window_hours: int
    models: tuple[TrainedHorizon, ...]
    feature_names: tuple[str, ...]
    trained_until: datetime
    rows: Mapping[int, int]
    validation_auc: Mapping[int, float]
    parameters_digest: str
    sizing: VintageSizing | None = None


def train_vintage(
    data: TrainingSet,
    forecaster: Forecaster,
    *,
    cutoff: datetime,
    settings: TrainingSettings,
    quantiles: QuantileParameters | None = None,
) -> Vintage:
    """Train as of `cutoff`; rows of `data` beyond it are allowed and are not learnt from.

    Args:
        data: features and targets of any span around the cutoff.
        forecaster: algorithm with its parameters.
        cutoff: first instant that may be forecast.
        settings: embargo, rolling window, smallest history, seed, cost.
        quantiles: levels and trees of the models that size; None trains none.

    Raises:
        SettingsInvalid: fewer than `min_train_hours` of history lie before the cutoff.
        ParityFailed: the ONNX export is not the model.
    """
    instant = np.datetime64(cutoff.astimezone(UTC).replace(tzinfo=None), "us")
    folds = {horizon: _fold(data, horizon, instant, settings) for horizon in data.horizons_hours}
    first = forecaster.fit(data, folds, seed=settings.seed)
    stopped = first.probability(data, {h: fold.validation for h, fold in folds.items()})
    learnt = {h: fold.learn for h, fold in folds.items()}
    final = forecaster.refit(data, learnt, effort=first.effort, seed=settings.seed)
    exports = final.to_onnx()
    sample = np.unique(np.concatenate(list(learnt.values())))
    check_parity(
        exports,
        lambda features, horizon: final.probability_of(features, horizon_hours=horizon),
        final.probes(data, sample=sample, seed=settings.seed),
    )
    models = []
    for horizon, fold in folds.items():
        target = data.targets[horizon]
        calibration = fit_calibration(stopped[horizon], target.up[fold.validation], horizon_hours=horizon)
        thresholds = choose_thresholds(
            calibration.apply(stopped[horizon]),
            target.forward_return[fold.validation],
            horizon_hours=horizon,
            round_trip_cost_bps=settings.round_trip_cost_bps,
        )
        models.append(
            TrainedHorizon(
                horizon_hours=horizon,
                onnx=exports[horizon].onnx,
                input_name=exports[horizon].input_name,
                output_name=exports[horizon].output_name,
                calibration_slope=calibration.slope,
                calibration_intercept=calibration.intercept,
                long_threshold=thresholds.long,
                short_threshold=thresholds.short,
            )
        )
    newest = max(data.targets[h].label_end[rows].max() for h, rows in learnt.items())
    return Vintage(
        algorithm=forecaster.algorithm,
        cutoff=cutoff,
        window_hours=final.window_hours,
        models=tuple(models),
        feature_names=data.feature_names,
        trained_until=newest.astype("datetime64[us]").item().replace(tzinfo=UTC),
        rows={h: len(rows) for h, rows in learnt.items()},
        validation_auc={
            h: auc(stopped[h], data.targets[h].up[fold.validation].astype(np.float64)) for h, fold in folds.items()
        },
        parameters_digest=forecaster.digest(),
        sizing=None if quantiles is None else train_sizing(data, folds, parameters=quantiles, seed=settings.seed),
    )


def _fold(data: TrainingSet, horizon: int, cutoff: np.datetime64, settings: TrainingSettings) -> Fold:
    target = data.targets[horizon]
    begin = data.decision_time[0]
    if cutoff - begin < np.timedelta64(settings.min_train_hours, "h"):
        raise SettingsInvalid(
            f"The history begins at {begin} and training.min_train_hours is {settings.min_train_hours}: a vintage of "
            f"{cutoff} would have too little to learn from. Ask for a later month, or ingest more history."
        )
    train, validation = learnable_rows(
        data.decision_time,
        np.where(target.labelled, target.label_end, np.datetime64("NaT")),
        test_start=cutoff,
        max_train_hours=settings.max_train_hours,
        embargo_hours=settings.embargo_hours,
    )
    if not len(train) or not len(validation):
        raise SettingsInvalid(f"No labelled hour ends before {cutoff}. Materialize labels, or ask for a later month.")
    return Fold(0, cutoff, train, validation, _NO_ROWS)
