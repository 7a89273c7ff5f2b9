"""One command back to a bundle that ran before, or nothing changes at all."""

import re
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from eth_pipeline.errors import BundleExpired, BundleRefused, ContractViolation
from eth_pipeline.registry.bundles.bundle import attach_decision
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.alias import check_alias
from eth_pipeline.registry.promotions.production import current_bundle, kept_bundles, materialize_production, pointer
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.registry.promotions.rollback import rollback
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
        self.outcome = rollback(
            self.store, self.log, home=self.home, run_id="cli", reason="drawdown", to_version=to_version, **demands
        )
        return self.in_use()

    def materialize(self) -> None:
        materialize_production(self.store, home=self.home, **expected(self.keys))

    def disagreements(self) -> tuple[str, ...]:
        return check_alias(self.store, self.log, home=self.home).disagreements

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


@pytest.fixture
def nobody() -> Iterator[str]:
    """The URL of an MLflow that is down: the port is taken, and connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_with_the_registry_down_a_kept_bundle_is_used_and_the_registry_learns_of_it_later(
    host: Host, nobody: str
) -> None:
    first, second = host.promote("a"), host.promote("b")
    registry = host.store
    host.store = RegistryStore(nobody, artifact_root=host.home)
    assert host.rollback() == first
    assert "while the registry did not answer" in host.outcome.unreconciled
    noted = pointer(host.home)
    assert noted is not None
    assert noted.unreconciled == host.outcome.unreconciled, "the hourly run degrades by it"
    assert (host.log.verify()[-1].action, host.log.verify()[-1].version) == ("rolled_back", first)

    host.store = registry
    assert host.aliases() == (second, first), "nobody told it yet"
    assert any("the registry does not know of it yet" in sentence for sentence in host.disagreements())
    host.materialize()
    assert (host.in_use(), host.aliases(), host.disagreements()) == (first, (first, second), ())
    assert len(host.log.verify()) == 3, "carried out, not recorded twice"


def test_with_the_registry_down_and_the_newest_bundle_corrupt_the_way_back_is_open(host: Host, nobody: str) -> None:
    first = host.promote("a")
    host.promote("b")
    newest = current_bundle(home=host.home, **expected(host.keys)).bundle.folder
    (newest / "promotion_decision.json").unlink()
    host.store = RegistryStore(nobody, artifact_root=host.home)
    assert host.rollback() == first


def test_without_the_registry_a_corrupt_kept_bundle_is_passed_over(host: Host, nobody: str) -> None:
    first, second, _ = (host.promote(name) for name in ("a", "b", "c"))
    spoilt = next(kept for kept in kept_bundles(host.home) if kept.version == second)
    (host.home / "production" / spoilt.folder / "metrics.json").write_text("{}")
    host.store = RegistryStore(nobody, artifact_root=host.home)
    with pytest.raises(BundleRefused, match=rf"kept: 3, 2, 1.*version {second}: "):
        host.rollback(to_version=second)
    assert host.rollback() == first


def test_without_the_registry_a_version_that_is_not_kept_is_refused_by_name(host: Host, nobody: str) -> None:
    first = host.promote("a")
    host.store = RegistryStore(nobody, artifact_root=host.home)
    with pytest.raises(BundleRefused, match=r"keeps no bundle to return to \(wanted: 7; kept: 1\)"):
        host.rollback(to_version="7")
    with pytest.raises(BundleRefused, match="keeps no bundle to return to"):
        host.rollback()
    assert (host.in_use(), len(host.log.verify())) == (first, 1)


def test_a_registry_that_accepts_and_never_answers_is_given_up_soon(host: Host) -> None:
    """A server that hangs is worse than one that is gone: MLflow's own client waits for minutes."""
    first = host.promote("a")
    host.promote("b")
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        host.store = RegistryStore(f"http://127.0.0.1:{hanging.getsockname()[1]}", artifact_root=host.home)
        assert host.rollback() == first
    assert "timed out" in host.outcome.unreconciled


def test_two_rollbacks_without_the_registry_return_to_the_start(host: Host, nobody: str) -> None:
    first, second = host.promote("a"), host.promote("b")
    registry, host.store = host.store, RegistryStore(nobody, artifact_root=host.home)
    assert (host.rollback(), host.rollback(hours_later=2)) == (first, second)
    host.store = registry
    host.materialize()
    assert (host.in_use(), host.aliases(), host.disagreements()) == (second, (second, first), ())


def test_a_promotion_that_was_under_way_does_not_undo_a_rollback_without_the_registry(host: Host, nobody: str) -> None:
    """It had registered its version and died; finished later, it would put the bundle back that was rolled away."""
    first, second = host.promote("a"), host.promote("b")
    figures = candidate(host.home / "candidates" / "c", content=b"c")
    made = decision(host.home / "candidates" / "c", figures)
    attach_decision(host.home / "candidates" / "c", made, private_key=host.keys / "bundle.key")
    host.log.append(decision=made, version="", run_id="training", at=NOW, action="promoting")
    host.store.register_candidate(host.home / "candidates" / "c", report=figures, decision=made, run_tags={}, params={})
    registry, host.store = host.store, RegistryStore(nobody, artifact_root=host.home)
    assert host.rollback() == first
    host.store = registry
    host.materialize()
    assert [entry.action for entry in host.log.verify()[2:]] == ["promoting", "abandoned", "rolled_back"]
    assert (host.in_use(), host.aliases()) == (first, (first, second))
