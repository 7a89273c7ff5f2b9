"""The alias check: registry, promotion log and this host name the same bundle, or the check says who does not."""

from pathlib import Path

import pytest

from eth_pipeline.registry.alias import check_alias
from eth_pipeline.registry.mlflow_store import PRODUCTION
from eth_pipeline_tests.registry_maker import registry_folder
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
