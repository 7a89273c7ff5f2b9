"""One command back to a bundle that ran before, or nothing changes at all."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from eth_pipeline.errors import BundleExpired, BundleRefused, ContractViolation
from eth_pipeline.registry.bundle import attach_decision
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.production import current_bundle, materialize_production
from eth_pipeline.registry.promotion_log import PromotionLog
from eth_pipeline.registry.rollback import rollback
from eth_pipeline_tests.registry_maker import NOW, candidate, decision, expected, key_pair, registry_folder


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one MLflow database for all tests here."""
    return registry_folder(tmp_path_factory)


class Host:
    """A host with a registry, keys, a promotion log and bundles that were promoted one after the other."""

    def __init__(self, registry: Path, home: Path) -> None:
        uri = f"sqlite:///{registry / 'mlflow.db'}"
        self.store = RegistryStore(uri, artifact_root=registry / "artifacts", model_name=home.name)
        self.home = home
        self.keys = key_pair(home / "keys")
        self.log = PromotionLog(home / "promotions.jsonl")

    def promote(self, name: str) -> str:
        folder = self.home / "candidates" / name
        figures = candidate(folder, content=name.encode())
        made = decision(folder, figures)
        attach_decision(folder, made, private_key=self.keys / "bundle.key")
        version = self.store.register_candidate(folder, report=figures, decision=made, run_tags={}, params={}).version
        self.log.append(decision=made, version=version, run_id="training", at=NOW)
        self.store.promote(version)
        materialize_production(self.store, home=self.home, **expected(self.keys))
        return version

    def rollback(self, *, to_version: str | None = None, hours_later: float = 1) -> str:
        demands = expected(self.keys, now=NOW + timedelta(hours=hours_later))
        rollback(
            self.store, self.log, home=self.home, run_id="cli", reason="drawdown", to_version=to_version, **demands
        )
        return self.in_use()

    def in_use(self) -> str:
        return current_bundle(home=self.home, **expected(self.keys)).version

    def aliases(self) -> tuple[str | None, str | None]:
        named = [self.store.version_of(alias) for alias in ("production", "previous")]
        return named[0] and named[0].version, named[1] and named[1].version  # type: ignore[return-value]


@pytest.fixture
def host(registry: Path, tmp_path: Path) -> Host:
    """A host whose registered model is its own in the shared database."""
    return Host(registry, tmp_path)


def test_a_rollback_returns_to_the_bundle_before_and_is_recorded(host: Host) -> None:
    first, second = host.promote("a"), host.promote("b")
    assert host.in_use() == second
    assert host.rollback() == first
    assert host.aliases() == (first, second)
    last = host.log.verify()[-1]
    assert (last.action, last.version, last.reason, last.run_id) == ("rolled_back", first, "drawdown", "cli")
    assert last.decision_id == current_bundle(home=host.home, **expected(host.keys)).bundle.decision.decision_id


def test_any_earlier_version_can_be_named(host: Host) -> None:
    first, _, third = (host.promote(name) for name in ("a", "b", "c"))
    assert host.rollback(to_version=first) == first
    assert host.aliases() == (first, third)


def test_a_corrupt_newest_bundle_does_not_stop_the_way_back(host: Host) -> None:
    first = host.promote("a")
    host.promote("b")
    newest = current_bundle(home=host.home, **expected(host.keys)).bundle.folder
    for path in newest.rglob("*.onnx"):
        path.unlink()
    with pytest.raises(BundleRefused):
        host.in_use()
    assert host.rollback() == first


def test_with_nothing_before_there_is_nothing_to_return_to(host: Host) -> None:
    only = host.promote("a")
    with pytest.raises(BundleRefused, match="nothing was in production before"):
        host.rollback()
    assert (host.in_use(), host.aliases(), len(host.log.entries())) == (only, (only, None), 1)


def test_an_expired_target_changes_nothing(host: Host) -> None:
    """Verified on the way: an old bundle may not be trusted because it once was."""
    first, second = host.promote("a"), host.promote("b")
    with pytest.raises(BundleExpired):
        host.rollback(hours_later=24 * 60)
    assert (host.in_use(), host.aliases(), len(host.log.entries())) == (second, (second, first), 2)


def test_a_broken_log_stops_the_rollback_before_anything_moved(host: Host) -> None:
    first, second = host.promote("a"), host.promote("b")
    host.log.path.write_text(re.sub(r'"version":"\d+"', '"version":"9"', host.log.path.read_text()))
    with pytest.raises(ContractViolation, match="line 1"):
        host.rollback()
    assert (host.in_use(), host.aliases()) == (second, (second, first))


def test_a_second_rollback_returns_to_where_the_first_came_from(host: Host) -> None:
    first, second = host.promote("a"), host.promote("b")
    assert (host.rollback(), host.rollback()) == (first, second)
    assert host.aliases() == (second, first)
