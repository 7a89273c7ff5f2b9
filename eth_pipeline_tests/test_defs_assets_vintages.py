"""Fan-outs by the command line, on one small history: vintages by month, algorithm and symbol, tries of a search."""

import itertools
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
from typer.testing import CliRunner, Result

from eth_pipeline.cli import app
from eth_pipeline.cli.training.search import score
from eth_pipeline.cli.training.search_space import CHOICES, LARGEST, chosen, forecaster_of
from eth_pipeline.cli.training.symbol_home import link_streams, prepare_symbol, require_symbols
from eth_pipeline.cli.training.vintage_tasks import VintageTask, train_one
from eth_pipeline.cli.training.vintages import known_algorithms, months, tasks
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS, TRIED_PNL
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.lake import Lake
from eth_pipeline.models.algorithms import ALGORITHMS, CROSS_ASSET, LIGHTGBM, LSTM
from eth_pipeline.settings import NetworkSettings, load_settings
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import TWO_SYMBOLS_BY_THE_HOUR, SmallHome, small_home
from eth_pipeline_tests.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

SYMBOLS = ("ETHUSDT", "BTCUSDT")
MONTH, CUTOFF = "2025-06", datetime(2025, 6, 1, tzinfo=UTC)
SMALLER = {
    "ETH_PIPELINE_TRAINING__HORIZONS_HOURS": "[5]",
    "ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS": str(24 * 40),
    "ETH_PIPELINE_TRAINING__BOOTSTRAP_SAMPLES": "50",
    "ETH_PIPELINE_NETWORKS__MAX_EPOCHS": "1",
    "ETH_PIPELINE_NETWORKS__WINDOW_HOURS": "4",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """100 days of two symbols with features and labels of the first; a vintage may learn from 40 days."""
    folder, shared = tmp_path_factory.mktemp("vintages"), shared_folder(tmp_path_factory)
    with small_home(folder, smaller=TWO_SYMBOLS_BY_THE_HOUR, shared=shared) as built:
        built.environment.update(SMALLER)
        with built.entered() as instance:
            assert built.materialize("features", "labels", instance=instance).success
        yield built


TRAINED = (LSTM, CROSS_ASSET, LIGHTGBM)
"""In the order of the command. The TFT is left out: it runs the same code as the LSTM, and its export takes longest."""
RANGE = ("vintages", "train", "--from", MONTH, "--to", MONTH, "--json")
BOTH = ("--symbol", "ETHUSDT", "--symbol", "BTCUSDT")
SEVERAL = tuple(itertools.chain.from_iterable(("--algorithm", name) for name in TRAINED))


def told(outcome: str) -> list[dict[str, str]]:
    return [{"symbol": s, "algorithm": a, "month": MONTH, "outcome": outcome} for s in SYMBOLS for a in TRAINED]


def cli(home: SmallHome, *arguments: str) -> Result:
    """A command in this process, with the home's environment."""
    with home.entered():
        return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def trained(home: SmallHome) -> SmallHome:
    """The home after one month of several algorithms and both symbols was trained by two workers."""
    done = cli(home, *RANGE, *BOTH, *SEVERAL, "--workers", "2")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == told("trained")
    return home


@pytest.mark.slow
def test_every_algorithm_asked_for_of_every_symbol_is_trained_once_and_forecasts_its_own_hours(
    trained: SmallHome,
) -> None:
    for symbol, folder in zip(SYMBOLS, (trained.folder, trained.folder / "symbols" / "BTCUSDT"), strict=True):
        rows = Lake(str(folder / "lake")).read(HISTORICAL_FORECASTS)
        assert set(rows["symbol"]) == {symbol}
        assert set(rows["algorithm"]) == set(TRAINED)
        assert set(rows["cutoff"]) == {CUTOFF}
        assert rows["decision_time"].min() == CUTOFF
        assert rows["decision_time"].max() == datetime(2025, 6, 29, 12, tzinfo=UTC), "the newest hour needs no outcome"
        assert rows["probability"].is_between(0, 1).all()
        assert rows.filter(algorithm=LIGHTGBM)["quantiles"].null_count() == 0
        assert rows.group_by("algorithm").len()["len"].n_unique() == 1

    again = cli(trained, *RANGE, *BOTH, *SEVERAL)
    assert json.loads(again.stdout) == told("was there")
    listed = json.loads(cli(trained, "vintages", "list", "--json").stdout)
    assert {(record["symbol"], record["algorithm"]) for record in listed} == {(s, a) for s in SYMBOLS for a in TRAINED}
    assert all(record["trained_until"] < record["cutoff"] for record in listed)


@pytest.mark.slow
def test_a_vintage_is_a_partition_of_its_own_asset_in_the_home_of_its_symbol(trained: SmallHome) -> None:
    btc = SmallHome(
        trained.folder / "symbols" / "BTCUSDT",
        trained.sandbox,
        trained.environment | {"ETH_PIPELINE_HOME": str(trained.folder / "symbols" / "BTCUSDT")},
    )
    for home in (trained, btc):
        with home.entered() as instance:
            assert instance.get_materialized_partitions(dg.AssetKey("model_vintage")) == {f"{MONTH}-01"}
            assert instance.get_materialized_partitions(dg.AssetKey("other_vintage")) == {
                dg.MultiPartitionKey({"algorithm": name, "month": f"{MONTH}-01"})
                for name in TRAINED
                if name != LIGHTGBM
            }


@pytest.mark.slow
def test_another_symbols_home_reads_the_same_streams_and_shares_nothing_derived(trained: SmallHome) -> None:
    lake, other = trained.folder / "lake", trained.folder / "symbols" / "BTCUSDT" / "lake"
    assert (other / "klines").resolve() == (lake / "klines").resolve()
    for name in ("features", "labels", "historical_forecasts"):
        assert not (other / name).is_symlink(), name
    ours, theirs = (set(pl.read_delta(str(place / "features")).columns) for place in (lake, other))
    assert any(name.startswith("btc_") for name in ours)
    assert any(name.startswith("eth_") for name in theirs)
    assert not any(name.startswith("btc_") for name in theirs)


def content(home: SmallHome, symbol: str) -> dict[str, bytes]:
    """Every file of every vintage of a symbol."""
    folder = (home.folder if symbol == "ETHUSDT" else home.folder / "symbols" / symbol) / "vintages"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_killed_worker_costs_a_retry_and_no_byte_depends_on_the_workers(trained: SmallHome) -> None:
    """A worker that ran out of memory took all months along, and its run stayed "started" for ever."""
    home = trained
    expected = content(home, "ETHUSDT")
    assert {name.split("/")[0] for name in expected} == set(TRAINED)
    before = {run.run_id for run in started(home)}
    once_more = [sys.executable, "-m", "eth_pipeline", *RANGE, "--algorithm", LSTM, "--algorithm", LIGHTGBM, "--force"]
    with subprocess.Popen(once_more, env={**os.environ, **home.environment}, stdout=subprocess.PIPE) as command:
        (lost,) = wait_until(lambda: {run.run_id for run in started(home)} - before, seconds=180)
        (worker,) = [c for c in psutil.Process(command.pid).children() if "spawn_main" in " ".join(c.cmdline())]
        worker.kill()
        answer = json.loads(command.communicate(timeout=280)[0])
    assert [(each["algorithm"], each["outcome"]) for each in answer] == [(LSTM, "trained"), (LIGHTGBM, "trained")]
    assert content(home, "ETHUSDT") == expected
    with home.entered() as instance:
        run = instance.get_run_by_id(lost)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.CANCELED, "nothing stays started"
        again = instance.get_runs(dg.RunsFilter(tags={name: run.tags[name] for name in TASK_TAGS}))
        assert again[0].status is dg.DagsterRunStatus.SUCCESS


TASK_TAGS = ("eth_pipeline/fan_out", "eth_pipeline/algorithm", "eth_pipeline/month")


@pytest.mark.slow
def test_a_worker_makes_what_this_process_makes(trained: SmallHome) -> None:
    """Of another symbol, by an algorithm that reads the coins beside it: its home decides which ones these are."""
    expected = content(trained, "BTCUSDT")
    with trained.entered():
        assert prepare_symbol("BTCUSDT") == "was there", "another version of the same rows would be another record"
        assert train_one(VintageTask("BTCUSDT", CROSS_ASSET, MONTH)) == "trained"
        assert load_settings().symbol == "ETHUSDT"
    assert content(trained, "BTCUSDT") == expected


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
        done = cli(home, "vintages", "train", "--from", "2025-04", "--to", "2025-04")
    assert done.exit_code == 1
    assert "min_train_hours" in done.stderr
    assert "1 of 1 vintages failed" in done.stderr


def test_months_are_counted_over_the_turn_of_the_year() -> None:
    assert months("2023-11", "2024-02") == ["2023-11", "2023-12", "2024-01", "2024-02"]
    assert months("2024-05", "2024-05") == ["2024-05"]


@pytest.mark.parametrize(("first", "last"), [("2024-05", "2024-04"), ("May", "2024-05"), ("2024-13", "2025-01")])
def test_a_range_that_is_none_is_refused(first: str, last: str) -> None:
    with pytest.raises(SettingsInvalid):
        months(first, last)


def test_tasks_are_every_combination_and_the_slowest_come_first() -> None:
    made = tasks(["2025-05", "2025-06"], algorithms=tuple(ALGORITHMS), symbols=SYMBOLS)
    assert len({(task.symbol, task.algorithm, task.month) for task in made}) == len(made) == 2 * 4 * 2
    assert [task.algorithm for task in made[:8:2]] == ["tft", "lstm", "cross_asset", "lightgbm"]
    assert known_algorithms(["all"]) == tuple(ALGORITHMS)
    assert known_algorithms([LSTM, LIGHTGBM, LSTM]) == (LSTM, LIGHTGBM)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("vintages", "train", "--from", MONTH, "--to", MONTH, "--algorithm", "oracle"),
            "No algorithm is called oracle",
        ),
        (("vintages", "train", "--from", MONTH, "--to", MONTH, "--symbol", "DOGEUSDT"), "not among the symbols"),
        (("search", "--algorithm", "oracle"), "Choose from: lightgbm"),
        (("search", "--tries", "577"), "576 parameter sets"),
    ],
)
def test_what_nobody_knows_is_refused_by_name(home: SmallHome, arguments: tuple[str, ...], said: str) -> None:
    done = cli(home, *arguments)
    assert done.exit_code == 1
    assert said in " ".join(done.stderr.split())


def test_a_shared_lake_or_storage_holds_one_symbol(home: SmallHome) -> None:
    with home.entered():
        for shared in ({"lake_url": "s3://lake/eth"}, {"postgres_url": "postgresql://host/dagster"}):
            settings = load_settings(**shared)
            require_symbols(settings, ("ETHUSDT",))
            with pytest.raises(SettingsInvalid, match="a home of its own"):
                require_symbols(settings, SYMBOLS)


def test_a_table_that_a_symbols_home_has_of_its_own_stays(home: SmallHome) -> None:
    own = home.folder / "symbols" / "SOLUSDT" / "lake" / "klines"
    own.mkdir(parents=True)
    with home.entered():
        link_streams(load_settings(), "SOLUSDT")
    assert not own.is_symlink()
    assert (own.parent / "funding_rates").is_symlink()


@pytest.mark.slow
def test_every_try_of_a_search_is_counted_and_no_figure_depends_on_the_workers(trained: SmallHome) -> None:
    """The best of many tries, judged as if it had been the only one, is luck."""
    search = ("search", "--tries", "2", "--seed", "5", "--json", "--algorithm", CROSS_ASSET, *BOTH)
    done = cli(trained, *search, "--workers", "2")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    for symbol, folder in zip(SYMBOLS, (trained.folder, trained.folder / "symbols" / "BTCUSDT"), strict=True):
        tried = Lake(str(folder / "lake")).read(TRIED_PNL)
        ours = {each["try"] for each in found if each["symbol"] == symbol}
        assert len(ours) == 2
        assert set(tried["try_id"]) == ours
        assert set(tried["symbol"]) == {symbol}
    with trained.entered():
        (first, *_) = chosen(2, seed=5, algorithm=CROSS_ASSET, symbol="BTCUSDT")
        alone = score(first)
    (same,) = [each for each in found if each["symbol"] == "BTCUSDT" and each["try"] == alone.name]
    assert same["out_of_fold_auc"] == {str(horizon): value for horizon, value in alone.auc.items()}


@pytest.mark.parametrize("algorithm", CHOICES)
def test_a_longer_search_repeats_the_shorter_one_and_tries_nothing_twice(algorithm: str) -> None:
    largest = LARGEST[algorithm]
    everything = chosen(largest, seed=3, algorithm=algorithm, symbol="ETHUSDT")
    assert chosen(4, seed=3, algorithm=algorithm, symbol="ETHUSDT") == everything[:4]
    made = [
        forecaster_of(each, cross_prefixes=("btc_",), networks=NetworkSettings(max_epochs=3)) for each in everything
    ]
    assert {forecaster.algorithm for forecaster in made} == {algorithm}
    assert len({forecaster.digest() for forecaster in made}) == largest
    assert chosen(4, seed=4, algorithm=algorithm, symbol="ETHUSDT") != everything[:4]
