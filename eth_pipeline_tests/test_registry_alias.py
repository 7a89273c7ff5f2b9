"""The alias check: registry, promotion log and this host name the same bundle, or the check says who does not."""

from pathlib import Path

import pytest

from eth_pipeline.errors import DecisionRefused
from eth_pipeline.registry.bundles.bundle import attach_decision
from eth_pipeline.registry.mlflow_store import PRODUCTION
from eth_pipeline.registry.promotions.alias import check_alias
from eth_pipeline_tests.registry_maker import NOW, candidate, decision, registry_folder
from eth_pipeline_tests.test_registry_rollback import Host


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one MLflow database for all tests here."""
    return registry_folder(tmp_path_factory)


def test_a_promoted_bundle_that_runs_here_is_consistent(registry: Path, tmp_path: Path) -> None:
    host = Host(registry, tmp_path / "consistent")
    assert check_alias(host.store, host.log, home=host.home).consistent, "nothing anywhere is consistent too"
    host.promote("first")
    assert check_alias(host.store, host.log, home=host.home).consistent


def test_an_alias_moved_by_hand_in_mlflow_is_noticed(registry: Path, tmp_path: Path) -> None:
    """Anyone with the MLflow page open can move an alias; nothing in the registry records that they did."""
    host = Host(registry, tmp_path / "by-hand")
    first = host.promote("first")
    host.promote("second")
    with host.store._reached("move the alias as a person in the MLflow UI does") as client:
        client.set_registered_model_alias(host.store.model_name, PRODUCTION, first)
    found = check_alias(host.store, host.log, home=host.home)
    assert not found.consistent
    assert "moved by another hand" in found.disagreements[0]
    assert "Materialize `production_bundle`" in found.disagreements[1]


def test_an_alias_moved_to_a_refused_version_is_named_as_such(registry: Path, tmp_path: Path) -> None:
    host = Host(registry, tmp_path / "refused")
    host.promote("first")
    folder = host.home / "candidates" / "weak"
    figures = candidate(folder, content=b"weak")
    made = decision(folder, figures.model_copy(update={"oof_auc": 0.50}))
    attach_decision(folder, made, private_key=host.keys / "bundle.key")
    weak = host.store.register_candidate(folder, report=figures, decision=made, run_tags={}, params={})
    host.log.append(decision=made, version=weak.version, run_id="training", at=NOW)
    host.store.name(PRODUCTION, weak.version)
    found = check_alias(host.store, host.log, home=host.home).disagreements
    assert any(f"Version {weak.version} has no passing decision: {made.decision_id} refused it" in s for s in found)
    with pytest.raises(DecisionRefused):
        host.materialize()
    assert host.in_use() == "1"


def test_a_version_whose_decision_nobody_recorded_is_named_as_such(registry: Path, tmp_path: Path) -> None:
    """Registered with the registry's own client, decision and all, and never promoted here."""
    host = Host(registry, tmp_path / "unrecorded")
    host.promote("first")
    folder = host.home / "candidates" / "other"
    figures = candidate(folder, content=b"other")
    made = decision(folder, figures)
    attach_decision(folder, made, private_key=host.keys / "bundle.key")
    other = host.store.register_candidate(folder, report=figures, decision=made, run_tags={}, params={})
    host.store.name(PRODUCTION, other.version)
    found = check_alias(host.store, host.log, home=host.home).disagreements
    assert any("is not in the promotion log" in sentence for sentence in found)


def test_a_version_that_this_system_did_not_register_is_named_as_such(registry: Path, tmp_path: Path) -> None:
    host = Host(registry, tmp_path / "foreign")
    host.promote("first")
    with host.store._reached("register a version as a person with MLflow's client does") as client:
        made = client.create_model_version(host.store.model_name, str(tmp_path))
        client.set_registered_model_alias(host.store.model_name, PRODUCTION, made.version)
    found = check_alias(host.store, host.log, home=host.home).disagreements
    assert any("was not registered by the promotion" in s and "It is not loaded." in s for s in found)
