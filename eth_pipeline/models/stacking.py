"""The stack: a logistic regression over the calibrated out-of-fold forecasts of several algorithms.

Belongs here: joining out-of-fold tables, fitting forward in time, the stack's own out-of-fold table. Does not belong:
training members, whether the stack may act (`registry.promotions.decision`).

Members' forecasts of one hour are the only inputs, each made by a model that the hour taught nothing. For every
test window the weights are fitted on out-of-fold rows of earlier windows whose labels had ended before it, less the
embargo, so the stack's figures are out of fold twice. Until enough rows are there, and wherever the data does not
object, the weights are those of the plain mean of logits: that is the prior, with a ridge of one tenth of the rows'
effective number. With hourly rows and overlapping labels a row counts 1 / horizon.

Source: D. Wolpert, Stacked Generalization, Neural Networks 5 (1992); the ridge toward the mean follows the finding
that simple averages are hard to beat (Clemen 1989, International Journal of Forecasting 5).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.calibration import logit, sigmoid
from eth_pipeline.models.dataset import Floats, Mask
from eth_pipeline.models.out_of_fold import OOF_SCHEMA
from eth_pipeline.models.thresholds import choose_thresholds
from eth_pipeline.settings import TrainingSettings

ALGORITHM = "stacking"
_FIRST_FIT_EFFECTIVE_ROWS = 200
_RIDGE_SHARE = 0.1
_NEWTON_STEPS = 50
_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class StackWeights:
    """One horizon's stack: sigmoid(intercept + members' logits @ coefficients), fitted on `rows` rows."""

    horizon_hours: int
    algorithms: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float
    rows: int
    long_threshold: float = 1.0
    short_threshold: float = 0.0

    def apply(self, logits: Floats) -> Floats:
        """Probability of up from member logits [rows, members], float64 [rows]."""
        return sigmoid(logits @ np.array(self.coefficients) + self.intercept)


@dataclass(frozen=True)
class Stack:
    """The stack of every horizon and its own out-of-fold forecasts, `walk_forward.OOF_SCHEMA`."""

    weights: tuple[StackWeights, ...]
    oof: pl.DataFrame


def fit_stack(members: Mapping[str, pl.DataFrame], *, settings: TrainingSettings) -> Stack:
    """Fit the stack forward in time, then once on everything for use.

    Args:
        members: algorithm to its out-of-fold forecasts, `walk_forward.OOF_SCHEMA`, of the same walk-forward windows.
        settings: embargo and cost.

    Raises:
        ContractViolation: fewer than two members, or they have no hour in common.
    """
    if len(members) < 2:
        raise ContractViolation(f"A stack needs at least two members and got {sorted(members)}. Train another one.")
    horizons = sorted(set.intersection(*(set(oof["horizon_hours"].unique()) for oof in members.values())))
    weights, frames = [], []
    for horizon in horizons:
        joined = _joined(members, horizon)
        if not joined.height:
            continue
        final, oof = _forward(joined, tuple(members), horizon, settings)
        weights.append(final)
        frames.append(oof)
    if not weights:
        raise ContractViolation(
            f"The out-of-fold forecasts of {sorted(members)} share no hour. Train them on the same history and windows."
        )
    return Stack(tuple(weights), pl.concat(frames))


def _joined(members: Mapping[str, pl.DataFrame], horizon: int) -> pl.DataFrame:
    """Rows of one horizon that every member forecast, with a column of calibrated probability per member."""
    names = list(members)
    rows = members[names[0]].filter(pl.col("horizon_hours") == horizon)
    rows = rows.with_columns(pl.col("probability").alias(f"_{names[0]}"))
    for name in names[1:]:
        other = members[name].filter(pl.col("horizon_hours") == horizon)
        rows = rows.join(
            other.select("decision_time", pl.col("probability").alias(f"_{name}")), on="decision_time", how="inner"
        )
    return rows.sort("decision_time")


def _forward(
    rows: pl.DataFrame, names: tuple[str, ...], horizon: int, settings: TrainingSettings
) -> tuple[StackWeights, pl.DataFrame]:
    time = rows["decision_time"].dt.replace_time_zone(None).to_numpy()
    logits = np.column_stack([logit(rows[f"_{name}"].to_numpy()) for name in names])
    up, earned = rows["up"].to_numpy().astype(np.float64), rows["forward_return"].to_numpy()
    window = rows["fold"].to_numpy()
    probability, position = np.empty(len(up)), np.zeros(len(up))
    for number in np.unique(window):
        scored = window == number
        limit = time[scored][0] - settings.embargo_hours * _HOUR
        past: Mask = (time + horizon * _HOUR) < limit
        probability[scored] = fit_weights(logits[past], up[past], names=names, horizon_hours=horizon).apply(
            logits[scored]
        )
        thresholds = choose_thresholds(
            probability[past],
            earned[past],
            horizon_hours=horizon,
            round_trip_cost_bps=settings.round_trip_cost_bps,
        )
        position[scored] = thresholds.position(probability[scored])
    oof = rows.with_columns(
        probability=pl.Series(probability), raw_probability=pl.Series(probability), position=pl.Series(position)
    ).select(pl.col(name).cast(dtype) for name, dtype in OOF_SCHEMA.items())
    final = fit_weights(logits, up, names=names, horizon_hours=horizon)
    acting = choose_thresholds(
        probability, earned, horizon_hours=horizon, round_trip_cost_bps=settings.round_trip_cost_bps
    )
    return StackWeights(
        horizon_hours=horizon,
        algorithms=names,
        coefficients=final.coefficients,
        intercept=final.intercept,
        rows=final.rows,
        long_threshold=acting.long,
        short_threshold=acting.short,
    ), oof


def fit_weights(logits: Floats, up: Floats, *, names: tuple[str, ...], horizon_hours: int) -> StackWeights:
    """Ridge-penalised logistic regression toward the mean of the members' logits.

    Args:
        logits: [rows, members], of calibrated out-of-fold probabilities.
        up: 0 or 1 [rows].
        names: the members, in the order of the columns.
        horizon_hours: a row counts 1 / horizon, because the labels of neighbouring hours overlap.
    """
    members = len(names)
    prior = np.append(np.full(members, 1 / members), 0.0)
    weights = prior.copy()
    effective = len(up) / horizon_hours
    if effective >= _FIRST_FIT_EFFECTIVE_ROWS:
        spread = max(float(np.mean(logits**2)), 1e-12)
        ridge = np.append(np.full(members, _RIDGE_SHARE * effective * spread / 4), _RIDGE_SHARE * effective / 4)
        design = np.column_stack([logits, np.ones(len(up))])
        for _ in range(_NEWTON_STEPS):
            predicted = sigmoid(design @ weights)
            gradient = design.T @ (predicted - up) / horizon_hours + ridge * (weights - prior)
            curvature = (design * (predicted * (1 - predicted))[:, None]).T @ design / horizon_hours + np.diag(ridge)
            step = np.linalg.solve(curvature, gradient)
            weights = weights - step
            if np.abs(step).max() < 1e-10:
                break
    return StackWeights(
        horizon_hours=horizon_hours,
        algorithms=names,
        coefficients=tuple(map(float, weights[:-1])),
        intercept=float(weights[-1]),
        rows=len(up),
    )
