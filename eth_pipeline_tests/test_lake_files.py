"""Reading through the log's list of files: the same rows as `scan_delta`, from as few files as can hold them."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from eth_pipeline.contracts.table import INSTANT, Column, TableContract
from eth_pipeline.lake import Lake
from eth_pipeline.lake.files import DataFiles
from eth_pipeline.lake.small_files import SmallFiles

START = datetime(2024, 1, 1, tzinfo=UTC)
SYMBOLS = ("BNBUSDT", "BTCUSDT", "ETHUSDT")
BARS = TableContract(
    name="bars",
    row_is="one bar",
    key=("symbol", "time"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("time", INSTANT, "instant, UTC", "Its instant, to the microsecond."),
        Column("available_at", INSTANT, "instant, UTC", "When it was known.", nullable=True),
        Column("trades", pl.Int64, "count", "Number of trades.", nullable=True),
        Column("price", pl.Float64, "USDT", "May be NaN.", nullable=True),
        Column("note", pl.String, "text", "Longer than the log keeps."),
        Column("provenance", pl.String, "text", "Origin."),
    ),
)


def bars(first: int, count: int, *, choices: random.Random, symbols: tuple[str, ...] = SYMBOLS) -> pl.DataFrame:
    rows = []
    for symbol in symbols:
        for n in range(first, first + count):
            time = START + timedelta(hours=n, microseconds=999)  # statistics may be cut to milliseconds
            rows.append(
                {
                    "symbol": symbol,
                    "time": time,
                    "available_at": choices.choice((time, time + timedelta(minutes=5), None)),
                    "trades": choices.choice((n, -n, None)),
                    "price": choices.choice((float(n), float("nan"), None)),
                    "note": "x" * 40 + str(n),
                    "provenance": "replay",
                }
            )
    return pl.DataFrame(rows, schema=BARS.schema)


def history(lake: Lake, *, partition_by: tuple[str, ...], choices: random.Random) -> Iterator[TableContract]:
    """Appends, a late row, changed rows, a compaction, a new column; the table after each.

    Its log says little of one file and everything of others, as tables of before, until it is maintained.
    """
    table = replace(BARS, partition_by=partition_by)
    for hour, logged in zip(range(0, 8, 2), ("note", *[",".join(BARS.schema)] * 3), strict=True):
        if lake.version(table) is None:
            lake.upsert(table, bars(-2, 1, choices=choices))
        DeltaTable(lake.uri(table)).alter.set_table_properties({"delta.dataSkippingStatsColumns": logged})
        lake.upsert(table, bars(hour, 2, choices=choices))
        yield table
    lake.upsert(table, bars(0, 3, choices=choices, symbols=("BTCUSDT",)))
    yield table
    lake.maintain(table, retention_hours=1_000)
    yield table
    lake.upsert(table, bars(20, 1, choices=choices))
    yield table
    wider = replace(table, columns=(*BARS.columns, Column("extra", pl.Int64, "count", "New.", nullable=True)))
    lake.replace(wider, lake.read(table).with_columns(extra=pl.lit(None, pl.Int64)))
    lake.upsert(wider, bars(21, 1, choices=choices).with_columns(extra=pl.lit(5, pl.Int64)))
    yield wider


def predicates(choices: random.Random) -> Iterator[pl.Expr | None]:
    """Of the kinds that the package asks, and of kinds that say nothing about a file."""

    def instant() -> pl.Expr:
        exact = timedelta(microseconds=choices.choice((0, 998, 999, 1000)))
        return pl.lit(START + timedelta(hours=choices.randrange(-1, 23)) + exact, INSTANT)

    time, known, trades, symbol = (pl.col(name) for name in ("time", "available_at", "trades", "symbol"))
    mine, number = symbol == choices.choice((*SYMBOLS, "XRPUSDT")), choices.randrange(-8, 22)
    yield None
    yield mine
    yield mine & (time >= instant())
    yield (time > instant()) & (time <= instant()) & symbol.is_in(SYMBOLS[:2])
    yield time == instant()
    yield (
        pl.lit(value=True)
        & symbol.is_between(pl.lit("BTCUSDT"), pl.lit("ETHUSDT"))
        & time.is_between(instant(), instant())
    )
    yield time.is_between(instant(), instant(), closed="left") | (trades > number)
    yield (known < instant()) | mine
    yield (trades == number) & (symbol != "BTCUSDT")
    yield ~(time >= instant()) & mine
    yield instant() < time
    yield known.is_null()
    yield pl.col("price") > 3.0  # NaN is greater than everything, and in no maximum
    yield pl.col("note") >= "x" * 40 + "5"
    yield (time + timedelta(hours=1) > instant()) & (trades != number)


@pytest.mark.parametrize("partition_by", [("symbol",), ()])
def test_the_rows_are_those_that_delta_says_whatever_is_asked(tmp_path: Path, partition_by: tuple[str, ...]) -> None:
    choices = random.Random(7)
    lake, asked = Lake(str(tmp_path)), 0
    for table in history(lake, partition_by=partition_by, choices=choices):
        newest = lake.version(table)
        assert newest is not None
        older = choices.randrange(newest + 1)
        for where in choices.sample(list(predicates(choices)), 8):
            version = choices.choice((None, older))
            delta = DeltaTable(lake.uri(table), version=version)
            columns = [name for name in table.schema if name in pl.Schema(delta.schema())]
            said = pl.scan_delta(delta).filter(pl.lit(value=True) if where is None else where)
            wanted = said.select(columns).collect().sort(table.key)
            assert lake.read(table, where=where, columns=columns, version=version).equals(wanted), where
            asked += wanted.height
    assert asked > 200


def test_a_question_for_the_newest_rows_opens_the_newest_file_only(tmp_path: Path) -> None:
    """Or an hour gets slower with every hour since the last compaction; a polars that writes predicates otherwise."""
    lake = Lake(str(tmp_path))
    for hour in range(4):
        lake.upsert(BARS, bars(hour, 1, choices=random.Random(hour)).with_columns(available_at="time"))
    files = DataFiles.of(DeltaTable(lake.uri(BARS)), folder=lake.uri(BARS), small=SmallFiles())
    assert files is not None
    newest = START + timedelta(hours=3)
    mine, since = pl.col("symbol") == "ETHUSDT", pl.col("time") >= pl.lit(newest, INSTANT)
    within = pl.col("time").is_between(pl.lit(newest, INSTANT), pl.lit(newest + timedelta(hours=1), INSTANT))
    counts = [len(files.possible(where)) for where in (None, mine, mine & since, since, mine & within)]
    assert counts == [12, 4, 1, 3, 1]
    assert len(files.possible(mine & (pl.col("time") == pl.lit(newest + timedelta(microseconds=999), INSTANT)))) == 1
    oldest = pl.lit(START + timedelta(microseconds=999), INSTANT)
    assert [len(files.possible(where)) for where in (pl.col("time") == oldest, pl.col("time") <= oldest)] == [3, 3]
    assert not files.possible(pl.col("symbol").is_in(["XRPUSDT"]))
    for old in Path(lake.uri(BARS)).rglob("*.parquet"):
        if str(old) not in files.possible(since):
            old.unlink()
    assert Lake(str(tmp_path)).newest(BARS) == newest + timedelta(microseconds=999)
    assert Lake(str(tmp_path)).provenance(BARS) == "replay"


def test_the_newest_instant_is_found_where_the_newest_file_has_none_that_matches(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    for hour, symbol in enumerate(("ETHUSDT", "BTCUSDT")):
        lake.upsert(BARS, bars(hour, 1, choices=random.Random(0), symbols=(symbol,)).with_columns(available_at="time"))
    assert lake.newest(BARS, where=pl.col("symbol") == "ETHUSDT") == START + timedelta(microseconds=999)
    assert lake.newest(BARS, where=pl.col("symbol") == "XRPUSDT") is None


def test_a_table_that_asks_more_of_its_readers_is_left_to_delta(tmp_path: Path) -> None:
    """Deletion vectors: a file then holds rows that are no longer in the table."""
    lake = Lake(str(tmp_path))
    lake.upsert(BARS, bars(0, 1, choices=random.Random(0)))
    delta = DeltaTable(lake.uri(BARS))
    delta.alter.set_table_properties({"delta.enableDeletionVectors": "true", "delta.minReaderVersion": "3"})
    delta = DeltaTable(lake.uri(BARS))
    assert delta.protocol().min_reader_version == 3
    assert DataFiles.of(delta, folder=lake.uri(BARS), small=SmallFiles()) is None
    assert lake.read(BARS).height == len(SYMBOLS)


def test_the_log_keeps_the_extremes_of_what_rows_are_looked_for_by(tmp_path: Path) -> None:
    """Of every column: a signal's whole record, twice, in each commit that every opening of the table parses."""
    lake = Lake(str(tmp_path))

    def write(hour: int) -> set[str]:
        lake.upsert(BARS, bars(hour, 1, choices=random.Random(0)).with_columns(available_at="time"))
        logged = pl.DataFrame(DeltaTable(lake.uri(BARS)).get_add_actions(flatten=True))
        added = logged.filter(pl.col("modification_time") == pl.col("modification_time").max()).drop("path")
        return {name for name in added.columns if name.startswith("min.") and added[name].null_count() == 0}

    assert write(0) == {"min.time", "min.available_at", "min.provenance"}
    DeltaTable(lake.uri(BARS)).alter.set_table_properties({"delta.dataSkippingStatsColumns": "available_at"})
    assert write(1) == {"min.available_at"}  # a table of before; what it does not log is read all the same
    since = pl.col("time") >= pl.lit(START + timedelta(hours=1), INSTANT)
    assert (lake.read(BARS, where=since).height, lake.provenance(BARS)) == (len(SYMBOLS), "replay")
    lake.maintain(BARS, retention_hours=1_000)
    assert write(2) == {"min.time", "min.available_at", "min.provenance"}
