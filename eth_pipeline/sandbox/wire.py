"""Rows as the JSON endpoints print them.

Belongs here: field order, decimal strings, placeholders. Does not belong: choosing rows (`rest`), CSV (`archive`).
"""

from typing import Any

import polars as pl

from eth_pipeline.sandbox.bar_streams import BAR_KINDS, BarStream
from eth_pipeline.sandbox.market import symbol_facts


def kline_arrays(frame: pl.DataFrame, *, stream: BarStream, symbol: str, size_ms: int) -> list[list[Any]]:
    """Twelve-field arrays; the price-only streams carry Binance's placeholders in the volume fields."""
    facts, kind = symbol_facts(symbol), BAR_KINDS[stream]
    if kind.prices_only:
        return [
            [time, *[f"{price:.8f}" for price in prices], "0", time + size_ms - 1, "0", size_ms // 1000, "0", "0", "0"]
            for time, *prices in frame.select("open_time", "open", "high", "low", "close").iter_rows()
        ]
    price_decimals = 8 if kind.spot else facts.price_decimals
    coin_decimals, quote_decimals = (8, 8) if kind.spot else (facts.quantity_decimals, 5)
    return [
        [
            row[0],
            *[f"{price:.{price_decimals}f}" for price in row[1:5]],
            text(row[5], coin_decimals),
            row[0] + size_ms - 1,
            text(row[6], quote_decimals),
            row[7],
            text(row[8], coin_decimals),
            text(row[9], quote_decimals),
            "0",
        ]
        for row in frame.iter_rows()
    ]


def text(value: float | None, decimals: int) -> str | None:
    """A decimal string as the exchange prints it; null for a value that a recording lacks."""
    return None if value is None else f"{value:.{decimals}f}"
