"""Admitting candidates from a node on the signal host: verified first, then kept, then remembered.

Belongs here: the order of what is kept. Does not belong: the checks (`collection_checks`), the shape
(`collection`), the decision about a candidate (`registry.promotions.promotion`), telling Dagster (`defs.air_gap`).

Nothing is kept before every check of every candidate has passed. Then MLflow gets a run per candidate, the bundle its
folder, the lake its forecasts, and the list of crossings its line, which is the end: killed in between, the same import
again does what is missing.
"""

import shutil
from pathlib import Path
from typing import Unpack

from eth_pipeline.contracts.model_tables import OOF_FORECASTS, TRIED_PNL
from eth_pipeline.lake import Lake
from eth_pipeline.registry.air_gap.collection import (
    BUNDLE,
    CANDIDATES,
    COLLECTION,
    LOGS,
    NODE_DECISION,
    PLOTS,
    RUNTIME_MANIFEST,
    CollectedCandidate,
)
from eth_pipeline.registry.air_gap.collection_checks import ArrivedCollection, verified_collection
from eth_pipeline.registry.atomic import replaced_folder
from eth_pipeline.registry.bundles.verification import (
    Expectations,
    read_contract,
    read_data_versions,
    read_report,
)
from eth_pipeline.registry.crossings import Crossings, ImportedCandidate
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.runs.run_record import RunRecord, run_params
from eth_pipeline.settings import Settings


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
    with (
        crossings.alone(),
        verified_collection(archive, crossings, expected, peer_keys=settings.peer_public_keys) as arrived,
    ):
        return tuple(
            _admit(each, arrived, crossings, store=store, lake=lake, settings=settings, expected=expected)
            for each in arrived.collection.candidates
        )


def _admit(
    each: CollectedCandidate,
    arrived: ArrivedCollection,
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
