"""The registry on a real MLflow with SQLite: what is written there can be read there, with its own client."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eth_pipeline.errors import BundleRefused, DecisionRefused, RegistryUnavailable
from eth_pipeline.registry.bundles.bundle import attach_decision, verify_bundle
from eth_pipeline.registry.mlflow_store import RegisteredVersion, RegistryStore
from eth_pipeline_tests.registry_maker import candidate, decision, expected, horizon, key_pair, registry_folder, report


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one MLflow database for all tests here."""
    return registry_folder(tmp_path_factory)


@pytest.fixture
def store(registry: Path, tmp_path: Path) -> RegistryStore:
    """An empty registered model of its own in the shared database."""
    uri = f"sqlite:///{registry / 'mlflow.db'}"
    return RegistryStore(uri, artifact_root=registry / "artifacts", model_name=tmp_path.name)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The pinned key pair."""
    return key_pair(tmp_path / "keys")


def register(store: RegistryStore, folder: Path, keys: Path, *, content: bytes = b"model") -> RegisteredVersion:
    figures = candidate(folder, content=content)
    made = decision(folder, figures)
    attach_decision(folder, made, private_key=keys / "bundle.key")
    return store.register_candidate(
        folder, report=figures, decision=made, run_tags={"dagster_run_id": "r1"}, params={"seed": 7}
    )


def mlflow_client(store: RegistryStore) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store.tracking_uri, store.tracking_uri)


@pytest.mark.slow
def test_two_processes_may_be_the_first_ones_of_a_new_registry(tmp_path: Path) -> None:
    """Two steps of a plan, side by side on a new node, both made the tables: both failed, and the file was lost."""
    script = (
        "import sys, mlflow; from pathlib import Path; from eth_pipeline.registry.mlflow_store import RegistryStore\n"
        f"store = RegistryStore('sqlite:///{tmp_path}/mlflow.db', artifact_root=Path({str(tmp_path)!r}))\n"
        "print('ready', flush=True); sys.stdin.readline(); print(store.tries())"
    )
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in both]
    assert [answer for answer, _ in answers] == ["0\n", "0\n"], answers


def test_an_empty_registry_has_no_versions_and_no_tries(store: RegistryStore) -> None:
    assert store.production() is None
    assert store.version_of("previous") is None
    assert store.tries() == 0


def test_a_registered_bundle_comes_back_byte_for_byte(store: RegistryStore, tmp_path: Path, keys: Path) -> None:
    made = register(store, tmp_path / "bundle", keys)
    fetched = store.download(made.version, tmp_path / "fetched")
    verified = verify_bundle(fetched, **expected(keys))
    assert (verified.fingerprint, verified.decision.decision_id) == (made.fingerprint, made.decision_id)
    assert store.version_of("candidate") == made
    assert store.production() is None


def test_the_run_shows_parameters_figures_and_data_versions(store: RegistryStore, tmp_path: Path, keys: Path) -> None:
    made = register(store, tmp_path / "bundle", keys)
    run = mlflow_client(store).get_run(made.run_id)
    assert run.data.params["seed"] == "7"
    assert run.data.params["lake_version_features"] == "3"
    assert run.data.metrics["oof_auc"] == 0.55
    assert run.data.metrics["auc_5h_low"] == pytest.approx(0.54)
    assert run.data.tags["dagster_run_id"] == "r1"
    assert run.info.status == "FINISHED"


def test_a_version_is_tied_to_its_decision_by_tags(store: RegistryStore, tmp_path: Path, keys: Path) -> None:
    made = register(store, tmp_path / "bundle", keys)
    version = mlflow_client(store).get_model_version(store.model_name, made.version)
    assert version.tags == {
        "decision_id": made.decision_id,
        "fingerprint": made.fingerprint,
        "provenance": "binance",
        "phase": "paper",
        "promoted": "true",
        "lake_version_features": "3",
        "lake_version_labels": "2",
    }
    assert version.source.endswith(f"{made.run_id}/artifacts/model")
    assert "is promoted for paper" in version.description


def test_promoting_moves_production_and_keeps_the_one_before(store: RegistryStore, tmp_path: Path, keys: Path) -> None:
    first, second = (register(store, tmp_path / name, keys, content=name.encode()) for name in ("a", "b"))
    store.promote(first.version)
    assert (store.production(), store.version_of("previous")) == (first, None)
    store.promote(second.version)
    assert (store.production(), store.version_of("previous")) == (second, first)
    store.promote(second.version)  # once more: nothing moves, or `previous` would name production itself
    assert (store.production(), store.version_of("previous")) == (second, first)


def test_every_candidate_counts_as_a_try_even_after_its_run_was_deleted(
    store: RegistryStore, tmp_path: Path, keys: Path
) -> None:
    """Deleting the failures is how 21 tries on one test set become one."""
    made = register(store, tmp_path / "a", keys)
    register(store, tmp_path / "b", keys)
    mlflow_client(store).delete_run(made.run_id)
    assert store.tries() == 2


def test_a_decision_about_another_bundle_is_not_registered(store: RegistryStore, tmp_path: Path, keys: Path) -> None:
    figures = candidate(tmp_path / "a")
    candidate(tmp_path / "b", content=b"another")
    with pytest.raises(DecisionRefused, match="not about the bundle"):
        store.register_candidate(
            tmp_path / "b", report=figures, decision=decision(tmp_path / "a", figures), run_tags={}, params={}
        )
    assert store.tries() == 0


def test_figures_that_could_not_be_computed_are_left_out(store: RegistryStore, tmp_path: Path, keys: Path) -> None:
    figures = candidate(tmp_path / "a")
    empty = report().horizons[0].net_bps_per_trade.model_copy(update={"value": None, "low": None, "high": None})
    thin = figures.model_copy(update={"horizons": (horizon(5, net_bps_per_trade=empty, trades=0),)})
    made = decision(tmp_path / "a", thin)
    registered = store.register_candidate(tmp_path / "a", report=thin, decision=made, run_tags={}, params={})
    metrics = mlflow_client(store).get_run(registered.run_id).data.metrics
    assert metrics["trades_5h"] == 0
    assert not [name for name in metrics if name.startswith("net_bps")]


@pytest.mark.parametrize("version", ["7", "newest", "-1"])
def test_a_version_that_does_not_exist_is_refused_by_name(
    store: RegistryStore, tmp_path: Path, keys: Path, version: str
) -> None:
    register(store, tmp_path / "a", keys)
    with pytest.raises(BundleRefused, match=f"no version '{version}'"):
        store.promote(version)
    with pytest.raises(BundleRefused, match="no version"):
        store.download(version, tmp_path / "fetched")


@pytest.mark.parametrize("fingerprint", ["", "../../elsewhere", "ABC"])
def test_a_version_with_an_edited_fingerprint_tag_is_refused(
    store: RegistryStore, tmp_path: Path, keys: Path, fingerprint: str
) -> None:
    """The tag becomes a folder name, and anybody who can open the registry's page can edit it."""
    made = register(store, tmp_path / "a", keys)
    client = mlflow_client(store)
    client.set_registered_model_alias(store.model_name, "production", made.version)
    client.set_model_version_tag(store.model_name, made.version, "fingerprint", fingerprint)
    with pytest.raises(BundleRefused, match="not registered by the promotion, or edited"):
        store.production()


def test_a_version_whose_files_are_gone_is_refused(store: RegistryStore, tmp_path: Path, keys: Path) -> None:
    made = register(store, tmp_path / "a", keys)
    source = mlflow_client(store).get_model_version(store.model_name, made.version).source
    Path(source.removeprefix("file://")).rename(tmp_path / "gone")
    with pytest.raises(BundleRefused, match="files of version 1 are gone"):
        store.download(made.version, tmp_path / "fetched")


def test_a_registry_that_does_not_answer_is_an_error_of_its_own(tmp_path: Path) -> None:
    """Down is not the same as empty: empty would mean that no model may run."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://user:hidden@127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RegistryUnavailable, match="could not read the alias production") as refusal:
            RegistryStore(url, artifact_root=tmp_path).production()
    assert "(http://127.0.0.1" in str(refusal.value)
    assert "hidden" not in str(refusal.value)


def test_a_database_that_is_none_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database " * 1000)
    with pytest.raises(RegistryUnavailable, match="not a database"):
        RegistryStore(f"sqlite:///{tmp_path / 'mlflow.db'}", artifact_root=tmp_path).tries()
