"""Vintages through Dagster and the command line: months, in processes of their own, and only what could be known."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl
import pytest

from eth_pipeline.cli.vintages import months
from eth_pipeline.contracts.artifact import HISTORICAL_FORECASTS
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.lake import Lake
from eth_pipeline_tests.small_home import SmallHome, small_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """100 days with features and labels; a vintage may learn from 40 days."""
    with small_home(tmp_path_factory.mktemp("vintages")) as built:
        built.environment["ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS"] = str(24 * 40)
        with built.entered() as instance:
            assert built.materialize("features", "labels", instance=instance).success
        yield built


@pytest.mark.slow
def test_a_range_of_months_is_trained_in_parallel_once_and_forecasts_its_own_hours(home: SmallHome) -> None:
    arguments = (
        "eth_pipeline",
        "vintages",
        "train",
        "--from",
        "2025-05",
        "--to",
        "2025-06",
        "--workers",
        "2",
        "--json",
    )
    done = home.command(*arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"month": m, "outcome": "trained"} for m in ("2025-05", "2025-06")]
    rows = Lake(str(home.folder / "lake")).read(HISTORICAL_FORECASTS)
    assert set(rows["cutoff"]) == {datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)}
    assert rows.filter(pl.col("cutoff").dt.truncate("1mo") != pl.col("decision_time").dt.truncate("1mo")).height == 0
    may = rows.filter(pl.col("cutoff") == datetime(2025, 5, 1, tzinfo=UTC), horizon_hours=5)
    assert may.height == 31 * 24
    assert rows["probability"].is_between(0, 1).all()
    assert rows["decision_time"].max() == datetime(2025, 6, 29, 12, tzinfo=UTC), "the newest hour needs no outcome"

    again = home.command(*arguments)
    assert json.loads(again.stdout) == [{"month": m, "outcome": "was there"} for m in ("2025-05", "2025-06")]
    listed = json.loads(home.command("eth_pipeline", "vintages", "list", "--json").stdout)
    assert [record["cutoff"][:7] for record in listed] == ["2025-05", "2025-06"]
    assert all(record["trained_until"] < record["cutoff"] for record in listed)


@pytest.mark.slow
def test_a_month_without_enough_history_fails_alone_and_says_why(home: SmallHome) -> None:
    done = home.command("eth_pipeline", "vintages", "train", "--from", "2025-04", "--to", "2025-04")
    assert done.returncode == 1
    assert "min_train_hours" in done.stderr
    assert "1 of 1 months failed" in done.stderr


def test_months_are_counted_over_the_turn_of_the_year() -> None:
    assert months("2023-11", "2024-02") == ["2023-11", "2023-12", "2024-01", "2024-02"]
    assert months("2024-05", "2024-05") == ["2024-05"]


@pytest.mark.parametrize(("first", "last"), [("2024-05", "2024-04"), ("May", "2024-05"), ("2024-13", "2025-01")])
def test_a_range_that_is_none_is_refused(first: str, last: str) -> None:
    with pytest.raises(SettingsInvalid):
        months(first, last)
