"""Larger bars: complete, keyed by close time, and never looked at before they closed."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from eth_pipeline.errors import ContractViolation
from eth_pipeline.features.bars import aggregate
from eth_pipeline.features.build import build_features
from eth_pipeline.features.catalogue import feature_names
from eth_pipeline_tests.random_market import BEGIN, CROSS, MAIN, random_market

HOUR = timedelta(hours=1)
TF = [name for name in feature_names(symbol=MAIN, cross_symbols=CROSS) if name.startswith("tf")]


@pytest.fixture(scope="module")
def quarters() -> pl.DataFrame:
    return random_market(hours=72, base_interval="15m").klines


@pytest.mark.parametrize("interval", ["30m", "1h", "4h", "8h", "24h"])
def test_a_bar_is_what_its_parts_say(quarters: pl.DataFrame, interval: str) -> None:
    whole = aggregate(quarters, interval=interval, base_interval="15m").filter(pl.col("symbol") == MAIN)
    parts = quarters.filter(pl.col("symbol") == MAIN)
    for bar in whole.iter_rows(named=True):
        inside = parts.filter((pl.col("open_time") >= bar["open_time"]) & (pl.col("close_time") <= bar["close_time"]))
        assert bar["open"] == inside["open"][0]
        assert bar["close"] == inside["close"][-1]
        assert (bar["high"], bar["low"]) == (inside["high"].max(), inside["low"].min())
        assert bar["volume"] == pytest.approx(inside["volume"].sum())
        assert bar["trades"] == inside["trades"].sum()
        assert bar["available_at"] == bar["close_time"] == inside["close_time"][-1]
    assert whole.height == 72 * 60 // {"30m": 30, "1h": 60, "4h": 240, "8h": 480, "24h": 1440}[interval]


def test_bars_of_another_interval_in_the_table_are_no_parts(quarters: pl.DataFrame) -> None:
    hourly = random_market(hours=72, seed=8).klines
    alone, mixed = (
        aggregate(rows, interval="4h", base_interval="15m") for rows in (quarters, pl.concat([quarters, hourly]))
    )
    assert mixed.equals(alone)
    assert aggregate(hourly, interval="4h", base_interval="15m").height == 0


def test_bars_start_at_multiples_of_utc_midnight(quarters: pl.DataFrame) -> None:
    from_three = quarters.filter(pl.col("open_time") >= BEGIN + 3 * HOUR)
    opens = aggregate(from_three, interval="8h", base_interval="15m")["open_time"]
    assert opens.min() == BEGIN + 8 * HOUR
    assert set(opens.dt.hour()) == {0, 8, 16}


def test_a_bar_with_a_missing_part_is_dropped(quarters: pl.DataFrame) -> None:
    hole = quarters.filter(pl.col("open_time") != BEGIN + timedelta(hours=5, minutes=30))
    closes = aggregate(hole, interval="4h", base_interval="15m")["close_time"]
    assert BEGIN + 8 * HOUR not in closes
    assert BEGIN + 12 * HOUR in closes


def test_a_bar_with_a_missing_volume_part_has_no_volume_rather_than_less(quarters: pl.DataFrame) -> None:
    torn = quarters.with_columns(
        pl.when(pl.col("open_time") != BEGIN).then(pl.col("quote_volume")).alias("quote_volume")
    )
    whole = aggregate(torn, interval="1h", base_interval="15m").filter(pl.col("symbol") == MAIN)
    assert whole["quote_volume"].is_null().to_list()[:3] == [True, False, False]
    assert whole["volume"].null_count() == 0


def test_a_bar_is_known_when_its_last_part_was(quarters: pl.DataFrame) -> None:
    late = pl.col("open_time") == BEGIN + timedelta(minutes=15)
    delayed = quarters.with_columns(
        pl.when(late).then(BEGIN + 2 * HOUR).otherwise("available_at").alias("available_at")
    )
    whole = aggregate(delayed, interval="1h", base_interval="15m").filter(pl.col("symbol") == MAIN)
    assert whole["available_at"][0] == BEGIN + 2 * HOUR


def test_mark_bars_have_no_volume_columns(quarters: pl.DataFrame) -> None:
    mark = random_market(hours=4, base_interval="15m").mark_klines
    assert aggregate(mark, interval="1h", base_interval="15m").columns == [
        *("symbol", "open_time", "close_time", "available_at"),
        *("open", "high", "low", "close"),
    ]


@pytest.mark.parametrize(("interval", "base"), [("30m", "1h"), ("15m", "1h"), ("1h", "7m"), ("3d", "1h")])
def test_a_bar_that_cannot_be_made_is_refused(quarters: pl.DataFrame, interval: str, base: str) -> None:
    with pytest.raises(ContractViolation, match=r"cannot be made|Unknown bar interval"):
        aggregate(quarters, interval=interval, base_interval=base)


@pytest.mark.parametrize(("interval", "hours"), [("4h", 4), ("8h", 8), ("24h", 24)])
def test_an_open_larger_bar_is_never_seen(interval: str, hours: int) -> None:
    """The reviewed system looked daily bars up by their open time: up to 23 hours of look-ahead.

    Changing the first hour of a larger bar must leave its features alone until that bar has closed, and change
    them from the very hour in which it closes.
    """
    market = random_market(hours=650)
    begin = BEGIN + 600 * HOUR
    wild = pl.when((pl.col("symbol") == MAIN) & (pl.col("open_time") == begin))
    changed = replace(
        market,
        klines=market.klines.with_columns(
            wild.then(pl.col("high") * 1.3).otherwise("high").alias("high"),
            wild.then(pl.col("volume") * 50).otherwise("volume").alias("volume"),
        ),
    )
    names = [name for name in TF if name.startswith(f"tf{interval}_")]
    rows = [
        build_features(m, symbol=MAIN, cross_symbols=CROSS, base_interval="1h", start=begin).select(names)
        for m in (market, changed)
    ]
    before, after = rows[0][: hours - 1], rows[1][: hours - 1]
    assert before.equals(after)
    moved = [n for n in names if rows[0][n][hours - 1] != rows[1][n][hours - 1]]
    assert {f"tf{interval}_atr_14", f"tf{interval}_close_location", f"tf{interval}_volume_ratio_14"} <= set(moved)


def test_a_daily_return_is_that_of_the_newest_closed_day() -> None:
    market = random_market(hours=700)
    rows = build_features(market, symbol=MAIN, cross_symbols=CROSS, base_interval="1h", start=BEGIN + 650 * HOUR)
    close = dict(market.klines.filter(pl.col("symbol") == MAIN).select("close_time", "close").iter_rows())
    for at, value in rows.select("decision_time", "tf24h_return_1").iter_rows():
        midnight = at.replace(hour=0)
        expected = np.log(close[midnight] / close[midnight - 24 * HOUR])
        assert value == pytest.approx(expected, rel=1e-5)


def test_a_day_with_a_missing_hour_gives_no_daily_features_until_the_next_day_closes() -> None:
    market = random_market(hours=700)
    torn = replace(market, klines=market.klines.filter(pl.col("open_time") != BEGIN + 605 * HOUR))
    rows = build_features(torn, symbol=MAIN, cross_symbols=CROSS, base_interval="1h", start=BEGIN + 600 * HOUR)
    missing = rows.filter(pl.col("tf24h_atr_14").is_null())["decision_time"]
    assert (missing.min(), missing.max()) == (BEGIN + 624 * HOUR, BEGIN + 647 * HOUR)
