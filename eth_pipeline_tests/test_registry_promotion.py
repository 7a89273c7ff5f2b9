"""A promotion end to end, on a real MLflow, a real lake and real signatures: who becomes champion, and what is left."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.contracts.model_tables import OOF_FORECASTS
from eth_pipeline.errors import DecisionRefused, RegistryUnavailable, SettingsInvalid
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundles.bundle import fingerprint, verify_bundle, write_bundle
from eth_pipeline.registry.mlflow_store import CANDIDATE, PREVIOUS, RegistryStore
from eth_pipeline.registry.promotions.champion import store_oof
from eth_pipeline.registry.promotions.promotion import promote_candidate
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline_tests.registry_maker import (
    NOW,
    SCHEMA,
    contract,
    data_versions,
    key_pair,
    registry_folder,
    report,
    tiny_model,
)

START = datetime(2024, 1, 1, tzinfo=UTC)
OUTCOME = np.random.default_rng(99).standard_normal(3_000)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one MLflow database for all tests here."""
    return registry_folder(tmp_path_factory)


class Host:
    """A host that promotes: its home, lake, settings and an empty registered model."""

    def __init__(self, registry: Path, folder: Path) -> None:
        self.folder = folder
        self.settings: Settings = load_settings(home=folder / "home", base_interval="1h")
        self.lake = Lake(self.settings.lake_location)
        uri = f"sqlite:///{registry / 'mlflow.db'}"
        self.store = RegistryStore(uri, artifact_root=registry / "artifacts", model_name=folder.name)
        self.log = PromotionLog(self.settings.home / "promotions.jsonl")

    def candidate(self, name: str, *, skill: float, **figures: Any) -> Path:
        """A trained candidate: its bundle, and its out-of-fold forecasts in the lake."""
        bundle = self.folder / name
        made = contract()
        models = {model.file: tiny_model(f"{name} {model.file}".encode()) for model in made.models}
        write_bundle(bundle, contract=made, models=models, report=report(**figures), data=data_versions())
        noise = np.random.default_rng(sum(name.encode())).standard_normal(len(OUTCOME))
        rows = pl.DataFrame(
            {
                "horizon_hours": 5,
                "decision_time": [START + timedelta(hours=n) for n in range(len(OUTCOME))],
                "fold": 0,
                "probability": 1 / (1 + np.exp(-(skill * OUTCOME + noise))),
                "up": (OUTCOME > 0).astype(np.int8),
                "forward_return": OUTCOME * 0.01,
            },
            schema_overrides={
                column: OOF_FORECASTS.schema[column] for column in ("horizon_hours", "decision_time", "fold")
            },
        )
        store_oof(self.lake, rows, fingerprint=fingerprint(bundle), symbol="ETHUSDT", provenance=made.provenance)
        return bundle

    def promote(self, bundle: Path, *, hours_later: int = 0, rounds: int = 200) -> tuple[PromotionDecision, str]:
        return promote_candidate(
            bundle,
            hyperparameters={"rounds": rounds},
            store=self.store,
            lake=self.lake,
            settings=self.settings,
            run_id="run-1",
            public_keys=self.settings.public_key_paths,
            phase="paper",
            now=NOW + timedelta(hours=hours_later),
            feature_schema=SCHEMA,
            base_interval="1h",
            symbol="ETHUSDT",
        )

    def alias(self, name: str) -> str | None:
        found = self.store.version_of(name)
        return found.version if found else None


@pytest.fixture
def host(registry: Path, tmp_path: Path) -> Host:
    """A host without any promotion yet."""
    return Host(registry, tmp_path)


def test_the_first_good_candidate_is_signed_registered_promoted_and_logged(host: Host) -> None:
    bundle = host.candidate("first", skill=0.3)
    decision, version = host.promote(bundle)
    assert decision.promoted, decision.summary
    assert host.alias("production") == version
    assert host.alias(PREVIOUS) is None
    verified = verify_bundle(
        bundle,
        public_keys=host.settings.public_key_paths,
        phase="paper",
        now=NOW,
        feature_schema=SCHEMA,
        base_interval="1h",
        symbol="ETHUSDT",
    )
    assert verified.decision == decision
    intent, entry = host.log.verify()
    assert (intent.action, intent.decision_id) == ("promoting", decision.decision_id)
    assert (entry.action, entry.version, entry.run_id) == ("promoted", version, "run-1")
    assert entry.fingerprint == decision.candidate_fingerprint == host.store.version(version).fingerprint


def test_a_refused_candidate_is_registered_and_leaves_production_alone(host: Host) -> None:
    _, champion = host.promote(host.candidate("first", skill=0.3))
    decision, version = host.promote(host.candidate("weak", skill=0.5, oof_auc=0.51), hours_later=1)
    assert not decision.promoted
    assert [gate.name for gate in decision.failed_gates] == ["oof_auc"]
    assert (host.alias("production"), host.alias(CANDIDATE), host.alias(PREVIOUS)) == (champion, version, None)
    assert [entry.action for entry in host.log.verify()] == ["promoting", "promoted", "refusing", "refused"]


def test_a_refused_configuration_is_a_try_and_a_retrained_one_is_none(host: Host) -> None:
    """The gate divides by the number of things that were tried, not by the number of months they were retrained."""
    host.promote(host.candidate("first", skill=0.3))
    host.promote(host.candidate("weak", skill=0.5, oof_auc=0.51), hours_later=1, rounds=300)
    assert host.store.tries(symbol="ETHUSDT", provenance="binance") == 2
    host.promote(host.candidate("retrained", skill=0.6), hours_later=2)
    assert host.store.tries(symbol="ETHUSDT", provenance="binance") == 2
    assert host.store.tries(symbol="ETHUSDT", provenance="binance", including="a new one") == 3
    assert host.store.tries(symbol="ETHUSDT", provenance="simulated") == 0


def test_a_better_candidate_takes_over_and_the_old_one_becomes_previous(host: Host) -> None:
    _, first = host.promote(host.candidate("first", skill=0.3))
    decision, second = host.promote(host.candidate("better", skill=0.8), hours_later=1)
    assert decision.promoted, decision.summary
    assert decision.champion_fingerprint == host.store.version(first).fingerprint
    assert (host.alias("production"), host.alias(PREVIOUS)) == (second, first)


def test_a_candidate_worse_than_the_champion_is_refused_however_good_its_own_figures(host: Host) -> None:
    _, first = host.promote(host.candidate("first", skill=0.8))
    decision, _ = host.promote(host.candidate("worse", skill=0.1), hours_later=1)
    assert [gate.name for gate in decision.failed_gates] == ["not_worse_than_champion"]
    assert host.alias("production") == first


def test_a_champion_that_cannot_be_compared_is_not_beaten(host: Host) -> None:
    """Its out-of-fold forecasts are not in this lake: no comparison is no victory."""
    _, first = host.promote(host.candidate("first", skill=0.3))
    host.lake = Lake(str(host.folder / "another_lake"))
    decision, _ = host.promote(host.candidate("better", skill=0.8), hours_later=1)
    (failed,) = decision.failed_gates
    assert failed.name == "not_worse_than_champion"
    assert "was not compared on the same rows" in failed.reason
    assert host.alias("production") == first


def test_deciding_again_about_the_champion_itself_keeps_it(host: Host) -> None:
    bundle = host.candidate("first", skill=0.3)
    host.promote(bundle)
    decision, version = host.promote(bundle, hours_later=1)
    assert decision.promoted, decision.summary
    assert host.store.version(version).fingerprint == fingerprint(bundle)
    assert host.alias("production") == version


def test_live_refuses_a_candidate_trained_on_simulated_data(host: Host) -> None:
    host.settings = load_settings(home=host.settings.home, base_interval="1h", phase="live")
    made = contract(provenance="simulated")
    bundle = host.folder / "simulated"
    write_bundle(
        bundle,
        contract=made,
        models={model.file: tiny_model(model.file.encode()) for model in made.models},
        report=report(provenance="simulated"),
        data=data_versions(),
    )
    decision, _ = host.promote(bundle)
    assert [gate.name for gate in decision.failed_gates] == ["provenance"]
    assert host.alias("production") is None


def test_keys_are_made_once_and_never_where_others_were_pinned(host: Host) -> None:
    host.promote(host.candidate("first", skill=0.3))
    private = host.settings.private_key_path.read_bytes()
    host.promote(host.candidate("better", skill=0.8), hours_later=1)
    assert host.settings.private_key_path.read_bytes() == private
    pinned = key_pair(host.folder / "elsewhere") / "bundle.pub"
    host.settings = load_settings(home=host.folder / "other_home", base_interval="1h", signing_public_keys=(pinned,))
    host.store = RegistryStore(host.store.tracking_uri, artifact_root=host.folder, model_name=f"{host.folder.name}-2")
    unsigned = host.candidate("unsigned", skill=0.9)
    with pytest.raises(SettingsInvalid, match="key"):
        host.promote(unsigned, hours_later=2)
    assert not host.settings.private_key_path.exists()


def test_a_registry_that_does_not_answer_promotes_nothing(host: Host) -> None:
    bundle = host.candidate("first", skill=0.3)
    host.store = RegistryStore("http://127.0.0.1:9", artifact_root=host.folder, model_name="x")
    with pytest.raises(RegistryUnavailable):
        host.promote(bundle)
    assert host.log.entries() == ()
    with pytest.raises(DecisionRefused, match="nobody decided"):
        verify_bundle(
            bundle,
            public_keys=host.settings.public_key_paths,
            phase="paper",
            now=NOW,
            feature_schema=SCHEMA,
            base_interval="1h",
            symbol="ETHUSDT",
        )


def test_an_expired_champion_need_not_be_beaten(host: Host) -> None:
    """It forecasts nothing any more; with its old rows gone no candidate could ever replace it."""
    host.promote(host.candidate("first", skill=0.8))
    later = contract().expires_at - NOW
    decision, version = host.promote(
        host.candidate("weaker", skill=0.1), hours_later=int(later / timedelta(hours=1)) + 1
    )
    assert decision.promoted, decision.summary
    assert decision.champion_fingerprint is None
    assert host.alias("production") == version
