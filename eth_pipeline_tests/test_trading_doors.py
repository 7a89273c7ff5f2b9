"""Where a bar came from, and where the history begins, change neither a signal nor the account that follows it.

Real HTTP from the embedded exchange into real lakes, one per way of filling it; then features, signals and account of
the same ten days from each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.signal import Action, record_from_json
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES, STREAMS
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import ingest_stream
from eth_pipeline.exchange.result import IngestResult
from eth_pipeline.features.build import build_features
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.features.sources import load_sources
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import ExchangeSettings, Settings, SignalSettings
from eth_pipeline.signals.technical.consensus import HISTORY_NEEDED
from eth_pipeline.trading.performance import report
from eth_pipeline.trading.rebuild import read_span, rebuild

BEGIN = datetime(2024, 12, 20, tzinfo=UTC)
FIRST, END = datetime(2025, 4, 2, 5, tzinfo=UTC), datetime(2025, 4, 12, 5, tzinfo=UTC)
NOW = datetime(2025, 5, 8, 6, tzinfo=UTC)
"""April is over and its file is published; REST still serves it, too."""
INGESTED = ("klines", "mark_klines", "funding_rates", "spot_klines", "premium_klines")
"""Of open interest and positioning REST serves the last month only; there the doors do differ, and the gate says so."""


@dataclass(frozen=True)
class Way:
    """How a lake is filled: when it was visited, from where its history is wanted, and whether the archive answered."""

    visits: tuple[datetime, ...] = (NOW,)
    history_start: datetime = BEGIN + timedelta(days=12)
    archive_answers: bool = True
    doors: frozenset[str] = frozenset({"archive"})


ARCHIVE = Way()
WAYS = {
    "rest alone": Way(archive_answers=False, doors=frozenset({"api"})),
    "bit by bit": Way(
        visits=(FIRST - 40 * HOUR, FIRST + timedelta(hours=7.3), FIRST + 8 * HOUR, FIRST + 60 * HOUR, NOW),
        doors=frozenset({"archive", "api"}),
    ),
    "an earlier start": Way(history_start=BEGIN),
    "the latest start that suffices": Way(history_start=FIRST - HISTORY_NEEDED),
}


@dataclass(frozen=True)
class Outcome:
    """What one way led to: records and events in full, figures, and the door that the traded bars came through."""

    records: tuple[dict[str, Any], ...]
    events: tuple[Any, ...]
    figures: dict[str, Any]
    doors: frozenset[str]
    last_visit: tuple[IngestResult, ...]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    market = SyntheticMarket(seed=7, start=BEGIN, end=NOW + timedelta(days=1), symbols=("ETHUSDT",))
    with Sandbox(market, now=NOW, port=0) as running:
        yield running


def settings_of(way: Way, sandbox: Sandbox, folder: Path) -> Settings:
    urls = {**sandbox.exchange_urls(), "attempts": 1, "bar_wait_seconds": 0.0, "breaker_failures": 1000}
    return Settings(
        home=folder,
        base_interval="1h",
        cross_symbols=(),
        history_start=way.history_start,
        exchange=ExchangeSettings.model_validate(urls),
        signals=SignalSettings(ml_weight=0, min_consensus_strength=15),
    )


def fill(way: Way, sandbox: Sandbox, settings: Settings) -> tuple[IngestResult, ...]:
    """Ingest at every visit, each by a process of its own; results of the last one."""
    if not way.archive_answers:
        sandbox.faults.switch_on("server_error", only="archive")
    try:
        for now in way.visits:
            with Transport(settings.exchange, state_path=settings.home / "state.sqlite") as transport:
                found = [
                    ingest_stream(
                        stream, transport=transport, lake=Lake(settings.lake_location), settings=settings, now=now
                    )
                    for stream in INGESTED
                ]
    finally:
        sandbox.faults.clear()
    return tuple(result for results in found for result in results)


def lived(settings: Settings, *, last_visit: tuple[IngestResult, ...]) -> Outcome:
    """Features, signals and account of the ten days from what lies in the lake."""
    lake = Lake(settings.lake_location)
    sources = load_sources(lake, symbols=settings.symbols, base_interval="1h", since=None, until=None)
    features = build_features(sources, symbol="ETHUSDT", cross_symbols=(), base_interval="1h")
    lake.replace(features_contract(symbol="ETHUSDT", cross_symbols=()), features)
    span = read_span(lake, settings=settings, first=FIRST, end=END, algorithm="none", commit="")
    rebuilt = rebuild(span, settings=settings, run_id="", code_commit="", config_digest="", table_versions={})
    traded = pl.col("open_time").is_between(FIRST, END)
    return Outcome(
        records=tuple(record_from_json(text).flat() for text in rebuilt.signals["record"]),
        events=tuple(rebuilt.book.events),
        figures=dict(report(rebuilt.book.events).figures),
        doors=frozenset(
            door for table in (KLINES, MARK_KLINES) for door in lake.read(table, where=traded)["source"].unique()
        ),
        last_visit=last_visit,
    )


@pytest.fixture(scope="module")
def from_archive(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Outcome]:
    settings = settings_of(ARCHIVE, sandbox, tmp_path_factory.mktemp("archive"))
    return settings, lived(settings, last_visit=fill(ARCHIVE, sandbox, settings))


def test_the_ten_days_have_what_makes_a_comparison_worth_while(from_archive: tuple[Settings, Outcome]) -> None:
    _, reference = from_archive
    assert set(INGESTED) < set(STREAMS)
    assert reference.doors == {"archive"}
    assert len(reference.records) == (END - FIRST) / HOUR
    assert {record["action"] for record in reference.records} == {str(action) for action in Action}
    kinds = {event.kind for event in reference.events}
    assert {"open", "close", "funding"} <= kinds
    assert reference.figures["closed_trades"] >= 5


@pytest.mark.parametrize("name", WAYS)
def test_signals_account_and_performance_do_not_depend_on_the_way_of_the_bars(
    name: str, sandbox: Sandbox, from_archive: tuple[Settings, Outcome], tmp_path: Path
) -> None:
    way = WAYS[name]
    settings = settings_of(way, sandbox, tmp_path)
    outcome = lived(settings, last_visit=fill(way, sandbox, settings))
    _, reference = from_archive
    assert outcome.doors == way.doors
    assert outcome.records == reference.records
    assert outcome.events == reference.events
    assert outcome.figures == reference.figures


def test_a_lake_that_has_everything_asks_nobody_and_decides_the_same(
    sandbox: Sandbox, from_archive: tuple[Settings, Outcome]
) -> None:
    settings, reference = from_archive
    again = lived(settings, last_visit=fill(ARCHIVE, sandbox, settings))
    assert {(result.outcome, result.requests) for result in again.last_visit} == {("local", 0)}
    assert (again.records, again.events, again.figures) == (reference.records, reference.events, reference.figures)


def test_a_price_that_differs_is_noticed(from_archive: tuple[Settings, Outcome], tmp_path: Path) -> None:
    """Guards the comparison above: one hour's close a tenth lower changes the signals and the account."""
    settings, reference = from_archive
    lake, copy = Lake(settings.lake_location), Lake(str(tmp_path / "lake"))
    for table in (STREAMS[name] for name in INGESTED):
        rows = lake.read(table)
        if table is KLINES:
            moved = pl.col("open_time") == FIRST + 30 * HOUR
            rows = rows.with_columns(pl.when(moved).then(pl.col("low") * 0.9).otherwise(pl.col("close")).alias("close"))
            rows = rows.with_columns(pl.min_horizontal("low", "close").alias("low"))
        copy.upsert(table, rows)
    outcome = lived(settings.model_copy(update={"home": tmp_path}), last_visit=())
    assert outcome.records[:30] == reference.records[:30]
    assert outcome.records != reference.records
    assert outcome.events != reference.events
