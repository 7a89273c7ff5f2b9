"""The production bundle on this host: verified on arrival and at every load, and never lost to a bad successor."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from eth_pipeline.errors import (
    BundleExpired,
    BundleRefused,
    DecisionRefused,
    HashMismatch,
    RegistryUnavailable,
    SignatureRefused,
)
from eth_pipeline.registry.bundles.bundle import attach_decision
from eth_pipeline.registry.mlflow_store import RegisteredVersion, RegistryStore
from eth_pipeline.registry.promotions.production import (
    KEPT_BUNDLES,
    current_bundle,
    kept_bundles,
    materialize_production,
    pointer,
)
from eth_pipeline_tests.registry_maker import NOW, SCHEMA, candidate, decision, expected, key_pair, registry_folder


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


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The host's home folder; not created."""
    return tmp_path / "home"


def promote(store: RegistryStore, folder: Path, keys: Path) -> RegisteredVersion:
    """Register and promote a bundle whose content is the folder's name."""
    figures = candidate(folder, content=folder.name.encode())
    made = decision(folder, figures)
    attach_decision(folder, made, private_key=keys / "bundle.key")
    registered = store.register_candidate(folder, report=figures, decision=made, run_tags={}, params={})
    store.promote(registered.version)
    return registered


def artifacts(store: RegistryStore, version: str) -> Path:
    from mlflow import MlflowClient

    client = MlflowClient(store.tracking_uri, store.tracking_uri)
    return Path(client.get_model_version(store.model_name, version).source.removeprefix("file://")) / "bundle"


def test_a_promoted_bundle_arrives_verified_and_is_current(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    made = promote(store, tmp_path / "a", keys)
    bundle = materialize_production(store, home=home, **expected(keys))
    assert bundle.folder == home / "production" / made.fingerprint
    current, version = current_bundle(home=home, **expected(keys))
    assert (current, version) == (bundle, made.version)


def test_without_a_promotion_there_is_nothing_to_load(store: RegistryStore, keys: Path, home: Path) -> None:
    with pytest.raises(BundleRefused, match="no production bundle"):
        current_bundle(home=home, **expected(keys))
    with pytest.raises(BundleRefused, match="has the alias `production`"):
        materialize_production(store, home=home, **expected(keys))
    assert pointer(home) is None


def test_materializing_again_needs_no_download_and_changes_nothing_but_the_time(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    made = promote(store, tmp_path / "a", keys)
    first = materialize_production(store, home=home, **expected(keys))
    artifacts(store, made.version).rename(tmp_path / "gone")
    later = NOW + timedelta(hours=1)
    assert materialize_production(store, home=home, **expected(keys, now=later)) == first
    found = pointer(home)
    assert found is not None
    assert found.verified_at == later
    assert pointer(home, name="previous") is None


def test_a_damaged_local_copy_is_fetched_again(store: RegistryStore, tmp_path: Path, keys: Path, home: Path) -> None:
    promote(store, tmp_path / "a", keys)
    bundle = materialize_production(store, home=home, **expected(keys))
    (bundle.folder / "models" / "lightgbm_5h.onnx").write_bytes(b"bit rot")
    with pytest.raises(HashMismatch):
        current_bundle(home=home, **expected(keys))
    materialize_production(store, home=home, **expected(keys))
    assert current_bundle(home=home, **expected(keys)).bundle == bundle


def test_a_bad_successor_leaves_the_old_bundle_in_use(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    """The error propagates, so that the run is red; the hour goes on with what was verified before."""
    promote(store, tmp_path / "a", keys)
    old = materialize_production(store, home=home, **expected(keys))
    second = promote(store, tmp_path / "b", keys)
    (artifacts(store, second.version) / "models" / "lightgbm_5h.onnx").write_bytes(b"tampered")
    with pytest.raises(HashMismatch, match="lightgbm_5h"):
        materialize_production(store, home=home, **expected(keys))
    assert current_bundle(home=home, **expected(keys)).bundle == old
    assert {path.name for path in (home / "production").iterdir()} == {old.fingerprint, "current", "kept", ".lock"}


def test_an_alias_moved_by_hand_to_a_refused_version_is_not_loaded(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    """Anybody with the registry's page can move the alias; nobody can move it past the decision."""
    promote(store, tmp_path / "a", keys)
    old = materialize_production(store, home=home, **expected(keys))
    figures = candidate(tmp_path / "weak", content=b"weak")
    made = decision(tmp_path / "weak", figures.model_copy(update={"oof_auc": 0.50}))
    attach_decision(tmp_path / "weak", made, private_key=keys / "bundle.key")
    weak = store.register_candidate(tmp_path / "weak", report=figures, decision=made, run_tags={}, params={})
    store.promote(weak.version)
    with pytest.raises(DecisionRefused, match=r"oof_auc: out-of-fold AUC 0\.5000 is below"):
        materialize_production(store, home=home, **expected(keys))
    assert current_bundle(home=home, **expected(keys)).bundle == old


def test_a_version_whose_tags_name_another_decision_is_refused(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    from mlflow import MlflowClient

    made = promote(store, tmp_path / "a", keys)
    client = MlflowClient(store.tracking_uri, store.tracking_uri)
    client.set_model_version_tag(store.model_name, made.version, "decision_id", "paper-by-hand")
    with pytest.raises(DecisionRefused, match=r"tagged with .* 'paper-by-hand', but holds"):
        materialize_production(store, home=home, **expected(keys))


def test_a_bundle_of_a_foreign_signer_is_refused(store: RegistryStore, tmp_path: Path, keys: Path, home: Path) -> None:
    promote(store, tmp_path / "a", key_pair(tmp_path / "foreign"))
    with pytest.raises(SignatureRefused, match="not pinned"):
        materialize_production(store, home=home, **expected(keys))


def test_the_newest_bundles_are_kept_and_older_ones_are_removed(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    names = []
    for name in "abcdefg":
        names.append(promote(store, tmp_path / name, keys).fingerprint)
        materialize_production(store, home=home, **expected(keys))
    newest = names[-KEPT_BUNDLES:]
    assert {path.name for path in (home / "production").iterdir() if path.is_dir()} == set(newest)
    assert [kept.fingerprint for kept in kept_bundles(home)] == newest[::-1]
    before = pointer(home, name="previous")
    assert before is not None
    assert before.fingerprint == names[-2]


def test_a_damaged_list_of_kept_bundles_is_made_again_from_the_pointers(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    names = []
    for name in "abc":
        names.append(promote(store, tmp_path / name, keys).fingerprint)
        materialize_production(store, home=home, **expected(keys))
    (home / "production" / "kept").write_text("no list")
    assert [kept.fingerprint for kept in kept_bundles(home)] == names[:0:-1]


def test_a_doubt_is_noted_when_the_registry_is_down_and_cleared_when_it_answers(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    """The hourly run never asks the registry; the pointer tells it that nobody could."""
    promote(store, tmp_path / "a", keys)
    materialize_production(store, home=home, **expected(keys))
    down = RegistryStore("http://127.0.0.1:9", artifact_root=tmp_path)
    with pytest.raises(RegistryUnavailable):
        materialize_production(down, home=home, **expected(keys))
    noted = pointer(home)
    assert noted is not None
    assert "did not answer" in noted.unreconciled
    current_bundle(home=home, **expected(keys))
    materialize_production(store, home=home, **expected(keys))
    cleared = pointer(home)
    assert cleared is not None
    assert cleared.unreconciled == ""


def test_a_registry_that_is_down_does_not_stop_the_hour(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    promote(store, tmp_path / "a", keys)
    bundle = materialize_production(store, home=home, **expected(keys))
    (tmp_path / "broken.db").write_bytes(b"no database " * 1000)
    down = RegistryStore(f"sqlite:///{tmp_path / 'broken.db'}", artifact_root=tmp_path)
    with pytest.raises(RegistryUnavailable):
        materialize_production(down, home=home, **expected(keys))
    assert current_bundle(home=home, **expected(keys)).bundle == bundle


def test_expiry_is_checked_at_every_load(store: RegistryStore, tmp_path: Path, keys: Path, home: Path) -> None:
    """The reviewed system checked once, when the process started, and then ran for weeks."""
    promote(store, tmp_path / "a", keys)
    materialize_production(store, home=home, **expected(keys))
    with pytest.raises(BundleExpired):
        current_bundle(home=home, **expected(keys, now=NOW + timedelta(days=60)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"version": "1", "fingerprint": "../../x", "folder": "../../x", "verified_at": "2025-06-29T12:00:00Z"}',
    ],
)
def test_a_pointer_that_leads_astray_is_refused(home: Path, keys: Path, text: str) -> None:
    (home / "production").mkdir(parents=True)
    (home / "production" / "current").write_text(text)
    with pytest.raises(BundleRefused, match="does not name a production bundle"):
        current_bundle(home=home, **expected(keys))


def test_a_verified_bundle_under_another_name_is_refused(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    """A good bundle, but not the one in production: the record would name the wrong model."""
    first = promote(store, tmp_path / "a", keys)
    materialize_production(store, home=home, **expected(keys))
    second = promote(store, tmp_path / "b", keys)
    materialize_production(store, home=home, **expected(keys))
    root = home / "production"
    (root / second.fingerprint).rename(tmp_path / "aside")
    (root / first.fingerprint).rename(root / second.fingerprint)
    with pytest.raises(HashMismatch, match="another one than its name says"):
        current_bundle(home=home, **expected(keys))


def test_loading_the_current_bundle_imports_no_registry_and_no_training_library(
    store: RegistryStore, tmp_path: Path, keys: Path, home: Path
) -> None:
    """MLflow alone costs the hourly process about two seconds and 150 MB."""
    promote(store, tmp_path / "a", keys)
    materialize_production(store, home=home, **expected(keys))
    program = f"""
import sys
from datetime import datetime, UTC
from pathlib import Path
from eth_pipeline.registry.promotions.production import current_bundle
current_bundle(home=Path({str(home)!r}), public_keys=(Path({str(keys / "bundle.pub")!r}),), phase="paper",
    now=datetime.fromisoformat({NOW.isoformat()!r}), feature_schema={SCHEMA!r}, base_interval="1h", symbol="ETHUSDT")
print([name for name in ("mlflow", "sqlalchemy", "torch", "sklearn", "lightgbm", "scipy", "pandas", "onnx")
    if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
