"""The state of the market for sizing: how its states are judged, and the production mixture.

Belongs here: walk-forward and production fit. Does not belong: the mixture and its graph (`mixture`), the
report's figures (`models.figures.sizing_report`), what a state does to a position (`trading`).

By default the inputs are the logs of the 24-hour and 7-day volatility. Trend efficiency and volume ratio may be added;
they were measured to make the states foretell the next day's volatility less well (docs/experiments.md).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from eth_pipeline.contracts.artifact import RegimeModel
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.models.dataset import Floats, TrainingSet
from eth_pipeline.models.figures.sizing_report import RegimeReport, regime_report
from eth_pipeline.models.forecaster import OnnxModel, Progress
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.sizing.mixture import STATES, VOLATILITIES, RegimeInput, fit_regime
from eth_pipeline.models.walk_forward import windows_by_index
from eth_pipeline.settings import TrainingSettings

_DAY = np.timedelta64(24, "h")

REGIME_OOF_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "decision_time": INSTANT,
    "fold": pl.Int32,
    **{state: pl.Float64() for state in STATES},
    "state": pl.Int8,
    "volatility_third": pl.Int8,
    "next_volatility": pl.Float64,
    "absolute_return": pl.Float64,
}
"""One row is one hour in states that were fitted before it.

`state` is the most probable one, 0 the calmest; `volatility_third` says the same by today's volatility alone, cut at
thirds of the learnable rows; `next_volatility` is realised from T to T + 24 h, `absolute_return` over the longest
horizon; NaN where unknown.
"""


@dataclass(frozen=True)
class TrainedRegime:
    """The production model with the out-of-fold rows (`REGIME_OOF_SCHEMA`) that judge how it was made."""

    onnx: OnnxModel
    oof: pl.DataFrame
    report: RegimeReport

    def contract(self, *, file: str) -> RegimeModel:
        """What the bundle says about it."""
        return RegimeModel(file=file, input_name=self.onnx.input_name, output_name=self.onnx.output_name, states=STATES)


def train_regime(
    data: TrainingSet,
    *,
    settings: TrainingSettings,
    inputs: tuple[RegimeInput, ...] = VOLATILITIES,
    progress: Progress | None = None,
) -> TrainedRegime:
    """Judge the states by purged walk-forward, then fit the production mixture on every row.

    Args:
        data: the whole history; targets are read to judge, never to fit.
        settings: windows, embargo, seed, bootstrap samples.
        inputs: of the mixture; the first is the 24-hour volatility that orders the states and is foretold.
        progress: called as (what, done, total).

    Raises:
        SettingsInvalid: the history is too short for the windows.
        ContractViolation: an input is no feature, or too few rows have all inputs.
        ParityFailed: the export is not the mixture.
    """
    oof = regime_walk_forward(data, settings=settings, inputs=inputs, progress=progress)
    rows = np.arange(len(data.features))
    final = fit_regime(data, rows, inputs=inputs)
    exported = final.to_onnx()
    parity = check_parity(
        {24: exported},
        lambda features, _: final.probability_of(features),
        {24: final.probes(data.features, seed=settings.seed)},
    )
    return TrainedRegime(exported, oof, regime_report(oof, states=STATES, settings=settings, parity=parity))


def regime_walk_forward(
    data: TrainingSet,
    *,
    settings: TrainingSettings,
    inputs: tuple[RegimeInput, ...] = VOLATILITIES,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """States of every test hour from mixtures fitted before it; returns `REGIME_OOF_SCHEMA`.

    Hours in which an input is missing are states too, from the inputs that are there; hours without the first input
    are left out, because the baseline has no answer for them.
    """
    longest = max(data.horizons_hours)
    today, frames = data.column(inputs[0].feature), []
    following = _a_day_later(data, today)
    windows = windows_by_index(data, settings)
    for done, folds in enumerate(windows, start=1):
        if longest in folds:
            fold = folds[longest]
            test = fold.test[np.isfinite(today[fold.test])]
            probability = fit_regime(data, fold.learn, inputs=inputs).probability_of(data.features[test])
            edges = np.nanquantile(today[fold.learn], [1 / 3, 2 / 3])
            frames.append(
                pl.DataFrame(
                    {
                        "decision_time": pl.Series(data.decision_time[test]).dt.replace_time_zone("UTC"),
                        "fold": np.full(len(test), fold.index),
                        **{name: probability[:, number] for number, name in enumerate(STATES)},
                        "state": probability.argmax(axis=1),
                        "volatility_third": np.searchsorted(edges, today[test]),
                        "next_volatility": following[test],
                        "absolute_return": np.abs(data.targets[longest].forward_return[test]),
                    }
                ).select(pl.col(name).cast(dtype) for name, dtype in REGIME_OOF_SCHEMA.items())
            )
        if progress is not None:
            progress("regime", done, len(windows))
    return pl.concat(frames)


def _a_day_later(data: TrainingSet, values: Floats) -> Floats:
    """The value of the row 24 hours later, NaN where that hour has no row."""
    wanted = data.decision_time + _DAY
    later = np.minimum(np.searchsorted(data.decision_time, wanted), len(values) - 1)
    return np.where(data.decision_time[later] == wanted, values[later], np.nan)
