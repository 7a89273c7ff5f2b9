"""The gap ledger: what was wrong is named once, and what came of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.quality import GAP_LEDGER, QUARANTINE, data_gaps, quality_of
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.sandbox.replay import ReplayMarket
from eth_pipeline_tests.market_pipeline import HOUR, NOW, QUARTER, Make, Pipeline, pipelines

HOLE = datetime(2025, 3, 5, 3, 45, tzinfo=UTC)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with pipelines(tmp_path) as maker:
        yield maker


@pytest.fixture
def pipeline(make: Make) -> Pipeline:
    return make()


def test_every_missing_row_is_named_and_its_repair_with_its_door(pipeline: Pipeline) -> None:
    pipeline.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR)
    pipeline.ingest()
    assert pipeline.ledger("time", "cause", "status") == [(HOLE + n * QUARTER, "missing", "open") for n in range(4)]
    pipeline.sandbox.faults.clear()
    pipeline.sandbox.clock.advance(timedelta(hours=25))
    pipeline.ingest()
    assert pipeline.ledger("status", "repair_source") == [("repaired", "api")] * 4
    (first,) = {row[0] for row in pipeline.ledger("first_seen")}
    (last,) = {row[0] for row in pipeline.ledger("last_seen")}
    assert (first, last) == (NOW, NOW + timedelta(hours=25))


def test_a_row_that_both_doors_lack_long_after_its_time_never_existed(pipeline: Pipeline) -> None:
    old = datetime(2025, 1, 28, tzinfo=UTC)
    pipeline.sandbox.faults.switch_on("gap", since=old, until=old + HOUR)
    pipeline.ingest()
    assert pipeline.ledger("status") == [("never_existed",)] * 4


def test_a_quiet_run_writes_nothing(pipeline: Pipeline) -> None:
    pipeline.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR)
    pipeline.ingest()
    before = pipeline.lake.version(GAP_LEDGER)
    pipeline.ingest()
    pipeline.sandbox.clock.advance(HOUR)
    pipeline.ingest()
    assert pipeline.lake.version(GAP_LEDGER) == before


def test_the_ledger_is_found_again_where_the_state_file_was_lost(pipeline: Pipeline) -> None:
    pipeline.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR)
    pipeline.ingest()
    before = pipeline.lake.read(GAP_LEDGER)
    for file in pipeline.home.glob("exchange_state.sqlite*"):
        file.unlink()
    pipeline.ingest()
    assert pipeline.lake.read(GAP_LEDGER).equals(before)


def test_rows_due_during_an_outage_are_late_and_repaired_when_they_come(pipeline: Pipeline) -> None:
    pipeline.ingest()
    pipeline.sandbox.faults.switch_on("server_error")
    pipeline.sandbox.clock.advance(HOUR)
    pipeline.ingest()
    assert pipeline.ledger("cause", "status") == [("late", "open")] * 4
    pipeline.sandbox.faults.clear()
    pipeline.sandbox.clock.advance(QUARTER)
    pipeline.ingest()
    assert pipeline.ledger("cause", "status", "repair_source") == [("late", "repaired", "api")] * 4


def test_zeros_are_refused_and_kept_in_the_quarantine_as_published(pipeline: Pipeline) -> None:
    """2022-03-07 and 08: open interest of zero in the archive."""
    since = datetime(2025, 2, 3, 6, tzinfo=UTC)
    pipeline.sandbox.faults.switch_on("zero_open_interest", since=since, until=since + 2 * HOUR)
    pipeline.ingest("open_interest")
    for _ in range(2):  # and a run that does not see the rows again changes nothing
        assert pipeline.ledger("time", "cause", "status") == [
            (since, "zero", "refused"),
            (since + HOUR, "zero", "refused"),
        ]
        pipeline.ingest("open_interest")
    rows = pipeline.lake.read(QUARANTINE)
    assert rows["broken_rule"].unique().to_list() == ["open interest positive"]
    assert [json.loads(row)["open_interest"] for row in rows["row"]] == [0.0, 0.0]


def test_hours_know_their_quality(pipeline: Pipeline) -> None:
    pipeline.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR)
    pipeline.ingest()
    start = HOLE.replace(minute=0)
    quality = quality_of(pipeline.lake, symbol="ETHUSDT", hours=[start - HOUR, start, start + HOUR, start + 2 * HOUR])
    assert quality["absent_rows"].to_list() == [0, 1, 3, 0]
    assert quality["is_clean"].to_list() == [True, False, False, True]
    assert quality["causes"].to_list() == [[], ["missing"], ["missing"], []]
    other = quality_of(pipeline.lake, symbol="BTCUSDT", hours=[start])
    assert other["is_clean"].to_list() == [True]


def test_the_gate_sees_a_gap_while_it_is_inside_its_window(pipeline: Pipeline) -> None:
    assert data_gaps(pipeline.lake, symbol="ETHUSDT", decision_time=NOW, window_hours=24) == ()
    pipeline.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR)
    pipeline.ingest()
    seen = {
        hours: data_gaps(pipeline.lake, symbol="ETHUSDT", decision_time=HOLE + timedelta(hours=hours), window_hours=24)
        for hours in (0, 1, 24, 25)
    }
    assert [sum(gap.rows for gap in gaps) for gaps in seen.values()] == [0, 4, 4, 0]
    (gap,) = seen[24]
    assert (gap.stream, gap.symbol, gap.cause, gap.rows, gap.first) == ("klines", "ETHUSDT", "missing", 4, HOLE)


def test_an_ordinary_market_has_no_doubted_bars(make: Make) -> None:
    pipeline = make(cross=("BTCUSDT",))
    pipeline.ingest("klines")
    pipeline.ingest("mark_klines")
    assert pipeline.ledger("cause") == []


@pytest.mark.parametrize("last", ["klines", "mark_klines"])
def test_a_cut_bar_is_doubted_whichever_series_comes_last(pipeline: Pipeline, last: str) -> None:
    """2024-10-28 21:00: the bar closed 1 % away from the mark and from where the next one opened."""
    pipeline.ingest("klines")
    pipeline.ingest("mark_klines")
    bars, marks = pipeline.lake.read(KLINES), pipeline.lake.read(MARK_KLINES)
    is_cut = pl.col("open_time") == HOLE
    cut = bars.with_columns(
        low=pl.when(is_cut).then(pl.col("low") * 0.97).otherwise("low"),
        close=pl.when(is_cut).then(pl.col("low") * 0.98).otherwise("close"),
    )
    there = pl.col("open_time") != (HOLE + QUARTER if last == "klines" else HOLE)  # the rows that come last
    pipeline.lake.replace(KLINES, cut.filter(there) if last == "klines" else cut)
    pipeline.lake.replace(MARK_KLINES, marks.filter(there) if last == "mark_klines" else marks)
    pipeline.ingest(last)
    assert pipeline.ledger("time", "cause", "status") == [(HOLE, "suspect_truncated", "kept")]
    assert pipeline.lake.read(KLINES, where=is_cut).equals(cut.filter(is_cut))


def test_the_known_defects_of_the_recordings_are_found_and_named(real_data: Path, make: Make) -> None:
    """The list in the recordings' README: two cut bars, a liquidation print, holes of spot, funding and snapshots."""
    now = datetime(2025, 6, 29, 12, tzinfo=UTC)
    pipeline = make(
        market=ReplayMarket(real_data),
        now=now,
        history_start=datetime(2020, 1, 1, tzinfo=UTC),
        cross=("BTCUSDT", "SOLUSDT", "BNBUSDT"),
        base_interval="1h",
    )
    for stream in ("klines", "mark_klines", "spot_klines", "funding_rates", "open_interest"):
        pipeline.ingest(stream)
    ledger = pipeline.lake.read(GAP_LEDGER)
    cut = ledger.filter(pl.col("cause") == "suspect_truncated").select("symbol", "time", "status").rows()
    assert ("ETHUSDT", datetime(2024, 10, 28, 21, tzinfo=UTC), "kept") in cut
    assert ("BTCUSDT", datetime(2024, 10, 28, 21, tzinfo=UTC), "kept") in cut
    assert len(cut) <= 4
    spikes = ledger.filter(pl.col("cause") == "suspect_spike").select("symbol", "time").rows()
    assert ("ETHUSDT", datetime(2020, 3, 13, 2, tzinfo=UTC)) in spikes
    assert len(spikes) <= 5
    missing = ledger.filter(pl.col("cause") == "missing")
    spot = missing.filter(pl.col("stream") == "spot_klines", pl.col("symbol") == "BNBUSDT")
    assert (
        spot.filter(
            pl.col("time").is_between(datetime(2023, 6, 19, tzinfo=UTC), datetime(2024, 4, 29, tzinfo=UTC))
        ).height
        > 7000
    )
    assert spot["status"].unique().to_list() == ["never_existed"]
    funding = missing.filter(pl.col("stream") == "funding_rates")
    assert funding["symbol"].unique().to_list() == ["SOLUSDT"]
    assert funding.height == 75
    unknown = pl.read_parquet(real_data / "oi_ETHUSDT_8h.parquet").filter(
        pl.col("open_interest").fill_nan(None).is_null()
    )["open_time"]
    snapshots = missing.filter(pl.col("stream") == "open_interest")["time"].to_list()
    assert len(unknown) >= 4
    assert set(unknown) == set(snapshots)
    assert missing.filter(pl.col("stream").is_in(["klines", "mark_klines"])).height == 0
