"""From a score to a probability that means what it says: Platt scaling with a prior.

Belongs here: the two-parameter logistic fit and its use. Does not belong: which rows it may see: validation
rows inside a fold, pooled out-of-fold rows for the production model.

Validation rows are few (their labels overlap, so 5 h labels of 1,000 hours count as 200) and a plain fit on
them swings between flipping and exaggerating a weak forecast. So rows weigh 1 / horizon, the slope has the
prior 1 +- 0.5 and the intercept 0 +- 0.1, both in logits: with much data the prior vanishes, with little the
forecast stays as it is. The slope never falls below 0.05, so calibration never reverses a ranking.

Source: Platt (1999); the prior is the Gaussian one of Bayesian logistic regression (MAP estimate).
"""

from dataclasses import dataclass

import numpy as np

from eth_pipeline.models.dataset import Floats, Matrix

MIN_SLOPE = 0.05
_SLOPE_PRIOR_SD = 0.5
_INTERCEPT_PRIOR_SD = 0.1
_CLIP = 1e-6
_NEWTON_STEPS = 50


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(slope * logit(raw) + intercept)."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, raw: Floats) -> Floats:
        """Calibrated probabilities, float64 [rows]."""
        return sigmoid(self.slope * logit(raw) + self.intercept)


def logit(probability: Floats) -> Floats:
    """log(p / (1 - p)), with p kept 1e-6 away from 0 and 1."""
    p = np.clip(np.asarray(probability, dtype=np.float64), _CLIP, 1 - _CLIP)
    return np.log(p) - np.log1p(-p)


def sigmoid(score: Floats) -> Floats:
    """1 / (1 + exp(-score)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(score, dtype=np.float64)))


def fit_calibration(raw: Floats, up: Matrix | Floats, *, horizon_hours: int) -> Calibration:
    """Fit slope and intercept on rows that trained nothing.

    Args:
        raw: uncalibrated probabilities [rows].
        up: outcomes [rows].
        horizon_hours: label length; hourly rows overlap that often and weigh 1 / horizon each.
    """
    score = logit(raw)
    prior_sd = (_SLOPE_PRIOR_SD, _INTERCEPT_PRIOR_SD)
    slope, intercept = fit_logistic(score, up, weight=1 / horizon_hours, prior_mean=(1.0, 0.0), prior_sd=prior_sd)
    if slope < MIN_SLOPE:
        slope, intercept = fit_logistic(
            score, up, weight=1 / horizon_hours, prior_mean=(MIN_SLOPE, 0.0), prior_sd=(1e-9, _INTERCEPT_PRIOR_SD)
        )
    return Calibration(slope=slope, intercept=intercept)


def fit_logistic(
    score: Floats,
    up: Matrix | Floats,
    *,
    weight: float,
    prior_mean: tuple[float, float],
    prior_sd: tuple[float, float],
) -> tuple[float, float]:
    """Slope and intercept of sigmoid(slope * score + intercept) by damped Newton steps on a convex loss.

    Args:
        score: [rows], finite.
        up: outcomes [rows].
        weight: weight of each row against the prior.
        prior_mean: of slope and intercept.
        prior_sd: of slope and intercept.
    """
    design = np.column_stack([score, np.ones(len(score))])
    outcome = np.asarray(up, dtype=np.float64)
    mean, precision = np.array(prior_mean), 1.0 / np.square(prior_sd)
    theta = mean.copy()
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(design @ theta)
        gradient = weight * design.T @ (p - outcome) + precision * (theta - mean)
        hessian = weight * (design * (p * (1 - p))[:, None]).T @ design + np.diag(precision)
        step = np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
        theta = theta - step
        if np.abs(step).max() < 1e-10:
            break
    return float(theta[0]), float(theta[1])
