"""Making a collection of candidates on a node.

Belongs here: copying, drawing, signing, packing. Does not belong: the shape (`collection`), which candidates
there are and which runs made them (`defs.air_gap`).
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.artifact import DECISION, SIGNATURE
from eth_pipeline.contracts.model_tables import OOF_FORECASTS, TRIED_PNL
from eth_pipeline.errors import TransferRefused
from eth_pipeline.lake import Lake
from eth_pipeline.registry.air_gap.collection import (
    BUNDLE,
    CANDIDATES,
    COLLECTION,
    LOGS,
    MAX_CANDIDATES,
    NODE_DECISION,
    OOF,
    PLOTS,
    RUNTIME_MANIFEST,
    TRIED,
    CollectedCandidate,
    Collection,
    undecided,
)
from eth_pipeline.registry.air_gap.snapshot import Snapshot
from eth_pipeline.registry.bundles.archive import pack
from eth_pipeline.registry.bundles.layout import bundle_files
from eth_pipeline.registry.bundles.signing import sign_folder
from eth_pipeline.registry.bundles.verification import fingerprint, read_contract, read_report
from eth_pipeline.registry.runs.run_plots import candidate_plots
from eth_pipeline.settings import Settings


@dataclass(frozen=True)
class FoundCandidate:
    """A candidate of this home: its bundle, the name of its hyperparameters, the runs that made it by asset."""

    folder: Path
    parameters_digest: str
    runs: Mapping[str, str]


@dataclass(frozen=True)
class NodeFacts:
    """What tells about the node: its name, its code, its runtime manifest, the ends of its logs by name."""

    host: str
    commit: str
    dirty: bool
    manifest: Mapping[str, object]
    logs: Mapping[str, bytes]


def export_collection(
    archive: Path,
    *,
    candidates: Sequence[FoundCandidate],
    snapshot: Snapshot,
    lake: Lake,
    settings: Settings,
    node: NodeFacts,
    collected_at: datetime,
) -> Collection:
    """Write `candidates` and everything that tells of them to the file `archive`, whole or not at all.

    Args:
        archive: the file; one that is there is replaced.
        candidates: oldest first.
        snapshot: what they were trained from.
        lake: of the snapshot; holds their out-of-fold forecasts.
        settings: of this node; its key signs.
        node: what else is told.
        collected_at: host time.

    Raises:
        TransferRefused: there is no candidate, or there are too many.
        SettingsInvalid: the private key cannot be used.
    """
    if not 0 < len(candidates) <= MAX_CANDIDATES:
        raise TransferRefused(
            f"{len(candidates)} candidates were trained from snapshot {snapshot.name}; a collection holds between 1 "
            f"and {MAX_CANDIDATES}. Train one, or move old ones out of {settings.home / 'candidates'}."
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".collection-") as scratch:
        folder = Path(scratch) / "new"
        folder.mkdir()
        collection = Collection(
            snapshot_number=snapshot.number,
            snapshot_digest=snapshot.digest,
            feature_schema=snapshot.feature_schema,
            node=node.host,
            collected_at=collected_at,
            code_commit=node.commit,
            code_dirty=node.dirty,
            settings=settings.masked(),
            config_digest=settings.digest(),
            candidates=tuple(_copy(found, folder / CANDIDATES, lake=lake) for found in candidates),
        )
        (folder / COLLECTION).write_text(collection.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (folder / RUNTIME_MANIFEST).write_text(json.dumps(node.manifest, indent=2) + "\n", encoding="utf-8")
        lake.read(TRIED_PNL).write_parquet(folder / TRIED, compression="zstd")
        (folder / LOGS).mkdir()
        for name, tail in node.logs.items():
            (folder / LOGS / f"{name}.log").write_bytes(tail)
        sign_folder(folder, private_key=settings.private_key_path)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        assert SIGNATURE in names
        pack(folder, archive, names=names)
    return collection


def _copy(found: FoundCandidate, target: Path, *, lake: Lake) -> CollectedCandidate:
    """One candidate into the folder of all, without what was decided about it here."""
    content, report = fingerprint(found.folder), read_report(found.folder)
    place = target / content
    for name in filter(undecided, bundle_files(found.folder)):
        (place / BUNDLE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found.folder / name, place / BUNDLE / name)
    if (found.folder / DECISION).exists():
        shutil.copyfile(found.folder / DECISION, place / NODE_DECISION)
    oof = lake.read(OOF_FORECASTS, where=pl.col("fingerprint") == content)
    oof.write_parquet(place / OOF, compression="zstd")
    (place / PLOTS).mkdir()
    for name, png in candidate_plots(report, oof).items():
        (place / PLOTS / name).write_bytes(png)
    return CollectedCandidate(
        fingerprint=content,
        algorithm=report.algorithm,
        parameters_digest=found.parameters_digest,
        trained_until=read_contract(found.folder).trained_until,
        tries=report.tries,
        verdict=report.verdict,
        runs=dict(found.runs),
    )
