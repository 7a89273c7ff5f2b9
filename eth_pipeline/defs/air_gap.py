"""The air gap as Dagster sees it: which runs made the candidates of a node, and candidates that came from one.

Belongs here: reading and writing materializations of `candidate_bundle`. Does not belong: what travels
(`registry.air_gap.collection_export`), whether it is admitted (`registry.air_gap.collection_import`).

Runs do not travel: a materialization without a run stands on the signal host for what a run on the node made, with the
snapshot, the node and its run ids as metadata. `promotion_decision` finds it like one that was made here.
"""

from collections.abc import Iterable
from pathlib import Path

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from eth_pipeline.contracts.clock import iso
from eth_pipeline.models.algorithms import ALGORITHMS
from eth_pipeline.registry.air_gap.collection_export import FoundCandidate
from eth_pipeline.registry.air_gap.snapshot import Snapshot, snapshot_lake
from eth_pipeline.registry.bundles.verification import fingerprint, read_data_versions, read_report
from eth_pipeline.registry.crossings import ImportedCandidate

_CANDIDATE = dg.AssetKey("candidate_bundle")
_BEHIND = ("features", "labels", *(f"{name}_model" for name in ALGORITHMS), "quantile_model", "regime_model")
_REMEMBERED = 1000
"""Newest materializations that are looked through."""


def candidates_of(instance: dg.DagsterInstance, *, home: Path, snapshot: Snapshot) -> tuple[FoundCandidate, ...]:
    """The candidates of this home that were trained from `snapshot` and are still there, oldest first."""
    lake, found = str(snapshot_lake(home, snapshot)), dict[str, FoundCandidate]()
    for record in reversed(instance.fetch_materializations(_CANDIDATE, limit=_REMEMBERED).records):
        made = record.asset_materialization
        if made is None or "folder" not in made.metadata:
            continue
        folder = Path(str(made.metadata["folder"].value))
        if folder.is_dir() and read_data_versions(folder).lake == lake:
            found[fingerprint(folder)] = FoundCandidate(
                folder=folder,
                parameters_digest=str(made.metadata["parameters_digest"].value),
                runs=_runs_before(instance, record.storage_id) | {_CANDIDATE.to_user_string(): record.run_id},
            )
    return tuple(found.values())


def announce(instance: dg.DagsterInstance, imported: Iterable[ImportedCandidate], *, home: Path) -> int:
    """Let `candidate_bundle` have been materialized by every candidate that Dagster does not know yet.

    Returns:
        How many materializations were added.
    """
    known = {
        str(made.metadata["fingerprint"].value)
        for record in instance.fetch_materializations(_CANDIDATE, limit=_REMEMBERED).records
        if (made := record.asset_materialization) is not None and "fingerprint" in made.metadata
    }
    unknown = [line for line in imported if line.fingerprint not in known]
    for line in unknown:
        instance.report_runless_asset_event(_materialization(line, home=home))
    return len(unknown)


def _materialization(line: ImportedCandidate, *, home: Path) -> dg.AssetMaterialization:
    folder = home / line.folder
    return dg.AssetMaterialization(
        asset_key=_CANDIDATE,
        description=f"Trained on {line.node} from snapshot {line.snapshot_number}; imported {iso(line.imported_at)}.",
        metadata={
            "folder": dg.MetadataValue.path(str(folder)),
            "fingerprint": line.fingerprint,
            "parameters_digest": line.parameters_digest,
            "verdict": read_report(folder).verdict,
            "snapshot": line.snapshot_number,
            "snapshot_digest": line.snapshot_digest,
            "node": line.node,
            "node_commit": line.node_commit,
            "node_runs": dg.MetadataValue.json(line.node_runs),
            "signed_with": line.signed_with,
            "mlflow_run": line.mlflow_run,
        },
        tags={DATA_VERSION_TAG: line.fingerprint},
    )


def _runs_before(instance: dg.DagsterInstance, storage_id: int) -> dict[str, str]:
    """Asset to the run that made its newest materialization before an event."""
    runs = {}
    for name in _BEHIND:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(name), before_storage_id=storage_id)
        if records := instance.fetch_materializations(wanted, limit=1).records:
            runs[name] = records[0].run_id
    return runs
