"""The alias sensor on a real MLflow: a moved alias starts one run, an alias that stands starts none."""

import json
from pathlib import Path

import dagster as dg
import pytest

from eth_pipeline.defs.assets.training_set import registry_store
from eth_pipeline.defs.sensors import production_alias_sensor
from eth_pipeline.registry.bundles.bundle import attach_decision
from eth_pipeline.registry.mlflow_store import RegisteredVersion
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.registry_maker import candidate, decision, key_pair, registry_folder


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an empty registry of its own where the settings expect it."""
    folder = tmp_path_factory.mktemp("home")
    (registry_folder(tmp_path_factory)).rename(folder / "mlflow")
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(folder))
    return folder


def register(home: Path, name: str) -> RegisteredVersion:
    """A signed and registered version, not promoted."""
    keys = home / "keys" if (home / "keys").exists() else key_pair(home / "keys")
    figures = candidate(home / name, content=name.encode())
    made = decision(home / name, figures)
    attach_decision(home / name, made, private_key=keys / "bundle.key")
    store = registry_store(load_settings())
    return store.register_candidate(home / name, report=figures, decision=made, run_tags={}, params={})


def tick(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    """One evaluation, as the daemon does it."""
    answer = production_alias_sensor(dg.build_sensor_context(cursor=cursor))
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def asked(answer: dg.SensorResult | dg.SkipReason) -> tuple[str | None, str | None]:
    """Run key and new cursor of a tick that asks for a run."""
    assert isinstance(answer, dg.SensorResult), answer
    (request,) = answer.run_requests or ()
    return request.run_key, answer.cursor


def skipped(answer: dg.SensorResult | dg.SkipReason) -> str:
    assert isinstance(answer, dg.SkipReason), answer
    return str(answer.skip_message)


def test_a_moved_alias_starts_one_run_and_then_none(home: Path) -> None:
    assert "no version has the production alias" in skipped(tick(None))
    first, second = register(home, "a"), register(home, "b")
    assert "no version has the production alias" in skipped(tick(None)), "a registered candidate is not in production"
    store = registry_store(load_settings())
    store.promote(first.version)
    key, cursor = asked(tick(None))
    assert "still version" in skipped(tick(cursor))
    store.promote(second.version)
    moved, after = asked(tick(cursor))
    assert moved != key
    assert json.loads(str(after))["fingerprint"] == second.fingerprint
    assert "still version" in skipped(tick(after))


def test_a_rollback_to_an_earlier_version_starts_a_run_again(home: Path) -> None:
    """Dagster launches a run key once: with one key per version a rollback would never reach the host."""
    first, second = register(home, "a"), register(home, "b")
    store = registry_store(load_settings())
    keys, cursor = [], None
    for version in (first, second, first):
        store.promote(version.version)
        key, cursor = asked(tick(cursor))
        keys.append(key)
    assert len(set(keys)) == 3


def test_a_tick_repeated_with_the_same_cursor_asks_for_the_same_run(home: Path) -> None:
    """The daemon may die between launching the run and storing the cursor."""
    registry_store(load_settings()).promote(register(home, "a").version)
    assert asked(tick(None)) == asked(tick(None))


def test_a_registry_that_does_not_answer_is_a_skipped_tick(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_PIPELINE_MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "registry does not answer" in skipped(tick(None))
