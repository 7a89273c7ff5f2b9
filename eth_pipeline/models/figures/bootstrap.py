"""Uncertainty: weekly block bootstrap, the same resamples for every figure so that differences are paired.

Belongs here: resampling whole weeks and turning draws into intervals. Does not belong: the figures themselves
(`metrics`).

Hourly rows with labels of 5 to 24 hours are not independent; whole calendar weeks nearly are. One resample
draws as many weeks as there are, with replacement, so a row's weight is how often its week was drawn. Every
figure is computed from sums per week: an AUC from the pairs that each week won against each other one, a mean from the
week's total, both by one matrix product with the draws. Decile members stay those of the full sample.

Source: Kunsch (1989) block bootstrap, non-overlapping blocks; percentile intervals of Efron.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eth_pipeline.models.dataset import Floats, Mask, Matrix, Times
from eth_pipeline.models.figures.metrics import BPS, auc, simple_return, tails
from eth_pipeline.models.figures.report import Estimate

MIN_ROWS = 100
MIN_WEEKS = 8
_WEEKS_AT_ONCE = 64
Weeks = NDArray[np.int64]


@dataclass(frozen=True)
class WeeklyResamples:
    """Which week each row is in, and how often each resample drew each week.

    Attributes:
        week: int64 [rows], 0-based number of the row's week among the weeks present.
        draws: float64 [samples, weeks].
    """

    week: Weeks
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
        weeks, is_up = self.draws.shape[1], up > 0.5
        won = _wins(score[is_up], self.week[is_up], score[~is_up], self.week[~is_up], weeks=weeks)
        total = ((self.draws @ won) * self.draws).sum(axis=1)
        risen, fallen = (np.bincount(self.week[mask], minlength=weeks).astype(np.float64) for mask in (is_up, ~is_up))
        pairs = (self.draws @ risen) * (self.draws @ fallen)
        found: Floats = np.divide(total, pairs, out=np.full(len(total), np.nan), where=pairs > 0)
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

    def mean_estimate(self, values: Floats) -> Estimate:
        """Mean of `values` [rows] with its interval."""
        return self.estimate(float(values.mean()), self.mean(values))

    def auc_estimate(self, score: Floats, up: Matrix | Floats) -> Estimate:
        """AUC of `score` [rows] with its interval."""
        return self.estimate(auc(score, up), self.auc(score, up))

    def auc_comparison(self, score: Floats, rival: Floats, up: Matrix | Floats) -> tuple[Estimate, Estimate, Estimate]:
        """AUC of `score`, of `rival`, and the first minus the second, each with its interval, paired."""
        values, draws = (auc(score, up), auc(rival, up)), (self.auc(score, up), self.auc(rival, up))
        first, second = (self.estimate(value, drawn) for value, drawn in zip(values, draws, strict=True))
        return first, second, self.estimate(values[0] - values[1], draws[0] - draws[1])


def _wins(up: Floats, up_week: Weeks, down: Floats, down_week: Weeks, *, weeks: int) -> Floats:
    """Pairs in which a row that went up has the higher score, by week of either row, [weeks up, weeks down].

    Ties count one half. The rows that went up are sorted once; a row that went down at place r among them has lost to
    those from r on, and how many of these are in each week is one row of a table of counts from the end.
    """
    order = np.argsort(up, kind="stable")
    by_week = np.argsort(down_week, kind="stable")
    fallen, first = down[by_week], np.searchsorted(down_week[by_week], np.arange(weeks))
    places = [np.searchsorted(up[order], fallen, side=side) for side in ("left", "right")]
    present = np.diff(np.append(first, len(down))) > 0
    found = np.zeros((weeks, weeks))
    for begin in range(0, weeks, _WEEKS_AT_ONCE):
        columns = np.arange(begin, min(begin + _WEEKS_AT_ONCE, weeks))
        above = np.zeros((len(up) + 1, len(columns)), dtype=np.int32)
        above[:-1] = up_week[order][:, None] == columns
        above = np.cumsum(above[::-1], axis=0, dtype=np.int32)[::-1]
        for place in places:
            if present.any():
                found[columns[:, None], present] += np.add.reduceat(above[place], first[present], axis=0).T / 2
    return found
