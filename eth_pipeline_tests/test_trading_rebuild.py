"""Tests of eth_pipeline.trading.rebuild: rebuilt hours are the lived ones, and never stand in their place."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.signal import SIGNALS, SignalRecord, record_from_json
from eth_pipeline.lake import Lake
from eth_pipeline.settings import load_settings
from eth_pipeline.trading.account import read_events
from eth_pipeline.trading.rebuild import REBUILT_EVENTS, REBUILT_SIGNALS, Rebuilt, read_span, rebuild
from eth_pipeline_tests.small_home import SmallHome, small_home

LIVED_HOURS = 12
OF_THE_RUN = {"run_id", "emitted_at", "table_versions", "ml_reason", "ml_error"}
"""Fields that name the run; and the sentence of why no model was there, which a rebuild cannot know."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """A home that lived twelve hours through Dagster, one run each; the base strategy decides alone."""
    with small_home(tmp_path_factory.mktemp("rebuild")) as built:
        built.environment["ETH_PIPELINE_SIGNALS__ML_WEIGHT"] = "0"
        built.environment["ETH_PIPELINE_SIGNALS__MIN_CONSENSUS_STRENGTH"] = "15"
        built.environment["ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS"] = str(24 * 40)
        with built.entered() as instance:
            for _ in range(LIVED_HOURS):
                assert built.run_job("hourly", instance=instance).success
                built.sandbox.clock.advance(HOUR)
        yield built


def lived(home: SmallHome) -> list[SignalRecord]:
    return home.signals()


def again(home: SmallHome, first: datetime, end: datetime) -> Rebuilt:
    """The hours [first, end) rebuilt, with the freshness that was measured."""
    with home.entered():
        settings, lake = load_settings(), Lake(str(home.folder / "lake"))
        span = read_span(lake, settings=settings, first=first, end=end, algorithm="none", commit="")
        measured = {record.decision_time: record.freshness for record in lived(home)}
        span = replace(span, inputs=replace(span.inputs, freshness=measured))
        newest = lived(home)[-1]
        return rebuild(
            span,
            settings=settings,
            run_id="rebuild",
            code_commit=newest.code_commit,
            config_digest=settings.digest(),
            table_versions={},
        )


def comparable(record: SignalRecord) -> dict[str, Any]:
    return {name: value for name, value in record.flat().items() if name not in OF_THE_RUN}


@pytest.mark.slow
def test_the_rebuilt_hours_are_those_that_dagster_lived_one_by_one(home: SmallHome) -> None:
    """Record by record, field by field; and the account that followed them, event by event."""
    records = lived(home)
    assert len(records) == LIVED_HOURS
    assert len({record.action for record in records}) > 1, "hours that all hold would prove little"
    first, end = records[0].decision_time, records[-1].decision_time + HOUR
    rebuilt = again(home, first, end)
    found = [record_from_json(text) for text in rebuilt.signals["record"]]
    assert [comparable(record) for record in found] == [comparable(record) for record in records]
    with home.entered():
        kept = read_events(Lake(str(home.folder / "lake")), settings=load_settings())
    assert len(kept) > LIVED_HOURS
    assert list(rebuilt.book.events)[: len(kept)] == list(kept)


@pytest.mark.slow
def test_months_are_rebuilt_through_dagster_from_vintages_and_beside_the_lived_ones(home: SmallHome) -> None:
    before = Lake(str(home.folder / "lake")).read(SIGNALS)
    with home.entered() as instance:
        assert home.materialize("features", "labels", instance=instance).success
    done = home.command("eth_pipeline", "vintages", "train", "--from", "2025-05", "--to", "2025-06")
    assert done.returncode == 0, done.stderr
    select = ("dagster", "asset", "materialize", "-m", "eth_pipeline.definitions", "--select", "rebuilt_history")
    run = home.command(*select, "--partition-range", "2025-05-01...2025-06-01")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    lake = Lake(str(home.folder / "lake"))
    rows = lake.read(REBUILT_SIGNALS).sort("decision_time")
    newest = floor_hour(home.sandbox.clock.now()) - HOUR
    hours = int((newest - datetime(2025, 5, 1, tzinfo=UTC)) / HOUR) + 1
    assert rows["decision_time"].n_unique() == rows.height
    assert abs(rows.height - hours) <= 1
    assert set(rows["model_version"].drop_nulls()) == {"vintage 2025-05", "vintage 2025-06"}
    assert lake.read(REBUILT_EVENTS).height > 100
    assert lake.read(SIGNALS).equals(before), "a rebuilt hour never stands where a lived one was recorded"
    (page,) = (home.folder / "reports").glob("rebuilt-*.html")
    assert "Paper account ETHUSDT" in page.read_text()


@pytest.mark.slow
def test_what_came_later_changes_no_rebuilt_hour(home: SmallHome) -> None:
    """Nor does where the history begins, as long as it is long enough."""
    records = lived(home)
    first, middle = records[0].decision_time, records[6].decision_time
    whole = again(home, first, records[-1].decision_time + HOUR).signals
    part = again(home, first, middle).signals
    assert part["record"].to_list() == whole.filter(pl.col("decision_time") < middle)["record"].to_list()
    assert timedelta(hours=part.height) == middle - first
