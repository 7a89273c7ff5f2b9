"""The alias `candidate` comes to this host: fetched from a real registry, verified, replaced whole or not at all."""

import shutil
from pathlib import Path

import pytest

from eth_pipeline.errors import BundleExpired, BundleRefused, HashMismatch
from eth_pipeline.registry.bundles.verification import read_decision, read_report
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.signals.forecasting.shadow_bundle import bring_candidate, shadow_bundle
from eth_pipeline.signals.shadow import compute_shadow_forecasts
from eth_pipeline_tests.decision_samples import NOON
from eth_pipeline_tests.inference_host import CLOCK, EXPIRES, InferenceHost, plain_parts
from eth_pipeline_tests.registry_maker import registry_folder


def register(store: RegistryStore, folder: Path) -> str:
    """Register a decided bundle; its version."""
    made = store.register_candidate(
        folder,
        report=read_report(folder),
        decision=read_decision(folder),
        run_tags={},
        params={"parameters_digest": folder.name, "symbol": "ETHUSDT", "provenance": "simulated"},
    )
    return made.version


@pytest.mark.slow  # MLflow takes about 4 s for every version
def test_the_candidate_of_the_registry_comes_here_and_runs_as_a_shadow(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = InferenceHost(tmp_path, shadow_enabled=True)
    folder = registry_folder(tmp_path_factory)
    store = RegistryStore(f"sqlite:///{folder / 'mlflow.db'}", artifact_root=folder / "artifacts")
    assert bring_candidate(store, settings=host.settings, now=CLOCK) is None
    assert shadow_bundle(host.settings, now=CLOCK) is None

    first = register(store, host.write("one", plain_parts(bias=0.1), promoted=False))
    one = bring_candidate(store, settings=host.settings, now=CLOCK)
    assert one is not None
    rows = compute_shadow_forecasts(host.lake, settings=host.settings, now=CLOCK, decision_time=NOON)
    assert set(rows["model_version"]) == {first}
    assert set(rows["fingerprint"]) == {one.bundle.fingerprint}

    second = register(store, host.write("two", plain_parts(bias=0.2)))
    two = bring_candidate(store, settings=host.settings, now=CLOCK)
    assert two is not None
    assert shadow_bundle(host.settings, now=CLOCK) == two == bring_candidate(store, settings=host.settings, now=CLOCK)
    assert two.version == second
    assert {found.name for found in (host.settings.home / "shadow").iterdir() if found.is_dir()} == {
        two.bundle.fingerprint
    }

    model = two.bundle.folder / "models" / "lightgbm_5h.onnx"
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(HashMismatch):
        shadow_bundle(host.settings, now=CLOCK)
    assert bring_candidate(store, settings=host.settings, now=CLOCK) == two  # the registry's copy heals it
    assert shadow_bundle(host.settings, now=CLOCK) == two

    with pytest.raises(BundleExpired):
        bring_candidate(store, settings=host.settings, now=EXPIRES)
    assert shadow_bundle(host.settings, now=CLOCK) == two


def test_another_bundle_under_the_candidates_name_is_refused(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path)
    folder = host.write("one", plain_parts(bias=0.1), promoted=False)
    place = host.settings.home / "shadow"
    shutil.copytree(folder, place / ("0" * 64))
    (place / "current").write_text('{"version": "1", "fingerprint": "' + "0" * 64 + '"}')
    with pytest.raises(HashMismatch, match="000000000000"):
        shadow_bundle(host.settings, now=CLOCK)
    (place / "current").write_text('{"version": "1", "fingerprint": "../../keys"}')
    with pytest.raises(BundleRefused, match="does not name a candidate"):
        shadow_bundle(host.settings, now=CLOCK)
