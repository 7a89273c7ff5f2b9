"""A demo home's `eth-pipeline up`: all healthy, the Dagster UI in a real browser, gone without a trace afterwards.

The story is the one that matters most: a person who clicks Materialize on the signal while the feed is stale must
be told so, and must not get a tradeable row. Starting it all takes half a minute of a core, so all tests here look at
one `up`, and how it ends is judged where it ends, in its fixture.
"""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from eth_pipeline.contracts.clock import HOUR, floor_hour, to_milliseconds
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.processes import process_statuses
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.decision_samples import bars, walk
from eth_pipeline_tests.running_up import Up, assert_gone, running_up, small_demo_home
from eth_pipeline_tests.small_home import AS_OF
from eth_pipeline_tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHILDREN = ("sandbox", "mlflow", "code-server", "webserver", "daemon", "board")
LATER = floor_hour(AS_OF) + 3 * HOUR
HOURLY = "/locations/eth_pipeline/jobs/hourly"
PATIENCE_MS = 180_000.0  # a page and a run on two busy cores; waits end as soon as the text is there
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
QUIET = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


STATE = """{
  assetNodes { assetKey { path } groupName }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  repositoryOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "eth_pipeline"}) {
    ... on Repository {
      schedules { name scheduleState { status } }
      sensors { name sensorState { status } }
    }
  }
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo home whose only row is a bar of another symbol, three hours newer than the demo's hour."""
    home = small_demo_home(tmp_path_factory.mktemp("ui"))
    Lake(str(home / "lake")).upsert(KLINES, bars(walk(1), first=LATER - HOUR, symbol="BTCUSDT"))
    return home


@pytest.fixture(scope="module")
def up(home: Path) -> Iterator[Up]:
    """A running `up`, at last asked to stop: nothing of it may be left. One symbol: what four cost is ingestion."""
    with running_up(home, environment={"ETH_PIPELINE_CROSS_SYMBOLS": "[]"}) as running:
        yield running
        family = running.family()
        assert running.stop(signal.SIGTERM) == 0
        assert states(home) == dict.fromkeys(CHILDREN, "ended")
        assert running.sandbox_url is not None
        exchange_port = int(running.sandbox_url.rsplit(":", 1)[1])
        assert_gone(family, running.port, running.mlflow_port, running.board_port, exchange_port)


def states(home: Path) -> dict[str, str]:
    """State of every process that was started in a home, as `eth-pipeline manifest` says."""
    return {process.name: str(process.state) for process in process_statuses(load_settings(home=home))}


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
def page(browser: BrowserContext) -> Page:
    """The browser's page, empty; a new one would compile the UI's scripts again."""
    (page,) = browser.pages
    page.set_viewport_size({"width": 1600, "height": 1000})
    page.goto("about:blank")
    return page


def test_everything_is_healthy(up: Up, home: Path) -> None:
    """The exchange's clock goes on after the newest stored bar: at first each `up` began at the demo's hour again."""
    assert up.sandbox_url is not None
    assert "virtual clock from 2025-06-29 15:00 UTC" in up.printed
    exchange_time = httpx2.get(f"{up.sandbox_url}/fapi/v1/time").json()["serverTime"]
    assert exchange_time >= to_milliseconds(LATER)
    assert httpx2.get(f"http://127.0.0.1:{up.mlflow_port}/health").is_success
    assert "ETHUSDT" in httpx2.get(f"http://127.0.0.1:{up.board_port}/", timeout=30).text
    state = up.ask(STATE)
    assets = {node["assetKey"]["path"][-1]: node["groupName"] for node in state["assetNodes"]}
    assert set(assets.values()) == {"data", "model", "decision", "operations"}
    assert (assets["klines"], assets["features"], assets["hourly_signal"]) == ("data", "model", "decision")
    daemons = state["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert all(daemon["healthy"] for daemon in daemons if daemon["required"])
    repository = state["repositoryOrError"]
    schedules = {s["name"]: s["scheduleState"]["status"] for s in repository["schedules"]}
    assert schedules == {
        "hourly_schedule": "RUNNING",
        "maintenance_schedule": "RUNNING",
        "training_schedule": "STOPPED",
    }
    assert {s["name"]: s["sensorState"]["status"] for s in repository["sensors"]}.items() >= {
        ("production_alias_sensor", "RUNNING"),
        ("failed_hour_sensor", "RUNNING"),
    }
    assert states(home) == dict.fromkeys(CHILDREN, "running")


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
    expect_status(page, up, "Success")

    control(up, "POST", "/sandbox/faults", {"kind": "stale"})
    control(up, "POST", "/sandbox/clock", {"advance_seconds": 3 * 3600})
    page.goto("/assets/hourly_signal")
    materialize(page)
    expect_status(page, up, "Failure")
    expect(page.get_by_text(re.compile("Signal .* is BLOCKED")).first).to_be_visible()
    refusal = r"stream_stale klines ETHUSDT: newest data is 3\.\d\d h old, limit 1\.00 h"
    expect(page.get_by_text(re.compile(refusal)).first).to_be_visible()
    page.goto("/assets/klines?view=checks")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()

    control(up, "DELETE", "/sandbox/faults")
    control(up, "POST", "/sandbox/clock", {"advance_seconds": 3600})
    page.goto(HOURLY)
    materialize(page)
    expect_status(page, up, "Success")
    page.goto("/assets/klines?view=checks")
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)
    page.goto("/assets/hourly_signal")
    materialize(page)  # the very click that was refused
    expect_status(page, up, "Success")

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


def expect_status(page: Page, up: Up, status: str) -> None:
    """Wait until the run whose page this is has ended, and see there how.

    The page is left meanwhile: it draws a run that goes on anew with every frame, 0.5 s of a core each second.
    """
    address = page.url
    page.goto("about:blank")
    question = f'{{ runOrError(runId: "{address.rsplit("/", 1)[1]}") {{ ... on Run {{ status }} }} }}'
    wait_until(lambda: up.ask(question)["runOrError"]["status"] in ENDED, seconds=PATIENCE_MS / 1000)
    page.goto(address)
    ended = page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first
    expect(ended).to_be_visible()
    expect(ended).to_have_text(status)


def control(up: Up, method: str, path: str, body: dict[str, object] | None = None) -> None:
    """Ask the embedded exchange's control door."""
    assert httpx2.request(method, f"{up.sandbox_url}{path}", json=body).is_success
