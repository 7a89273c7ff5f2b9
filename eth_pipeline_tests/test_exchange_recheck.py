"""Files the archive replaced later, symbols added by configuration, and the exchange's clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.clock import FixedClock
from eth_pipeline.contracts.tables import KLINES, STREAMS
from eth_pipeline.exchange.recheck import Recheck, recheck_archive
from eth_pipeline.exchange.streams import stream_named
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline_tests.market_pipeline import HOUR, NOW, START, Make, Pipeline, pipelines

HOLE = datetime(2025, 2, 11, 3, 45, tzinfo=UTC)
OTHER_MONTH = datetime(2025, 1, 25, 3, 45, tzinfo=UTC)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with pipelines(tmp_path) as maker:
        yield maker


def recheck(pipeline: Pipeline, stream: str = "klines") -> Recheck:
    with pipeline.transport() as transport:
        return recheck_archive(
            stream,
            transport=transport,
            lake=pipeline.lake,
            settings=pipeline.settings,
            now=pipeline.sandbox.clock.now(),
        )


def test_a_replaced_file_is_read_again_kept_beside_the_old_one_and_named(make: Make) -> None:
    """Binance corrects files months later; a model trained on the old version must stay provable."""
    pipeline = make()
    fault = pipeline.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR)
    pipeline.ingest()
    old = set((pipeline.home / "archive").rglob("*.zip"))
    unchanged = recheck(pipeline)
    assert (unchanged.checked, unchanged.replaced) == (len(old), ())
    pipeline.sandbox.faults.clear(fault.number)
    assert recheck(pipeline).checked == 0, "checked a moment ago"
    pipeline.sandbox.clock.advance(timedelta(days=31))
    found = recheck(pipeline)
    archive = stream_named("klines", pipeline.settings).archive
    both = {archive.month("ETHUSDT", HOLE).key, archive.day("ETHUSDT", HOLE).key}  # the day was asked to fill the hole
    assert (set(found.replaced), found.inserted) == (both, 4)
    assert HOLE in pipeline.stored_instants("klines")
    assert len(set((pipeline.home / "archive").rglob("*.zip")) - old) == 2
    assert ("file_replaced", "repaired") in pipeline.ledger("cause", "status")
    assert pipeline.ledger("cause", "status", "repair_source", where=pl.col("time") == HOLE) == [
        ("missing", "repaired", "archive")
    ]
    assert recheck(pipeline).replaced == ()


def test_a_replaced_file_does_not_put_off_the_question_for_a_hole(make: Make) -> None:
    """Reading a corrected file asked nobody for the hole, but noted it as asked for: it rested for another month."""
    pipeline = make()
    gap = pipeline.sandbox.faults.switch_on("gap", since=HOLE, until=HOLE + HOUR)
    passed = pipeline.sandbox.faults.switch_on("gap", only="archive", since=OTHER_MONTH, until=OTHER_MONTH + HOUR)
    pipeline.ingest()
    pipeline.sandbox.faults.clear(passed.number)
    pipeline.sandbox.clock.advance(timedelta(days=31))
    assert recheck(pipeline).replaced
    pipeline.sandbox.faults.clear(gap.number)
    (result,) = pipeline.ingest()
    assert result.missing_rows == 0
    assert HOLE in pipeline.stored_instants("klines")


def test_values_that_a_replaced_file_corrects_are_corrected_and_counted(make: Make) -> None:
    pipeline = make()
    pipeline.ingest()
    true = pipeline.lake.read(KLINES)
    wrong = true.filter(pl.col("open_time") == HOLE).with_columns(volume=pl.col("volume") + 1)
    pipeline.lake.upsert(KLINES, wrong)
    # Another file of the same rows but one: what the archive does when it corrects a file.
    pipeline.sandbox.faults.switch_on("gap", only="archive", since=HOLE + HOUR, until=HOLE + HOUR + HOUR / 4)
    pipeline.sandbox.clock.advance(timedelta(days=31))
    assert recheck(pipeline).updated == 1
    assert pipeline.lake.read(KLINES, where=pl.col("open_time") < NOW - timedelta(days=2)).equals(
        true.filter(pl.col("open_time") < NOW - timedelta(days=2))
    )
    assert ("revised", "repaired") in pipeline.ledger("cause", "status", where=pl.col("time") == HOLE)


def test_adding_a_symbol_is_configuration_only(make: Make) -> None:
    """And only its rows are fetched: the others are there."""
    market = SyntheticMarket(seed=7, start=START, end=NOW + timedelta(days=2), symbols=("ETHUSDT", "ADAUSDT"))
    pipeline = make(market=market)
    pipeline.ingest_all()
    pipeline.settings = pipeline.settings.model_copy(update={"cross_symbols": ("ADAUSDT",)})
    results = [result for result in pipeline.ingest_all() if result.requests]
    assert {result.symbol for result in results} == {"ADAUSDT"}
    for stream in STREAMS:
        if stream not in ("open_interest", "positioning"):  # of the traded symbol only
            assert pipeline.stored_instants(stream, "ADAUSDT") == pipeline.true_instants(stream, "ADAUSDT")


def test_a_wrong_symbol_does_not_keep_the_others_from_being_stored(make: Make) -> None:
    from eth_pipeline.errors import RequestRefused

    pipeline = make(cross=("NOSUCHUSDT",))
    with pytest.raises(RequestRefused):
        pipeline.ingest()
    assert pipeline.stored_instants("klines") == pipeline.true_instants("klines")


def test_the_offset_of_the_exchange_clock_is_measured_and_outlives_the_process(make: Make) -> None:
    pipeline = make()
    host = FixedClock(NOW - timedelta(minutes=3))
    with pipeline.transport(host) as transport:
        assert transport.clock_offset() is None
        transport.server_time()
    host.instant += HOUR
    pipeline.sandbox.faults.switch_on("server_error")
    with pipeline.transport(host) as transport:
        offset = transport.clock_offset()
        assert offset is not None
        assert abs(offset.offset - timedelta(minutes=3)) <= offset.round_trip
        assert offset.measured_at == NOW - timedelta(minutes=3)
