"""Metrics files that do not show what their labels mean, and the holes Binance is known for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.contracts.tables import OPEN_INTEREST, POSITIONING
from eth_pipeline.errors import ContractViolation
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.formats.metrics import UndecidedLabels, metrics_rows, settled_convention
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline_tests.market_pipeline import HOUR, NOW, Make, Pipeline, pipelines

DAY = datetime(2025, 2, 5, tzinfo=UTC)  # older than REST reaches
FILE = ArchiveFile("data/futures/um/daily/metrics/ETHUSDT/ETHUSDT-metrics-2025-02-05.zip", DAY, DAY + 24 * HOUR)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with pipelines(tmp_path) as maker:
        yield maker


def csv(first: datetime, last: datetime, *, value: float = 0.0) -> bytes:
    labels = pl.datetime_range(first, last, "5m", eager=True).dt.strftime("%Y-%m-%d %H:%M:%S")
    lines = [f"{label},ETHUSDT,{100 + n + value},{1000 + n},1.1,1.2,1.3,1.4" for n, label in enumerate(labels)]
    return "\n".join(lines).encode()


def undecided(first: datetime, last: datetime) -> UndecidedLabels:
    with pytest.raises(UndecidedLabels) as refused:
        metrics_rows(csv(first, last), FILE)
    return refused.value


def witness(period_end: datetime, open_interest: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"period_end": [period_end], "open_interest": [open_interest]},
        schema={"period_end": INSTANT, "open_interest": pl.Float64},
    )


NOBODY = witness(DAY, 1.0).clear()


@pytest.mark.parametrize(
    ("rest_says", "neighbours", "convention"),
    [
        (100 + 11.0, [], "END"),  # the label 01:00 is the 12th from 00:05 on
        (100 + 10.0, [], "START"),
        (999.0, ["END", "END"], None),
        (None, ["END", "END"], "END"),
        (None, ["START", "START"], "START"),
        (None, ["END", "START"], None),
        (None, ["END"], None),
        (None, [], None),
    ],
)
def test_a_file_without_both_ends_is_decided_by_a_witness_or_not_at_all(
    rest_says: float | None, neighbours: list[str], convention: str | None
) -> None:
    file = undecided(DAY + timedelta(minutes=5), DAY + timedelta(hours=13, minutes=35))
    known = NOBODY if rest_says is None else witness(DAY + HOUR, rest_says)
    assert settled_convention(file, known=known, neighbours=neighbours, column="open_interest") == convention


def test_a_label_that_is_no_time_is_refused() -> None:
    with pytest.raises(ContractViolation, match="create_time"):
        metrics_rows(b"20250205,ETHUSDT,1,1,1,1,1,1", FILE)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("stream", ["open_interest", "positioning"])
def test_a_partial_file_is_read_under_the_convention_of_its_neighbours(make: Make, stream: str, flipped: bool) -> None:
    """2024-02-16 has 163 of 288 rows: neither end is there, and a guess would look five minutes ahead."""
    pipeline = make()
    if flipped:
        pipeline.sandbox.faults.switch_on("label_flip")
    minute = timedelta(minutes=1)
    for since, until in ((DAY + minute, DAY + 4 * HOUR), (DAY + 17 * HOUR, DAY + 24 * HOUR + minute)):
        pipeline.sandbox.faults.switch_on("gap", only="archive", streams=["open_interest"], since=since, until=until)
    pipeline.ingest(stream)
    stored = [t for t in pipeline.stored_instants(stream) if DAY < t <= DAY + 24 * HOUR]
    assert stored == [DAY + n * HOUR for n in range(4, 17)]
    assert_true_values(pipeline, stream)
    causes = pipeline.ledger("cause", where=pl.col("time").is_between(DAY, DAY + 24 * HOUR))
    assert set(causes) == {("missing",)}


def test_a_partial_file_whose_neighbours_are_partial_too_is_refused_and_named(make: Make) -> None:
    pipeline = make()
    for day in (-1, 0, 1):
        edge = DAY + timedelta(days=day)
        for since, until in ((edge, edge + 4 * HOUR), (edge + 17 * HOUR, edge + 24 * HOUR + timedelta(minutes=5))):
            pipeline.sandbox.faults.switch_on("gap", only="archive", since=since, until=until)
    pipeline.ingest("open_interest")
    assert [t for t in pipeline.stored_instants("open_interest") if DAY < t <= DAY + 24 * HOUR] == []
    refused = pipeline.ledger("time", "status", where=pl.col("cause") == "file_refused")
    assert (DAY, "refused") in refused


def test_positioning_is_the_same_from_both_doors(make: Make) -> None:
    """The taker ratio is labelled with the START of its period, the others with the END."""
    pipeline = make()
    pipeline.ingest("positioning")
    assert pipeline.stored_instants("positioning") == pipeline.true_instants("positioning")
    assert set(pipeline.lake.read(POSITIONING)["source"]) == {"archive", "api"}
    assert_true_values(pipeline, "positioning")


def test_the_holes_binance_is_known_for_are_named(make: Make) -> None:
    """Mark price 2023-11-10 03:40 .. 04:00, metrics 2024-02-16, zeros on 2022-03-07 and 08."""
    for start, stream, kind, since, until, cause in (
        (datetime(2023, 11, 6, tzinfo=UTC), "mark_klines", "gap", (10, 3, 30), (10, 4, 0), "missing"),
        (datetime(2024, 2, 12, tzinfo=UTC), "open_interest", "gap", (16, 5, 0), (16, 15, 25), "missing"),
        (datetime(2022, 3, 3, tzinfo=UTC), "open_interest", "zero_open_interest", (7, 0, 0), (9, 0, 0), "zero"),
    ):
        market = SyntheticMarket(seed=3, start=start, end=start + timedelta(days=50), symbols=("ETHUSDT",))
        pipeline = make(market=market, now=start + timedelta(days=45), history_start=start, name=f"{stream}-{cause}")
        first, before = (start.replace(day=day, hour=hour, minute=minute) for day, hour, minute in (since, until))
        pipeline.sandbox.faults.switch_on(kind, since=first, until=before, streams=[stream])
        pipeline.ingest(stream)
        inside = [instant for instant in pipeline.true_instants(stream) if first <= instant < before]
        assert pipeline.ledger("time", "cause") == [(instant, cause) for instant in inside]
        assert inside
        assert pipeline.stored_instants(stream) == [t for t in pipeline.true_instants(stream) if t not in inside]


def assert_true_values(pipeline: Pipeline, stream: str) -> None:
    market = pipeline.sandbox.market.open_interest("ETHUSDT", until=NOW).with_columns(
        pl.from_epoch("period_end", "ms").dt.replace_time_zone("UTC").cast(INSTANT).alias("period_end")
    )
    names = {"open_interest": "open_interest"}
    if stream == "positioning":
        names = {
            "top_account_ratio": "top_trader_ratio",
            "top_position_ratio": "top_trader_position_ratio",
            "account_ratio": "long_short_ratio",
            "taker_ratio": "taker_ratio",
        }
    true = market.select("period_end", *[pl.col(theirs).alias(f"true_{ours}") for ours, theirs in names.items()])
    rows = pipeline.lake.read(POSITIONING if stream == "positioning" else OPEN_INTEREST).join(true, on="period_end")
    assert rows.height == len(pipeline.stored_instants(stream))
    for name in names:
        assert (rows[name] - rows[f"true_{name}"]).abs().max() < 1e-6, name
