"""Tests of collection, collection_export and collection_import: candidates come back whole, from whom and from what."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eth_pipeline.contracts.artifact import DECISION, SIGNATURE
from eth_pipeline.contracts.model_tables import OOF_FORECASTS, TRIED_PNL
from eth_pipeline.errors import (
    ArchiveRefused,
    BundleExpired,
    EthPipelineError,
    HashMismatch,
    ModelRefused,
    ProvenanceMismatch,
    RegistryUnavailable,
    SchemaMismatch,
    SignatureRefused,
    SnapshotUnknown,
    TransferDowngraded,
    TransferRefused,
)
from eth_pipeline.lake import Lake
from eth_pipeline.registry.air_gap.collection import CANDIDATES, COLLECTION, OOF
from eth_pipeline.registry.bundles.bundle import attach_decision, fingerprint
from eth_pipeline.registry.bundles.layout import bundle_files
from eth_pipeline.registry.bundles.verification import read_report
from eth_pipeline.registry.crossings import Crossings
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.settings import GateSettings
from eth_pipeline_tests.crossing_home import TRIES, Gap, everything_in, repacked
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.registry_maker import registry_folder


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry."""
    return registry_folder(tmp_path_factory)


@pytest.fixture
def store(template: Path, tmp_path: Path) -> RegistryStore:
    """The host's registry, empty."""
    shutil.copyfile(template / "mlflow.db", tmp_path / "mlflow.db")
    return RegistryStore(f"sqlite:///{tmp_path / 'mlflow.db'}", artifact_root=tmp_path / "artifacts")


@pytest.fixture
def gap(tmp_path: Path) -> Gap:
    """A host and a node that trains from its snapshot."""
    made = Gap(tmp_path)
    made.take(made.export()[0])
    return made


def run_of(store: RegistryStore, run_id: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.tracking_uri).get_run(run_id)


def artifacts_of(store: RegistryStore, run_id: str, folder: str) -> set[str]:
    from mlflow import MlflowClient

    return {item.path for item in MlflowClient(tracking_uri=store.tracking_uri).list_artifacts(run_id, folder)}


def test_a_candidate_arrives_with_its_forecasts_its_tries_and_its_story(gap: Gap, store: RegistryStore) -> None:
    found = gap.train()
    archive, made = gap.collect(found)
    (line,) = gap.admit(archive, store=store)
    folder = gap.host.home / line.folder
    assert fingerprint(folder) == fingerprint(found.folder) == line.fingerprint
    lake = Lake.of(gap.host)
    assert set(lake.read(OOF_FORECASTS)["fingerprint"]) == {line.fingerprint}
    assert set(lake.read(TRIED_PNL)["try_id"]) == {found.parameters_digest}
    assert (line.node, line.node_runs) == ("gpu-node", {"lightgbm_model": "run of first"})
    assert (line.snapshot_number, line.snapshot_digest) == (made.snapshot_number, made.snapshot_digest)
    assert Crossings(gap.host.home).origin_of(line.fingerprint) == line
    run = run_of(store, line.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.tags["origin_node"] == "gpu-node"
    assert run.data.tags["origin_snapshot_digest"] == made.snapshot_digest
    assert run.data.tags["origin_run_lightgbm_model"] == "run of first"
    assert artifacts_of(store, line.mlflow_run, "plots") == {"plots/auc_by_year.png", "plots/calibration.png"}
    papers = {"origin/collection.json", "origin/runtime_manifest.json", "origin/plan.log"}
    assert artifacts_of(store, line.mlflow_run, "origin") == papers


def test_an_imported_candidate_is_a_try_before_anybody_decides_and_no_second_one_after(
    gap: Gap, store: RegistryStore
) -> None:
    assert store.tries(symbol="ETHUSDT", provenance="simulated") == 0
    archive, _ = gap.collect(gap.train("first"), gap.train("second"))
    first, _ = gap.admit(archive, store=store)
    assert store.tries(symbol="ETHUSDT", provenance="simulated") == 2
    digest = run_of(store, first.mlflow_run).data.params["parameters_digest"]
    assert store.tries(symbol="ETHUSDT", provenance="simulated", including=digest) == 2
    assert store.named_by("candidate") is None, "nobody decided: there is no version"


def test_the_same_collection_again_changes_nothing(gap: Gap, store: RegistryStore) -> None:
    archive, _ = gap.collect(gap.train())
    first = gap.admit(archive, store=store)
    before = everything_in(gap.host.home)
    assert gap.admit(archive, store=store) == first
    assert everything_in(gap.host.home) == before
    assert store.tries() == 1


def test_an_import_that_was_killed_before_its_end_is_finished_by_the_next(gap: Gap, store: RegistryStore) -> None:
    archive, _ = gap.collect(gap.train())
    (line,) = gap.admit(archive, store=store)
    (gap.host.home / "air_gap" / "imported.jsonl").unlink()  # the last step did not happen
    shutil.rmtree(gap.host.home / line.folder)  # nor the one before
    (again,) = gap.admit(archive, store=store)
    assert again == line, "the run in MLflow is found again and not logged twice"
    assert (gap.host.home / line.folder).is_dir()


def test_what_the_node_decided_is_told_and_decides_nothing_here(gap: Gap, store: RegistryStore) -> None:
    found = gap.train()
    decision = decide(
        read_report(found.folder),
        phase="paper",
        settings=GateSettings(),
        candidate_fingerprint=fingerprint(found.folder),
        champion_fingerprint=None,
        champion_comparison=None,
        decided_at=NOON,
    )
    attach_decision(found.folder, decision, private_key=gap.folder / "node.key")
    archive, _ = gap.collect(found)
    (line,) = gap.admit(archive, store=store)
    assert {DECISION, SIGNATURE}.isdisjoint(bundle_files(gap.host.home / line.folder))
    assert "origin/node_decision.json" in artifacts_of(store, line.mlflow_run, "origin")


def test_nothing_to_collect_is_said(gap: Gap) -> None:
    with pytest.raises(TransferRefused, match="0 candidates were trained from snapshot 000001"):
        gap.collect()


def test_candidates_of_a_snapshot_that_never_left_here_are_refused(gap: Gap, store: RegistryStore) -> None:
    archive, _ = gap.collect(gap.train())
    exported = gap.host.home / "air_gap" / "exported.jsonl"
    exported.write_text(exported.read_text().replace(Crossings(gap.host.home).exported()[0].digest, "0" * 64))
    before = everything_in(gap.host.home)
    with pytest.raises(SnapshotUnknown, match="this host never exported"):
        gap.admit(archive, store=store)
    assert everything_in(gap.host.home) == before


def test_candidates_of_an_older_snapshot_than_the_newest_imported_are_refused(gap: Gap, store: RegistryStore) -> None:
    old, _ = gap.collect(gap.train("old"), name="old.zip")
    gap.take(gap.export("next.zip", as_of=NOON + HOUR)[0])
    gap.admit(gap.collect(gap.train("new"), name="new.zip")[0], store=store)
    before = everything_in(gap.host.home)
    with pytest.raises(TransferDowngraded, match="trained on snapshot 1, and candidates of snapshot 2"):
        gap.admit(old, store=store)
    assert everything_in(gap.host.home) == before


def test_another_candidate_of_the_same_snapshot_is_welcome(gap: Gap, store: RegistryStore) -> None:
    first = gap.train("first")
    gap.admit(gap.collect(first, name="one.zip")[0], store=store)
    both = gap.admit(gap.collect(first, gap.train("second"), name="two.zip")[0], store=store)
    assert len({line.fingerprint for line in both}) == 2
    assert len(Crossings(gap.host.home).imported()) == 2


BENT: list[tuple[str, dict[str, Any], dict[str, Any], type[EthPipelineError], str]] = [
    ("hours that the snapshot does not have", {"trained_until": NOON + HOUR}, {}, TransferRefused, "something else"),
    ("fewer tries than the snapshot carried", {"tries": TRIES - 1}, {}, TransferRefused, "gates would be too easy"),
    ("past its expiry", {"expires_at": NOON + timedelta(minutes=5)}, {}, BundleExpired, "expired at"),
    ("another symbol", {}, {"symbol": "BTCUSDT"}, SchemaMismatch, "is for ETHUSDT"),
    ("other features", {}, {"feature_schema": "0" * 64}, SchemaMismatch, "Run the same commit on both sides"),
    ("a false origin", {"provenance": "binance"}, {}, ProvenanceMismatch, "says binance data, snapshot 1 holds simul"),
    ("another operator set", {"opset": 16}, {}, ModelRefused, "operator set"),
]


@pytest.mark.parametrize(("candidate", "host", "error", "words"), [r[1:] for r in BENT], ids=[r[0] for r in BENT])
def test_a_candidate_that_contradicts_snapshot_or_host_is_refused_though_signed(
    gap: Gap,
    store: RegistryStore,
    candidate: dict[str, Any],
    host: dict[str, Any],
    error: type[EthPipelineError],
    words: str,
) -> None:
    archive, _ = gap.collect(gap.train("good"), gap.train("bad", **candidate))
    before = everything_in(gap.host.home)
    with pytest.raises(EthPipelineError, match=words) as refusal:
        gap.admit(archive, store=store, **host)
    assert refusal.type is error
    assert everything_in(gap.host.home) == before, "nor is the good one beside it kept"


def only_candidate(folder: Path) -> Path:
    (found,) = (folder / CANDIDATES).iterdir()
    return found


def edited_model(folder: Path) -> None:
    model = next((only_candidate(folder) / "bundle" / "models").iterdir())
    model.write_bytes(model.read_bytes() + b"\0")


def edited_report(folder: Path) -> None:
    path = only_candidate(folder) / "bundle" / "metrics.json"
    path.write_text(path.read_text().replace('"tries": 4', '"tries": 3'))


def other_snapshot(folder: Path) -> None:
    content = json.loads((folder / COLLECTION).read_text())
    (folder / COLLECTION).write_text(json.dumps(content | {"snapshot_number": 2}))


def two_candidates(folder: Path) -> None:
    found = only_candidate(folder)
    shutil.copytree(found, found.with_name("0" * 64))


def foreign_forecasts(folder: Path) -> None:
    path = only_candidate(folder) / OOF
    pl.read_parquet(path).with_columns(fingerprint=pl.lit("0" * 64)).write_parquet(path)


def tries_of_another_market(folder: Path) -> None:
    path = folder / "tried.parquet"
    pl.read_parquet(path).with_columns(provenance=pl.lit("binance")).write_parquet(path)


def broken_forecasts(folder: Path) -> None:
    (only_candidate(folder) / OOF).write_bytes(b"PAR1")


def strange_file(folder: Path) -> None:
    (only_candidate(folder) / "bundle" / "load.py").write_text("print()\n")


def decided_elsewhere(folder: Path) -> None:
    (only_candidate(folder) / "bundle" / DECISION).write_text("{}")


TAMPERED: list[tuple[str, Callable[[Path], None], str | None, type[EthPipelineError], str]] = [
    ("a model", edited_model, None, HashMismatch, "not what was signed"),
    ("a figure", edited_report, None, HashMismatch, "not what was signed"),
    ("a newer snapshot", other_snapshot, None, HashMismatch, "not what was signed"),
    ("signed by a stranger", edited_report, "stranger", SignatureRefused, "`peer_public_keys`"),
    ("signed by the host itself", edited_report, "host", SignatureRefused, "`peer_public_keys`"),
    ("a model under its old name", edited_model, "node", HashMismatch, "not what its name says"),
    ("a snapshot of the future", other_snapshot, "node", SnapshotUnknown, "never exported"),
    ("one more candidate", two_candidates, "node", HashMismatch, "describes different candidates"),
    ("another bundle's forecasts", foreign_forecasts, "node", TransferRefused, "are another bundle's"),
    ("tries of another market", tries_of_another_market, "node", ProvenanceMismatch, "not about ETHUSDT from simul"),
    ("forecasts that are no table", broken_forecasts, "node", TransferRefused, "is no table"),
    ("a foreign file", strange_file, "node", ArchiveRefused, "which no collection has"),
    ("a decision in the bundle", decided_elsewhere, "node", ArchiveRefused, "which no collection has"),
]


@pytest.mark.parametrize(("change", "key", "error", "words"), [r[1:] for r in TAMPERED], ids=[r[0] for r in TAMPERED])
def test_a_tampered_collection_is_refused_and_leaves_nothing(
    gap: Gap,
    store: RegistryStore,
    change: Callable[[Path], None],
    key: str | None,
    error: type[EthPipelineError],
    words: str,
) -> None:
    archive, _ = gap.collect(gap.train())
    before = everything_in(gap.host.home)
    tampered = repacked(archive, change=change, key=gap.folder / f"{key}.key" if key else None)
    with pytest.raises(EthPipelineError, match=words) as refusal:
        gap.admit(tampered, store=store)
    assert refusal.type is error
    assert everything_in(gap.host.home) == before


def test_while_the_registry_is_silent_nothing_is_kept(gap: Gap) -> None:
    archive, _ = gap.collect(gap.train())
    before = everything_in(gap.host.home)
    silent = RegistryStore("http://127.0.0.1:9", artifact_root=gap.folder)
    with pytest.raises(RegistryUnavailable):
        gap.admit(archive, store=silent)
    assert everything_in(gap.host.home) == before


def test_a_broken_list_of_crossings_stops_every_crossing(gap: Gap, store: RegistryStore) -> None:
    archive, _ = gap.collect(gap.train())
    exported = gap.host.home / "air_gap" / "exported.jsonl"
    exported.write_text(exported.read_text()[:-20])
    with pytest.raises(EthPipelineError, match="Restore the file from its backup"):
        gap.admit(archive, store=store)
    with pytest.raises(EthPipelineError, match="Restore the file from its backup"):
        gap.export("more.zip")
