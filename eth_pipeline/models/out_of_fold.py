"""Out-of-fold forecasts: what a walk-forward leaves behind, and what every honest figure is computed from.

Belongs here: the rows and values. Does not belong: making them (`walk_forward`,
`models.sizing`), judging them (`models.figures`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.models.calibration import Calibration
from eth_pipeline.models.dataset import Rows
from eth_pipeline.models.forecaster import FittedForecaster

OOF_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "decision_time": INSTANT,
    "horizon_hours": pl.Int32,
    "fold": pl.Int32,
    "probability": pl.Float64,
    "raw_probability": pl.Float64,
    "up": pl.Int8,
    "forward_return": pl.Float64,
    "late_return": pl.Float64,
    "volatility_probability": pl.Float64,
    "constant_probability": pl.Float64,
    "position": pl.Int8,
}
"""One row is one horizon's forecast of one hour that taught nothing to the model that made it.

`probability` is calibrated, `position` is +1/-1/0 beyond thresholds chosen from earlier windows only,
`late_return` is NaN where unknown.
"""

QUANTILE_OOF_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "decision_time": INSTANT,
    "horizon_hours": pl.Int32,
    "fold": pl.Int32,
    "level": pl.Float64,
    "forward_return": pl.Float64,
    "raw_quantile": pl.Float64,
    "quantile": pl.Float64,
    "unconditional_quantile": pl.Float64,
    "volatility_quantile": pl.Float64,
    "volatility": pl.Float64,
}
"""One row is one level of one hour that taught nothing to the model that made it.

`raw_quantile` is the model's, `quantile` has the offsets of earlier windows and is sorted; the baselines are quantiles
of the fold's learnable returns, and of those returns in units of `volatility` times the hour's own.
"""


@dataclass(frozen=True)
class KeptWindow:
    """A window's final model with what is needed to score other features on its test rows.

    Attributes:
        test: rows that were scored, by horizon.
        fitted: the model, which learnt from nothing later than the window's past.
        calibration: fitted on the window's validation rows, by horizon.
    """

    test: Mapping[int, Rows]
    fitted: FittedForecaster
    calibration: Mapping[int, Calibration]


@dataclass(frozen=True)
class WalkForward:
    """What the walk left behind.

    Attributes:
        oof: out-of-fold forecasts, `OOF_SCHEMA`, by horizon and time.
        effort: rounds that early stopping chose, by horizon, one per window.
        validation_auc: AUC on the rows that stopped and calibrated, by horizon, one per window; flattering by
            nature, kept to be compared with the out-of-fold figure and never instead of it.
        folds: windows that were scored.
        kept: the newest windows' models, oldest first, as many as were asked for.
    """

    oof: pl.DataFrame
    effort: Mapping[int, tuple[int, ...]]
    validation_auc: Mapping[int, tuple[float, ...]]
    folds: int
    kept: tuple[KeptWindow, ...] = ()
