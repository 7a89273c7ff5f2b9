"""Months on demand, the ledger, the recheck and the maintenance of the lake, through Dagster and the command line."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from dagster._cli import cli as dagster_cli
from typer.main import get_command

from eth_pipeline.cli import app
from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.contracts.tables import KLINES, STREAMS
from eth_pipeline.lake import Lake
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import AS_OF, SmallHome, small_home

ONE_PROCESS = Path(__file__).resolve().parents[1] / "h800" / "one_process.yaml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """One home for all tests here; none of them moves its clock."""
    with small_home(tmp_path_factory.mktemp("home"), shared=shared_folder(tmp_path_factory)) as built:
        yield built


def remove_april(home: SmallHome) -> pl.DataFrame:
    """Take the first half of April out of `klines` and return what was there before."""
    lake = Lake(str(home.folder / "lake"))
    before = lake.read(KLINES)
    april = pl.col("open_time").is_between(
        pl.datetime(2025, 4, 1, time_unit="us", time_zone="UTC"),
        pl.datetime(2025, 4, 14, time_unit="us", time_zone="UTC"),
    )
    lake.replace(KLINES, before.filter(~april))
    return before


def test_dagsters_own_command_brings_a_month_back_row_for_row(home: SmallHome) -> None:
    before = remove_april(home)
    home.sandbox.requests.clear()
    command = ("asset", "materialize", "-m", "eth_pipeline.definitions", "-c", str(ONE_PROCESS))
    arguments = ("--select", "market_history", "--partition-range", "2025-04-01...2025-05-01")
    done = home.in_process(dagster_cli, *command, *arguments)
    assert done.exit_code == 0, done.output[-2000:]
    after = Lake(str(home.folder / "lake")).read(KLINES)
    assert after.drop("source").equals(before.drop("source"))


def test_our_command_brings_a_range_back_and_asks_for_nothing_the_second_time(home: SmallHome) -> None:
    before = remove_april(home)
    command = ("backfill", "--from", "2025-04-01T00:00:00Z", "--to", "2025-04-20T00:00:00Z")
    done = home.command("eth_pipeline", *command, "--stream", "klines", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    assert sum(row["inserted"] for row in json.loads(done.stdout)) == before.height - (
        before.height - 4 * (13 * 96 + 1)
    )
    assert Lake(str(home.folder / "lake")).read(KLINES).drop("source").equals(before.drop("source"))
    home.sandbox.requests.clear()
    again = home.in_process(get_command(app), *command, "--stream", "klines", "--json")
    assert [row["outcome"] for row in json.loads(again.stdout)] == ["local"] * 4
    assert home.sandbox.requests["/fapi/v1/klines"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2025-04-20T00:00:00Z", "--to", "2025-04-01T00:00:00Z"), "Nothing lies between"),
        (("--from", "yesterday", "--to", "2025-04-01T00:00:00Z"), "Write it like"),
        (
            ("--from", "2025-04-01T00:00:00Z", "--to", "2025-04-02T00:00:00Z", "--stream", "ticks"),
            "Choose from: klines",
        ),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(home: SmallHome, arguments: tuple[str, ...], words: str) -> None:
    done = home.in_process(get_command(app), "backfill", *arguments)
    assert done.exit_code == 1
    assert words in done.stderr
    assert isinstance(done.exception, SystemExit), "a sentence and an exit code, no traceback"


def test_maintenance_compacts_the_lake_and_loses_no_row(home: SmallHome) -> None:
    lake = Lake(str(home.folder / "lake"))
    kept = lake.read(KLINES)
    lake.replace(KLINES, kept.head(kept.height - 12))
    for part in kept.tail(12).iter_slices(4):  # small commits, as the hourly run makes them
        lake.upsert(KLINES, part)
    before = lake.read(KLINES)
    with home.entered() as instance:
        result = home.run_job("maintenance", instance=instance)
    assert result.success
    metadata = result.asset_materializations_for_node("lake_maintenance")[0].metadata
    assert metadata["files"].value >= len(STREAMS)
    assert lake.read(KLINES).join(before, on=list(KLINES.schema), how="semi", nulls_equal=True).height == before.height


def test_the_ledger_asset_names_a_hole_that_no_door_fills(home: SmallHome) -> None:
    since = AS_OF - timedelta(days=2)
    lake = Lake(str(home.folder / "lake"))
    lost = (pl.col("symbol") == "ETHUSDT") & pl.col("open_time").is_between(
        pl.lit(since, INSTANT), pl.lit(since + timedelta(hours=2), INSTANT)
    )
    rows = lake.read(KLINES)
    lake.replace(KLINES, rows.filter(~lost))
    home.sandbox.faults.switch_on(
        "gap", streams=("klines",), symbols=("ETHUSDT",), since=iso(since), until=iso(since + timedelta(hours=3))
    )
    try:
        with home.entered() as instance:
            assert home.materialize("klines", "gap_ledger", instance=instance).success
            result = home.materialize("gap_ledger", instance=instance)
    finally:
        home.sandbox.faults.clear()
    metadata = result.asset_materializations_for_node("gap_ledger")[0].metadata
    assert metadata["open"].value >= 8
    assert "missing" in metadata["by_cause"].value
