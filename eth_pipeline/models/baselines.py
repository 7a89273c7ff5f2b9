"""What every forecast must beat: the base rate, and volatility alone.

Belongs here: baselines fitted on the learnable rows of a fold and scored on its test rows. Does not belong:
the last champion (`registry` pairs it), models that could be promoted.

Volatility alone is here because it once scored AUC 0.567 on a cost label that was believed to measure
direction. Its sign and slope are chosen by a one-feature logistic fit on the fold's own past.
"""

import numpy as np

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.calibration import fit_logistic, logit, sigmoid
from eth_pipeline.models.dataset import Floats, Rows, TrainingSet


def find_volatility_feature(feature_names: tuple[str, ...], name: str | None = None) -> str:
    """The feature that the volatility-only baseline reads: `name`, or the first that looks like volatility.

    Raises:
        ContractViolation: `name` is no feature, or none looks like trailing volatility.
    """
    if name is not None:
        if name not in feature_names:
            raise ContractViolation(f"The volatility baseline's feature {name!r} is not in the training set.")
        return name
    for candidate in feature_names:
        if candidate.startswith("realised_vol") or "vol_24" in candidate:
            return candidate
    raise ContractViolation(
        "No feature looks like trailing volatility (realised_vol* or *vol_24*), so the volatility-only baseline "
        "cannot be computed. Pass volatility_feature=<name>."
    )


def constant_probability(up: Floats) -> float:
    """Base rate of the learnable rows, kept away from 0 and 1 by one pseudo-row of each outcome."""
    return float((up.sum() + 1) / (len(up) + 2))


def volatility_probability(data: TrainingSet, *, feature: str, horizon_hours: int, learn: Rows, score: Rows) -> Floats:
    """Probability of up on rows `score` from one volatility feature, fitted on rows `learn` only.

    The feature enters by its rank among the learnable rows (0..1): no scale, no outliers. A missing
    volatility gets the base rate.
    """
    values = data.column(feature)
    up = data.targets[horizon_hours].up.astype(np.float64)
    base = constant_probability(up[learn])
    present = learn[np.isfinite(values[learn])]
    probability = np.full(len(score), base)
    if len(present) == 0:
        return probability
    ordered = np.sort(values[present])

    def rank(rows: Rows) -> Floats:
        return np.searchsorted(ordered, values[rows]) / len(ordered) - 0.5

    prior_mean = (0.0, float(logit(np.array(base))))
    slope, intercept = fit_logistic(
        rank(present), up[present], weight=1 / horizon_hours, prior_mean=prior_mean, prior_sd=(5.0, 1.0)
    )
    known = np.isfinite(values[score])
    probability[known] = sigmoid(slope * rank(score[known]) + intercept)
    return probability
