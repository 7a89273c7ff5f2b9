"""MANIFEST.in: what `make release-check` would only find when somebody releases."""

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
BY_ITSELF = {"pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"}
"""setuptools packs these unasked."""
WORKSHOP = {".gitignore", ".pre-commit-config.yaml"}


def test_every_file_of_the_repository_is_in_the_source_distribution() -> None:
    """A lock and the fuzzing harness were missing: whoever unpacked a release could not run `make test`."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout")
    named, grafted = set(BY_ITSELF | WORKSHOP), {".github"}
    for line in (REPOSITORY / "MANIFEST.in").read_text().splitlines():
        command, *names = line.split() or ("",)
        if command == "include":
            named.update(names)
        elif command == "graft":
            grafted.update(names)
    files = listed.stdout.split()
    assert len(files) > 500
    assert [name for name in files if name not in named and name.partition("/")[0] not in grafted] == []
