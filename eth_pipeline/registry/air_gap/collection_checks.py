"""Every check of a collection that came back: from whom, about which snapshot, sound, and not knowing too much.

Belongs here: the checks, in an order in which nothing is trusted too early. Does not belong: keeping what passed
(`collection_import`), the shape (`collection`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
from eth_pipeline.registry.air_gap.collection import (
    BUNDLE,
    CANDIDATES,
    OOF,
    SHAPE,
    SUBJECT,
    TRIED,
    CollectedCandidate,
    Collection,
    read_collection,
)
from eth_pipeline.registry.atomic import incoming_folder
from eth_pipeline.registry.bundles.archive import unpack
from eth_pipeline.registry.bundles.layout import bundle_files
from eth_pipeline.registry.bundles.onnx_graph import require_sound_models
from eth_pipeline.registry.bundles.signing import key_id, verify_folder
from eth_pipeline.registry.bundles.verification import (
    Expectations,
    fingerprint,
    read_contract,
    read_data_versions,
    read_report,
    require_schema,
    require_unexpired,
)
from eth_pipeline.registry.crossings import Crossings, ExportedSnapshot


@dataclass(frozen=True)
class ArrivedCollection:
    """A collection that passed every check; `oof` by fingerprint."""

    folder: Path
    collection: Collection
    signed_with: str
    oof: Mapping[str, pl.DataFrame]
    tried: pl.DataFrame


@contextmanager
def verified_collection(
    archive: Path, crossings: Crossings, expected: Expectations, *, peer_keys: tuple[Path, ...]
) -> Iterator[ArrivedCollection]:
    """The collection in `archive`, unpacked for as long as the block lasts, once everything in it was checked.

    Raises:
        ArchiveRefused, SignatureRefused, HashMismatch, SnapshotUnknown, TransferDowngraded, SchemaMismatch,
        ProvenanceMismatch, BundleRefused, TransferRefused, ContractViolation: see `import_collection`.
    """
    with incoming_folder(crossings.folder) as scratch:
        folder = unpack(archive, scratch / "arrived", shape=SHAPE)
        signer = verify_folder(folder, public_keys=peer_keys, subject=SUBJECT)
        collection = read_collection(folder)
        snapshot = _known_snapshot(collection, crossings)
        _require_same_features(collection, expected)
        _require_described(folder, collection)
        oof = {each.fingerprint: _sound(each, folder, snapshot, expected) for each in collection.candidates}
        tried = _rows(folder / TRIED, TRIED_PNL, symbol=expected["symbol"], provenance=snapshot.provenance)
        yield ArrivedCollection(folder, collection, key_id(signer), oof, tried)


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
