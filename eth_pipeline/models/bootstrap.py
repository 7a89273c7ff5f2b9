"""Uncertainty: weekly block bootstrap, the same resamples for every figure so that differences are paired.

Belongs here: resampling whole weeks and turning draws into intervals. Does not belong: the figures themselves
(`models.metrics`).

Hourly rows with labels of 5 to 24 hours are not independent; whole calendar weeks nearly are. One resample
draws as many weeks as there are, with replacement, so a row's weight is how often its week was drawn. Every
figure is computed from row weights: an AUC by one cumulative sum over the sorted scores, a mean by one matrix
product of draws and per-week sums. Decile members stay those of the full sample.

Source: Kunsch (1989) block bootstrap, non-overlapping blocks; percentile intervals of Efron.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eth_pipeline.models.dataset import Floats, Mask, Matrix, Times
from eth_pipeline.models.metrics import BPS, simple_return, tails
from eth_pipeline.models.report import Estimate

MIN_ROWS = 100
MIN_WEEKS = 8


@dataclass(frozen=True)
class WeeklyResamples:
    """Which week each row is in, and how often each resample drew each week.

    Attributes:
        week: int64 [rows], 0-based number of the row's week among the weeks present.
        draws: float64 [samples, weeks].
    """

    week: NDArray[np.int64]
    draws: Floats

    @classmethod
    def of(cls, decision_time: Times, *, samples: int, seed: int) -> "WeeklyResamples":
        """Draw `samples` resamples of the weeks (Thursday to Wednesday, UTC) of `decision_time`."""
        _, week = np.unique(decision_time.astype("datetime64[W]"), return_inverse=True)
        weeks = int(week.max()) + 1 if len(week) else 0
        draws = np.random.default_rng(seed).multinomial(weeks, np.full(weeks, 1 / weeks), size=samples)
        return cls(week.astype(np.int64), draws.astype(np.float64))

    def where(self, mask: Mask) -> "WeeklyResamples":
        """The same resamples, seen by the rows of `mask` only; still paired with the full ones."""
        return replace(self, week=self.week[mask])

    @property
    def weeks(self) -> int:
        """Weeks in which there is at least one row."""
        return len(np.unique(self.week))

    def auc(self, score: Floats, up: Matrix | Floats) -> Floats:
        """AUC of every resample, [samples]; NaN where a resample has one class only."""
        order = np.argsort(score, kind="stable")
        ordered, week = score[order], self.week[order]
        is_up = up[order] > 0.5
        below = np.searchsorted(ordered, ordered[is_up], side="left")
        through = np.searchsorted(ordered, ordered[is_up], side="right")
        week_up, negative = week[is_up], (~is_up).astype(np.float64)
        found = np.empty(len(self.draws))
        seen = np.zeros(len(order) + 1)
        for number, drawn in enumerate(self.draws):
            np.cumsum(drawn[week] * negative, out=seen[1:])
            weight = drawn[week_up]
            pairs = weight.sum() * seen[-1]
            found[number] = weight @ (seen[below] + seen[through]) / 2 / pairs if pairs else np.nan
        return found

    def mean(self, values: Floats) -> Floats:
        """Mean of `values` [rows] in every resample, [samples]; NaN where a resample holds no row."""
        weeks = self.draws.shape[1]
        total = self.draws @ np.bincount(self.week, weights=values, minlength=weeks)
        count = self.draws @ np.bincount(self.week, minlength=weeks).astype(np.float64)
        found: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return found

    def decile_spread_bps(self, score: Floats, forward_return: Floats) -> Floats:
        """Top minus bottom decile of every resample in bps, [samples]; members as in the full sample."""
        bottom, top = tails(score)
        gained = simple_return(forward_return)
        return (self.where(top).mean(gained[top]) - self.where(bottom).mean(gained[bottom])) * BPS

    def estimate(self, value: float, drawn: Floats, *, share: float = 0.95) -> Estimate:
        """`value` with its percentile interval; nulls below 100 rows, no interval below 8 weeks."""
        if len(self.week) < MIN_ROWS or not np.isfinite(value):
            return Estimate(value=None, low=None, high=None)
        if self.weeks < MIN_WEEKS or not np.isfinite(drawn).any():
            return Estimate(value=value, low=None, high=None)
        low, high = np.nanquantile(drawn, [(1 - share) / 2, (1 + share) / 2])
        return Estimate(value=value, low=float(low), high=float(high))
