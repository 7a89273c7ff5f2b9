"""Tests of eth_pipeline.trading.rebuild: rebuilt hours are the lived ones, and never stand in their place."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from dagster._cli import cli as dagster_cli
from typer.main import get_command

from eth_pipeline.cli import app
from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import record_from_json
from eth_pipeline.lake import Lake
from eth_pipeline.trading.rebuild import REBUILT_EVENTS, REBUILT_SIGNALS
from eth_pipeline_tests.lived_hours import account_differs, again, differing_hours, lived_home
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import SmallHome

ONE_PROCESS = Path(__file__).resolve().parents[1] / "h800" / "one_process.yaml"
LIVED_HOURS = 6
ONE_CROSS_SYMBOL = {"ETH_PIPELINE_CROSS_SYMBOLS": '["BTCUSDT"]'}
"""`benchmarks/lived_hours.py` lives 48 hours of four symbols and exits 1 if one differs."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """A home that lived six hours through Dagster, one run each; the base strategy decides alone."""
    folder, shared = tmp_path_factory.mktemp("rebuild"), shared_folder(tmp_path_factory)
    with lived_home(folder, hours=LIVED_HOURS, settings=ONE_CROSS_SYMBOL, shared=shared) as built:
        yield built


@pytest.mark.slow
def test_the_rebuilt_hours_are_those_that_dagster_lived_one_by_one(home: SmallHome) -> None:
    """Record by record, field by field; and the account that followed them, event by event."""
    records = home.signals()
    assert len(records) == LIVED_HOURS
    assert len({record.action for record in records}) > 1, "hours that all hold would prove little"
    assert differing_hours(home) == []
    assert not account_differs(home)


@pytest.mark.slow
def test_months_are_rebuilt_through_dagster_from_vintages_and_beside_the_lived_ones(home: SmallHome) -> None:
    before, newest = Lake(str(home.folder / "lake")).read(SIGNALS), home.signals()[-1].decision_time
    with home.entered() as instance:
        assert home.materialize("features", "labels", instance=instance).success
    done = home.in_process(get_command(app), "vintages", "train", "--from", "2025-05", "--to", "2025-06")
    assert done.exit_code == 0, done.output
    module = ("asset", "materialize", "-m", "eth_pipeline.definitions", "-c", str(ONE_PROCESS))
    select = ("--select", "rebuilt_history", "--partition-range", "2025-05-01...2025-06-01")
    run = home.in_process(dagster_cli, *module, *select)
    assert run.exit_code == 0, run.output[-3000:]
    lake = Lake(str(home.folder / "lake"))
    rows = lake.read(REBUILT_SIGNALS).sort("decision_time")
    may, end = datetime(2025, 5, 1, tzinfo=UTC), min(datetime(2025, 7, 1, tzinfo=UTC), newest + HOUR)
    assert rows["decision_time"].to_list() == [may + n * HOUR for n in range(int((end - may) / HOUR))]
    assert set(rows["model_version"].drop_nulls()) == {"vintage 2025-05", "vintage 2025-06"}
    told = [record.ml.ml_quantiles for record in map(record_from_json, rows["record"])]
    assert all(set(quantiles) == {5, 12, 24} for quantiles in told), "what sizes a lived hour is known to a rebuilt one"
    assert lake.read(REBUILT_EVENTS).height > 100
    assert lake.read(SIGNALS).equals(before), "a rebuilt hour never stands where a lived one was recorded"
    (page,) = (home.folder / "reports").glob("rebuilt-*.html")
    assert "Paper account ETHUSDT" in page.read_text()


@pytest.mark.slow
def test_what_came_later_changes_no_rebuilt_hour(home: SmallHome) -> None:
    """Nor does where the history begins, as long as it is long enough."""
    records = home.signals()
    first, middle = records[0].decision_time, records[LIVED_HOURS // 2].decision_time
    whole = again(home, first, records[-1].decision_time + HOUR).signals
    part = again(home, first, middle).signals
    assert part["record"].to_list() == whole.filter(pl.col("decision_time") < middle)["record"].to_list()
    assert timedelta(hours=part.height) == middle - first
