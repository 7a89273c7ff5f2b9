"""The net result of one horizon's positions for the report, corrected for what else was tried.

Belongs here: bringing a candidate's series and those of earlier tries together by day. Does not belong: the formulas
(`pnl`, `multiple_testing`), storing series (`registry`).
"""

import numpy as np
import polars as pl

from eth_pipeline.models.dataset import Floats
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.multiple_testing import deflated_sharpe_ratio, overfitting_probability
from eth_pipeline.models.figures.pnl import (
    annual_return_estimate,
    daily_pnl,
    moments,
    net_of_decisions,
    sharpe_estimate,
    turnover_per_day,
    weekly_sums,
)
from eth_pipeline.models.figures.report import NetPnl

_THIS = "this candidate"


def net_pnl(
    of_horizon: pl.DataFrame,
    resamples: WeeklyResamples,
    *,
    horizon_hours: int,
    round_trip_cost_bps: float,
    tried: pl.DataFrame | None,
    tries: int,
) -> NetPnl:
    """Sharpe ratio, turnover, deflation and overfitting of one horizon.

    Args:
        of_horizon: out-of-fold forecasts of the horizon, oldest first.
        resamples: the weekly resamples of these rows.
        horizon_hours: how long a position is held.
        round_trip_cost_bps: fees and slippage of one round trip.
        tried: earlier tries' daily series; columns try_id, horizon_hours, day, net_bps.
        tries: configurations tried, this one included; where more series are given, their number counts.
    """
    position = of_horizon["position"].to_numpy().astype(np.float64)
    net = net_of_decisions(
        position,
        of_horizon["forward_return"].to_numpy(),
        horizon_hours=horizon_hours,
        round_trip_cost_bps=round_trip_cost_bps,
    )
    own = daily_pnl(of_horizon, round_trip_cost_bps=round_trip_cost_bps)
    days, series = tries_by_day(own, tried, horizon_hours=horizon_hours)
    found = moments(weekly_sums(net, of_horizon["decision_time"].to_numpy()))
    variance = _sharpe_variance(days, series)
    counted = max(tries, series.shape[1])
    return NetPnl(
        days=own.height,
        sharpe=sharpe_estimate(net, resamples),
        annual_return_bps=annual_return_estimate(net, resamples),
        turnover_per_day=turnover_per_day(position, horizon_hours=horizon_hours),
        sharpe_per_week=found.sharpe if found else None,
        skewness=found.skewness if found else None,
        kurtosis=found.kurtosis if found else None,
        deflated_sharpe=deflated_sharpe_ratio(found, tries=counted, sharpe_variance=variance) if found else None,
        tries_sharpe_variance=variance,
        overfitting_probability=overfitting_probability(series),
        tries_compared=series.shape[1],
    )


def tries_by_day(
    own: pl.DataFrame, tried: pl.DataFrame | None, *, horizon_hours: int
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.datetime64]], Floats]:
    """Days that every series has, and the net bps [days, tries] on them, this candidate's in the first column.

    Args:
        own: `pnl.PNL_SCHEMA` of this candidate, one horizon.
        tried: as in `net_pnl`.
        horizon_hours: which of its rows.
    """
    frames = [own.select("day", "net_bps", try_id=pl.lit(_THIS))]
    if tried is not None:
        frames.append(tried.filter(pl.col("horizon_hours") == horizon_hours).select("day", "net_bps", "try_id"))
    wide = pl.concat(frames).pivot("try_id", index="day", values="net_bps").drop_nulls().sort("day")
    others = sorted(name for name in wide.columns if name not in ("day", _THIS))
    return wide["day"].to_numpy(), wide.select(_THIS, *others).to_numpy().astype(np.float64)


def _sharpe_variance(days: np.ndarray[tuple[int, ...], np.dtype[np.datetime64]], series: Floats) -> float | None:
    """Variance of the tries' weekly Sharpe ratios; one that never trades has 0. None for a single try."""
    if series.shape[1] < 2 or not len(days):
        return None
    shapes = [moments(weekly_sums(column, days)) for column in series.T]
    return float(np.var([found.sharpe if found else 0.0 for found in shapes], ddof=1))
