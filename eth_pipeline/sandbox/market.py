"""What a market must offer to be put behind the embedded exchange, and how its base bars become larger ones.

Belongs here: the `Market` protocol, interval vocabulary, frame schemas, symbol facts, aggregation.
Does not belong: where rows come from (`synthetic`, `replay`), what is visible when (`view`), wire formats.

Frames speak epoch milliseconds (Int64), as the exchange does. A float that a recording does not have is null.
"""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol

import numpy as np
import polars as pl

from eth_pipeline.sandbox.bar_streams import BAR_KINDS, BarStream

BAR_STREAMS: tuple[BarStream, ...] = tuple(BAR_KINDS)
STREAMS = (*BAR_STREAMS, "funding_rates", "open_interest", "positioning")

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
INTERVALS_MS: dict[str, int] = {
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
}

PRICES = ("open", "high", "low", "close")
VOLUMES = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
BAR_SCHEMA: dict[str, type[pl.DataType]] = {
    "open_time": pl.Int64,
    **dict.fromkeys((*PRICES, "volume", "quote_volume"), pl.Float64),
    "trades": pl.Int64,
    "taker_buy_volume": pl.Float64,
    "taker_buy_quote_volume": pl.Float64,
}
FUNDING_SCHEMA: dict[str, type[pl.DataType]] = {
    "funding_time": pl.Int64,
    "funding_rate": pl.Float64,
    "mark_price": pl.Float64,
    "interval_hours": pl.Int64,
}
OPEN_INTEREST_SCHEMA: dict[str, type[pl.DataType]] = {
    "period_end": pl.Int64,
    "open_interest": pl.Float64,
    "open_interest_value": pl.Float64,
    "top_trader_ratio": pl.Float64,
    "top_trader_position_ratio": pl.Float64,
    "long_short_ratio": pl.Float64,
    "taker_ratio": pl.Float64,
}


class SymbolFacts(NamedTuple):
    """Decimals the exchange prints and the smallest steps it trades."""

    base_asset: str
    price_decimals: int
    quantity_decimals: int
    tick_size: str


_KNOWN_SYMBOLS = {
    "ETHUSDT": SymbolFacts("ETH", 2, 3, "0.01"),
    "BTCUSDT": SymbolFacts("BTC", 2, 3, "0.01"),
    "SOLUSDT": SymbolFacts("SOL", 4, 2, "0.0001"),
    "BNBUSDT": SymbolFacts("BNB", 3, 2, "0.001"),
}


def symbol_facts(symbol: str) -> SymbolFacts:
    """Facts of `symbol`; an unknown USDT pair gets plausible ones."""
    return _KNOWN_SYMBOLS.get(symbol, SymbolFacts(symbol.removesuffix("USDT"), 4, 2, "0.0001"))


class Market(Protocol):
    """A source of rows. Frames are sorted by their time column, without duplicates, and never change in the past.

    `until` says how far the caller needs rows; a market may return more, and stops at its own end.
    """

    @property
    def provenance(self) -> Literal["simulated", "replay"]:
        """What every answer is labelled with."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """Perpetuals traded here."""
        ...

    @property
    def base_interval(self) -> timedelta:
        """Size of the bars that `bars` returns."""
        ...

    def bars(self, stream: BarStream, symbol: str, *, until: datetime) -> pl.DataFrame:
        """Base bars in `BAR_SCHEMA`; no rows where the market does not have the stream."""
        ...

    def funding(self, symbol: str, *, until: datetime) -> pl.DataFrame:
        """Settlements in `FUNDING_SCHEMA`."""
        ...

    def open_interest(self, symbol: str, *, until: datetime) -> pl.DataFrame:
        """Snapshots in `OPEN_INTEREST_SCHEMA`, keyed by the instant they describe."""
        ...


def aggregate(bars: pl.DataFrame, *, interval_ms: int) -> pl.DataFrame:
    """Bars of `interval_ms` from smaller ones; a sum over a missing value is missing, never a partial sum."""

    def whole_sum(name: str) -> pl.Expr:
        total = pl.col(name).sum().round(8)  # decimals in, decimals out: no 277462.38899999997
        return pl.when(pl.col(name).null_count() == 0).then(total).alias(name)

    return (
        bars.group_by(pl.col("open_time") // interval_ms * interval_ms, maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *[whole_sum(name) for name in VOLUMES],
        )
        .select(BAR_SCHEMA.keys())
    )


def place(times: pl.Series, at_ms: int, *, side: Literal["left", "right"]) -> int:
    """How many of the sorted `times` are before `at_ms`, with `side` "right" also those at it.

    polars' own `search_sorted` is a query, and a request for one row asks several times.
    """
    return int(np.searchsorted(times.to_numpy(), at_ms, side=side))
