"""Ingestion by real processes: killed at any point, and two at once. Delta, SQLite and kept files are the real ones."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.context import ForkServerContext
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.quality import GAP_LEDGER
from eth_pipeline.contracts.tables import KLINES, STREAMS
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import ingest_stream
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline_tests.market_pipeline import HOUR, Make, Pipeline, pipelines

KILLS = 20
STREAMS_KILLED = ("klines", "funding_rates")
HOLE = datetime(2025, 2, 11, 3, 45, tzinfo=UTC)


def backfill(settings: Settings, now: datetime, streams: tuple[str, ...]) -> None:
    """What a backfill process does."""
    with Transport(settings.exchange, state_path=settings.home / "exchange_state.sqlite") as transport:
        for stream in streams:
            ingest_stream(stream, transport=transport, lake=Lake(settings.lake_location), settings=settings, now=now)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that start in milliseconds: their imports are done once, in a server without threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with pipelines(tmp_path) as maker:
        yield maker


def tables(pipeline: Pipeline) -> dict[str, pl.DataFrame]:
    read = {name: pipeline.lake.read(STREAMS[name]) for name in STREAMS_KILLED}
    return {**read, "ledger": pipeline.lake.read(GAP_LEDGER)}


def test_a_backfill_killed_at_any_point_and_run_again_equals_an_uninterrupted_one(
    make: Make, processes: ForkServerContext
) -> None:
    """Kill -9 in downloads, while files are kept, in commits, before the ledger: whatever point it hits."""
    truth = make(name="whole")
    truth.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR)
    now = truth.sandbox.clock.now()
    for name in ("first", "whole"):  # the first also warms the server of processes and the files of the exchange
        settings = truth.settings.model_copy(update={"home": truth.home.parent / name})
        started = time.monotonic()
        whole = processes.Process(target=backfill, args=(settings, now, STREAMS_KILLED))
        whole.start()
        whole.join()
        span_seconds = time.monotonic() - started
    expected = tables(truth)
    assert expected["klines"].height > 4000
    assert expected["ledger"].height == 4 + 1  # the four bars, and the settlement of the first instant
    points = random.Random(20250310)
    killed = 0
    for n in range(KILLS):
        home = truth.home.parent / f"killed-{n}"
        settings = truth.settings.model_copy(update={"home": home})
        victim = processes.Process(target=backfill, args=(settings, now, STREAMS_KILLED))
        victim.start()
        victim.join(span_seconds * points.uniform(0.02, 1.0))
        if victim.is_alive():
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            killed += 1
        victim.join()
        backfill(settings, now, STREAMS_KILLED)
        after = tables(Pipeline(truth.sandbox, home, settings))
        for name, rows in expected.items():
            assert after[name].equals(rows), f"{name} differs after kill {n}"
    assert killed >= KILLS // 2


def test_two_ingestions_at_once_lose_nothing_and_double_nothing(make: Make, processes: ForkServerContext) -> None:
    """The hourly run and a backfill; both create the tables, both find the same gap."""
    pipeline = make(cross=("BTCUSDT",))
    pipeline.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR, symbols=["ETHUSDT"])
    now = pipeline.sandbox.clock.now()
    for moment in (now, now + HOUR):
        pipeline.sandbox.clock.set(moment)
        both = [processes.Process(target=backfill, args=(pipeline.settings, moment, STREAMS_KILLED)) for _ in "ab"]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert [one.exitcode for one in both] == [0, 0]
        for symbol in ("ETHUSDT", "BTCUSDT"):
            expected = pipeline.true_instants("klines", symbol)
            if symbol == "ETHUSDT":
                expected = [instant for instant in expected if not HOLE <= instant < HOLE + HOUR]
            assert pipeline.stored_instants("klines", symbol) == expected
            assert pipeline.stored_instants("funding_rates", symbol) == pipeline.true_instants("funding_rates", symbol)
        assert pipeline.ledger("time", "cause", where=pl.col("stream") == KLINES.name) == [
            (instant, "missing") for instant in pipeline.true_instants("klines") if HOLE <= instant < HOLE + HOUR
        ]
