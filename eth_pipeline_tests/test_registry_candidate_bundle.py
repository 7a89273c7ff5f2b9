"""From a trained candidate to its bundle: the contract says exactly what the candidate is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eth_pipeline.contracts.artifact import (
    DATA_VERSIONS,
    DRIFT,
    MODELS,
    RUNTIME_CONTRACT,
    DataVersions,
    RuntimeContract,
)
from eth_pipeline.errors import ContractViolation, ProvenanceMismatch
from eth_pipeline.models.candidate import Candidate, train_candidate
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.drift import DriftReference, measure_drift
from eth_pipeline.models.stacking import fit_stack
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.registry.bundles.bundle import fingerprint, read_report
from eth_pipeline.registry.bundles.candidate_bundle import Companions, write_candidate
from eth_pipeline.registry.bundles.trained import load_trained, save_trained, trained_model
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.planted_history import QUICK, SMALL, planted_history

CREATED = datetime(2025, 6, 29, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_history(4_000, strength=0.25, seed=1)


@pytest.fixture(scope="module")
def trained(data: TrainingSet) -> Candidate:
    return train_candidate(data, Boosting(QUICK), settings=SMALL, tries=1)


def write(folder: Path, trained: Candidate, data: TrainingSet, **changes: Any) -> str:
    kept = trained_model(trained, data, versions={"features": 4, "labels": 2})
    return write_candidate(
        folder,
        primary=kept,
        settings=load_settings(home=folder.parent, base_interval="1h", gates={"bundle_valid_days": 10}),
        feature_schema="schema9",
        code_commit="c0ffee",
        lock_digest="10cc",
        created_at=CREATED,
        **changes,
    )


def test_the_contract_names_inputs_models_and_expiry_of_the_candidate(
    tmp_path: Path, trained: Candidate, data: TrainingSet
) -> None:
    name = write(tmp_path / "bundle", trained, data)
    contract = RuntimeContract.model_validate_json((tmp_path / "bundle" / RUNTIME_CONTRACT).read_bytes())
    assert tuple(entry.name for entry in contract.inputs) == trained.feature_names
    assert [(entry.lower, entry.upper) for entry in contract.inputs] == [
        b or (None, None) for b in trained.feature_bounds
    ]
    assert contract.feature_schema == "schema9"
    assert (contract.created_at, contract.expires_at) == (CREATED, CREATED + timedelta(days=10))
    assert (contract.provenance, contract.trained_until) == ("simulated", trained.trained_until)
    assert name == fingerprint(tmp_path / "bundle")


def test_each_horizon_has_its_file_calibration_and_thresholds(
    tmp_path: Path, trained: Candidate, data: TrainingSet
) -> None:
    write(tmp_path / "bundle", trained, data)
    contract = RuntimeContract.model_validate_json((tmp_path / "bundle" / RUNTIME_CONTRACT).read_bytes())
    assert [model.horizon_hours for model in contract.models] == [5, 12]
    for written, model in zip(contract.models, trained.models, strict=True):
        assert (tmp_path / "bundle" / MODELS / written.file).read_bytes() == model.onnx
        assert written.calibration_slope == model.calibration_slope
        assert written.calibration_intercept == model.calibration_intercept
        assert written.short_threshold == model.short_threshold < model.long_threshold == written.long_threshold


def test_the_bundle_names_the_data_that_would_train_it_again(
    tmp_path: Path, trained: Candidate, data: TrainingSet
) -> None:
    write(tmp_path / "bundle", trained, data)
    written = DataVersions.model_validate_json((tmp_path / "bundle" / DATA_VERSIONS).read_bytes())
    assert written.versions == {"features": 4, "labels": 2}
    assert written.rows == {"features": 4_000, "labels": 4_000}
    assert written.digest == data.digest()
    assert read_report(tmp_path / "bundle") == trained.report


def test_the_same_candidate_has_the_same_fingerprint_and_another_one_has_not(
    tmp_path: Path, trained: Candidate, data: TrainingSet
) -> None:
    first, second = write(tmp_path / "a", trained, data), write(tmp_path / "b", trained, data)
    assert first == second
    assert write(tmp_path / "c", replace(trained, training_digest="another"), data) != first


def test_data_of_an_unknown_origin_makes_no_bundle(tmp_path: Path, trained: Candidate, data: TrainingSet) -> None:
    with pytest.raises(ProvenanceMismatch, match="'somewhere'"):
        write(tmp_path / "bundle", trained, replace(data, provenance="somewhere"))
    assert not (tmp_path / "bundle").exists()


def test_members_share_the_bundle_and_the_primary_is_named(
    tmp_path: Path, trained: Candidate, data: TrainingSet
) -> None:
    versions = {"features": 4, "labels": 2}
    shared = tuple(replace(model, onnx=trained.models[0].onnx) for model in trained.models)
    network = trained_model(replace(trained, algorithm="lstm", window_hours=24, models=shared), data, versions=versions)
    members = {"lightgbm": trained.oof, "lstm": trained.oof}
    stack = fit_stack(members, settings=SMALL)
    write(tmp_path / "bundle", trained, data, companions=Companions(members=(network,), stack=stack))
    contract = RuntimeContract.model_validate_json((tmp_path / "bundle" / RUNTIME_CONTRACT).read_bytes())
    assert contract.primary_algorithm == "lightgbm"
    assert [model.algorithm for model in contract.primary_models] == ["lightgbm", "lightgbm"]
    assert contract.files == ("lightgbm_12h.onnx", "lightgbm_5h.onnx", "lstm.onnx")
    assert contract.window_hours == 24
    assert [item.algorithms for item in contract.stacks] == [("lightgbm", "lstm")] * 2


def test_a_member_of_other_training_data_is_refused(tmp_path: Path, trained: Candidate, data: TrainingSet) -> None:
    stranger = trained_model(replace(trained, algorithm="tft", training_digest="other"), data, versions={})
    with pytest.raises(ContractViolation, match="tft was trained on training set other"):
        write(tmp_path / "bundle", trained, data, companions=Companions(members=(stranger,)))


def test_a_trained_model_comes_back_as_it_was_kept(tmp_path: Path, trained: Candidate, data: TrainingSet) -> None:
    kept = trained_model(trained, data, versions={"features": 4})
    save_trained(tmp_path / "model", kept)
    save_trained(tmp_path / "model", kept)
    back = load_trained(tmp_path / "model")
    assert (back.record, back.files) == (kept.record, kept.files)
    assert back.oof.equals(kept.oof)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / "model" / "lightgbm_5h.onnx").unlink()
    with pytest.raises(ContractViolation, match="Train it again"):
        load_trained(tmp_path / "model")


def test_the_bundle_says_what_training_looked_like_so_that_drift_can_be_seen(
    tmp_path: Path, trained: Candidate, data: TrainingSet
) -> None:
    write(tmp_path / "bundle", trained, data)
    reference = DriftReference.model_validate_json((tmp_path / "bundle" / DRIFT).read_bytes())
    assert tuple(feature.name for feature in reference.features) == trained.feature_names
    newest = data.features[-reference.window_rows :]
    assert not measure_drift(newest, reference).drifted
    assert measure_drift(newest + 3 * np.nanstd(data.features, axis=0), reference).drifted
