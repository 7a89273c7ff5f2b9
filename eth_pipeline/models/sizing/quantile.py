"""Quantiles of the forward return for sizing: walk-forward, conformal offsets, production models.

Belongs here: the order of training and what may be read when. Does not belong: the trees
(`models.trees.quantile_forest`), losses and coverage (`models.figures.sizing_report`), what a quantile does to a
position (`trading`).

Per window and horizon: fit every level on all learnable rows, forecast the test rows, add offsets, sort. The rounds are
fixed, so no row is spent on stopping. The offsets of a window come from the out-of-fold rows of earlier windows whose
labels had ended before it, less the embargo; the first windows have none. The production models inherit the offsets of
all out-of-fold rows. Neighbouring hours are not exchangeable, so coverage is measured and not promised.

Source: Romano, Patterson, Candes (2019), conformalised quantile regression, each tail by itself;
Chernozhukov, Fernandez-Val, Galichon (2010), crossing quantiles sorted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from eth_pipeline.contracts.artifact import QuantileModel
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.baselines import find_volatility_feature
from eth_pipeline.models.dataset import Floats, Rows, TrainingSet
from eth_pipeline.models.figures.sizing_report import QuantileReport, quantile_report
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import OnnxModel, Progress
from eth_pipeline.models.out_of_fold import QUANTILE_OOF_SCHEMA
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.trees.quantile_forest import (
    QuantileParameters,
    conformal_offsets,
    fit_quantiles,
    with_volatility,
)
from eth_pipeline.models.walk_forward import windows_by_index
from eth_pipeline.settings import TrainingSettings


@dataclass(frozen=True)
class TrainedQuantile:
    """One horizon's production model; forecast = sorted(onnx output + offsets)."""

    horizon_hours: int
    onnx: OnnxModel
    levels: tuple[float, ...]
    offsets: tuple[float, ...]

    def contract(self, *, file: str) -> QuantileModel:
        """What the bundle says about it."""
        return QuantileModel(
            horizon_hours=self.horizon_hours,
            file=file,
            input_name=self.onnx.input_name,
            output_name=self.onnx.output_name,
            levels=self.levels,
            offsets=self.offsets,
        )


@dataclass(frozen=True)
class TrainedQuantiles:
    """Every horizon's model, shortest first, with the out-of-fold rows (`QUANTILE_OOF_SCHEMA`) that judge them."""

    models: tuple[TrainedQuantile, ...]
    oof: pl.DataFrame
    report: QuantileReport


def train_quantiles(
    data: TrainingSet,
    *,
    settings: TrainingSettings,
    parameters: QuantileParameters | None = None,
    volatility_feature: str | None = None,
    progress: Progress | None = None,
) -> TrainedQuantiles:
    """Evaluate by purged walk-forward, then fit the production models on every labelled row of the rolling window.

    The production offsets come from all out-of-fold rows; nothing judges the production models themselves.

    Args:
        data: the whole history that may be learnt from.
        settings: windows, embargo, seed, bootstrap samples.
        parameters: levels and trees; the defaults where None.
        volatility_feature: positive feature, log return, that the target is divided by; by default the first
            feature named realised_vol* or *vol_24*.
        progress: called as (what, done, total).

    Raises:
        SettingsInvalid: the history is too short for the windows.
        ContractViolation: no volatility feature is found.
        ParityFailed: an export is not its model.
    """
    chosen = parameters or QuantileParameters()
    volatility = find_volatility_feature(data.feature_names, volatility_feature)
    oof = quantile_walk_forward(
        data, settings=settings, parameters=chosen, volatility_feature=volatility, progress=progress
    )
    known = data.column(volatility)
    rows = {h: with_volatility(_production_rows(data, h, settings), known) for h in data.horizons_hours}
    final = fit_quantiles(data, rows, parameters=chosen, volatility_feature=volatility, seed=settings.seed)
    exports = {h: fitted.to_onnx() for h, fitted in final.items()}
    parity = check_parity(
        exports,
        lambda features, h: final[h].forecast(features),
        {h: fitted.probes(data.features[rows[h]], seed=settings.seed) for h, fitted in final.items()},
    )
    return TrainedQuantiles(
        models=tuple(
            TrainedQuantile(h, export, chosen.levels, _offsets(oof, h, chosen.levels)) for h, export in exports.items()
        ),
        oof=oof,
        report=quantile_report(oof, settings=settings, parity=parity),
    )


def quantile_walk_forward(
    data: TrainingSet,
    *,
    settings: TrainingSettings,
    parameters: QuantileParameters,
    volatility_feature: str,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Refit every `settings.refit_every_hours`, forecast what follows; returns `QUANTILE_OOF_SCHEMA`.

    Raises:
        SettingsInvalid: the history leaves no window, or none with volatility.
    """
    scored: dict[int, list[_Window]] = {}
    windows = windows_by_index(data, settings)
    for done, folds in enumerate(windows, start=1):
        for horizon, window in _forecast_window(data, folds, settings, parameters, volatility_feature).items():
            scored.setdefault(horizon, []).append(window)
        if progress is not None:
            progress("quantiles", done, len(windows))
    if not scored:
        raise SettingsInvalid(
            f"No window has rows with {volatility_feature!r} both to learn from and to score. Ingest more history."
        )
    return pl.concat(
        [_frame(data, scored[h], h, settings, parameters.levels, volatility_feature) for h in sorted(scored)]
    )


@dataclass(frozen=True)
class _Window:
    """One horizon of one window: its test rows, and forecasts [rows, levels] of the model and of two baselines."""

    fold: Fold
    rows: Rows
    raw: Floats
    unconditional: Floats
    by_volatility: Floats


def _forecast_window(
    data: TrainingSet,
    folds: Mapping[int, Fold],
    settings: TrainingSettings,
    parameters: QuantileParameters,
    volatility_feature: str,
) -> dict[int, _Window]:
    volatility = data.column(volatility_feature)
    learn = {h: with_volatility(fold.learn, volatility) for h, fold in folds.items()}
    learn = {h: rows for h, rows in learn.items() if len(rows) and len(with_volatility(folds[h].test, volatility))}
    fitted = fit_quantiles(
        data, learn, parameters=parameters, volatility_feature=volatility_feature, seed=settings.seed
    )
    found = {}
    for horizon, taught in learn.items():
        fold, past = folds[horizon], data.targets[horizon].forward_return[taught]
        test = with_volatility(fold.test, volatility)
        unconditional = np.quantile(past, parameters.levels)
        scaled = np.quantile(past / volatility[taught], parameters.levels)
        found[horizon] = _Window(
            fold,
            test,
            fitted[horizon].forecast(data.features[test]),
            np.tile(unconditional, (len(test), 1)),
            np.outer(volatility[test], scaled),
        )
    return found


def _frame(
    data: TrainingSet,
    windows: list[_Window],
    horizon_hours: int,
    settings: TrainingSettings,
    levels: tuple[float, ...],
    volatility_feature: str,
) -> pl.DataFrame:
    target = data.targets[horizon_hours]
    rows, raw = np.concatenate([w.rows for w in windows]), np.concatenate([w.raw for w in windows])
    calibrated = np.empty_like(raw)
    begin = 0
    for window in windows:
        limit = window.fold.test_start - np.timedelta64(settings.embargo_hours, "h")
        past = np.flatnonzero(target.label_end[rows[:begin]] < limit)
        offsets = conformal_offsets(raw[past], target.forward_return[rows[past]], levels=levels)
        end = begin + len(window.rows)
        calibrated[begin:end] = np.sort(window.raw + offsets, axis=1)
        begin = end
    fold = np.concatenate([np.full(len(w.rows), w.fold.index) for w in windows])

    return pl.DataFrame(
        {
            "decision_time": pl.Series(np.repeat(data.decision_time[rows], len(levels))).dt.replace_time_zone("UTC"),
            "horizon_hours": np.full(raw.size, horizon_hours),
            "fold": np.repeat(fold, len(levels)),
            "level": np.tile(levels, len(rows)),
            "forward_return": np.repeat(target.forward_return[rows], len(levels)),
            "raw_quantile": raw.ravel(),
            "quantile": calibrated.ravel(),
            "unconditional_quantile": np.concatenate([w.unconditional for w in windows]).ravel(),
            "volatility_quantile": np.concatenate([w.by_volatility for w in windows]).ravel(),
            "volatility": np.repeat(data.column(volatility_feature)[rows], len(levels)),
        }
    ).select(pl.col(name).cast(dtype) for name, dtype in QUANTILE_OOF_SCHEMA.items())


def _offsets(oof: pl.DataFrame, horizon_hours: int, levels: tuple[float, ...]) -> tuple[float, ...]:
    rows = oof.filter(pl.col("horizon_hours") == horizon_hours)
    raw = rows["raw_quantile"].to_numpy().reshape(-1, len(levels))
    outcome = rows["forward_return"].to_numpy()[:: len(levels)]
    return tuple(map(float, conformal_offsets(raw, outcome, levels=levels)))


def _production_rows(data: TrainingSet, horizon_hours: int, settings: TrainingSettings) -> Rows:
    labelled = data.targets[horizon_hours].labelled
    if settings.max_train_hours is not None:
        newest = data.decision_time[labelled][-1]
        labelled = labelled & (data.decision_time > newest - np.timedelta64(settings.max_train_hours, "h"))
    return np.flatnonzero(labelled)
