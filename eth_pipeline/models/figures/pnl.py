"""What the positions would have earned after costs: a daily series, and its Sharpe ratio.

Belongs here: turning out-of-fold positions into money by day, the annualised Sharpe ratio, turnover. Does not belong:
choosing positions (`models.thresholds`), correcting for the number of tries (`multiple_testing`), an account
with margin and stops (`trading`).

**The account.** Every decision that acts opens a position of 1 / horizon of the capital and holds it for the horizon,
so acting every hour is being invested once. Each pays a whole round trip, although a position that follows one of the
same side would in practice be kept: the figure errs against the model. Nothing is compounded; a day's net is booked
on the day of the decision, in bps of the capital, and days without a trade earn 0.

**The Sharpe ratio.** Positions of 5 to 24 hours reach into the next day, so daily sums overlap and their spread is too
small for a year. Weekly sums (the weeks of `bootstrap`) hardly overlap: the ratio is their mean over their
standard deviation, times the root of the weeks in a year. No risk-free rate is subtracted.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from eth_pipeline.models.dataset import Floats, Times
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.metrics import BPS, simple_return
from eth_pipeline.models.figures.report import Estimate

WEEKS_PER_YEAR = 365.25 / 7
DAYS_PER_YEAR = 365.25
PNL_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "horizon_hours": pl.Int32,
    "day": pl.Date,
    "net_bps": pl.Float64,
}
"""One row is one horizon's net result of one day's decisions, bps of capital; days without a trade have 0."""


@dataclass(frozen=True)
class Moments:
    """Shape of a series of returns; `sharpe` is mean over standard deviation per period, not annualised.

    `skewness` is 0 and `kurtosis` 3 for a normal distribution.
    """

    periods: int
    sharpe: float
    skewness: float
    kurtosis: float


def net_of_decisions(
    position: Floats, forward_return: Floats, *, horizon_hours: int, round_trip_cost_bps: float
) -> Floats:
    """Net bps of capital of every decision, [rows]; 0 where it does not act.

    Args:
        position: +1, -1 or 0 [rows].
        forward_return: log return over the horizon [rows].
        horizon_hours: how long a position is held; its size is 1 / horizon of the capital.
        round_trip_cost_bps: paid by every decision that acts, on its size.
    """
    earned = position * simple_return(forward_return) * BPS - np.abs(position) * round_trip_cost_bps
    net: Floats = earned / horizon_hours
    return net


def daily_pnl(oof: pl.DataFrame, *, round_trip_cost_bps: float) -> pl.DataFrame:
    """The daily series of every horizon, `PNL_SCHEMA`, without holes between its first and last day.

    Args:
        oof: out-of-fold forecasts, `walk_forward.OOF_SCHEMA`.
        round_trip_cost_bps: fees and slippage of one round trip.
    """
    frames = []
    for horizon in sorted(oof["horizon_hours"].unique()):
        rows = oof.filter(pl.col("horizon_hours") == horizon).sort("decision_time")
        net = net_of_decisions(
            rows["position"].to_numpy().astype(np.float64),
            rows["forward_return"].to_numpy(),
            horizon_hours=horizon,
            round_trip_cost_bps=round_trip_cost_bps,
        )
        days = rows.select(day=pl.col("decision_time").dt.date(), net_bps=pl.Series(net))
        daily = days.group_by("day").agg(pl.col("net_bps").sum()).sort("day")
        daily = daily.upsample("day", every="1d").with_columns(pl.col("net_bps").fill_null(0.0))
        frames.append(daily.with_columns(horizon_hours=pl.lit(horizon)))
    return pl.concat(frames).select(pl.col(name).cast(dtype) for name, dtype in PNL_SCHEMA.items())


def moments(returns: Floats) -> Moments | None:
    """Moments of returns [periods]; None where they do not vary, so that no ratio exists."""
    spread = returns.std(ddof=1) if len(returns) > 1 else 0.0
    if spread <= 0:
        return None
    centred = (returns - returns.mean()) / returns.std()
    return Moments(
        periods=len(returns),
        sharpe=float(returns.mean() / spread),
        skewness=float(np.mean(centred**3)),
        kurtosis=float(np.mean(centred**4)),
    )


def weekly_sums(net: Floats, decision_time: Times) -> Floats:
    """Sums of `net` [rows] per calendar week (Thursday to Wednesday, UTC), [weeks], weeks without rows as 0."""
    week = decision_time.astype("datetime64[W]").astype(np.int64)
    return np.bincount(week - week.min(), weights=net).astype(np.float64)


def sharpe_estimate(net: Floats, resamples: WeeklyResamples) -> Estimate:
    """Annualised Sharpe ratio of the weekly sums of `net` [rows], with its interval; nulls where nothing varies."""
    sums = np.bincount(resamples.week, weights=net, minlength=resamples.draws.shape[1]).astype(np.float64)
    if moments(sums) is None:
        return Estimate(value=None, low=None, high=None)
    weeks = len(sums)

    def annualised(draws: Floats) -> Floats:
        mean = draws @ sums / weeks
        spread = np.sqrt(np.maximum(draws @ sums**2 / weeks - mean**2, 0.0) * weeks / (weeks - 1))
        nothing = np.full(len(draws), np.nan)
        ratio: Floats = np.divide(mean * np.sqrt(WEEKS_PER_YEAR), spread, out=nothing, where=spread > 1e-12)
        return ratio

    return resamples.estimate(float(annualised(np.ones((1, weeks)))[0]), annualised(resamples.draws))


def annual_return_estimate(net: Floats, resamples: WeeklyResamples) -> Estimate:
    """Net bps of capital per year, not compounded: mean per hour scored times the hours of a year."""
    hours = 24 * DAYS_PER_YEAR
    return resamples.estimate(float(net.mean()) * hours, resamples.mean(net) * hours)


def turnover_per_day(position: Floats, *, horizon_hours: int) -> float:
    """Times the capital is bought and sold per day: two sides of 1 / horizon for every decision that acts."""
    return float(2 * np.abs(position).sum() / horizon_hours / (len(position) / 24))
