"""How old the newest data of every stream is, measured on data time.

Belongs here: lag and limit per stream and symbol. Does not belong: what a stale stream does to a signal
(`policy`, `gate`), fetching newer rows (`exchange`).

The lag of a bar is counted from its close, of funding from its settlement, of open interest from the end of its
period, and against exchange time. File times and materialization times say nothing about the market: the
reviewed system served bars of 77.8 hours from files written minutes ago.
"""

from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from eth_pipeline.contracts.clock import HOUR, floor_hour, require_utc
from eth_pipeline.contracts.signal import StreamFreshness
from eth_pipeline.contracts.table import TableContract, at
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings

DATA_TIME: MappingProxyType[str, str] = MappingProxyType(
    {name: "close_time" if "close_time" in table.schema else table.key[-1] for name, table in STREAMS.items()}
)
"""Stream to the column its lag is counted from: the close of a bar, else the instant in the key."""

_MAIN_SYMBOL_ONLY = frozenset({"open_interest", "positioning"})
_RECENT_WINDOWS = (timedelta(hours=1), timedelta(hours=9), timedelta(days=2))
"""Where the newest row is looked for first: bars come every hour, funding every eight."""
_FEW_ROWS = 1_000


class _Newest(NamedTuple):
    data_time: datetime
    available_at: datetime
    source: str


def expected_symbols(stream: str, *, settings: Settings) -> tuple[str, ...]:
    """Symbols whose `stream` the settings ask for; the main symbol first."""
    return (settings.symbol,) if stream in _MAIN_SYMBOL_ONLY else settings.symbols


def measure_freshness(lake: Lake, *, settings: Settings, now: datetime) -> tuple[StreamFreshness, ...]:
    """Lag of every stream and symbol that the settings expect.

    Args:
        lake: the tables; only the newest rows are read, the whole column only where those are absent.
        settings: symbols, base interval and limits.
        now: exchange time. Rows that were not known by then do not count.

    Returns:
        One entry per stream and symbol. A lag that has reached its limit is stale; a stream without rows is not
        fresh and has no lag.
    """
    now = require_utc(now)
    measured = []
    for table in STREAMS.values():
        symbols = expected_symbols(table.name, settings=settings)
        newest = _newest_rows(lake, table, symbols=symbols, interval=settings.base_interval, now=now)
        measured += [_judge(table.name, symbol, newest.get(symbol), settings=settings, now=now) for symbol in symbols]
    return tuple(measured)


def _judge(stream: str, symbol: str, newest: _Newest | None, *, settings: Settings, now: datetime) -> StreamFreshness:
    limits = settings.freshness.limits(stream, is_main_symbol=symbol == settings.symbol)
    lag_hours = (now - newest.data_time) / HOUR if newest else None
    return StreamFreshness(
        stream=stream,
        symbol=symbol,
        newest_available_at=newest.available_at if newest else None,
        lag_hours=lag_hours,
        max_lag_hours=limits.max_lag_hours,
        stale_policy=limits.stale_policy,
        freshness_source=newest.source if newest else None,
        fresh=lag_hours is not None and lag_hours < limits.max_lag_hours,
    )


def _newest_rows(
    lake: Lake, table: TableContract, *, symbols: tuple[str, ...], interval: str, now: datetime
) -> dict[str, _Newest]:
    time = DATA_TIME[table.name]
    mine = pl.col("interval") == interval if "interval" in table.schema else pl.lit(True)
    found: dict[str, _Newest] = {}
    for window in (*_RECENT_WINDOWS, None):
        absent = tuple(symbol for symbol in symbols if symbol not in found)
        if not absent:
            break
        where = mine & pl.col("symbol").is_in(absent)
        if window is not None:
            # from a full hour on, so that the steps of a run, seconds apart, ask the lake the same question
            where = where & (pl.col(time) > at(floor_hour(now) - window))
        found |= _read_newest(lake, table, now=now, where=where)
    return found


def _read_newest(lake: Lake, table: TableContract, *, now: datetime, where: pl.Expr) -> dict[str, _Newest]:
    time = DATA_TIME[table.name]
    rows = lake.read(table, where=where, columns=["symbol", time, "available_at", "source"])
    if rows.height > _FEW_ROWS:  # of a stream that has stopped the whole history is looked through
        rows = rows.filter(pl.col("available_at") <= at(now)).sort(time).unique("symbol", keep="last")
    found: dict[str, _Newest] = {}
    for symbol, *values in rows.iter_rows():
        row = _Newest(*values)
        if row.available_at <= now and (symbol not in found or found[symbol].data_time < row.data_time):
            found[symbol] = row
    return found
