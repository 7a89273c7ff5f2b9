"""A home with a promoted model, and the exchange it reads: for soaks and for the time an hour takes.

Belongs here: building it. Does not belong: assertions, living its hours. The model is small and real: ONNX files in a
signed bundle that went through the gates and the registry; its figures are invented.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.contracts.artifact import FeatureInput
from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.model_tables import OOF_FORECASTS
from eth_pipeline.defs.assets.training_set import registry_store
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.features.catalogue import feature_names
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundles.bundle import fingerprint, write_bundle
from eth_pipeline.registry.promotions.champion import store_oof
from eth_pipeline.registry.promotions.production import materialize_production
from eth_pipeline.registry.promotions.promotion import promote_candidate
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline.signals.forecasting.bundle_in_use import expectations, running_schema
from eth_pipeline.soak.plan import read_plan
from eth_pipeline_tests.inference_host import INPUTS, plain_parts
from eth_pipeline_tests.registry_maker import contract, data_versions, report
from eth_pipeline_tests.small_home import AS_OF

HISTORY = timedelta(days=40)
_LIVED_AT_MOST = timedelta(days=30)


@dataclass(frozen=True)
class PromotedHome:
    """A home and its exchange; `environment` is what a process needs to work on it."""

    sandbox: Sandbox
    settings: Settings
    environment: dict[str, str]


def promoted_market(symbols: tuple[str, ...]) -> SyntheticMarket:
    """Forty days of history, and a month to live in."""
    return SyntheticMarket(seed=7, start=floor_hour(AS_OF) - HISTORY, end=AS_OF + _LIVED_AT_MOST, symbols=symbols)


@contextmanager
def promoted_home(home: Path, *, market: SyntheticMarket) -> Iterator[PromotedHome]:
    """The home, promoted, with its exchange 20 s after a full hour; the environment of this process is the home's.

    Args:
        home: its folder; an MLflow store may lie in it already.
        market: of `promoted_market`.
    """
    plan = MarketPlan(replay=None, as_of=AS_OF, strength=1.0, seed=7, years=HISTORY.days / 365.25)
    crossed = [symbol for symbol in market.symbols if symbol != "ETHUSDT"]
    before = dict(os.environ)
    with Sandbox(market, now=AS_OF) as sandbox:
        environment = {
            **plan.environment(home=home, url=sandbox.url),
            "ETH_PIPELINE_CROSS_SYMBOLS": json.dumps(crossed),
            "ETH_PIPELINE_TRAINING__HORIZONS_HOURS": "[5]",
            "ETH_PIPELINE_TRAINING__BOOTSTRAP_SAMPLES": "50",
        }
        os.environ.update({**environment, **read_plan().environment})
        try:
            settings = load_settings()
            open_instance(settings).dispose()
            _promote(settings)
            yield PromotedHome(sandbox, settings, environment)
        finally:
            os.environ.clear()
            os.environ.update(before)


def _promote(settings: Settings) -> None:
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
