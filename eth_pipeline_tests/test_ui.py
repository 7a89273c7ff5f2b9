"""The Dagster UI as an operator uses it, in a real browser against a running `eth-pipeline up`.

The story is the one that matters most: a person who clicks Materialize on the signal while the feed is stale must
be told so, and must not get a tradeable row.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.lake import Lake
from eth_pipeline_tests.registry_maker import registry_folder
from eth_pipeline_tests.running_up import Up, running_up, small_demo_home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HOURLY = "/locations/eth_pipeline/jobs/hourly"
PATIENCE_MS = 180_000.0  # a page and a run on two busy cores; waits end as soon as the text is there
QUIET = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty demo home; MLflow's tables are there, since creating them takes seconds."""
    home = small_demo_home(tmp_path_factory.mktemp("ui"))
    registry_folder(tmp_path_factory).rename(home / "mlflow")
    return home


@pytest.fixture(scope="module")
def up(chromium: str, home: Path) -> Iterator[Up]:
    """A running `up`; without a browser it is not even started. One symbol: what four cost is ingestion."""
    with running_up(home, environment={"ETH_PIPELINE_CROSS_SYMBOLS": "[]"}) as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium: str, up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One browser, which loads the UI's scripts once; its relative addresses are the Dagster UI's."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("browser"),
            executable_path=chromium,
            args=QUIET,
            base_url=f"http://127.0.0.1:{up.port}",
            device_scale_factor=0.25,  # no test looks at pixels, and the graph's window has 22 million of them
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield context
        context.close()


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """A fresh page."""
    fresh = browser.new_page()
    fresh.set_viewport_size({"width": 1600, "height": 1000})
    yield fresh
    fresh.close()


def test_the_asset_graph_shows_the_planes_and_their_assets(page: Page) -> None:
    page.set_viewport_size({"width": 4200, "height": 5200})
    page.goto("/asset-groups")
    for plane in ("data", "model", "decision", "operations"):
        expect(page.get_by_text(plane, exact=True).first).to_be_visible()
    page.keyboard.press("Alt+e")  # expands every group
    expect(page.get_by_text("hourly_signal", exact=True).first).to_be_visible()
    drawn = {  # assets outside the window are not drawn, and where the layout puts which of them is not ours
        "data": ("mark_klines", "open_interest", "positioning", "spot_klines", "klines", "gap_ledger"),
        "model": ("features", "labels", "lightgbm_model", "regime_model", "tft_model", "candidate_bundle"),
        "decision": ("consensus", "forecast", "gate_verdict", "rebuilt_history", "shadow_forecast", "signal_history"),
    }
    for plane, assets in drawn.items():
        assert sum(page.get_by_text(asset, exact=True).count() > 0 for asset in assets) >= 2, plane


def test_the_page_of_a_stream_shows_its_freshness_check_and_its_columns(page: Page) -> None:
    page.goto("/assets/klines?view=checks")
    expect(page.get_by_text("fresh_on_data_time").first).to_be_visible()
    page.goto("/assets/klines")
    expect(page.get_by_text("Exclusive end of the bar: open_time + interval.").first).to_be_visible()
    expect(page.get_by_text("timestamp UTC").first).to_be_visible()


def test_the_companion_of_a_stream_shows_a_freshness_policy(page: Page) -> None:
    page.goto("/assets/klines_newest_bar")
    expect(page.get_by_text("Freshness policy").first).to_be_visible()
    expect(page.get_by_text(re.compile("Fails if more than .* since last materialization")).first).to_be_visible()


def test_a_click_on_the_signal_is_refused_on_stale_input_and_works_again_afterwards(
    page: Page, up: Up, home: Path
) -> None:
    """The incident: the reviewed system traded on bars that were 77.8 hours old while every job was green."""
    page.goto(HOURLY)
    materialize(page)
    expect_status(page, "Success")

    control(up, "POST", "/sandbox/faults", {"kind": "stale"})
    control(up, "POST", "/sandbox/clock", {"advance_seconds": 3 * 3600})
    page.goto("/assets/hourly_signal")
    materialize(page)
    expect_status(page, "Failure")
    expect(page.get_by_text(re.compile("Signal .* is BLOCKED")).first).to_be_visible()
    refusal = r"stream_stale klines ETHUSDT: newest data is 3\.\d\d h old, limit 1\.00 h"
    expect(page.get_by_text(re.compile(refusal)).first).to_be_visible()
    page.goto("/assets/klines?view=checks")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()

    control(up, "DELETE", "/sandbox/faults")
    control(up, "POST", "/sandbox/clock", {"advance_seconds": 3600})
    page.goto(HOURLY)
    materialize(page)
    expect_status(page, "Success")
    page.goto("/assets/klines?view=checks")
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)
    page.goto("/assets/hourly_signal")
    materialize(page)  # the very click that was refused
    expect_status(page, "Success")

    states = Lake(str(home / "lake")).read(SIGNALS)["state"].to_list()
    assert states[-2] == "blocked", "the refused hour is on record"
    assert states[-1] != "blocked"


def materialize(page: Page) -> None:
    """Click Materialize, confirm if asked (an upstream asset never was), and follow the run to its page."""
    page.get_by_role("button", name="Materialize").first.click()
    confirm = page.get_by_role("button", name="Confirm")
    launched = page.get_by_text("Launched run")
    expect(confirm.or_(launched).first).to_be_visible()
    if confirm.is_visible():
        confirm.click()
    expect(launched).to_be_visible()
    page.get_by_text("View", exact=True).click()
    page.wait_for_url("**/runs/*")


def expect_status(page: Page, status: str) -> None:
    """Wait on the page of a run until it has ended, and see how."""
    ended = page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first
    expect(ended).to_be_visible()
    expect(ended).to_have_text(status)


def control(up: Up, method: str, path: str, body: dict[str, object] | None = None) -> None:
    """Ask the embedded exchange's control door."""
    assert httpx2.request(method, f"{up.sandbox_url}{path}", json=body).is_success
