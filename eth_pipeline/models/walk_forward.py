"""The walk-forward: for every test window, learn from its past, calibrate on its past, then score it once.

Belongs here: the loop over refits and the table of out-of-fold forecasts. Does not belong: the algorithm
(`models.forecaster`), row selection (`models.folds`), figures (`models.figures.evaluation`).

Per window and horizon: fit on train with early stopping on validation; fit the calibration on validation
forecasts; refit on train and validation together with the rounds found; score the test window. Thresholds of
a window come from the out-of-fold rows of earlier windows whose labels had ended before it, less the embargo.
No test row is ever read before it is scored.

Windows depend on nothing but their own past, so a forecaster that can be fitted `side_by_side` has several of them
under way at a time; thresholds, which read earlier windows, are chosen after all are scored. The result is the
same whatever the number of threads.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.baselines import constant_probability, volatility_probability
from eth_pipeline.models.calibration import fit_calibration
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.figures.bootstrap import MIN_ROWS
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.folds import Fold, walk_forward_folds
from eth_pipeline.models.forecaster import Forecaster, Progress
from eth_pipeline.models.out_of_fold import OOF_SCHEMA, KeptWindow, WalkForward
from eth_pipeline.models.thresholds import choose_thresholds
from eth_pipeline.settings import TrainingSettings


@runtime_checkable
class SideBySide(Protocol):
    """A forecaster of which several fits may run in threads of one process; the others are fitted one by one."""

    def side_by_side(self) -> tuple[Forecaster, int]:
        """The same algorithm with one thread per fit, and how many fits may run at the same time."""
        ...


@dataclass(frozen=True)
class _Scored:
    """One horizon of one window."""

    fold: Fold
    forecasts: pl.DataFrame
    effort: int
    validation_auc: float


def walk_forward(
    data: TrainingSet,
    forecaster: Forecaster,
    *,
    settings: TrainingSettings,
    volatility_feature: str,
    progress: Progress | None = None,
    keep: int = 0,
) -> WalkForward:
    """Refit `forecaster` every `settings.refit_every_hours` and score what follows.

    Args:
        data: the whole history; each refit reads its past only.
        forecaster: algorithm with parameters.
        settings: windows, embargo, seed and cost.
        volatility_feature: input of the volatility-only baseline.
        progress: called after every window, oldest first.
        keep: how many of the newest windows' models to hand back.

    Raises:
        SettingsInvalid: the history leaves no window, or fewer than 100 rows to score.
    """
    windows = windows_by_index(data, settings)
    one_by_one, at_once = forecaster.side_by_side() if isinstance(forecaster, SideBySide) else (forecaster, 1)
    scored: dict[int, list[_Scored]] = {}
    kept: list[KeptWindow] = []

    def score(number: int) -> tuple[dict[int, _Scored], KeptWindow | None]:
        found, window = _score_window(data, one_by_one, windows[number], settings, volatility_feature)
        return found, window if number >= len(windows) - keep else None

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        for done, (found, window) in enumerate(pool.map(score, range(len(windows))), start=1):
            for horizon, of_horizon in found.items():
                scored.setdefault(horizon, []).append(of_horizon)
            kept += [window] if window is not None else []
            if progress is not None:
                progress("walk-forward", done, len(windows))
    rows = {h: sum(window.forecasts.height for window in of_horizon) for h, of_horizon in scored.items()}
    if not rows or min(rows.values()) < MIN_ROWS:
        raise SettingsInvalid(
            f"The walk-forward left {rows or 'no'} scored rows by horizon; {MIN_ROWS} are needed to say anything. "
            "Ingest more history or lower training.min_train_hours."
        )
    return WalkForward(
        oof=pl.concat([_with_positions(data, scored[h], h, settings) for h in sorted(scored)]),
        effort={h: tuple(window.effort for window in of_horizon) for h, of_horizon in scored.items()},
        validation_auc={h: tuple(window.validation_auc for window in of_horizon) for h, of_horizon in scored.items()},
        folds=len(windows),
        kept=tuple(kept),
    )


def windows_by_index(data: TrainingSet, settings: TrainingSettings) -> list[dict[int, Fold]]:
    """Folds of all horizons, grouped by test window, oldest first."""
    windows: dict[int, dict[int, Fold]] = {}
    for horizon in data.horizons_hours:
        target = data.targets[horizon]
        for fold in walk_forward_folds(
            data.decision_time,
            np.where(target.labelled, target.label_end, np.datetime64("NaT")),
            refit_every_hours=settings.refit_every_hours,
            min_train_hours=settings.min_train_hours,
            max_train_hours=settings.max_train_hours,
            embargo_hours=settings.embargo_hours,
        ):
            windows.setdefault(fold.index, {})[horizon] = fold
    return [windows[index] for index in sorted(windows)]


def _score_window(
    data: TrainingSet,
    forecaster: Forecaster,
    folds: Mapping[int, Fold],
    settings: TrainingSettings,
    volatility_feature: str,
) -> tuple[dict[int, _Scored], KeptWindow]:
    first = forecaster.fit(data, folds, seed=settings.seed)
    on_validation = first.probability(data, {h: fold.validation for h, fold in folds.items()})
    learnt = {h: fold.learn for h, fold in folds.items()}
    final = forecaster.refit(data, learnt, effort=first.effort, seed=settings.seed)
    on_test = final.probability(data, {h: fold.test for h, fold in folds.items()})
    scored, calibrations = {}, {}
    for horizon, fold in folds.items():
        target = data.targets[horizon]
        validated = target.up[fold.validation]
        calibration = calibrations[horizon] = fit_calibration(on_validation[horizon], validated, horizon_hours=horizon)
        volatility = volatility_probability(
            data, feature=volatility_feature, horizon_hours=horizon, learn=fold.learn, score=fold.test
        )
        forecasts = pl.DataFrame(
            {
                "decision_time": pl.Series(data.decision_time[fold.test]).dt.replace_time_zone("UTC"),
                "probability": calibration.apply(on_test[horizon]),
                "raw_probability": on_test[horizon],
                "up": target.up[fold.test],
                "forward_return": target.forward_return[fold.test],
                "late_return": target.late_return[fold.test],
                "volatility_probability": volatility,
                "horizon_hours": np.full(len(fold.test), horizon),
                "fold": np.full(len(fold.test), fold.index),
                "constant_probability": np.full(
                    len(fold.test), constant_probability(target.up[fold.learn].astype(np.float64))
                ),
            }
        )
        scored[horizon] = _Scored(fold, forecasts, first.effort[horizon], auc(on_validation[horizon], validated))
    return scored, KeptWindow({h: fold.test for h, fold in folds.items()}, final, calibrations)


def _with_positions(
    data: TrainingSet, windows: list[_Scored], horizon_hours: int, settings: TrainingSettings
) -> pl.DataFrame:
    forecasts = pl.concat([window.forecasts for window in windows])
    label_end = data.targets[horizon_hours].label_end[np.concatenate([window.fold.test for window in windows])]
    probability, forward_return = (forecasts[name].to_numpy() for name in ("probability", "forward_return"))
    positions = np.zeros(forecasts.height)
    begin = 0
    for window in windows:
        limit = window.fold.test_start - np.timedelta64(settings.embargo_hours, "h")
        past = np.flatnonzero(label_end[:begin] < limit)
        thresholds = choose_thresholds(
            probability[past],
            forward_return[past],
            horizon_hours=horizon_hours,
            round_trip_cost_bps=settings.round_trip_cost_bps,
        )
        end = begin + window.forecasts.height
        positions[begin:end] = thresholds.position(probability[begin:end])
        begin = end
    return forecasts.with_columns(position=pl.Series(positions)).select(
        pl.col(name).cast(dtype) for name, dtype in OOF_SCHEMA.items()
    )
