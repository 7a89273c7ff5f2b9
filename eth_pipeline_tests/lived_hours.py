"""Hours that a home lived through Dagster, one run each, and the same hours rebuilt at once.

Belongs here: living them, rebuilding them, telling which differ. Does not belong: assertions. The base strategy decides
alone: no model is trained for it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.signal import SignalRecord, record_from_json
from eth_pipeline.lake import Lake
from eth_pipeline.settings import load_settings
from eth_pipeline.trading.account import read_events
from eth_pipeline.trading.rebuild import Rebuilt, read_span, rebuild
from eth_pipeline_tests.small_home import SmallHome, small_home

OF_THE_RUN = {"run_id", "emitted_at", "table_versions", "ml_reason", "ml_error"}
"""Fields that name the run; and the sentence of why no model was there, which a rebuild cannot know."""


@contextmanager
def lived_home(
    folder: Path, *, hours: int, settings: Mapping[str, str] | None = None, shared: Path | None = None
) -> Iterator[SmallHome]:
    """A home that lived `hours` through Dagster: after each run of the hourly job the clock moves on.

    `settings` hold while it lives, `shared` is of `small_home`.
    """
    with small_home(folder, shared=shared) as built:
        built.environment["ETH_PIPELINE_SIGNALS__ML_WEIGHT"] = "0"
        built.environment["ETH_PIPELINE_SIGNALS__MIN_CONSENSUS_STRENGTH"] = "15"
        built.environment["ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS"] = str(24 * 40)
        built.environment.update(settings or {})
        with built.entered() as instance:
            for _ in range(hours):
                assert built.run_job("hourly", instance=instance).success
                built.sandbox.clock.advance(HOUR)
        yield built


def again(home: SmallHome, first: datetime, end: datetime) -> Rebuilt:
    """The hours [first, end) rebuilt, with the freshness that was measured."""
    with home.entered():
        settings, lake = load_settings(), Lake(str(home.folder / "lake"))
        span = read_span(lake, settings=settings, first=first, end=end, algorithm="none", commit="")
        lived = home.signals()
        measured = {record.decision_time: record.freshness for record in lived}
        span = replace(span, inputs=replace(span.inputs, freshness=measured))
        return rebuild(
            span,
            settings=settings,
            run_id="rebuild",
            code_commit=lived[-1].code_commit,
            config_digest=settings.digest(),
            table_versions={},
        )


def differing_hours(home: SmallHome) -> list[datetime]:
    """Hours whose rebuilt record is not the lived one, field by field; one of the two may lack the hour."""
    lived = {record.decision_time: comparable(record) for record in home.signals()}
    records = again(home, min(lived), max(lived) + HOUR).signals["record"]
    rebuilt = {record.decision_time: comparable(record) for record in map(record_from_json, records)}
    return sorted(time for time in lived.keys() | rebuilt.keys() if lived.get(time) != rebuilt.get(time))


def account_differs(home: SmallHome) -> bool:
    """Whether the rebuilt ledger tells another story than the lived one, as far as that one has come."""
    lived = home.signals()
    with home.entered():
        kept = read_events(Lake(str(home.folder / "lake")), settings=load_settings())
    rebuilt = again(home, lived[0].decision_time, lived[-1].decision_time + HOUR).book.events
    return not kept or list(rebuilt)[: len(kept)] != list(kept)


def comparable(record: SignalRecord) -> dict[str, Any]:
    """Everything a record says about its hour."""
    return {name: value for name, value in record.flat().items() if name not in OF_THE_RUN}
