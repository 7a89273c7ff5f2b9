"""Two homes with an air gap between them and next to nothing in them, for tests of what crosses it.

Belongs here: building both, exporting, collecting. Does not belong: assertions.
"""

import hashlib
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eth_pipeline.contracts.model_tables import OOF_FORECASTS
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.registry.air_gap.collection import Collection
from eth_pipeline.registry.air_gap.collection_export import FoundCandidate, NodeFacts, export_collection
from eth_pipeline.registry.air_gap.collection_import import import_collection
from eth_pipeline.registry.air_gap.snapshot import Snapshot, snapshot_in_use, snapshot_lake
from eth_pipeline.registry.air_gap.snapshot_export import ExportingCode, export_snapshot
from eth_pipeline.registry.air_gap.snapshot_import import import_snapshot
from eth_pipeline.registry.bundles.bundle import fingerprint, write_bundle
from eth_pipeline.registry.bundles.signing import create_key_pair
from eth_pipeline.registry.bundles.verification import Expectations
from eth_pipeline.registry.crossings import ImportedCandidate
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.champion import store_oof
from eth_pipeline.registry.runs.tried import store_tried
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, mark_bars, walk
from eth_pipeline_tests.registry_maker import SCHEMA, contract, data_versions, report, tiny_model

CODE = ExportingCode(commit="c0ffee", dirty=False, lock_digest="0" * 64, feature_schema=SCHEMA)
TRIES = 3
"""Configurations that the host had tried."""


class Gap:
    """`host` and `node` are settings of two homes that know each other's public keys; `carried` is what crosses."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.carried = folder, folder / "carried"
        for name in ("host", "node", "stranger"):
            create_key_pair(private_key=folder / f"{name}.key", public_key=folder / f"{name}.pub")
        self.host = self._settings("host", peer="node")
        self.node = self._settings("node", peer="host")
        self.fill(hours=4)

    def fill(self, *, hours: int) -> None:
        """The host's lake has `hours` bars that end at noon."""
        lake = Lake.of(self.host)
        lake.upsert(KLINES, bars(walk(hours), first=NOON - hours * HOUR))
        lake.upsert(MARK_KLINES, mark_bars(walk(hours), first=NOON - hours * HOUR))

    def export(self, name: str = "snapshot.zip", *, as_of: datetime = NOON, **changes: Any) -> tuple[Path, Snapshot]:
        """A snapshot of the host, as a file; `changes` as for `export_snapshot`."""
        made = export_snapshot(
            self.carried / name,
            **{
                "lake": Lake.of(self.host),
                "settings": self.host,
                "code": CODE,
                "host": "signal-host",
                "tries": TRIES,
                "champion": None,
                "as_of": as_of,
                **changes,
            },
        )
        return self.carried / name, made

    def take(self, archive: Path, *, schema: str = SCHEMA) -> tuple[Snapshot, bool]:
        """The node imports a snapshot."""
        keys = self.node.peer_public_keys
        return import_snapshot(archive, home=self.node.home, peer_keys=keys, schema_of=lambda _: schema)

    @property
    def node_lake(self) -> Lake:
        """The lake of the snapshot that the node trains from."""
        snapshot = snapshot_in_use(self.node.home)
        assert snapshot is not None
        return Lake(str(snapshot_lake(self.node.home, snapshot)))

    def train(self, name: str = "first", *, tries: int = TRIES + 1, **changes: Any) -> FoundCandidate:
        """A candidate on the node; `changes` bend its runtime contract."""
        folder = self.node.home / "candidates" / name
        fields = {"base_interval": "1h", "provenance": "simulated", "trained_until": NOON - HOUR, **changes}
        fields.setdefault("expires_at", NOON + timedelta(days=45))
        made = contract(feature_schema=SCHEMA, created_at=NOON, **fields)
        models = {model.file: tiny_model(f"{name} {model.file}".encode()) for model in made.models}
        data = data_versions().model_copy(update={"lake": self.node_lake.location})
        write_bundle(
            folder, contract=made, models=models, report=report(provenance=made.provenance, tries=tries), data=data
        )
        rows = out_of_fold(seed=sum(name.encode()))
        history = {"symbol": "ETHUSDT", "provenance": "simulated"}
        store_oof(self.node_lake, rows, fingerprint=fingerprint(folder), **history)
        digest = hashlib.sha256(name.encode()).hexdigest()
        store_tried(self.node_lake, rows, name=digest, algorithm="lightgbm", cost_bps=14.0, **history)
        return FoundCandidate(folder, digest, {"lightgbm_model": f"run of {name}"})

    def collect(self, *found: FoundCandidate, name: str = "candidates.zip") -> tuple[Path, Collection]:
        """The node's candidates as a file."""
        snapshot = snapshot_in_use(self.node.home)
        assert snapshot is not None
        made = export_collection(
            self.carried / name,
            candidates=found,
            snapshot=snapshot,
            lake=self.node_lake,
            settings=self.node,
            node=NodeFacts("gpu-node", "c0ffee", dirty=False, manifest={"host": "gpu-node"}, logs={"plan": b"done\n"}),
            collected_at=NOON + HOUR,
        )
        return self.carried / name, made

    def admit(self, archive: Path, *, store: RegistryStore, **changes: Any) -> tuple[ImportedCandidate, ...]:
        """The host imports a collection; `changes` bend what it expects."""
        expected = Expectations(
            public_keys=self.host.public_key_paths,
            phase="paper",
            now=NOON + 2 * HOUR,
            feature_schema=SCHEMA,
            base_interval="1h",
            symbol="ETHUSDT",
        )
        made: dict[str, Any] = {**expected, **changes}
        return import_collection(archive, store=store, lake=Lake.of(self.host), settings=self.host, **made)

    def _settings(self, name: str, *, peer: str) -> Settings:
        return load_settings(
            home=self.folder / name,
            base_interval="1h",
            cross_symbols=("BTCUSDT",),
            signing_private_key=self.folder / f"{name}.key",
            signing_public_keys=(self.folder / f"{name}.pub",),
            peer_public_keys=(self.folder / f"{peer}.pub",),
        )


def out_of_fold(*, seed: int, rows: int = 200) -> pl.DataFrame:
    """Out-of-fold forecasts of one horizon that end the day before noon."""
    random = np.random.default_rng(seed)
    outcome = random.standard_normal(rows)
    return pl.DataFrame(
        {
            "horizon_hours": 5,
            "decision_time": [NOON - timedelta(hours=24 + rows - n) for n in range(rows)],
            "fold": 0,
            "probability": random.uniform(0.4, 0.6, rows),
            "up": (outcome > 0).astype(np.int8),
            "forward_return": outcome * 0.01,
            "position": np.sign(outcome).astype(np.int8),
        },
        schema_overrides={name: OOF_FORECASTS.schema[name] for name in ("horizon_hours", "decision_time", "fold")},
    )


def everything_in(folder: Path) -> dict[str, str]:
    """Path to sha256 of every file below `folder`, locks left out: equal before and after means nothing was written."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def repacked(archive: Path, *, change: Callable[[Path], None], key: Path | None = None) -> Path:
    """`archive` after `change` was let loose on what it holds, as on the way; signed again where there is a `key`."""
    from eth_pipeline.registry.bundles.archive import pack
    from eth_pipeline.registry.bundles.signing import sign_folder

    folder = archive.with_suffix(".opened")
    shutil.unpack_archive(archive, folder, "zip")
    change(folder)
    if key is not None:
        sign_folder(folder, private_key=key)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    made = pack(folder, archive.with_name(f"tampered-{archive.name}"), names=names)
    shutil.rmtree(folder)
    return made
