"""Admitting candidates from a node on the signal host: verified first, then kept, then remembered.

Belongs here: every check of a collection, and the order of what is kept. Does not belong: the shape
(`registry.collection`), the decision about a candidate (`registry.promotion`), telling Dagster (`defs.air_gap`).

Nothing is kept before every check of every candidate has passed. Then MLflow gets a run per candidate, the bundle its
folder, the lake its forecasts, and the list of crossings its line, which is the end: killed in between, the same import
again does what is missing.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import polars as pl

from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.model_tables import OOF_FORECASTS, TRIED_PNL
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.errors import (
    HashMismatch,
    ProvenanceMismatch,
    SchemaMismatch,
    SnapshotUnknown,
    TransferDowngraded,
    TransferRefused,
)
from eth_pipeline.lake import Lake
from eth_pipeline.registry.archive import unpack
from eth_pipeline.registry.atomic import incoming_folder, replaced_folder
from eth_pipeline.registry.collection import (
    BUNDLE,
    CANDIDATES,
    COLLECTION,
    LOGS,
    NODE_DECISION,
    OOF,
    PLOTS,
    RUNTIME_MANIFEST,
    SHAPE,
    SUBJECT,
    TRIED,
    CollectedCandidate,
    Collection,
    read_collection,
)
from eth_pipeline.registry.crossings import Crossings, ExportedSnapshot, ImportedCandidate
from eth_pipeline.registry.layout import bundle_files
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.onnx_graph import require_sound_models
from eth_pipeline.registry.run_record import RunRecord, run_params
from eth_pipeline.registry.signing import key_id, verify_folder
from eth_pipeline.registry.verification import (
    Expectations,
    fingerprint,
    read_contract,
    read_data_versions,
    read_report,
    require_schema,
    require_unexpired,
)
from eth_pipeline.settings import Settings


@dataclass(frozen=True)
class _Arrived:
    """A collection that passed every check; `oof` by fingerprint."""

    folder: Path
    collection: Collection
    signed_with: str
    oof: Mapping[str, pl.DataFrame]
    tried: pl.DataFrame


def import_collection(
    archive: Path, *, store: RegistryStore, lake: Lake, settings: Settings, **expected: Unpack[Expectations]
) -> tuple[ImportedCandidate, ...]:
    """Verify the collection in the file `archive` and keep its candidates, to be decided about here.

    A candidate that is here already is not kept twice.

    Args:
        archive: what `export_collection` wrote.
        store: where a run is logged for each candidate.
        lake: where their forecasts and tries go.
        settings: of this home; `peer_public_keys` says who may have signed.
        **expected: what this system demands of a bundle, see `Expectations`.

    Returns:
        Its candidates, oldest first.

    Raises:
        ArchiveRefused: no archive, or one that holds what no collection has.
        SignatureRefused: not signed with a key in `peer_public_keys`.
        HashMismatch: not the files that were signed or described.
        SnapshotUnknown: trained on a snapshot that this host never exported.
        TransferDowngraded: trained on an older snapshot than candidates that are here.
        SchemaMismatch: made for other features, another base interval or another symbol.
        ProvenanceMismatch: trained on data of another origin than the snapshot.
        BundleRefused: or one of its other kinds: expired, a model that may not run here.
        TransferRefused: a candidate contradicts its snapshot, or the description cannot be read.
        ContractViolation: forecasts or tries break their contract.
        RegistryUnavailable: MLflow does not answer; nothing was kept.
    """
    crossings = Crossings(settings.home)
    with crossings.alone(), _verified(archive, crossings, expected, peer_keys=settings.peer_public_keys) as arrived:
        return tuple(
            _admit(each, arrived, crossings, store=store, lake=lake, settings=settings, expected=expected)
            for each in arrived.collection.candidates
        )


@contextmanager
def _verified(
    archive: Path, crossings: Crossings, expected: Expectations, *, peer_keys: tuple[Path, ...]
) -> Iterator[_Arrived]:
    with incoming_folder(crossings.folder) as scratch:
        folder = unpack(archive, scratch / "arrived", shape=SHAPE)
        signer = verify_folder(folder, public_keys=peer_keys, subject=SUBJECT)
        collection = read_collection(folder)
        snapshot = _known_snapshot(collection, crossings)
        _require_same_features(collection, expected)
        _require_described(folder, collection)
        oof = {each.fingerprint: _sound(each, folder, snapshot, expected) for each in collection.candidates}
        tried = _rows(folder / TRIED, TRIED_PNL, symbol=expected["symbol"], provenance=snapshot.provenance)
        yield _Arrived(folder, collection, key_id(signer), oof, tried)


def _known_snapshot(collection: Collection, crossings: Crossings) -> ExportedSnapshot:
    """The export that the candidates were trained from; never one that is older than what was imported before."""
    number, digest = collection.snapshot_number, collection.snapshot_digest
    found = next((line for line in crossings.exported() if (line.number, line.digest) == (number, digest)), None)
    if found is None:
        raise SnapshotUnknown(
            f"The candidates of {collection.node} were trained on snapshot {number:06d}-{digest[:12]}, which this host "
            "never exported. Export a snapshot here, carry it to the node and train again; if you do not know the "
            "node, take its key out of `peer_public_keys`."
        )
    newest = max((line.snapshot_number for line in crossings.imported()), default=0)
    if number < newest:
        raise TransferDowngraded(
            f"The candidates of {collection.node} were trained on snapshot {number}, and candidates of snapshot "
            f"{newest} are here already. Train on the newest snapshot and collect again."
        )
    return found


def _require_same_features(collection: Collection, expected: Expectations) -> None:
    if collection.feature_schema != expected["feature_schema"]:
        raise SchemaMismatch(
            f"The candidates were trained on feature schema {collection.feature_schema[:12]}, the code here computes "
            f"{expected['feature_schema'][:12]}. Run the same commit on both sides ({collection.code_commit[:12]} on "
            "the node), export a snapshot again and train again."
        )


def _require_described(folder: Path, collection: Collection) -> None:
    present = {path.name for path in (folder / CANDIDATES).glob("*")}
    described = {each.fingerprint for each in collection.candidates}
    if present != described:
        raise HashMismatch(
            f"The collection holds and describes different candidates: {sorted(present ^ described)}. {SUBJECT.remedy}"
        )


def _sound(each: CollectedCandidate, folder: Path, snapshot: ExportedSnapshot, expected: Expectations) -> pl.DataFrame:
    """Check one candidate; returns its out-of-fold forecasts."""
    place = folder / CANDIDATES / each.fingerprint
    bundle = place / BUNDLE
    files = bundle_files(bundle)
    if fingerprint(bundle) != each.fingerprint:
        raise HashMismatch(f"Candidate {each.fingerprint[:12]} is not what its name says. {SUBJECT.remedy}")
    contract, report = read_contract(bundle), read_report(bundle)
    read_data_versions(bundle)
    require_unexpired(contract, now=expected["now"])
    require_schema(contract, files=files, expected=expected)
    require_sound_models(bundle, contract)
    if {contract.provenance, report.provenance} != {snapshot.provenance}:
        raise ProvenanceMismatch(
            f"Candidate {each.fingerprint[:12]} says {contract.provenance} data, snapshot {snapshot.number} holds "
            f"{snapshot.provenance} data. {SUBJECT.remedy}"
        )
    _require_within(contract, snapshot, tries=report.tries, name=each.fingerprint[:12])
    rows = _rows(place / OOF, OOF_FORECASTS, symbol=contract.symbol, provenance=contract.provenance)
    if set(rows["fingerprint"]) - {each.fingerprint}:
        raise TransferRefused(f"The forecasts beside {each.fingerprint[:12]} are another bundle's. {SUBJECT.remedy}")
    return rows


def _require_within(contract: RuntimeContract, snapshot: ExportedSnapshot, *, tries: int, name: str) -> None:
    """What came out of a snapshot cannot know later hours, nor fewer tries, than the snapshot itself."""
    if contract.trained_until > snapshot.exported_at:
        raise TransferRefused(
            f"Candidate {name} was trained on hours until {contract.trained_until:%Y-%m-%d %H:%M}, and snapshot "
            f"{snapshot.number} ends at {snapshot.exported_at:%Y-%m-%d %H:%M}: it was trained on something else. "
            f"{SUBJECT.remedy}"
        )
    if tries < snapshot.tries:
        raise TransferRefused(
            f"Candidate {name} counts {tries} tries on this history, snapshot {snapshot.number} already carried "
            f"{snapshot.tries}: its gates would be too easy. Train it again from the snapshot."
        )


def _rows(path: Path, table: TableContract, *, symbol: str, provenance: str) -> pl.DataFrame:
    try:
        rows = table.conform(pl.read_parquet(path))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TransferRefused(f"{path.name} of the collection is no table: {error}. {SUBJECT.remedy}") from error
    foreign = rows.filter((pl.col("symbol") != symbol) | (pl.col("provenance") != provenance))
    if foreign.height:
        raise ProvenanceMismatch(
            f"{path.name} of the collection holds {foreign.height} rows that are not about {symbol} from {provenance}. "
            f"{SUBJECT.remedy}"
        )
    return rows


def _admit(
    each: CollectedCandidate,
    arrived: _Arrived,
    crossings: Crossings,
    *,
    store: RegistryStore,
    lake: Lake,
    settings: Settings,
    expected: Expectations,
) -> ImportedCandidate:
    collection = arrived.collection
    before = crossings.origin_of(each.fingerprint)
    if before is not None and (settings.home / before.folder).is_dir():
        return before
    line = ImportedCandidate(
        fingerprint=each.fingerprint,
        folder=f"candidates/imported-{collection.snapshot_number:06d}-{each.fingerprint[:12]}",
        parameters_digest=each.parameters_digest,
        snapshot_number=collection.snapshot_number,
        snapshot_digest=collection.snapshot_digest,
        node=collection.node,
        node_commit=collection.code_commit,
        node_runs=each.runs,
        collection=collection.digest,
        collected_at=collection.collected_at,
        signed_with=arrived.signed_with,
        mlflow_run="",
        imported_at=expected["now"],
    )
    place = arrived.folder / CANDIDATES / each.fingerprint
    line = line.model_copy(update={"mlflow_run": _log_run(line, place, arrived.folder, store, settings)})
    with replaced_folder(settings.home / line.folder) as unfinished:
        shutil.copytree(place / BUNDLE, unfinished, dirs_exist_ok=True)
    lake.upsert(OOF_FORECASTS, arrived.oof[each.fingerprint])
    lake.upsert(TRIED_PNL, arrived.tried)
    crossings.note_import(line)
    return line


def _log_run(line: ImportedCandidate, place: Path, folder: Path, store: RegistryStore, settings: Settings) -> str:
    """The candidate's figures, plots and papers as one run of this host's MLflow; returns its id."""
    bundle = place / BUNDLE
    contract = read_contract(bundle)
    record = RunRecord(
        report=read_report(bundle),
        data=read_data_versions(bundle),
        params=run_params(contract, settings, hyperparameters={"algorithm_digest": line.parameters_digest}),
        tags={"fingerprint": line.fingerprint, "code_commit": contract.code_commit, **line.tags},
        plots={path.name: path.read_bytes() for path in sorted((place / PLOTS).glob("*.png"))},
    )
    papers = [folder / COLLECTION, folder / RUNTIME_MANIFEST, place / NODE_DECISION, *(folder / LOGS).glob("*.log")]
    return store.record_import(record, papers=[path for path in papers if path.is_file()])
