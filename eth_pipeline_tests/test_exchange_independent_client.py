"""A client that nobody here wrote reads the same exchange, and the lake agrees with it row for row.

Our own ingestion tested against our own exchange could share one misunderstanding; ccxt reads Binance every day.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import ccxt
import polars as pl
import pytest

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES, OPEN_INTEREST
from eth_pipeline_tests.market_pipeline import NOW, START, Pipeline, pipelines

PAIR = "ETH/USDT:USDT"
QUARTER_MS, HOUR_MS = 900_000, 3_600_000
NOW_MS = to_milliseconds(NOW)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pipelines(tmp_path_factory.mktemp("ccxt")) as maker:
        filled = maker()
        for stream in ("klines", "mark_klines", "funding_rates", "open_interest"):
            filled.ingest(stream)
        yield filled


@pytest.fixture(scope="module")
def client(pipeline: Pipeline) -> ccxt.binanceusdm:
    made = ccxt.binanceusdm({"enableRateLimit": False})
    made.urls["api"]["fapiPublic"] = f"{pipeline.sandbox.url}/fapi/v1"
    made.urls["api"]["fapiData"] = f"{pipeline.sandbox.url}/futures/data"
    made.load_markets()
    return made


def pages(fetch: Callable[[int], list[Any]], *, time: Callable[[Any], int], since: int) -> list[Any]:
    """Everything from `since` on, page by page, as ccxt's users read it."""
    rows: list[Any] = []
    while page := fetch(since):
        rows += page
        since = time(page[-1]) + 1
    return rows


@pytest.mark.parametrize("kind", ["klines", "mark_klines"])
def test_bars_agree_row_for_row(pipeline: Pipeline, client: ccxt.binanceusdm, kind: str) -> None:
    fetch = client.fetch_ohlcv if kind == "klines" else client.fetch_mark_ohlcv
    bars = pages(
        lambda since: fetch(PAIR, "15m", since=since, limit=1000),
        time=lambda bar: int(bar[0]),
        since=to_milliseconds(START),
    )
    closed = [tuple(bar) for bar in bars if bar[0] + QUARTER_MS <= NOW_MS]
    columns = ["open", "high", "low", "close", *(["volume"] if kind == "klines" else [])]
    table = KLINES if kind == "klines" else MARK_KLINES
    stored = pipeline.lake.read(table).select(pl.col("open_time").dt.epoch("ms"), *columns).rows()
    assert len(stored) == (NOW - START) // timedelta(minutes=15)
    assert [bar[: len(columns) + 1] for bar in closed] == stored


def test_settlements_agree_row_for_row(pipeline: Pipeline, client: ccxt.binanceusdm) -> None:
    settled = pages(
        lambda since: client.fetch_funding_rate_history(PAIR, since=since, limit=100),
        time=lambda row: int(row["timestamp"]),
        since=to_milliseconds(START),
    )
    stored = pipeline.lake.read(FUNDING_RATES).select(pl.col("funding_time").dt.epoch("ms"), "funding_rate").rows()
    assert [(row["timestamp"] // 1000 * 1000, row["fundingRate"]) for row in settled] == stored


def test_open_interest_agrees_row_for_row_as_far_as_rest_reaches(pipeline: Pipeline, client: ccxt.binanceusdm) -> None:
    """29 days: the older half of these rows came from the archive's files, the newer over REST."""
    since, history = NOW_MS - 29 * 24 * HOUR_MS, []
    while since <= NOW_MS:
        page = client.fetch_open_interest_history(
            PAIR, "1h", since=since, limit=400, params={"until": since + 399 * HOUR_MS}
        )
        history += page
        since += 400 * HOUR_MS
    known = [
        (row["timestamp"], row["openInterestAmount"], row["openInterestValue"])
        for row in history
        if row["timestamp"] + 300_000 <= NOW_MS
    ]
    first = known[0][0]
    rows = pipeline.lake.read(OPEN_INTEREST).with_columns(pl.col("period_end").dt.epoch("ms").alias("ms"))
    stored = rows.filter(pl.col("ms") >= first)
    assert set(stored["source"]) == {"archive", "api"}
    assert len(known) == 29 * 24
    assert known == stored.select("ms", "open_interest", "open_interest_value").rows()
