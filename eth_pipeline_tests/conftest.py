"""Fixtures that several test modules share: where the real recordings are, a browser, a quiet environment.

Belongs here: what needs no knowledge of a module, and the order in which modules are begun. Does not belong: makers of
rows (each test file has its own).
"""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DEAREST_FIRST = (
    *("test_production_profile", "test_soak_hours", "test_ui", "test_h800_plan", "test_defs_assets_vintages"),
    *("test_faults_to_signal", "test_air_gap", "test_trading_rebuild", "test_cli_node", "test_cli_up"),
    *("test_node_two_hosts", "test_defs_assets_models", "test_docs_recipes", "test_exchange_ledger"),
    *("test_alerts_time_lapse", "test_registry_settlement", "test_defs_emission", "test_board_pages"),
    *("test_promotion_of_planted_skill", "test_defs_assets_trading", "test_inference_time_lapse"),
    *("test_registry_mlflow_store", "test_daemon_killed", "test_cli_fan_out"),
)
"""Modules of half a minute and more, most seconds first: begun last, one of them would keep one process busy alone."""


def pytest_configure() -> None:
    """Look for garbage less often: a test process holds a million objects that stay, and each look is at all of them.

    As often as Python does it by itself, that is a tenth of the CPU of modules that run Dagster (2026-11-23).
    """
    gc.set_threshold(10_000, 20, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The dearest modules come first; everything else, and the tests of a module, stay in their random order."""
    places = {name: place for place, name in enumerate(DEAREST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


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


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every HTTP client of a test, and of its processes, trusts one authority: no test speaks TLS to the world.

    A client reads all authorities of the machine when it is made: 37 ms of a core with 140 of them, 1 ms with one
    (2026-11-23), and this suite makes thousands of clients.
    """
    everyone = certifi.contents()
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path_factory.mktemp("authority") / "one.pem"
    path.write_text(everyone[everyone.index("-----BEGIN") : everyone.index(end) + len(end)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell leaks into a test."""
    for name in list(os.environ):
        if name.startswith("ETH_PIPELINE_") and name != "ETH_PIPELINE_REAL_DATA":
            monkeypatch.delenv(name)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
