"""The growth-optimal share of equity, from a forecast's quantiles and its probability of up.

Belongs here: the distribution that a forecast stands for, and Kelly's optimum on it. Does not belong: fractions of it,
caps, refusals (`sizing`).

The optimum maximises E[log(1 + share * net return)] (Kelly 1956, "A new interpretation of information rate"; Thorp
2006, "The Kelly criterion in blackjack, sports betting, and the stock market"). The distribution: the quantiles,
interpolated linearly in normal scores and extended so beyond the outermost levels, crossing ones put in order
(Chernozhukov, Fernandez-Val and Galichon 2010, "Quantile and probability curves without crossing"); then both sides
of zero are reweighted so that up has the calibrated probability. So the probability says how often, the quantiles how
far; a normal forecast is the same whatever levels it is given at.
"""

from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eth_pipeline.signals.sizing.quantile_grid import POINTS, grid

_MAX_KELLY_SHARE = 20.0
_TOLERANCE = 1e-9
_NORMAL = NormalDist()
_Array = npt.NDArray[np.float64]


class Outcomes(NamedTuple):
    """A discrete distribution: net returns of the position on its notional, ascending, and their probabilities."""

    net: _Array
    weight: _Array

    def quantile(self, level: float) -> float:
        """The smallest net return that is reached with at least this probability."""
        place = int(np.searchsorted(np.cumsum(self.weight), level))
        return float(self.net[min(place, len(self.net) - 1)])


def outcomes_of(
    *, side: int, quantiles: Mapping[float, float], probability_up: float, cost_share: float
) -> Outcomes | None:
    """Net returns of a position in direction `side` (+1, -1) after `cost_share` of its notional, and their weights.

    None where the probability needs a direction that the quantiles do not have.
    """
    levels, values = tuple(sorted(quantiles)), np.sort(np.fromiter(quantiles.values(), dtype=float))
    segment, position = grid(levels)
    returns = values[segment] + position * (values[segment + 1] - values[segment])
    below = _level_of_zero(levels, values)
    if (below * POINTS < 1 and probability_up < 1) or ((1 - below) * POINTS < 1 and probability_up > 0):
        return None
    down = np.clip(below * POINTS - np.arange(POINTS), 0.0, 1.0) / POINTS
    weight = (1 - probability_up) * down / (below or 1.0) + probability_up * (1 / POINTS - down) / ((1 - below) or 1.0)
    net = side * np.expm1(returns) - cost_share
    order = slice(None, None, side)
    return Outcomes(net[order], weight[order])


def _level_of_zero(levels: tuple[float, ...], values: _Array) -> float:
    """Probability that the quantiles themselves give to a return of at most 0."""
    segment = int(np.clip(np.searchsorted(values, 0.0, side="right") - 1, 0, len(levels) - 2))
    width = values[segment + 1] - values[segment]
    if width <= 0:
        return 0.0 if values[segment] > 0 else 1.0
    low, high = (_NORMAL.inv_cdf(level) for level in levels[segment : segment + 2])
    return _NORMAL.cdf(low - values[segment] / width * (high - low))


def growth_optimal_share(outcomes: Outcomes) -> float:
    """The share that maximises expected log growth, by Newton steps kept inside a shrinking bracket.

    The derivative, E[net / (1 + share * net)], falls strictly; where it is positive up to ruin or up to
    `_MAX_KELLY_SHARE`, that bound is the answer.
    """
    net, weight = outcomes
    worst = float(net[0])
    low, high = 0.0, min(_MAX_KELLY_SHARE, 0.999 / -worst) if worst < 0 else _MAX_KELLY_SHARE
    if weight @ (net / (1 + high * net)) >= 0:
        return high
    share = 0.0
    for _ in range(60):
        gain = net / (1 + share * net)
        slope = float(weight @ gain)
        low, high = (share, high) if slope > 0 else (low, share)
        step = slope / float(weight @ gain**2)
        following = share + step if low < share + step < high else (low + high) / 2
        if abs(following - share) < _TOLERANCE:
            break
        share = following
    return share
