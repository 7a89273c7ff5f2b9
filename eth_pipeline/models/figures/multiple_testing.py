"""How much of a Sharpe ratio is the luck of having tried often: deflation, and overfitting by cross-validation.

Belongs here: two published corrections as pure functions of numbers and matrices. Does not belong: counting the tries
and keeping their series (`registry`), the series themselves (`pnl`).
"""

import math
from itertools import combinations
from statistics import NormalDist

import numpy as np

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.dataset import Floats
from eth_pipeline.models.figures.pnl import Moments

BLOCKS = 16
MIN_DAYS_PER_BLOCK = 5
_EULER = 0.5772156649015329
_NORMAL = NormalDist()


def expected_best_sharpe(*, tries: int, sharpe_variance: float) -> float:
    """Expected largest Sharpe ratio of `tries` configurations without any skill, per period.

    Args:
        tries: independent configurations; counting dependent ones as independent errs against the model.
        sharpe_variance: variance of the tries' Sharpe ratios, per period.

    Source: Bailey and Lopez de Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management 40 (2014), eq. 1.
    """
    if tries < 2:
        return 0.0
    nearest = _NORMAL.inv_cdf(1 - 1 / tries)
    farther = _NORMAL.inv_cdf(1 - 1 / (tries * math.e))
    return math.sqrt(sharpe_variance) * ((1 - _EULER) * nearest + _EULER * farther)


def deflated_sharpe_ratio(found: Moments, *, tries: int, sharpe_variance: float | None) -> float:
    """Probability that the true Sharpe ratio is above what the best of `tries` skill-less ones would show.

    With one try it is the probability that the true ratio is above 0 (the probabilistic Sharpe ratio).

    Args:
        found: moments of the returns per period, not annualised; periods must hardly overlap.
        tries: configurations tried, this one included.
        sharpe_variance: variance of the tries' Sharpe ratios per period; None where they are not known, then that
            of skill-less independent tries, 1 / (periods - 1).

    Source: as `expected_best_sharpe`, eq. 2.
    """
    variance = 1 / (found.periods - 1) if sharpe_variance is None else sharpe_variance
    hurdle = expected_best_sharpe(tries=tries, sharpe_variance=variance)
    sharpe = found.sharpe
    doubt = 1 - found.skewness * sharpe + (found.kurtosis - 1) / 4 * sharpe**2
    return _NORMAL.cdf((sharpe - hurdle) * math.sqrt(found.periods - 1) / math.sqrt(max(doubt, 1e-12)))


def overfitting_probability(returns: Floats, *, blocks: int = BLOCKS) -> float | None:
    """Share of half-histories whose best try is at or below the median of the tries in the other half.

    Combinatorially symmetric cross-validation: the days are cut into `blocks` contiguous blocks (the newest few days
    that fill none are left out); every choice of half the blocks ranks the tries by Sharpe ratio and looks at what
    became of its best one in the other half. About 0.5 where the choice among tries is luck, near 0 where one try is
    truly better. It says nothing about whether the best one earns anything.

    Args:
        returns: float [days, tries], aligned by day.
        blocks: even number of blocks; 16 gives 12,870 splits.

    Returns:
        None where fewer than two tries ever trade, or a block would have fewer than five days.

    Raises:
        ContractViolation: an odd number of blocks, or a missing return.

    Source: Bailey, Borwein, Lopez de Prado and Zhu, The Probability of Backtest Overfitting, Journal of Computational
        Finance 20 (2017).
    """
    if blocks % 2 or blocks < 2:
        raise ContractViolation(f"overfitting_probability: {blocks} blocks have no halves. Give an even number.")
    if not np.isfinite(returns).all():
        raise ContractViolation("overfitting_probability: a return is missing. Align the tries by day first.")
    days = len(returns) // blocks
    if days < MIN_DAYS_PER_BLOCK or (returns.std(axis=0) > 0).sum() < 2:
        return None
    cut = returns[: days * blocks].reshape(blocks, days, -1)
    chosen = np.zeros((math.comb(blocks, blocks // 2), blocks))
    for split, members in enumerate(combinations(range(blocks), blocks // 2)):
        chosen[split, list(members)] = 1.0
    half_days = days * blocks // 2
    inside = _sharpe(chosen, cut, half_days)
    outside = _sharpe(1 - chosen, cut, half_days)
    best = inside.argmax(axis=1)
    of_best = np.take_along_axis(outside, best[:, None], axis=1)
    below, equal = (outside < of_best).sum(axis=1), (outside == of_best).sum(axis=1)
    rank = (below + (equal + 1) / 2) / (returns.shape[1] + 1)
    return float(np.mean(rank <= 0.5))


def _sharpe(chosen: Floats, cut: Floats, days: int) -> Floats:
    """Sharpe ratio per day of every try in every choice of blocks, [splits, tries]; 0 where nothing varies."""
    mean = chosen @ cut.sum(axis=1) / days
    variance = chosen @ (cut**2).sum(axis=1) / days - mean**2
    scale = np.sqrt(np.maximum(variance, 0.0))
    found: Floats = np.divide(mean, scale, out=np.zeros_like(mean), where=scale > 1e-12)
    return found
