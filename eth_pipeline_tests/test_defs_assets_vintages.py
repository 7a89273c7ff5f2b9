"""Fan-outs by the command line, on one small history: vintages by month, tries of a search by parameters."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
import polars as pl
import psutil
import pytest

from eth_pipeline.cli.search import LARGEST, chosen, score
from eth_pipeline.cli.vintages import months
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS, TRIED_PNL
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.lake import Lake
from eth_pipeline.models.boosting import Boosting
from eth_pipeline_tests.small_home import SmallHome, small_home
from eth_pipeline_tests.waiting import wait_until


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """100 days with features and labels; a vintage may learn from 40 days."""
    with small_home(tmp_path_factory.mktemp("vintages")) as built:
        built.environment["ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS"] = str(24 * 40)
        with built.entered() as instance:
            assert built.materialize("features", "labels", instance=instance).success
        yield built


RANGE = ("eth_pipeline", "vintages", "train", "--from", "2025-05", "--to", "2025-06", "--json")


@pytest.fixture(scope="module")
def trained(home: SmallHome) -> SmallHome:
    """The home after two months were trained by two workers."""
    done = home.command(*RANGE, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"month": m, "outcome": "trained"} for m in ("2025-05", "2025-06")]
    return home


@pytest.mark.slow
def test_a_range_of_months_is_trained_in_parallel_once_and_forecasts_its_own_hours(trained: SmallHome) -> None:
    home = trained
    rows = Lake(str(home.folder / "lake")).read(HISTORICAL_FORECASTS)
    assert set(rows["cutoff"]) == {datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)}
    assert rows.filter(pl.col("cutoff").dt.truncate("1mo") != pl.col("decision_time").dt.truncate("1mo")).height == 0
    may = rows.filter(pl.col("cutoff") == datetime(2025, 5, 1, tzinfo=UTC), horizon_hours=5)
    assert may.height == 31 * 24
    assert rows["probability"].is_between(0, 1).all()
    assert rows["decision_time"].max() == datetime(2025, 6, 29, 12, tzinfo=UTC), "the newest hour needs no outcome"

    again = home.command(*RANGE)
    assert json.loads(again.stdout) == [{"month": m, "outcome": "was there"} for m in ("2025-05", "2025-06")]
    listed = json.loads(home.command("eth_pipeline", "vintages", "list", "--json").stdout)
    assert [record["cutoff"][:7] for record in listed] == ["2025-05", "2025-06"]
    assert all(record["trained_until"] < record["cutoff"] for record in listed)


def content(home: SmallHome) -> dict[str, bytes]:
    """Every file of every vintage."""
    folder = home.folder / "vintages"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_killed_worker_costs_a_retry_and_no_byte_depends_on_the_workers(trained: SmallHome) -> None:
    """A worker that ran out of memory took all months along, and its run stayed "started" for ever."""
    home = trained
    expected = content(home)
    assert {name.split("/")[1] for name in expected} == {"2025-05", "2025-06"}
    before = {run.run_id for run in started(home)}
    once_more = [sys.executable, "-m", *RANGE, "--force"]
    with subprocess.Popen(once_more, env={**os.environ, **home.environment}, stdout=subprocess.PIPE) as command:
        (lost,) = wait_until(lambda: {run.run_id for run in started(home)} - before, seconds=90)
        (worker,) = [c for c in psutil.Process(command.pid).children() if "spawn_main" in " ".join(c.cmdline())]
        worker.kill()
        answer = json.loads(command.communicate(timeout=180)[0])
    assert answer == [{"month": m, "outcome": "trained"} for m in ("2025-05", "2025-06")]
    assert content(home) == expected
    with home.entered() as instance:
        run = instance.get_run_by_id(lost)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.CANCELED, "nothing stays started"
        again = instance.get_runs(dg.RunsFilter(tags={"eth_pipeline/month": run.tags["eth_pipeline/month"]}))
        assert again[0].status is dg.DagsterRunStatus.SUCCESS


def started(home: SmallHome) -> list[dg.DagsterRun]:
    with home.entered() as instance:
        return list(instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])))


@contextmanager
def ignored(number: signal.Signals) -> Iterator[None]:
    """As a script's `command &` starts it."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.slow
def test_a_month_without_enough_history_fails_alone_and_says_why(home: SmallHome) -> None:
    """Started by a script in the background, where SIGINT is ignored: it once never ended."""
    with ignored(signal.SIGINT):
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


@pytest.mark.slow
def test_every_try_of_a_search_is_counted_and_no_figure_depends_on_the_workers(home: SmallHome) -> None:
    """The best of many tries, judged as if it had been the only one, is luck."""
    search = ("eth_pipeline", "search", "--tries", "3", "--seed", "5", "--json")
    done = home.command(*search, "--workers", "2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len({each["try"] for each in found}) == 3
    tried = Lake(str(home.folder / "lake")).read(TRIED_PNL)
    assert {each["try"] for each in found} <= set(tried["try_id"])
    with home.entered():
        (first, *_) = chosen(3, seed=5)
        alone = score(first)
    (same,) = [each for each in found if each["try"] == alone.name]
    assert same["out_of_fold_auc"] == {str(horizon): value for horizon, value in alone.auc.items()}


def test_a_longer_search_repeats_the_shorter_one_and_tries_nothing_twice() -> None:
    everything = chosen(LARGEST, seed=3)
    assert chosen(4, seed=3) == everything[:4]
    assert len({Boosting(parameters).digest() for parameters in everything}) == LARGEST
    assert chosen(4, seed=4) != chosen(4, seed=3)
