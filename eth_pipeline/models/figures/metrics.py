"""Figures that judge probabilities: ranking, log loss, calibration, and what a ranking would have earned.

Belongs here: pure functions of scores and outcomes. Does not belong: their uncertainty (`bootstrap`),
which rows they may see (`models.folds`), whether they are good enough (`registry.promotions.gates`).

Everywhere: `up` is 1.0 or 0.0 [rows] without NaN, `score` and `probability` are [rows], returns are log returns;
what is said in bps is money and therefore their simple return.
"""

import numpy as np
from numpy.typing import NDArray

from eth_pipeline.models.dataset import Floats, Mask, Matrix, Times

BPS = 10_000.0
_CLIP = 1e-7


def auc(score: Floats, up: Matrix | Floats) -> float:
    """Area under the ROC curve by ranks; ties count one half; NaN where only one class is present.

    Source: Mann and Whitney (1947), the U statistic divided by the number of pairs.
    """
    positive = up > 0.5
    ordered = np.sort(score[~positive])
    wins = np.searchsorted(ordered, score[positive], side="left") + np.searchsorted(
        ordered, score[positive], side="right"
    )
    pairs = len(wins) * len(ordered)
    return float(wins.sum() / 2 / pairs) if pairs else float("nan")


def row_log_loss(probability: Floats, up: Matrix | Floats) -> Floats:
    """Negative log likelihood of every row in nats, [rows]."""
    p = np.clip(probability.astype(np.float64), _CLIP, 1 - _CLIP)
    loss: Floats = -np.where(up > 0.5, np.log(p), np.log1p(-p))
    return loss


def log_loss(probability: Floats, up: Matrix | Floats) -> float:
    """Mean negative log likelihood in nats; a coin has 0.6931."""
    return float(row_log_loss(probability, up).mean())


def calibration_error(probability: Floats, up: Matrix | Floats, *, bins: int = 10) -> float:
    """Expected calibration error over equal-count bins: mean |forecast - frequency|, weighted by rows.

    Equal probabilities share a bin, so a constant forecast is judged by its one frequency. Chance alone gives
    about 0.4 * sqrt(bins * overlap / rows) to a perfect forecast whose labels overlap `overlap` rows.

    Source: Naeini, Cooper, Hauskrecht (2015), with quantile bins.
    """
    gap = np.bincount(equal_count_bins(probability, bins=bins), weights=probability - up)
    return float(np.abs(gap).sum() / len(probability))


def equal_count_bins(score: Floats, *, bins: int = 10) -> NDArray[np.int64]:
    """Number of each row's bin, 0 for the lowest scores, [rows]; equal scores share a bin, so bins may be empty."""
    edges = np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, score, side="left")


def cost_outcome(forward_return: Floats, *, round_trip_cost_bps: float) -> Floats:
    """+1 where a long pays, -1 where a short pays, 0 where neither, [rows]; the rule of `pays_*h` in `labels`."""
    pays: Floats = np.sign(forward_return) * (np.abs(forward_return) > round_trip_cost_bps / BPS)
    return pays


def simple_return(log_return: Floats) -> Floats:
    """Share gained by one unit held long; a mean of log returns would flatter shorts by half the variance."""
    found: Floats = np.expm1(log_return)
    return found


def tails(score: Floats, *, share: float = 0.1) -> tuple[Mask, Mask]:
    """Members of the bottom and of the top `share` of the scores; ties at the edge belong to neither."""
    low, high = np.quantile(score, [share, 1 - share])
    return score < low, score > high


def decile_spread_bps(score: Floats, forward_return: Floats) -> float:
    """Mean simple return of the top decile minus that of the bottom decile; NaN where one is empty."""
    bottom, top = tails(score)
    if not bottom.any() or not top.any():
        return float("nan")
    gained = simple_return(forward_return)
    return float((gained[top].mean() - gained[bottom].mean()) * BPS)


def net_bps(position: Floats, forward_return: Floats, *, round_trip_cost_bps: float) -> Floats:
    """Net return in bps of every decision that acts, [trades]; each pays one whole round trip.

    `position` is +1 long, -1 short, 0 no trade. Trades of neighbouring hours overlap: this is the mean worth
    of a decision, not the path of an account.
    """
    acts = position != 0
    earned: Floats = position[acts] * simple_return(forward_return[acts]) * BPS - round_trip_cost_bps
    return earned


def auc_by_year(score: Floats, up: Matrix | Floats, decision_time: Times) -> dict[str, float]:
    """AUC within each calendar year (UTC) that holds both outcomes."""
    years = decision_time.astype("datetime64[Y]")
    found = {str(year): auc(score[years == year], up[years == year]) for year in np.unique(years)}
    return {year: value for year, value in found.items() if np.isfinite(value)}
