"""The runtime manifest: which code, configuration, packages and data run here; complete, secret-free, atomic."""

import hashlib
import importlib.metadata
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.manifest import (
    Manifest,
    code_version,
    collect_manifest,
    folder_digest,
    lock_digest,
    table_versions,
    write_manifest,
)
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, walk

NOW = datetime(2025, 6, 29, 12, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[1]


def collected(home: Path, *, fingerprint: str | None = None, **overrides: object) -> Manifest:
    return collect_manifest(
        load_settings(home=home, **overrides),
        now=NOW,
        provenance="simulated",
        versions={"klines": 3},
        bundle_fingerprint=fingerprint,
        model_version="7" if fingerprint else None,
    )


def test_the_manifest_names_code_configuration_packages_and_data(tmp_path: Path) -> None:
    made = collected(tmp_path, fingerprint="a" * 64)
    settings = load_settings(home=tmp_path)
    assert made.config_digest == settings.digest()
    assert made.table_versions == {"klines": 3}
    assert (made.bundle_fingerprint, made.model_version) == ("a" * 64, "7")
    assert (made.phase, made.provenance, made.written_at) == ("paper", "simulated", "2025-06-29T12:00:00Z")
    assert "absent" not in made.packages.values()
    assert {"dagster", "mlflow", "lightgbm", "onnxruntime", "polars"} <= set(made.packages)


def test_the_commit_is_the_checkouts_own() -> None:
    done = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("the tests do not run from a git checkout")
    assert code_version().commit == done.stdout.strip()


def test_run_tags_are_short_and_say_when_there_is_no_bundle(tmp_path: Path) -> None:
    tags = collected(tmp_path).run_tags()
    assert tags["eth_pipeline/bundle"] == "none"
    assert tags["eth_pipeline/config"] == load_settings(home=tmp_path).digest()[:12]
    assert tags["eth_pipeline/phase"] == "paper"
    assert collected(tmp_path, fingerprint="b" * 64).run_tags()["eth_pipeline/bundle"] == "b" * 12


def test_another_setting_is_another_configuration(tmp_path: Path) -> None:
    names = {collected(tmp_path).config_digest, collected(tmp_path, phase="live").config_digest}
    assert len(names) == 2


def test_the_file_holds_the_manifest_and_no_secret(tmp_path: Path) -> None:
    made = collected(tmp_path, postgres_url="postgresql://user:hunter2@db/x")
    path = write_manifest(made, folder=tmp_path / "new")
    text = path.read_text()
    assert json.loads(text) == json.loads(json.dumps(made.as_dict()))
    assert "hunter2" not in text


def test_writing_again_replaces_the_file_and_leaves_no_draft(tmp_path: Path) -> None:
    write_manifest(collected(tmp_path), folder=tmp_path)
    write_manifest(collected(tmp_path, phase="live"), folder=tmp_path)
    assert json.loads((tmp_path / "runtime_manifest.json").read_text())["phase"] == "live"
    assert [path.name for path in tmp_path.iterdir()] == ["runtime_manifest.json"]


def test_only_tables_that_exist_have_a_version(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    lake.upsert(KLINES, bars(walk(3), first=NOON - 3 * HOUR))
    assert table_versions(lake, (KLINES, MARK_KLINES)) == {"klines": 0}


def test_the_environment_has_one_name() -> None:
    assert lock_digest() == lock_digest()
    assert len(lock_digest()) == 64


def test_the_environment_is_every_distribution_in_its_version() -> None:
    found = {f"{one.name}=={one.version}" for one in importlib.metadata.distributions() if one.name}
    assert lock_digest() == hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def test_two_dirty_states_of_one_commit_have_two_names(tmp_path: Path) -> None:
    """A commit and the word dirty do not say which of two edits runs."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("x = 1\n")
    names = [folder_digest(tmp_path)]
    (tmp_path / "sub" / "a.cpython-311.pyc").write_bytes(b"compiled")
    assert folder_digest(tmp_path) == names[0]
    (tmp_path / "sub" / "a.py").write_text("x = 2\n")
    names.append(folder_digest(tmp_path))
    (tmp_path / "sub" / "a.py").rename(tmp_path / "sub" / "b.py")
    names.append(folder_digest(tmp_path))
    assert len(set(names)) == 3
    assert code_version().files_digest == folder_digest(REPOSITORY / "eth_pipeline")
