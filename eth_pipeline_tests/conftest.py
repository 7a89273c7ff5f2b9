"""Fixtures that several test modules share: where the real recordings are, a browser, a quiet environment.

Belongs here: what needs no knowledge of a module. Does not belong: makers of rows (each test file has its own).
"""

import os
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("ETH_PIPELINE_REAL_DATA", REPOSITORY.parent / "shared" / "real-data"))
    if not any(folder.glob("klines_*_1h.parquet")):
        pytest.skip(f"no recordings in {folder}; set ETH_PIPELINE_REAL_DATA to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; page tests skip without one."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on PATH; install it to run the page tests")
    return path


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell leaks into a test."""
    for name in list(os.environ):
        if name.startswith("ETH_PIPELINE_") and name != "ETH_PIPELINE_REAL_DATA":
            monkeypatch.delenv(name)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
