"""What a vintage said of the hours that followed its cutoff, through its exported models.

Belongs here: scoring feature rows as the signal host would have. Does not belong: training (`vintage`), what
the sizing files answer (`vintage_sizing`), storing the rows (the lake).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

import numpy as np
import polars as pl

from eth_pipeline.errors import ContractViolation, SettingsInvalid
from eth_pipeline.models.calibration import Calibration
from eth_pipeline.models.candidate import TrainedHorizon
from eth_pipeline.models.dataset import Floats, Rows, TrainingSet
from eth_pipeline.models.vintages.vintage import Vintage
from eth_pipeline.models.vintages.vintage_sizing import score_sizing

_SIZED = {
    "quantiles": pl.String,
    "regime": pl.String,
    "input_coverage": pl.Float64,
    "out_of_bounds_share": pl.Float64,
}


def score_vintage(vintage: Vintage, data: TrainingSet, *, rows: Rows) -> pl.DataFrame:
    """Forecasts of `rows` through the vintage's ONNX files, as the signal host would have made them.

    Args:
        vintage: whose cutoff is at or before every row.
        data: features up to the rows, at least the vintage's inputs, in any order; targets are not read.
        rows: which rows of `data` to forecast.

    Returns:
        decision_time, horizon_hours, raw_probability, probability (calibrated), position (+1, -1 or 0 beyond the
        vintage's thresholds), quantiles, regime, input_coverage and out_of_bounds_share (see `vintage_sizing`; null in
        a vintage without sizing).

    Raises:
        SettingsInvalid: a row lies before the cutoff: its outcome may have taught the vintage.
        ContractViolation: an input of the vintage is missing.
    """
    cutoff = np.datetime64(vintage.cutoff.astimezone(UTC).replace(tzinfo=None), "us")
    if len(rows) and data.decision_time[rows].min() < cutoff:
        raise SettingsInvalid(
            f"The vintage of {vintage.cutoff:%Y-%m-%d} was asked about {data.decision_time[rows].min()}, before its "
            "cutoff. Ask the vintage of that month."
        )
    inputs = _inputs(data, vintage)
    features = windows(inputs, rows, window_hours=vintage.window_hours)
    sizing = None if vintage.sizing is None else score_sizing(vintage.sizing, inputs.features[rows])
    frames = []
    for model in vintage.models:
        raw = _answers(model, features)
        calibrated = Calibration(model.calibration_slope, model.calibration_intercept).apply(raw)
        position = (calibrated > model.long_threshold).astype(np.int8) - (calibrated < model.short_threshold)
        frames.append(
            pl.DataFrame(
                {
                    "decision_time": pl.Series(data.decision_time[rows]).dt.replace_time_zone("UTC"),
                    "raw_probability": raw,
                    "probability": calibrated,
                    "position": position.astype(np.int8),
                }
            ).with_columns(
                *_sized(sizing, horizon_hours=model.horizon_hours),
                horizon_hours=pl.lit(model.horizon_hours, pl.Int32),
            )
        )
    return pl.concat(frames)


def _sized(sizing: pl.DataFrame | None, *, horizon_hours: int) -> Sequence[pl.Series | pl.Expr]:
    if sizing is None:
        return [pl.lit(None, dtype).alias(name) for name, dtype in _SIZED.items()]
    return [
        sizing[f"quantiles_{horizon_hours}"].alias("quantiles"),
        *(sizing[name] for name in _SIZED if name != "quantiles"),
    ]


def windows(data: TrainingSet, rows: Rows, *, window_hours: int) -> Any:
    """Model inputs of `rows`: float32 [rows, features], or [rows, window_hours, features] on the hourly grid.

    An hour without a row is all NaN, as it is online.
    """
    if window_hours == 1:
        return data.features[rows]
    hour = np.timedelta64(1, "h")
    place = ((data.decision_time - data.decision_time[0]) / hour).astype(np.int64)
    grid = np.full((place[-1] + 1 + window_hours, data.features.shape[1]), np.nan, dtype=np.float32)
    grid[place + window_hours] = data.features
    offsets = np.arange(1 - window_hours, 1)
    return grid[place[rows][:, None] + window_hours + offsets]


def _inputs(data: TrainingSet, vintage: Vintage) -> TrainingSet:
    """`data` with exactly the vintage's inputs, in its order."""
    if data.feature_names == vintage.feature_names:
        return data
    if missing := [name for name in vintage.feature_names if name not in data.feature_names]:
        raise ContractViolation(
            f"The vintage of {vintage.cutoff:%Y-%m-%d} reads {missing[:5]}, and the features have no such columns. "
            "Train it again on the running feature code."
        )
    columns = [data.feature_names.index(name) for name in vintage.feature_names]
    return replace(data, features=data.features[:, columns], feature_names=vintage.feature_names)


def _answers(model: TrainedHorizon, features: Any) -> Floats:
    from onnxruntime import InferenceSession

    if not len(features):
        return np.empty(0)
    session = InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    (answer,) = session.run([model.output_name], {model.input_name: features})
    return np.asarray(answer, dtype=np.float64).reshape(-1)
