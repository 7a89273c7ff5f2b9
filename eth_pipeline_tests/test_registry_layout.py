"""What may lie in a bundle folder is decided by name, kind and size, before anything is opened."""

import os
from pathlib import Path

import pytest

from eth_pipeline.errors import BundleRefused, HashMismatch
from eth_pipeline.registry.bundles.layout import MAX_MODELS, bundle_files
from eth_pipeline_tests.registry_maker import candidate


def test_a_candidate_lists_its_files_sorted(tmp_path: Path) -> None:
    candidate(tmp_path / "bundle")
    assert bundle_files(tmp_path / "bundle") == (
        "data.json",
        "metrics.json",
        "models/lightgbm_12h.onnx",
        "models/lightgbm_5h.onnx",
        "runtime_contract.json",
    )


def test_a_named_pipe_is_refused_instead_of_read(tmp_path: Path) -> None:
    """Opening a pipe without a writer blocks for ever, and with it the hour."""
    candidate(tmp_path / "bundle")
    os.mkfifo(tmp_path / "bundle" / "models" / "wait.onnx")
    with pytest.raises(BundleRefused, match="special file"):
        bundle_files(tmp_path / "bundle")


@pytest.mark.parametrize("name", ["a.pkl", ".hidden.onnx", "-rf.onnx", "a b.onnx", "a.onnx.data", "models.onnx\n"])
def test_a_model_file_name_is_plain_and_ends_in_onnx(tmp_path: Path, name: str) -> None:
    candidate(tmp_path / "bundle")
    (tmp_path / "bundle" / "models" / name).write_bytes(b"x")
    with pytest.raises(HashMismatch, match="was added"):
        bundle_files(tmp_path / "bundle")


def test_the_number_of_models_is_limited(tmp_path: Path) -> None:
    candidate(tmp_path / "bundle")
    for number in range(MAX_MODELS):
        (tmp_path / "bundle" / "models" / f"m{number}.onnx").write_bytes(b"x")
    with pytest.raises(BundleRefused, match="more than 64 model files"):
        bundle_files(tmp_path / "bundle")
