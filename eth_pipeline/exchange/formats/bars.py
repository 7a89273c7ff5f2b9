"""Bars: futures, mark-price and spot klines from REST JSON and archive CSV into one shape.

Belongs here: the twelve kline fields, header and timestamp-unit sniffing. Does not belong: which bars are asked
for, symbols and provenance (`exchange.ingest`), row rules (`contracts.tables`).

Returned columns: open_time, close_time, open, high, low, close, volume, quote_volume, trades, taker_buy_volume,
taker_buy_quote_volume, available_at. Mark-price klines carry placeholders in the volume fields; their contract
has no such columns and drops them.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from eth_pipeline.errors import ContractViolation
from eth_pipeline.exchange.formats.answers import rows_of, undocumented
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.formats.csv_rows import read_rows
from eth_pipeline.exchange.formats.published_time import instants

# Binance's order. Its close_time (open + interval - 1 ms) is not used: ours is the exclusive end.
_FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "open_time": pl.Int64,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
    "binance_close_time": pl.Int64,
    "quote_volume": pl.Float64,
    "trades": pl.Int64,
    "taker_buy_volume": pl.Float64,
    "taker_buy_quote_volume": pl.Float64,
    "ignored": pl.String,
}
_MICROSECONDS_FROM = 10**14  # milliseconds reach it in the year 5138, microseconds passed it in 1973


def bars_from_csv(content: bytes, file: ArchiveFile, *, interval: timedelta) -> pl.DataFrame:
    """Bars of one archive CSV, with or without header, in milliseconds or microseconds.

    Spot files are in microseconds from 2025-01-01, futures files stay in milliseconds: decided by magnitude.

    Raises:
        ContractViolation: other columns, both units in one file, or numbers that are no time.
    """
    rows = read_rows(content, _FIELDS, file)
    return _bars(rows.with_columns(_instants(rows["open_time"], file.key)), interval)


def bars_from_api(payload: Sequence[Sequence[Any]], *, interval: timedelta) -> pl.DataFrame:
    """Bars of one REST page: arrays of twelve fields, prices as text.

    Raises:
        ContractViolation: an array of another shape.
    """
    payload = rows_of(payload, what="klines")
    if any(not isinstance(row, list) or len(row) != len(_FIELDS) for row in payload):
        raise undocumented("klines", ValueError(f"expected arrays of {len(_FIELDS)} fields"))
    columns = zip(*payload, strict=True) if payload else ((),) * len(_FIELDS)
    try:
        rows = pl.DataFrame(
            [
                pl.Series(name, values, dtype=pl.Int64 if dtype == pl.Int64 else pl.String).cast(dtype)
                for (name, dtype), values in zip(_FIELDS.items(), columns, strict=True)
            ]
        )
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise undocumented("klines", error) from error
    return _bars(rows.with_columns(_instants(rows["open_time"], "klines answer")), interval)


def _bars(rows: pl.DataFrame, interval: timedelta) -> pl.DataFrame:
    close_time = pl.col("open_time") + interval
    kept = [name for name in _FIELDS if name not in ("binance_close_time", "ignored")]
    return rows.select(*kept, close_time.alias("close_time"), close_time.alias("available_at"))


def _instants(epochs: pl.Series, where: str) -> pl.Series:
    """Epoch numbers as instants; the unit is decided for the whole file."""
    micro = epochs >= _MICROSECONDS_FROM
    if micro.any() and not micro.all():
        raise ContractViolation(
            f"{where}: {int(micro.sum())} of {len(epochs)} timestamps are microseconds, the others milliseconds. "
            "The file was not used; its rows are asked for through the other door."
        )
    return instants(epochs, "us" if micro.any() else "ms", where=where)
