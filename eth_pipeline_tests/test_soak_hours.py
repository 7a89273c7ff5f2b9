"""A short soak, from end to end: every kind of trouble on a real home, real runs, no invariant broken.

The figures of a soak of weeks are made by `eth-pipeline soak`; this one shows that the machinery works and that what
it finds in a minute is nothing.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.contracts.artifact import OOF_FORECASTS, FeatureInput
from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.assets.training_set import registry_store
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.features.build import feature_names
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundle import fingerprint, write_bundle
from eth_pipeline.registry.champion import store_oof
from eth_pipeline.registry.production import materialize_production
from eth_pipeline.registry.promotion import promote_candidate
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline.signals.evidence import expectations, running_schema
from eth_pipeline.soak.diary import Diary, Lived
from eth_pipeline.soak.hours import Soak
from eth_pipeline.soak.invariants import INVARIANTS
from eth_pipeline.soak.plan import SoakPlan, read_plan
from eth_pipeline.soak.report import soak_report, write_report
from eth_pipeline.soak.schedule import Hour, draw_schedule
from eth_pipeline.soak.worker import Order, Worker
from eth_pipeline_tests.inference_host import INPUTS, plain_parts
from eth_pipeline_tests.registry_maker import contract, data_versions, registry_folder, report
from eth_pipeline_tests.small_home import AS_OF

pytestmark = pytest.mark.timeout(900)  # beside other test processes it takes a multiple of its minute
HOURS = 8
HISTORY = timedelta(days=40)
SYMBOLS = ("ETHUSDT", "BTCUSDT")


@dataclass(frozen=True)
class Living:
    """A home with a promoted model, and the exchange it reads."""

    sandbox: Sandbox
    settings: Settings
    environment: dict[str, str]


def promote(settings: Settings) -> None:
    """Put a small real model into production, through the registry."""
    inputs = feature_names(symbol="ETHUSDT", cross_symbols=settings.cross_symbols)[:INPUTS]
    parts, lake, folder = plain_parts(), Lake.of(settings), settings.home / "candidates" / "first"
    made = contract(
        created_at=AS_OF - HOUR,
        expires_at=AS_OF + timedelta(days=45),
        trained_until=AS_OF - timedelta(days=1),
        provenance="simulated",
        base_interval=settings.base_interval,
        feature_schema=running_schema(settings),
        inputs=tuple(FeatureInput(name=name) for name in inputs),
        **parts.fields,
    )
    figures = report(provenance="simulated")
    write_bundle(folder, contract=made, models=parts.files, report=figures, data=data_versions())
    outcome = np.random.default_rng(1).standard_normal(3_000)
    rows = pl.DataFrame(
        {
            "horizon_hours": 5,
            "decision_time": [floor_hour(AS_OF) - n * HOUR for n in range(3_000, 0, -1)],
            "fold": 0,
            "probability": 1 / (1 + np.exp(-outcome)),
            "up": (outcome > 0).astype(np.int8),
            "forward_return": outcome * 0.01,
        },
        schema_overrides={name: OOF_FORECASTS.schema[name] for name in ("horizon_hours", "decision_time", "fold")},
    )
    store_oof(lake, rows, fingerprint=fingerprint(folder), symbol="ETHUSDT", provenance="simulated")
    store, expected = registry_store(settings), expectations(settings, now=AS_OF)
    decision, _ = promote_candidate(folder, store=store, lake=lake, settings=settings, run_id="made", **expected)
    assert decision.promoted, decision.summary
    materialize_production(store, home=settings.home, **expected)


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    home, before = tmp_path_factory.mktemp("soak"), dict(os.environ)
    registry_folder(tmp_path_factory).rename(home / "mlflow")
    start = floor_hour(AS_OF) - HISTORY
    market = SyntheticMarket(seed=7, start=start, end=AS_OF + timedelta(days=30), symbols=SYMBOLS)
    plan = MarketPlan(replay=None, as_of=AS_OF, strength=1.0, seed=7, years=HISTORY.days / 365.25)
    with Sandbox(market, now=AS_OF) as sandbox:
        environment = {
            **plan.environment(home=home, url=sandbox.url),
            "ETH_PIPELINE_CROSS_SYMBOLS": '["BTCUSDT"]',
            "ETH_PIPELINE_TRAINING__HORIZONS_HOURS": "[5]",
            "ETH_PIPELINE_TRAINING__BOOTSTRAP_SAMPLES": "50",
        }
        os.environ.update({**environment, **read_plan().environment})
        try:
            settings = load_settings()
            open_instance(settings).dispose()
            promote(settings)
            yield Living(sandbox, settings, environment)
        finally:
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture(scope="module")
def lived(living: Living) -> tuple[SoakPlan, tuple[Hour, ...], Diary]:
    """A third of a day with everything in it; the first hour fills the lake."""
    plan = read_plan().model_copy(update={"first_calm_hours": 1, "storm_hours": 5})
    schedule = draw_schedule(plan, days=HOURS / 24, seed=3)
    with Soak(
        plan,
        sandbox=living.sandbox,
        settings=living.settings,
        environment=living.environment,
        monotonic=time.monotonic,
    ) as soak:
        return plan, schedule, soak.live(schedule)


@pytest.mark.slow
def test_whatever_fails_no_invariant_is_broken(lived: tuple[SoakPlan, tuple[Hour, ...], Diary]) -> None:
    _, _, diary = lived
    assert diary.violations == []


@pytest.mark.slow
def test_every_trouble_was_in_force_and_they_had_an_effect(lived: tuple[SoakPlan, tuple[Hour, ...], Diary]) -> None:
    plan, schedule, diary = lived
    assert {name for hour in diary.hours for name in hour.troubles} == set(plan.troubles)
    assert len(diary.hours) == len(schedule) + 1, "and the healing hour"
    assert {outcome for hour in diary.hours for outcome in hour.outcome} == {"done", "failed", "killed"}
    assert {hour.state for hour in diary.hours} >= {"tradeable", "blocked"}


@pytest.mark.slow
def test_the_report_names_every_invariant_and_its_digest_ignores_the_machine(
    lived: tuple[SoakPlan, tuple[Hour, ...], Diary], tmp_path: Path
) -> None:
    _, schedule, diary = lived
    made = soak_report(diary, schedule=schedule, seed=3, days=HOURS / 24)
    page = write_report(tmp_path, made).read_text()
    assert all(name in page for name in INVARIANTS)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "soak.json").read_text())["digest"] == made["digest"]
    slower = [Lived(**{**vars(hour), "seconds": 99.0}) for hour in diary.hours]
    other = Diary(diary.first, hours=slower, samples=diary.samples, violations=diary.violations)
    assert soak_report(other, schedule=schedule, seed=3, days=HOURS / 24)["digest"] == made["digest"]
    changed = [*slower[:-1], Lived(**{**vars(slower[-1]), "state": "blocked"})]
    other = Diary(diary.first, hours=changed, samples=diary.samples, violations=diary.violations)
    assert soak_report(other, schedule=schedule, seed=3, days=HOURS / 24)["digest"] != made["digest"]


@pytest.mark.slow
def test_a_worker_that_is_killed_says_so_and_another_one_takes_over(living: Living) -> None:
    worker = Worker(living.environment)
    answer = worker.run(Order(die_at_touch=20))
    assert (answer.killed, answer.succeeded) == (True, False)
    assert not worker.is_alive
    worker.stop()
    other = Worker(living.environment)
    answer = other.run(Order(job="failed_hour"))
    other.leave()
    assert answer.succeeded, answer.says
    assert not other.is_alive


def test_every_stream_has_its_truth() -> None:
    from eth_pipeline.soak.truth import _VALUES

    assert set(_VALUES) == set(STREAMS)
