"""The lake: contracts on write, idempotent upserts, versions, and two writers at once."""

import dataclasses
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.table import INSTANT, Column
from eth_pipeline.contracts.tables import FUNDING_RATES
from eth_pipeline.errors import ContractViolation, ProvenanceMismatch
from eth_pipeline.lake import Lake
from eth_pipeline.lake.maintenance import FULL_FILE_BYTES
from eth_pipeline.settings import Settings
from eth_pipeline.signals.hourly import failed_record
from eth_pipeline.signals.record_rows import signal_rows

START = datetime(2024, 1, 1, tzinfo=UTC)


def settlements(
    count: int, *, first: int = 0, rate: float = 0.0001, symbol: str = "ETHUSDT", provenance: str = "replay"
):
    times = [START + timedelta(hours=8 * (first + n)) for n in range(count)]
    return pl.DataFrame(
        {
            "symbol": symbol,
            "funding_time": times,
            "funding_rate": rate,
            "interval_hours": 8,
            "available_at": times,
            "source": "api",
            "provenance": provenance,
        },
        schema=FUNDING_RATES.schema,
    )


def test_a_table_that_was_never_written_reads_as_no_rows_of_the_right_schema(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert lake.read(FUNDING_RATES).schema == pl.Schema(FUNDING_RATES.schema)
    assert lake.version(FUNDING_RATES) is None
    assert lake.newest(FUNDING_RATES) is None
    assert lake.provenance(FUNDING_RATES) == "unknown"


def test_writing_the_same_rows_again_changes_nothing_not_even_the_version(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    first = lake.upsert(FUNDING_RATES, settlements(10))
    again = lake.upsert(FUNDING_RATES, settlements(10))
    assert (first.inserted, first.version) == (10, 0)
    assert (again.inserted, again.updated, again.unchanged, again.version) == (0, 0, 10, 0)


def test_a_long_table_lies_in_row_groups_of_which_a_reader_of_its_end_needs_one(tmp_path: Path) -> None:
    """With one group a file, the newest bars of an hour cost what six years of history cost."""
    lake = Lake(str(tmp_path))
    lake.replace(FUNDING_RATES, settlements(40_000))
    lake.upsert(FUNDING_RATES, settlements(1, first=40_000))
    for _ in range(2):
        files = sorted(tmp_path.rglob("*.parquet"), key=lambda path: path.stat().st_size)
        groups = pq.ParquetFile(files[-1]).metadata
        starts = [groups.row_group(n).column(0).statistics.min for n in range(groups.num_row_groups)]
        assert groups.num_row_groups == 3
        assert starts == sorted(starts)
        lake.maintain(FUNDING_RATES, retention_hours=0)


def test_maintenance_sums_up_the_commits_so_that_no_reader_goes_through_them(tmp_path: Path) -> None:
    """Opening a table cost more with every commit; the hourly run opens tables all the time."""
    lake = Lake(str(tmp_path))
    for n in range(4):
        lake.upsert(FUNDING_RATES, settlements(1, first=n))
    rows = lake.read(FUNDING_RATES)
    lake.maintain(FUNDING_RATES, retention_hours=0)
    log = tmp_path / "funding_rates" / "_delta_log"
    assert json.loads((log / "_last_checkpoint").read_text())["version"] == lake.version(FUNDING_RATES)
    assert lake.read(FUNDING_RATES).equals(rows)
    assert lake.upsert(FUNDING_RATES, settlements(1, first=4)).inserted == 1
    assert lake.read(FUNDING_RATES).height == 5


def test_a_night_does_not_write_the_history_again(tmp_path: Path) -> None:
    """Merged into one file, every night left another copy of all years, kept for the sixty days of old versions."""
    lake = Lake(str(tmp_path))
    rates = pl.Series(np.random.default_rng(1).uniform(-0.001, 0.001, 400_000))
    lake.upsert(FUNDING_RATES, settlements(400_000).with_columns(funding_rate=rates))
    (history,) = tmp_path.rglob("*.parquet")
    assert history.stat().st_size > FULL_FILE_BYTES
    for night in range(2):
        for hour in range(3):
            lake.upsert(FUNDING_RATES, settlements(1, first=400_000 + 3 * night + hour))
        maintained = lake.maintain(FUNDING_RATES, retention_hours=24)
        assert maintained is not None
        assert maintained.files_after == 2, "the history as it was, and one file of what came since"
        written = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet") if path != history)
        assert written < history.stat().st_size / 10
    assert lake.read(FUNDING_RATES).height == 400_006


def test_new_keys_are_inserted_changed_rows_replaced_and_the_old_version_stays_readable(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.upsert(FUNDING_RATES, settlements(10))
    outcome = lake.upsert(FUNDING_RATES, pl.concat([settlements(1, first=9, rate=0.0002), settlements(3, first=10)]))
    assert (outcome.inserted, outcome.updated, outcome.unchanged) == (3, 1, 0)
    assert lake.read(FUNDING_RATES).height == 13
    assert lake.read(FUNDING_RATES)["funding_rate"][9] == 0.0002
    assert lake.read(FUNDING_RATES, version=0)["funding_rate"][9] == 0.0001


def test_one_bad_row_refuses_the_whole_write_and_names_the_row(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    bad = pl.concat([settlements(2), settlements(1, first=2, rate=0.5)])
    with pytest.raises(ContractViolation, match=r"1 rows break rule 'rate within 10 %'.*2024, 1, 1, 16"):
        lake.upsert(FUNDING_RATES, bad)
    assert lake.version(FUNDING_RATES) is None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda rows: rows.drop("funding_rate"), "columns missing"),
        (lambda rows: rows.with_columns(extra=1), "unexpected"),
        (lambda rows: rows.cast({"interval_hours": pl.Float64}), "dtypes"),
        (lambda rows: rows.with_columns(funding_rate=pl.lit(None, dtype=pl.Float64)), "null values"),
        (lambda rows: pl.concat([rows, rows]), "share a key"),
        (lambda rows: rows.with_columns(provenance=pl.lit("hearsay")), "known provenance"),
    ],
)
def test_rows_that_break_the_contract_are_refused_with_the_reason(tmp_path: Path, spoil, words: str) -> None:
    with pytest.raises(ContractViolation, match=words):
        Lake(str(tmp_path)).upsert(FUNDING_RATES, spoil(settlements(3)))


def test_a_lake_never_mixes_data_of_two_origins(tmp_path: Path) -> None:
    """Simulated rows beside real ones would let a model trained on a simulation look real."""
    lake = Lake(str(tmp_path))
    lake.upsert(FUNDING_RATES, settlements(3))
    with pytest.raises(ProvenanceMismatch, match="another exchange"):
        lake.upsert(FUNDING_RATES, settlements(3, first=3, provenance="simulated"))
    assert lake.read(FUNDING_RATES).height == 3


def test_a_record_from_before_the_first_row_keeps_no_later_one_out_and_lets_no_second_origin_in(tmp_path: Path) -> None:
    """Found by the soak: the first hour of a new home died, its record could name no origin, and since the table then
    held `unknown` rows every later signal was refused, for ever.
    """
    lake = Lake(str(tmp_path))

    def record(hour: int, provenance: str) -> pl.DataFrame:
        origin = {"provenance": provenance, "run_id": "run", "code_commit": "none", "config_digest": "none"}
        now = START + timedelta(hours=hour)
        return signal_rows(
            [failed_record(settings=Settings(), decision_time=now, emitted_at=now, detail="it died", **origin)]
        )

    lake.upsert(SIGNALS, record(0, "unknown"))
    assert lake.provenance(SIGNALS) == "unknown"
    assert lake.upsert(SIGNALS, record(1, "simulated")).inserted == 1
    assert lake.upsert(SIGNALS, record(2, "unknown")).inserted == 1
    assert lake.provenance(SIGNALS) == "simulated"
    with pytest.raises(ProvenanceMismatch, match="another exchange"):
        lake.upsert(SIGNALS, record(3, "binance"))
    assert lake.read(SIGNALS).height == 3


def test_two_writers_at_once_lose_nothing_and_duplicate_nothing(tmp_path: Path) -> None:
    Lake(str(tmp_path)).upsert(FUNDING_RATES, settlements(5))

    def write(offset: int) -> None:
        for step in range(3):
            Lake(str(tmp_path)).upsert(FUNDING_RATES, settlements(20, first=offset + step * 10))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (0, 5)))
    rows = Lake(str(tmp_path)).read(FUNDING_RATES)
    assert rows.height == rows["funding_time"].n_unique() == 45


def test_a_derived_table_is_current_only_under_the_definition_that_wrote_it(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    before = dataclasses.replace(FUNDING_RATES, definition="1")
    after = dataclasses.replace(
        FUNDING_RATES, definition="2", columns=(*FUNDING_RATES.columns, Column("extra", pl.Float64, "share", "New."))
    )
    lake.replace(before, settlements(3))
    assert lake.is_current(before)
    assert not lake.is_current(after)
    lake.replace(after, settlements(2).with_columns(extra=pl.lit(1.0)))
    assert lake.is_current(after)
    assert lake.read(after).height == 2


def test_reading_filters_and_selects_and_keeps_the_order_of_the_key(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.upsert(FUNDING_RATES, pl.concat([settlements(4, symbol="BTCUSDT"), settlements(4)]).reverse())
    rows = lake.read(
        FUNDING_RATES,
        where=(pl.col("symbol") == "ETHUSDT") & (pl.col("funding_time") > pl.lit(START, INSTANT)),
        columns=["funding_time"],
    )
    assert rows["funding_time"].to_list() == [START + timedelta(hours=8 * n) for n in (1, 2, 3)]
    assert lake.newest(FUNDING_RATES) == START + timedelta(hours=24)


def test_two_writers_that_create_a_table_at_once_do_not_double_it(tmp_path: Path) -> None:
    """Seen once in two processes: both found no table, both created it, and every row was there twice."""
    for number in range(6):
        location = str(tmp_path / str(number))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _, at=location: Lake(at).upsert(FUNDING_RATES, settlements(30)), range(2)))
        assert Lake(location).read(FUNDING_RATES).height == 30


def test_a_lake_that_is_kept_sees_what_others_wrote(tmp_path: Path) -> None:
    kept = Lake(str(tmp_path))
    for hours in (3, 6, 9):
        Lake(str(tmp_path)).upsert(FUNDING_RATES, settlements(hours))
        assert kept.read(FUNDING_RATES).height == hours
        assert kept.version(FUNDING_RATES) == hours // 3 - 1


def test_a_table_that_was_deleted_and_written_anew_is_another_one(tmp_path: Path) -> None:
    """A folder deleted by hand, as the runbook allows for caches: the new table has the old one's version numbers."""
    kept = Lake(str(tmp_path))
    kept.upsert(FUNDING_RATES, settlements(3))
    assert kept.read(FUNDING_RATES).height == 3
    shutil.rmtree(tmp_path / FUNDING_RATES.name)
    assert kept.version(FUNDING_RATES) is None
    kept.upsert(FUNDING_RATES, settlements(2))
    shutil.rmtree(tmp_path / FUNDING_RATES.name)
    Lake(str(tmp_path)).upsert(FUNDING_RATES, settlements(5, first=4, provenance="simulated"))
    assert kept.read(FUNDING_RATES).height == 5
    assert kept.provenance(FUNDING_RATES) == "simulated"
    with pytest.raises(ProvenanceMismatch):
        kept.upsert(FUNDING_RATES, settlements(1))


def test_the_same_rows_of_a_version_are_read_once(tmp_path: Path) -> None:
    """Three steps of an hour measure freshness, each from the stored rows; of one version they are the same rows."""
    lake = Lake(str(tmp_path))
    lake.upsert(FUNDING_RATES, settlements(4))
    newest = pl.col("funding_time") > pl.lit(START, INSTANT)
    first = lake.read(FUNDING_RATES, where=newest)
    for file in (tmp_path / FUNDING_RATES.name).rglob("*.parquet"):
        file.unlink()
    assert lake.read(FUNDING_RATES, where=newest).equals(first)
    for other in ({"where": ~newest}, {"where": newest, "columns": ["symbol"]}, {"where": newest, "ordered": False}):
        with pytest.raises(OSError, match="No such file"):
            lake.read(FUNDING_RATES, **other)


def test_what_one_reader_does_to_its_rows_the_next_one_does_not_see(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.upsert(FUNDING_RATES, settlements(2))
    mine = lake.read(FUNDING_RATES)
    mine.insert_column(0, pl.Series("mine", [1, 2]))
    mine[0, "funding_rate"] = 9.0
    assert lake.read(FUNDING_RATES).columns == list(FUNDING_RATES.schema)
    assert lake.read(FUNDING_RATES)["funding_rate"].max() == 0.0001


def test_an_older_version_is_that_version_whatever_was_read_before(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.upsert(FUNDING_RATES, settlements(2))
    lake.upsert(FUNDING_RATES, settlements(4))
    heights = [lake.read(FUNDING_RATES, version=version).height for version in (1, 0, None, 0)]
    assert heights == [4, 2, 4, 2]


def test_a_write_that_fails_leaves_nothing_behind_that_is_read_later(tmp_path: Path) -> None:
    """A handle whose borrower failed is not lent again: nobody knows how far it got."""
    lake = Lake(str(tmp_path))
    lake.upsert(FUNDING_RATES, settlements(2))

    def refuse(_: pl.DataFrame) -> pl.DataFrame:
        Lake(str(tmp_path)).version(FUNDING_RATES)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        lake.upsert(FUNDING_RATES, settlements(3), choose=refuse)
    assert lake.read(FUNDING_RATES).height == 2
    assert lake.upsert(FUNDING_RATES, settlements(3)).inserted == 1
