"""Small data files are read once by a process, and never instead of what lies there now."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.tables import FUNDING_RATES
from eth_pipeline.lake import Lake
from eth_pipeline.lake.small_files import _KEPT_BYTES, SMALL_FILE_BYTES, SmallFiles

START = datetime(2026, 1, 1, tzinfo=UTC)
RATE = pl.col("funding_rate")


def settlements(count: int, *, first: int = 0) -> pl.DataFrame:
    """`count` settlements of one symbol, eight hours apart."""
    times = [START + timedelta(hours=8 * n) for n in range(first, first + count)]
    return pl.DataFrame(
        {
            "symbol": ["ETHUSDT"] * count,
            "funding_time": times,
            "funding_rate": [n * 1e-6 for n in range(first, first + count)],
            "interval_hours": [8] * count,
            "available_at": times,
            "source": ["api"] * count,
            "provenance": ["replay"] * count,
        },
        schema=FUNDING_RATES.schema,
    )


def files_of(folder: Path) -> list[Path]:
    return sorted((folder / FUNDING_RATES.name).rglob("*.parquet"))


def test_a_file_that_was_removed_or_torn_is_not_answered_from_memory(tmp_path: Path) -> None:
    """Or a process that runs for weeks would vouch for rows that no other process can read."""
    lake = Lake(str(tmp_path))
    lake.upsert(FUNDING_RATES, settlements(4))
    assert lake.read(FUNDING_RATES, where=RATE >= 0).height == 4
    (file,) = files_of(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(b"torn")
    with pytest.raises(pl.exceptions.PolarsError):
        lake.read(FUNDING_RATES, where=RATE >= 1e-6)
    file.unlink()
    with pytest.raises(OSError, match="No such file"):
        lake.read(FUNDING_RATES, where=RATE >= 2e-6)
    file.write_bytes(whole)
    assert lake.read(FUNDING_RATES, where=RATE >= 3e-6).height == 1


def test_small_and_large_files_answer_together_in_the_order_of_the_key(tmp_path: Path) -> None:
    """A history that the night has merged, and the hours since."""
    lake = Lake(str(tmp_path))
    lake.replace(FUNDING_RATES, settlements(40_000).sample(fraction=1.0, shuffle=True, seed=1))
    lake.upsert(FUNDING_RATES, settlements(3, first=40_000))
    sizes = sorted(file.stat().st_size for file in files_of(tmp_path))
    assert sizes[0] <= SMALL_FILE_BYTES < sizes[1]
    for _ in range(2):
        rows = lake.read(FUNDING_RATES, where=RATE >= 39_998e-6)
        assert rows.equals(settlements(5, first=39_998))


def test_no_more_is_kept_than_the_limit(tmp_path: Path) -> None:
    """A process that runs for months reads every small file there ever was."""
    small = SmallFiles()
    rows = pl.DataFrame({"value": range(2_000_000)})
    for number in range(8):
        rows.write_parquet(tmp_path / f"{number}.parquet")
        (found,) = small.rows([str(tmp_path / f"{number}.parquet")], stored={"value": pl.Int64()}, partitions={})
        assert found.equals(rows)
    kept = sum(found.rows.estimated_size() for found in small._kept.values())
    assert len(small._kept) == 4
    assert kept == small._bytes <= _KEPT_BYTES


def test_a_file_from_before_a_column_has_nulls_in_it(tmp_path: Path) -> None:
    """And the rows that were read before the table got the column are not handed out without it."""
    small, file = SmallFiles(), tmp_path / "0.parquet"
    pl.DataFrame({"a": [1, 2]}).write_parquet(file)
    before = {"a": pl.Int64()}
    assert small.rows([str(file)], stored=before, partitions={})[0].columns == ["a"]
    (found,) = small.rows([str(file)], stored=before | {"b": pl.Float64()}, partitions={})
    assert found.rows() == [(1, None), (2, None)]
