"""From calibrated probabilities to the few that are worth a round trip.

Belongs here: choosing the long and the short threshold from past out-of-fold rows and the cost model. Does
not belong: acting on them (`signals.gating.policy`), sizing.

The rule, the same in evaluation and for production: walk from the widest tail of past probabilities (30 % of
the rows) to the narrowest (1 %); take the first whose mean return, less one standard error, exceeds the
round-trip cost. The error counts overlapping labels once (rows / horizon). A tail needs 50 independent rows.
Where no tail earns its cost the threshold is one that no probability reaches: the model never acts.
"""

from dataclasses import dataclass

import numpy as np

from eth_pipeline.models.dataset import Floats
from eth_pipeline.models.figures.metrics import BPS, simple_return

NEVER_LONG = 1.01
NEVER_SHORT = -0.01
TAIL_SHARES = (0.3, 0.25, 0.2, 0.15, 0.1, 0.075, 0.05, 0.03, 0.02, 0.01)
MIN_INDEPENDENT_ROWS = 50


@dataclass(frozen=True)
class Thresholds:
    """Act long strictly above `long`, short strictly below `short`; the default never acts."""

    long: float = NEVER_LONG
    short: float = NEVER_SHORT

    def position(self, probability: Floats) -> Floats:
        """+1, -1 or 0 per row, float64 [rows]."""
        return (probability > self.long).astype(np.float64) - (probability < self.short)


def choose_thresholds(
    probability: Floats, forward_return: Floats, *, horizon_hours: int, round_trip_cost_bps: float
) -> Thresholds:
    """Choose both thresholds from past out-of-fold rows.

    Args:
        probability: calibrated, [rows], of rows whose labels had ended before the thresholds are used.
        forward_return: what followed, [rows], log returns.
        horizon_hours: label length in rows of one hour.
        round_trip_cost_bps: fees and slippage a trade must earn first.
    """
    cost = round_trip_cost_bps / BPS
    needed = MIN_INDEPENDENT_ROWS * horizon_hours
    gained = simple_return(forward_return)
    high = _edge(probability, gained, horizon_hours=horizon_hours, cost=cost, needed=needed)
    low = _edge(-probability, -gained, horizon_hours=horizon_hours, cost=cost, needed=needed)
    return Thresholds(NEVER_LONG if high is None else high, NEVER_SHORT if low is None else -low)


def _edge(score: Floats, gain: Floats, *, horizon_hours: int, cost: float, needed: int) -> float | None:
    if len(score) < needed:
        return None
    for edge in np.quantile(score, [1 - share for share in TAIL_SHARES]):
        earned = gain[score > edge]
        if len(earned) < needed:
            return None
        error = earned.std() / np.sqrt(len(earned) / horizon_hours)
        if earned.mean() - error > cost:
            return float(edge)
    return None
