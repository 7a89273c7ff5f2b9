"""Larger bars from smaller ones: complete bars only, keyed by close time, anchored to UTC midnight.

Belongs here: aggregation. Does not belong: looking bars up (`features.asof`), indicators.

The reviewed system keyed its higher timeframe bars by OPEN time and looked them up at or before t, which is a
look-ahead of up to 23 hours for daily bars. Here a bar carries the instant at which its last part was known.
"""

from datetime import timedelta

import polars as pl

from eth_pipeline.errors import ContractViolation

INTERVALS: dict[str, timedelta] = {
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "2h": timedelta(hours=2),
    "4h": timedelta(hours=4),
    "8h": timedelta(hours=8),
    "12h": timedelta(hours=12),
    "24h": timedelta(hours=24),
}
VOLUME_COLUMNS = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
_KEY = ("symbol", "open_time", "close_time", "available_at")


def aggregate(bars: pl.DataFrame, *, interval: str, base_interval: str) -> pl.DataFrame:
    """Aggregate closed `base_interval` bars of any number of symbols to complete `interval` bars.

    Args:
        bars: klines, spot klines or mark klines; rows of other intervals than `base_interval` are ignored.
        interval: target size, for example `4h`; bars start at multiples of it since UTC midnight.
        base_interval: size of the bars that are there.

    Returns:
        symbol, open_time, close_time, available_at (when the last part was known), open, high, low, close and
        those volume columns that `bars` has; sorted by symbol and time. A bar with a missing part is dropped;
        a volume column with a missing part is null, never a smaller sum.

    Raises:
        ContractViolation: an unknown interval, or one that the base interval does not divide.
    """
    parts = _parts(interval, base_interval)
    if "interval" in bars.columns and not (bars["interval"] == base_interval).all(ignore_nulls=False):
        bars = bars.filter(pl.col("interval") == base_interval)
    volumes = [name for name in VOLUME_COLUMNS if name in bars.columns]
    prices = ["open", "high", "low", "close"]
    bars = _in_order(bars[[*_KEY, *prices, *volumes]])
    if parts == 1:
        return bars
    size = INTERVALS[interval]
    return (
        bars.group_by("symbol", pl.col("open_time").dt.truncate(size), maintain_order=True)
        .agg(
            pl.col("available_at").max(),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *[pl.when(pl.col(v).null_count() == 0).then(pl.col(v).sum()).alias(v) for v in volumes],
            pl.len().alias("_parts"),
        )
        .filter(pl.col("_parts") == parts)
        .with_columns((pl.col("open_time") + size).alias("close_time"))
        .select(*_KEY, *prices, *volumes)
    )


def _in_order(bars: pl.DataFrame) -> pl.DataFrame:
    """By symbol and time; the bars of one symbol are mostly in order already, and sorting is slow."""
    if bars["symbol"].n_unique() > 1:
        return bars.sort("symbol", "open_time")
    return bars if bars["open_time"].is_sorted() else bars.sort("open_time")


def _parts(interval: str, base_interval: str) -> int:
    for name in (interval, base_interval):
        if name not in INTERVALS:
            raise ContractViolation(f"Unknown bar interval {name!r}. Use one of {', '.join(INTERVALS)}.")
    parts, rest = divmod(INTERVALS[interval], INTERVALS[base_interval])
    if rest or parts < 1:
        raise ContractViolation(
            f"{interval} bars cannot be made from {base_interval} bars. Ask for a multiple of {base_interval}, "
            "or ingest a smaller base interval (ETH_PIPELINE_BASE_INTERVAL)."
        )
    return parts
