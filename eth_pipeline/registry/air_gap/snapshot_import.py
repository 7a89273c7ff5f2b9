"""Admitting a training snapshot on a node: verified first, then a lake of its own, then one move.

Belongs here: every check of a snapshot, and the folder it becomes. Does not belong: the shape (`snapshot`),
training.

    <home>/snapshots/000007-3fa9c1d2e4b5/
      snapshot.json       the description, as it was signed
      settings.toml       what decides a training, as the signal host had it, and where the lake is
      lake/               Delta tables: what came, and what the node computes from it
    <home>/snapshot       link to the one in use; `ETH_PIPELINE_CONFIG=<home>/snapshot/settings.toml`

A snapshot is never mixed with another one: features and models of this folder come from these rows alone. Killed at any
step, an import leaves the snapshot in use as it was.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from eth_pipeline.contracts.artifact import SIGNATURE
from eth_pipeline.contracts.model_tables import TRIED_PNL
from eth_pipeline.errors import (
    ContractViolation,
    HashMismatch,
    ProvenanceMismatch,
    SchemaMismatch,
    TransferDowngraded,
    TransferRefused,
)
from eth_pipeline.lake import Lake
from eth_pipeline.registry.air_gap.snapshot import (
    FOLDER,
    IN_USE,
    LAKE,
    SETTINGS,
    SHAPE,
    SNAPSHOT,
    SUBJECT,
    TABLES,
    TRAVELLING,
    Snapshot,
    read_snapshot,
    snapshot_in_use,
    snapshot_lake,
)
from eth_pipeline.registry.atomic import exclusive, incoming_folder
from eth_pipeline.registry.bundles.archive import unpack
from eth_pipeline.registry.bundles.signing import verify_folder

_DECISIVE = ("phase", "symbol", "cross_symbols", "base_interval", "history_start", "training", "gates")
"""Settings that a training here shares with the signal host; places, secrets and machines are the node's own."""


def import_snapshot(
    archive: Path, *, home: Path, peer_keys: tuple[Path, ...], schema_of: Callable[[Snapshot], str]
) -> tuple[Snapshot, bool]:
    """Verify the snapshot in the file `archive` and train from it from now on.

    Args:
        archive: what `export_snapshot` wrote.
        home: of this node.
        peer_keys: who may have signed it.
        schema_of: digest of the features that the code here computes for the symbols of a snapshot.

    Returns:
        The snapshot, and False where it was in use already and nothing was done.

    Raises:
        ArchiveRefused: no archive, or one that holds what no snapshot has.
        SignatureRefused: not signed with a key in `peer_keys`.
        HashMismatch: not the files that were signed or described.
        TransferDowngraded: not newer than the one in use.
        ProvenanceMismatch: its data are of another origin than what this home trains on.
        SchemaMismatch: the code here computes other features than the code that exported.
        TransferRefused: the description cannot be read.
        ContractViolation: rows break their contract.
    """
    root = home / FOLDER
    with exclusive(root / ".lock"), incoming_folder(root) as scratch:
        arrived = unpack(archive, scratch / "arrived", shape=SHAPE)
        verify_folder(arrived, public_keys=peer_keys, subject=SUBJECT)
        snapshot = read_snapshot(arrived)
        _require_tables(arrived, snapshot)
        before = snapshot_in_use(home)
        if before is not None and before.digest == snapshot.digest:
            return before, False
        _require_successor(snapshot, before=before)
        _require_same_features(snapshot, here=schema_of(snapshot))
        ready = scratch / "ready"
        _fill(ready, arrived, snapshot, home=home, before=before)
        _place(ready, snapshot, home=home)
        return snapshot, True


def _require_tables(folder: Path, snapshot: Snapshot) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    named = {SNAPSHOT, SIGNATURE, *(f"{TABLES}/{name}.parquet" for name in snapshot.tables)}
    if found != named:
        raise HashMismatch(
            f"The snapshot holds and describes different files: {sorted(found ^ named)}. {SUBJECT.remedy}"
        )
    for name, table in snapshot.tables.items():
        with (folder / TABLES / f"{name}.parquet").open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != table.sha256:
                raise HashMismatch(f"Table {name} of the snapshot is not the one it describes. {SUBJECT.remedy}")


def _require_successor(snapshot: Snapshot, *, before: Snapshot | None) -> None:
    if before is None:
        return
    if snapshot.number <= before.number:
        raise TransferDowngraded(
            f"Snapshot {snapshot.name} of {snapshot.exported_at:%Y-%m-%d %H:%M} is not newer than {before.name} of "
            f"{before.exported_at:%Y-%m-%d %H:%M}, which this home trains from; it stays in use. Carry the newest "
            "export over, or use another home (ETH_PIPELINE_HOME) to train from an old one."
        )
    if snapshot.provenance != before.provenance:
        raise ProvenanceMismatch(
            f"Snapshot {snapshot.name} holds {snapshot.provenance} data, this home trains on {before.provenance} data. "
            "Use another home (ETH_PIPELINE_HOME) for another exchange."
        )


def _require_same_features(snapshot: Snapshot, *, here: str) -> None:
    if snapshot.feature_schema != here:
        raise SchemaMismatch(
            f"The snapshot was exported by code that computes feature schema {snapshot.feature_schema[:12]} (commit "
            f"{snapshot.code_commit[:12]}), the code here computes {here[:12]}: the signal host would refuse what is "
            "trained here. Bring the same commit to this node."
        )


def _fill(folder: Path, arrived: Path, snapshot: Snapshot, *, home: Path, before: Snapshot | None) -> None:
    """What becomes the snapshot's folder, complete."""
    lake = Lake(str(folder / LAKE))
    for name, described in snapshot.tables.items():
        rows = _read(arrived / TABLES / f"{name}.parquet")
        if rows.height != described.rows:
            raise ContractViolation(
                f"Table {name} of the snapshot has {rows.height} rows and describes {described.rows}. {SUBJECT.remedy}"
            )
        lake.upsert(TRAVELLING[name], rows)
    if before is not None:  # tries of this node that never reached the host are tries all the same
        lake.upsert(TRIED_PNL, Lake(str(snapshot_lake(home, before))).read(TRIED_PNL))
    settled = {name: snapshot.settings.get(name) for name in _DECISIVE}
    place = {"lake_url": str(snapshot_lake(home, snapshot))}
    (folder / SETTINGS).write_text(_toml(settled | place), encoding="utf-8")
    shutil.copyfile(arrived / SNAPSHOT, folder / SNAPSHOT)


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TransferRefused(f"{path.name} of the snapshot is no table: {error}. {SUBJECT.remedy}") from error


def _place(ready: Path, snapshot: Snapshot, *, home: Path) -> None:
    """Give the folder its name, then let the link name it: the one step that decides."""
    final = home / FOLDER / snapshot.name
    shutil.rmtree(final, ignore_errors=True)  # of an import that was killed before its last step
    ready.rename(final)
    link = home / FOLDER / ".in-use"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(FOLDER) / snapshot.name)
    link.replace(home / IN_USE)


def _toml(values: Mapping[str, Any]) -> str:
    """TOML of flat values and one level of sections; what is None is left out. A JSON scalar or list is one of TOML."""
    flat = [f"{name} = {json.dumps(value)}" for name, value in values.items() if _is_flat(value)]
    sections = [
        "\n".join([f"[{name}]", *(f"{key} = {json.dumps(item)}" for key, item in value.items() if item is not None)])
        for name, value in values.items()
        if isinstance(value, Mapping)
    ]
    return "\n\n".join(["\n".join(flat), *sections]) + "\n"


def _is_flat(value: object) -> bool:
    return value is not None and not isinstance(value, Mapping)
