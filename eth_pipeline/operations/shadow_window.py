"""The hours a shadow report is about: their records, and their forecasts joined with what became of them.

Belongs here: reading. Does not belong: figures (`shadow_report`).

Outcomes are labels made here from mark bars, by the same function as in training, and joined by the end of the label:
an hour whose horizon has not passed, or whose bars are not there, has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.table import INSTANT, at
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.labels.direction import build_labels
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings

_OUTCOMES = pl.Schema(
    [("decision_time", INSTANT), ("horizon_hours", pl.Int64()), ("outcome", pl.Float64()), ("up", pl.Int8())]
)


@dataclass(frozen=True)
class Window:
    """What the report is made of.

    Attributes:
        first: first hour.
        end: exclusive.
        records: of the window, oldest first.
        forecasts: rows of `FORECASTS` with `outcome` (log return) and `up`, null where unfinished.
    """

    first: datetime
    end: datetime
    records: tuple[SignalRecord, ...]
    forecasts: pl.DataFrame


def read_window(lake: Lake, settings: Settings, *, now: datetime, days: int) -> Window:
    """The last `days` days of full hours, the newest hour included.

    Args:
        lake: the tables.
        settings: symbol, phase, horizons' costs and base interval.
        now: exchange time; bars that were not known by then do not count.
        days: length of the window.
    """
    end = floor_hour(now) + HOUR
    first = end - timedelta(days=days)
    log = SignalLog(lake, folder=settings.home / "logs")
    records = log.between(first, end, symbol=settings.symbol, phase=settings.phase)
    within = (pl.col("decision_time") >= at(first)) & (pl.col("decision_time") < at(end))
    rows = lake.read(FORECASTS, where=(pl.col("symbol") == settings.symbol) & within)
    outcomes = _outcomes(lake, settings, rows["horizon_hours"].unique().sort().to_list(), first=first, now=now)
    return Window(first, end, records, rows.join(outcomes, on=["decision_time", "horizon_hours"], how="left"))


def _outcomes(
    lake: Lake, settings: Settings, horizons: Sequence[int], *, first: datetime, now: datetime
) -> pl.DataFrame:
    """Log return and direction per hour and horizon, of labels that have ended by `now`."""
    if not horizons:
        return pl.DataFrame(schema=_OUTCOMES)
    known = (pl.col("symbol") == settings.symbol) & (pl.col("available_at") <= at(now))
    recent = known & (pl.col("open_time") >= at(first - HOUR))
    labels = build_labels(
        mark_klines=lake.read(MARK_KLINES, where=recent),
        klines=lake.read(KLINES, where=recent),
        symbol=settings.symbol,
        base_interval=settings.base_interval,
        horizons_hours=tuple(horizons),
        round_trip_cost_bps=settings.training.round_trip_cost_bps,
    )
    ended = [
        labels.filter(pl.col(f"label_end_{h}h") <= at(now)).select(
            "decision_time",
            pl.lit(h, pl.Int64).alias("horizon_hours"),
            pl.col(f"forward_return_{h}h").alias("outcome"),
            pl.col(f"up_{h}h").alias("up"),
        )
        for h in horizons
    ]
    return pl.concat([pl.DataFrame(schema=_OUTCOMES), *ended])
