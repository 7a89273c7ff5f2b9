"""A seeded random market in the source table contracts, for tests and benchmarks of features and labels.

Belongs here: rows that look like Binance's and mean nothing. Does not belong: the embedded exchange (`sandbox`),
which speaks HTTP and plants a signal.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from eth_pipeline.contracts.table import INSTANT, TableContract
from eth_pipeline.contracts.tables import (
    FUNDING_RATES,
    KLINES,
    MARK_KLINES,
    OPEN_INTEREST,
    POSITIONING,
    PREMIUM_KLINES,
    SPOT_KLINES,
)
from eth_pipeline.features.sources import FeatureSources

MAIN = "ETHUSDT"
CROSS = ("BTCUSDT", "SOLUSDT", "BNBUSDT")
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
PRICES = {"ETHUSDT": 2300.0, "BTCUSDT": 42000.0, "SOLUSDT": 101.0, "BNBUSDT": 312.0}
STEPS = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1)}


def random_market(
    *, hours: int, seed: int = 7, base_interval: str = "1h", symbols: tuple[str, ...] = (MAIN, *CROSS)
) -> FeatureSources:
    """Complete history of `hours` from 2024-01-01, every table of `FeatureSources`."""
    rng, later_rng = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    step = STEPS[base_interval]
    bars = hours * (timedelta(hours=1) // step)
    common = rng.standard_t(4, bars) * 0.004
    tables: dict[str, list[pl.DataFrame]] = {
        "klines": [],
        "spot_klines": [],
        "mark_klines": [],
        "funding_rates": [],
        "open_interest": [],
        "premium_klines": [],
        "positioning": [],
    }
    for symbol in symbols:
        log_price = np.log(PRICES[symbol]) + np.cumsum(0.7 * common + 0.004 * rng.standard_t(4, bars)) * 0.5
        tables["klines"].append(_bars(rng, symbol, log_price, step, base_interval, KLINES))
        spot = log_price + rng.normal(0, 3e-4, bars)
        tables["spot_klines"].append(_bars(rng, symbol, spot, step, base_interval, SPOT_KLINES))
        mark = log_price + rng.normal(0, 1e-4, bars)
        tables["mark_klines"].append(_bars(rng, symbol, mark, step, base_interval, MARK_KLINES))
        tables["funding_rates"].append(_funding(rng, symbol, hours))
        tables["open_interest"].append(_open_interest(rng, symbol, hours))
        tables["premium_klines"].append(_premium(later_rng, symbol, bars, step, base_interval))
        tables["positioning"].append(_positioning(later_rng, symbol, hours))
    return FeatureSources(**{name: pl.concat(frames) for name, frames in tables.items()})


def _bars(
    rng: np.random.Generator,
    symbol: str,
    log_close: np.ndarray,
    step: timedelta,
    interval: str,
    table: TableContract,
) -> pl.DataFrame:
    n = len(log_close)
    close = np.exp(log_close)
    open_ = np.concatenate([[close[0]], close[:-1]]) * np.exp(rng.normal(0, 1e-5, n))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.002, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.002, n)))
    volume = rng.lognormal(7, 0.6, n) * (1.5 + np.sin(np.arange(n) * 2 * np.pi / 24))
    taker = volume * rng.beta(20, 20, n)
    times = [BEGIN + i * step for i in range(n)]
    frame = pl.DataFrame(
        {
            "open_time": pl.Series(times, dtype=INSTANT),
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "quote_volume": volume * close,
            "trades": (volume / rng.lognormal(0, 0.3, n)).astype(np.int64) + 1,
            "taker_buy_volume": taker,
            "taker_buy_quote_volume": taker * close,
        }
    ).with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit(interval).alias("interval"),
        (pl.col("open_time") + step).alias("close_time"),
        (pl.col("open_time") + step).alias("available_at"),
        pl.lit("archive").alias("source"),
        pl.lit("simulated").alias("provenance"),
    )
    return table.conform(frame.select(list(table.schema)))


def _funding(rng: np.random.Generator, symbol: str, hours: int) -> pl.DataFrame:
    times = [BEGIN + timedelta(hours=h) for h in range(0, hours + 1, 8)]
    rates = np.where(rng.random(len(times)) < 0.4, 1e-4, rng.normal(1e-4, 2e-4, len(times)))
    frame = pl.DataFrame({"funding_time": pl.Series(times, dtype=INSTANT), "funding_rate": rates}).with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit(8, dtype=pl.Int64).alias("interval_hours"),
        pl.col("funding_time").alias("available_at"),
        pl.lit("archive").alias("source"),
        pl.lit("simulated").alias("provenance"),
    )
    return FUNDING_RATES.conform(frame.select(list(FUNDING_RATES.schema)))


def _open_interest(rng: np.random.Generator, symbol: str, hours: int) -> pl.DataFrame:
    times = [BEGIN + timedelta(hours=h) for h in range(hours + 1)]
    level = 2e6 * np.exp(np.cumsum(rng.normal(0, 0.004, len(times))))
    frame = pl.DataFrame({"period_end": pl.Series(times, dtype=INSTANT), "open_interest": level}).with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit(None, dtype=pl.Float64).alias("open_interest_value"),
        (pl.col("period_end") + timedelta(minutes=5)).alias("available_at"),
        pl.lit("archive").alias("source"),
        pl.lit("simulated").alias("provenance"),
    )
    return OPEN_INTEREST.conform(frame.select(list(OPEN_INTEREST.schema)))


def _premium(rng: np.random.Generator, symbol: str, bars: int, step: timedelta, interval: str) -> pl.DataFrame:
    close = 3e-4 * np.tanh(np.cumsum(rng.normal(0, 0.1, bars)) * 0.1) + rng.normal(0, 1e-4, bars)
    open_ = np.concatenate([[close[0]], close[:-1]])
    frame = pl.DataFrame(
        {
            "open_time": pl.Series([BEGIN + i * step for i in range(bars)], dtype=INSTANT),
            "open": open_,
            "high": np.maximum(open_, close) + np.abs(rng.normal(0, 1e-4, bars)),
            "low": np.minimum(open_, close) - np.abs(rng.normal(0, 1e-4, bars)),
            "close": close,
        }
    ).with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit(interval).alias("interval"),
        (pl.col("open_time") + step).alias("close_time"),
        (pl.col("open_time") + step).alias("available_at"),
        pl.lit("archive").alias("source"),
        pl.lit("simulated").alias("provenance"),
    )
    return PREMIUM_KLINES.conform(frame.select(list(PREMIUM_KLINES.schema)))


def _positioning(rng: np.random.Generator, symbol: str, hours: int) -> pl.DataFrame:
    times = [BEGIN + timedelta(hours=h) for h in range(hours + 1)]
    ratios = ("top_account_ratio", "top_position_ratio", "account_ratio")
    frame = pl.DataFrame(
        {
            "period_end": pl.Series(times, dtype=INSTANT),
            **{name: np.exp(0.3 + 0.2 * np.sin(np.cumsum(rng.normal(0, 0.05, len(times))))) for name in ratios},
            "taker_ratio": rng.lognormal(0, 0.3, len(times)),
        }
    ).with_columns(
        pl.lit(symbol).alias("symbol"),
        (pl.col("period_end") + timedelta(minutes=5)).alias("available_at"),
        pl.lit("archive").alias("source"),
        pl.lit("simulated").alias("provenance"),
    )
    return POSITIONING.conform(frame.select(list(POSITIONING.schema)))
