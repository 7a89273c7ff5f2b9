"""Making a training snapshot on the signal host.

Belongs here: reading the lake at fixed versions, numbering, signing, packing. Does not belong: the shape
(`snapshot`), counting tries or finding the champion (the caller knows the registry).
"""

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeGuard, get_args

import polars as pl

from eth_pipeline.contracts.artifact import SIGNATURE, Provenance
from eth_pipeline.contracts.model_tables import OOF_FORECASTS, TRIED_PNL
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.errors import ProvenanceMismatch, TransferRefused
from eth_pipeline.lake import Lake
from eth_pipeline.registry.air_gap.snapshot import (
    SNAPSHOT,
    TABLES,
    TRAVELLING,
    ChampionFigures,
    Snapshot,
    SnapshotTable,
)
from eth_pipeline.registry.bundles.archive import pack
from eth_pipeline.registry.bundles.signing import sign_folder
from eth_pipeline.registry.bundles.verification import read_report
from eth_pipeline.registry.crossings import Crossings, ExportedSnapshot
from eth_pipeline.registry.promotions.production import pointer
from eth_pipeline.settings import Settings

_NEEDED = (KLINES, MARK_KLINES)


@dataclass(frozen=True)
class ExportingCode:
    """The code that exports: a node must compute the same features."""

    commit: str
    dirty: bool
    lock_digest: str
    feature_schema: str


def export_snapshot(
    archive: Path,
    *,
    lake: Lake,
    settings: Settings,
    code: ExportingCode,
    host: str,
    tries: int,
    champion: ChampionFigures | None,
    as_of: datetime,
) -> Snapshot:
    """Write a new snapshot of `lake` to the file `archive`, whole or not at all, and remember that it left.

    Args:
        archive: the file; one that is there is replaced.
        lake: its newest versions are exported.
        settings: of this home; secrets are masked.
        code: that runs here.
        host: name of this host.
        tries: configurations tried on this history so far.
        champion: the bundle in production; its out-of-fold forecasts travel too.
        as_of: exchange time of the export.

    Raises:
        TransferRefused: there are no bars to train on.
        SettingsInvalid: the private key cannot be used.
    """
    crossings = Crossings(settings.home)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with crossings.alone(), tempfile.TemporaryDirectory(dir=archive.parent, prefix=".snapshot-") as scratch:
        folder = Path(scratch) / "new"
        (folder / TABLES).mkdir(parents=True)
        provenance = _provenance(lake)
        wanted = _wanted(settings, provenance=provenance, champion=champion)
        tables = {name: found for name, where in wanted.items() if (found := _write(lake, name, where, folder))}
        if missing := [table.name for table in _NEEDED if table.name not in tables]:
            raise TransferRefused(f"The lake {lake.location} has no {missing}: nothing to train on. Ingest first.")
        snapshot = Snapshot(
            number=max((line.number for line in crossings.exported()), default=0) + 1,
            exported_at=as_of,
            host=host,
            code_commit=code.commit,
            code_dirty=code.dirty,
            lock_digest=code.lock_digest,
            symbol=settings.symbol,
            cross_symbols=settings.cross_symbols,
            base_interval=settings.base_interval,
            provenance=provenance,
            settings=settings.masked(),
            config_digest=settings.digest(),
            feature_schema=code.feature_schema,
            tries=tries,
            champion=champion,
            tables=tables,
        )
        (folder / SNAPSHOT).write_text(snapshot.model_dump_json(indent=2) + "\n", encoding="utf-8")
        sign_folder(folder, private_key=settings.private_key_path)
        # Noted before the file can be carried away: a snapshot that nobody remembers could not come back as candidates.
        crossings.note_export(_line(snapshot))
        pack(folder, archive, names=(SNAPSHOT, SIGNATURE, *(f"{TABLES}/{name}.parquet" for name in sorted(tables))))
    return snapshot


def champion_figures(home: Path) -> ChampionFigures | None:
    """The bundle in use on this host; None where there is none.

    Raises:
        BundleRefused: the pointer or the bundle cannot be read.
    """
    found = pointer(home)
    if found is None:
        return None
    report = read_report(home / "production" / found.folder)
    return ChampionFigures(
        fingerprint=found.fingerprint,
        version=found.version,
        oof_auc=report.oof_auc,
        test_auc=report.test_auc,
        first_horizon_auc=report.horizons[0].auc.value,
    )


def _wanted(settings: Settings, *, provenance: str, champion: ChampionFigures | None) -> dict[str, pl.Expr]:
    """Table name to the rows that a training on this symbol reads."""
    everything = {name: pl.lit(True) for name in TRAVELLING if name != OOF_FORECASTS.name}
    ours = (pl.col("symbol") == settings.symbol) & (pl.col("provenance") == provenance)
    tried = {TRIED_PNL.name: ours}
    if champion is None:
        return everything | tried
    return everything | tried | {OOF_FORECASTS.name: pl.col("fingerprint") == champion.fingerprint}


def _write(lake: Lake, name: str, where: pl.Expr, folder: Path) -> SnapshotTable | None:
    """One table as one file; None where the lake has none."""
    table: TableContract = TRAVELLING[name]
    version = lake.version(table)
    if version is None:
        return None
    rows = lake.read(table, version=version, where=where)
    path = folder / TABLES / f"{name}.parquet"
    rows.write_parquet(path, compression="zstd")
    newest = rows[table.newest_by].max()
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return SnapshotTable(
        version=version, rows=rows.height, newest=newest if isinstance(newest, datetime) else None, sha256=sha256
    )


def _provenance(lake: Lake) -> Provenance:
    found = lake.provenance(KLINES)
    if _is_known(found):
        return found
    raise ProvenanceMismatch(
        f"The bars of {lake.location} are of origin {found!r}. Ingest from a known exchange first."
    )


def _is_known(value: str) -> TypeGuard[Provenance]:
    return value in get_args(Provenance)


def _line(snapshot: Snapshot) -> ExportedSnapshot:
    return ExportedSnapshot(
        number=snapshot.number,
        digest=snapshot.digest,
        exported_at=snapshot.exported_at,
        config_digest=snapshot.config_digest,
        code_commit=snapshot.code_commit,
        tries=snapshot.tries,
        provenance=snapshot.provenance,
        table_versions={name: table.version for name, table in snapshot.tables.items()},
    )
