"""A host that promotes and rolls back, for tests that need the whole way: home, lake, keys, settings, registry.

Belongs here: building it, and driving it in a process that is killed. Does not belong: assertions.
"""

import os
import shutil
import signal
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eth_pipeline.contracts.model_tables import OOF_FORECASTS
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundles.bundle import fingerprint, write_bundle
from eth_pipeline.registry.bundles.verification import Expectations
from eth_pipeline.registry.mlflow_store import PREVIOUS, PRODUCTION, RegistryStore
from eth_pipeline.registry.promotions.alias import check_alias
from eth_pipeline.registry.promotions.champion import store_oof
from eth_pipeline.registry.promotions.production import current_bundle, materialize_production
from eth_pipeline.registry.promotions.promotion import promotion_steps
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.registry.promotions.rollback import rollback_steps
from eth_pipeline.registry.promotions.settlement import run_to_end
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline_tests.registry_maker import NOW, SCHEMA, contract, data_versions, report, tiny_model

HOURS = 3_000
OUTCOME = np.random.default_rng(99).standard_normal(HOURS)


class Host:
    """One home below `folder`, whose registry is the database in `registry`; `schema` is of its feature code."""

    def __init__(self, registry: Path, folder: Path, *, schema: str = SCHEMA) -> None:
        self.registry, self.folder, self.schema = registry, folder, schema
        self.settings: Settings = load_settings(
            home=folder / "home", base_interval="1h", training={"bootstrap_samples": 50}
        )
        self.home = self.settings.home
        self.lake = Lake(self.settings.lake_location)
        uri = f"sqlite:///{registry / 'mlflow.db'}"
        self.store = RegistryStore(uri, artifact_root=registry / "artifacts")
        self.log = PromotionLog.of(self.home)

    def copy_to(self, folder: Path) -> "Host":
        """The same host again in the new `folder`, with a registry of its own that shares the artifacts."""
        shutil.copytree(self.folder, folder / "host")
        shutil.copyfile(self.registry / "mlflow.db", folder / "mlflow.db")
        return Host(folder, folder / "host")

    def expected(self, *, hours_later: float = 0) -> Expectations:
        """What the running system demands `hours_later`."""
        return {
            "public_keys": self.settings.public_key_paths,
            "phase": "paper",
            "now": NOW + timedelta(hours=hours_later),
            "feature_schema": self.schema,
            "base_interval": "1h",
            "symbol": "ETHUSDT",
        }

    def candidate(self, name: str, *, skill: float, **figures: Any) -> Path:
        """A trained candidate: its bundle, and its out-of-fold forecasts in the lake."""
        bundle, made = self.folder / name, contract(feature_schema=self.schema)
        models = {model.file: tiny_model(f"{name} {model.file}".encode()) for model in made.models}
        write_bundle(bundle, contract=made, models=models, report=report(**figures), data=data_versions())
        noise = np.random.default_rng(sum(name.encode())).standard_normal(HOURS)
        rows = pl.DataFrame(
            {
                "horizon_hours": 5,
                "decision_time": [NOW - timedelta(hours=HOURS - n) for n in range(HOURS)],
                "fold": 0,
                "probability": 1 / (1 + np.exp(-(skill * OUTCOME + noise))),
                "up": (OUTCOME > 0).astype(np.int8),
                "forward_return": OUTCOME * 0.01,
            },
            schema_overrides={
                column: OOF_FORECASTS.schema[column] for column in ("horizon_hours", "decision_time", "fold")
            },
        )
        store_oof(self.lake, rows, fingerprint=fingerprint(bundle), symbol="ETHUSDT", provenance=made.provenance)
        return bundle

    def promotion(self, bundle: Path, *, hours_later: float = 0) -> Generator[str, None, Any]:
        """The steps of a promotion."""
        return promotion_steps(
            bundle,
            store=self.store,
            lake=self.lake,
            settings=self.settings,
            run_id=f"run-{bundle.name}",
            **self.expected(hours_later=hours_later),
        )

    def rollback(self, *, to: str | None = None, hours_later: float = 1) -> Generator[str, None, Any]:
        """The steps of a rollback."""
        return rollback_steps(
            self.store,
            self.log,
            home=self.home,
            run_id="cli",
            reason="drawdown",
            to_version=to,
            **self.expected(hours_later=hours_later),
        )

    def promote(self, name: str, *, skill: float, hours_later: float = 0) -> str:
        """Promote a new candidate, bring it to this host, and return its version."""
        _, version = run_to_end(self.promotion(self.candidate(name, skill=skill), hours_later=hours_later))
        self.materialize()
        return str(version)

    def materialize(self, *, hours_later: float = 0) -> None:
        materialize_production(self.store, home=self.home, **self.expected(hours_later=hours_later))

    def in_use(self) -> str:
        """The version that the hourly run loads, verified."""
        return current_bundle(home=self.home, **self.expected()).version

    def aliases(self) -> tuple[str | None, str | None]:
        return self.store.named_by(PRODUCTION), self.store.named_by(PREVIOUS)

    def disagreements(self) -> tuple[str, ...]:
        return check_alias(self.store, self.log, home=self.home).disagreements


def run_until(registry: Path, folder: Path, bundle: Path | None, last: str) -> None:
    """Run a move as far as the step `last` and die there as `kill -9` kills: no handler, no cleanup."""
    host = Host(registry, folder)
    steps = host.promotion(bundle, hours_later=2) if bundle is not None else host.rollback(hours_later=2)
    for name in steps:
        if name == last:
            os.kill(os.getpid(), signal.SIGKILL)
