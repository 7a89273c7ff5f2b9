"""What the exchange's market really was, beside what the lake says it was.

Belongs here: the rows of the market as the lake should hold them, and the differences. Does not belong: when they
must be equal (`invariants`). The market is asked directly, past HTTP, files, faults and our parsers: a parser that is
wrong in the same way at both doors still shows.
"""

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.table import INSTANT, at
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.market import BAR_STREAMS, HOUR_MS, INTERVALS_MS, Market, aggregate
from eth_pipeline.settings import Settings
from eth_pipeline.signals.gating.freshness import expected_symbols

_TIME = {"funding_rates": "funding_time", "open_interest": "period_end", "positioning": "period_end"}
_PRICES = ("open", "high", "low", "close")
_VALUES = {
    "klines": (*_PRICES, "volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"),
    "spot_klines": (*_PRICES, "volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"),
    "mark_klines": _PRICES,
    "premium_klines": _PRICES,
    "funding_rates": ("funding_rate",),
    "open_interest": ("open_interest",),
    "positioning": ("top_account_ratio", "top_position_ratio", "account_ratio"),
}
_RATIOS = {
    "top_account_ratio": "top_trader_ratio",
    "top_position_ratio": "top_trader_position_ratio",
    "account_ratio": "long_short_ratio",
}
_SHARE_OFF = 1e-6
_PRINTED = {"positioning": 1e-4}
"""The exchange prints ratios with four decimals, everything else as the market has it."""


def differences(
    lake: Lake,
    market: Market,
    *,
    settings: Settings,
    since: datetime,
    until: datetime,
    streams: tuple[str, ...] = tuple(STREAMS),
    symbols: tuple[str, ...] | None = None,
) -> Iterator[str]:
    """A sentence for every series whose rows in (since, until] are not the market's.

    Args:
        since, until: bounds of the instant at which a row was complete.
        streams: table names.
        symbols: None for all that the settings expect.
    """
    for stream in streams:
        for symbol in expected_symbols(stream, settings=settings):
            if symbols is not None and symbol not in symbols:
                continue
            true = true_rows(market, stream, symbol, interval=settings.base_interval, since=since, until=until)
            stored = _stored_rows(lake, stream, symbol, settings=settings, since=since, until=until)
            yield from _compared(stream, symbol, true, stored)


def true_rows(
    market: Market, stream: str, symbol: str, *, interval: str, since: datetime, until: datetime
) -> pl.DataFrame:
    """Rows of the market that were complete in (since, until]: the instant of the lake's key, and the values."""
    if stream in BAR_STREAMS:
        size_ms = INTERVALS_MS[interval]
        first_ms = int(since.timestamp() * 1000) // size_ms * size_ms - size_ms
        base = market.bars(stream, symbol, until=until).filter(pl.col("open_time") >= first_ms)
        complete = (pl.col("open_time") + size_ms).alias("complete")
        rows = aggregate(base, interval_ms=size_ms).with_columns(complete, pl.col("open_time").alias("time"))
    elif stream == "funding_rates":
        second = (pl.col("funding_time") / 1000).round().cast(pl.Int64) * 1000
        rows = market.funding(symbol, until=until).with_columns(second.alias("complete"), second.alias("time"))
    else:
        end = pl.col("period_end")
        rows = market.open_interest(symbol, until=until).filter(end % HOUR_MS == 0)
        ratios = [pl.col(theirs).alias(ours) for ours, theirs in _RATIOS.items()]
        rows = rows.with_columns(end.alias("complete"), end.alias("time"), *ratios)
    begun = pl.from_epoch("time", "ms").dt.replace_time_zone("UTC").cast(INSTANT)
    done = pl.from_epoch("complete", "ms").dt.replace_time_zone("UTC").cast(INSTANT)
    kept = rows.with_columns(begun.alias("time"), done.alias("complete")).filter(_within("complete", since, until))
    return kept.select("time", *_VALUES[stream])


def _stored_rows(
    lake: Lake, stream: str, symbol: str, *, settings: Settings, since: datetime, until: datetime
) -> pl.DataFrame:
    column = _TIME.get(stream, "open_time")
    complete = _TIME.get(stream, "close_time")
    where = (pl.col("symbol") == symbol) & _within(complete, since, until)
    if "interval" in STREAMS[stream].schema:
        where = where & (pl.col("interval") == settings.base_interval)
    rows = lake.read(STREAMS[stream], where=where, columns=[column, *_VALUES[stream]])
    return rows.rename({column: "time"})


def _compared(stream: str, symbol: str, true: pl.DataFrame, stored: pl.DataFrame) -> Iterator[str]:
    absent = true.join(stored, on="time", how="anti")
    if absent.height:
        yield f"{stream} {symbol}: {absent.height} rows are absent, the first of {_first(absent)}"
    invented = stored.join(true, on="time", how="anti")
    if invented.height:
        yield f"{stream} {symbol}: {invented.height} rows were never published, the first of {_first(invented)}"
    if stored["time"].is_duplicated().any():
        yield f"{stream} {symbol}: {int(stored['time'].is_duplicated().sum())} rows share their instant with another"
    share_off = _PRINTED.get(stream, _SHARE_OFF)
    both = stored.join(true, on="time", suffix="_true")
    for name in _VALUES[stream]:
        truth = pl.col(f"{name}_true")
        off = (pl.col(name) - truth).abs() > share_off * truth.abs().clip(lower_bound=share_off)
        wrong = both.filter(off.fill_null(value=False) | (pl.col(name).is_null() & truth.is_not_null()))
        if wrong.height:
            told, right = wrong.row(0, named=True)[name], wrong.row(0, named=True)[f"{name}_true"]
            yield f"{stream} {symbol}: {wrong.height} values of {name} are wrong: {told} for {right} at {_first(wrong)}"


def _first(rows: pl.DataFrame) -> str:
    first = rows["time"].min()
    assert isinstance(first, datetime)
    return iso(first)


def _within(column: str, since: datetime, until: datetime) -> pl.Expr:
    return (pl.col(column) > at(since)) & (pl.col(column) <= at(until))
