"""Bars that are doubted because two independent series of the same hour contradict them.

Belongs here: comparing perpetual bars with mark bars and with their successors. Does not belong: deleting or
correcting: a doubted bar stays as it was published, and its entry in the ledger says so.

Thresholds, measured on hourly history 2019-12 .. 2025-06 of ETH and BTC (about 97,000 hours with a mark price):
a close that differs from the next open by 10 bps or more while the mark close agrees ten times better with that
open happens three times, all in the outage of 2024-10-28; an extreme more than 10 % beyond the mark's happens
three times, all liquidation cascades (2020-03-13 ETH high 323 against 119, 2021-05-19, 2021-07-26).
"""

from datetime import datetime

import polars as pl

from eth_pipeline.contracts.quality import Cause, Status
from eth_pipeline.contracts.table import TableContract, at
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.exchange.doubts.findings import NOTHING_FOUND
from eth_pipeline.exchange.streams import Stream
from eth_pipeline.lake import Lake

COMPARED = (KLINES.name, MARK_KLINES.name)
"""Streams whose new rows are a reason to compare: whichever of the two comes second finds it."""

_TRUNCATED_BPS = 10.0
_MARK_AGREES_SHARE = 0.1
_SPIKE_SHARE = 0.10


def suspects(lake: Lake, stream: Stream, *, first: datetime, last: datetime) -> pl.DataFrame:
    """Doubted perpetual bars with `first` <= open_time <= `last`, of all symbols of `stream`."""
    last = last + stream.step  # the bar after the last one is its witness
    bars = _read(lake, KLINES, stream, first=first, last=last, columns=("open", "high", "low", "close"))
    marks = _read(lake, MARK_KLINES, stream, first=first, last=last, columns=("high", "low", "close"))
    if not (bars.height and marks.height):
        return NOTHING_FOUND
    return doubted(bars, marks)


def doubted(bars: pl.DataFrame, marks: pl.DataFrame) -> pl.DataFrame:
    """Findings from bars (symbol, open_time, close_time, open, high, low, close) and marks of the same shape."""
    successor = bars.select("symbol", pl.col("open_time").alias("close_time"), pl.col("open").alias("next_open"))
    joined = bars.join(successor, on=["symbol", "close_time"], how="left").join(
        marks, on=["symbol", "open_time"], suffix="_mark"
    )
    step_bps = (pl.col("close") / pl.col("next_open") - 1).abs() * 1e4
    mark_bps = (pl.col("close_mark") / pl.col("next_open") - 1).abs() * 1e4
    is_cut = (step_bps >= _TRUNCATED_BPS) & (mark_bps <= _MARK_AGREES_SHARE * step_bps)
    beyond = pl.max_horizontal(pl.col("high") / pl.col("high_mark") - 1, 1 - pl.col("low") / pl.col("low_mark"))
    cut = pl.format("closes at {}, the mark at {}, the next bar opens at {}", "close", "close_mark", "next_open")
    spike = pl.format("high {} low {}, the mark's {} and {}", "high", "low", "high_mark", "low_mark")
    return pl.concat(
        [
            _found(joined.filter(is_cut), Cause.SUSPECT_TRUNCATED, cut),
            _found(joined.filter(beyond > _SPIKE_SHARE), Cause.SUSPECT_SPIKE, spike),
        ]
    )


def _found(rows: pl.DataFrame, cause: Cause, detail: pl.Expr) -> pl.DataFrame:
    return rows.select(
        "symbol",
        pl.col("open_time").alias("time"),
        pl.lit(str(cause)).alias("cause"),
        pl.lit(str(Status.KEPT)).alias("status"),
        pl.lit(None, dtype=pl.String).alias("repair_source"),
        detail.alias("detail"),
    )


def _read(
    lake: Lake, contract: TableContract, stream: Stream, *, first: datetime, last: datetime, columns: tuple[str, ...]
) -> pl.DataFrame:
    times = ["open_time", "close_time"] if contract is KLINES else ["open_time"]
    return lake.read(
        contract,
        where=(pl.col("interval") == stream.interval)
        & pl.col("symbol").is_in(list(stream.symbols))
        & pl.col("open_time").is_between(at(first), at(last)),
        columns=["symbol", *times, *columns],
    )
