"""Sources: read from the lake as they were written, cut by what was known when."""

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.features.sources import FeatureSources, load_sources
from eth_pipeline.lake import Lake
from eth_pipeline_tests.random_market import BEGIN, MAIN, random_market


@pytest.fixture(scope="module")
def market() -> FeatureSources:
    return random_market(hours=48, symbols=(MAIN, "BTCUSDT"))


@pytest.fixture(scope="module")
def lake(market: FeatureSources, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for field in fields(market):
        lake.upsert(STREAMS[field.name], getattr(market, field.name))
    other = random_market(hours=4, base_interval="15m", symbols=(MAIN,))
    lake.upsert(STREAMS["klines"], other.klines)
    return lake


def test_the_lake_gives_back_what_was_written(lake: Lake, market: FeatureSources) -> None:
    read = load_sources(lake, symbols=(MAIN, "BTCUSDT"), base_interval="1h", since=None, until=None)
    for field in fields(market):
        wrote, got = getattr(market, field.name), getattr(read, field.name)
        assert got.equals(wrote.sort(STREAMS[field.name].key))


def test_only_the_wanted_symbols_interval_and_span_are_read(lake: Lake) -> None:
    since, until = BEGIN + timedelta(hours=10), BEGIN + timedelta(hours=20)
    read = load_sources(lake, symbols=(MAIN,), base_interval="1h", since=since, until=until)
    assert set(read.klines["symbol"]) == {MAIN}
    assert set(read.klines["interval"]) == {"1h"}
    for field in fields(read):
        known = getattr(read, field.name)["available_at"]
        assert known.min() >= since
        assert known.max() <= until
    assert read.klines.height == 11


def test_an_empty_lake_gives_empty_frames_of_the_right_schema(tmp_path: Path) -> None:
    read = load_sources(Lake(str(tmp_path)), symbols=(MAIN,), base_interval="1h", since=None, until=None)
    assert {field.name: getattr(read, field.name).schema for field in fields(read)} == {
        field.name: pl.Schema(STREAMS[field.name].schema) for field in fields(read)
    }


def test_a_lake_without_the_later_tables_gives_them_empty(market: FeatureSources, tmp_path: Path) -> None:
    """A lake filled before premium and positioning were recorded must still give features."""
    lake = Lake(str(tmp_path))
    lake.upsert(STREAMS["klines"], market.klines)
    read = load_sources(lake, symbols=(MAIN,), base_interval="1h", since=BEGIN, until=None)
    assert read.klines.height == 48
    assert read.premium_klines.equals(STREAMS["premium_klines"].empty())
    assert read.positioning.equals(STREAMS["positioning"].empty())
    assert read.provenance() == "simulated"


def test_a_table_that_a_cut_keeps_whole_is_not_copied(market: FeatureSources) -> None:
    assert market.since(BEGIN).until(BEGIN + timedelta(hours=49)).klines is market.klines


def test_rows_in_any_order_are_cut_alike(market: FeatureSources) -> None:
    at = BEGIN + timedelta(hours=24)
    mixed = replace(market, klines=market.klines.sample(fraction=1.0, shuffle=True, seed=5))
    assert (
        mixed.since(at)
        .klines.sort("symbol", "open_time")
        .equals(market.klines.filter(pl.col("available_at") >= at).sort("symbol", "open_time"))
    )
    assert mixed.until(at).klines.height == 2 * 24


def test_since_and_until_cut_on_when_a_row_was_known(market: FeatureSources) -> None:
    at = BEGIN + timedelta(hours=24)
    assert market.until(at).open_interest["period_end"].max() < at
    assert market.until(at).klines["close_time"].max() == at
    assert market.since(at).klines["close_time"].min() == at
