"""Takes the pictures of the README from a demo home: `PYTHONPATH=. python docs/images/take.py HOME`.

Belongs here: which page, how far scrolled, how large. Does not belong: making the home (`eth-pipeline demo`) and its
hours (`live`). Needs Chromium and the extra `dev`; `up` is started on free ports and stopped again.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, ViewportSize, sync_playwright

from eth_pipeline_tests.running_up import Up, running_up
from eth_pipeline_tests.test_ui import QUIET

HERE = Path(__file__).parent
Picture = Callable[[BrowserContext, Up], None]
SIZE: ViewportSize = {"width": 1400, "height": 875}
SHARPNESS = 8 / 7  # pictures of 1600 x 1000
PATIENCE_MS = 120_000.0
CALIBRATION = 1  # of the plots in the metadata: AUC by year, calibration, deciles, importance
ZOOM_OUT = (1373, 727)  # the button has no name
FARTHER = 5  # clicks until the whole plane is in the window
DRAWN_MS = 4_000  # the layout of a graph still moves after its texts are there


def take(home: Path, *, chromium: str | None) -> None:
    """Write graph.png, models.png, board.png, report.png and board.zh-CN.png beside this file."""
    asked: tuple[tuple[str, tuple[Picture, ...]], ...] = (
        ("en", (graph, models, board, report)),
        ("zh", (chinese_board,)),
    )
    for language, pictures in asked:
        with running_up(home, environment={"ETH_PIPELINE_LANGUAGE": language}) as up, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
            context = browser.new_context(viewport=SIZE, device_scale_factor=SHARPNESS, color_scheme="light")
            context.set_default_timeout(PATIENCE_MS)
            for picture in pictures:
                picture(context, up)
            browser.close()


def graph(context: BrowserContext, up: Up) -> None:
    """What the hourly signal is made of directly."""
    path = "assets/hourly_signal?view=lineage&lineageScope=upstream&lineageDepth=1"
    page = _opened(context, f"http://127.0.0.1:{up.port}/{path}")
    page.get_by_text("gate_verdict", exact=True).first.wait_for()
    page.get_by_text("Hide navigation").click()
    _shot(page, "graph.png")


def models(context: BrowserContext, up: Up) -> None:
    """The whole model plane: what trains, judges and rebuilds the past."""
    location = up.ask("{workspaceOrError{... on Workspace{locationEntries{name}}}}")["workspaceOrError"]
    name = location["locationEntries"][0]["name"]
    page = _opened(context, f"http://127.0.0.1:{up.port}/locations/__repository__@{name}/asset-groups/model/lineage")
    page.get_by_text("other_vintage", exact=True).first.wait_for()
    page.get_by_text("Hide navigation").click()
    page.wait_for_timeout(DRAWN_MS)
    for _ in range(FARTHER):
        page.mouse.click(*ZOOM_OUT)
    _shot(page, "models.png")


def board(context: BrowserContext, up: Up, name: str = "board.png") -> None:
    """The board's first page."""
    page = _opened(context, f"http://127.0.0.1:{up.board_port}/")
    page.locator("#signal").wait_for(state="attached")
    _shot(page, name)


def chinese_board(context: BrowserContext, up: Up) -> None:
    """The same in Chinese."""
    board(context, up, "board.zh-CN.png")


def report(context: BrowserContext, up: Up) -> None:
    """The plots of a candidate's report in the asset's metadata."""
    page = _opened(context, f"http://127.0.0.1:{up.port}/assets/lightgbm_model?view=overview")
    page.get_by_text("[Show Markdown]").nth(CALIBRATION).click()
    page.locator("img[src^=data]").first.wait_for()
    _shot(page, "report.png")


def _opened(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    return page


def _shot(page: Page, name: str) -> None:
    page.wait_for_timeout(DRAWN_MS)
    page.screenshot(path=HERE / name)
    page.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--chromium", default=None, help="Path of the browser; Playwright's own by default.")
    asked = parser.parse_args()
    take(asked.home.resolve(), chromium=asked.chromium)
