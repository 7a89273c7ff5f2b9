"""The tear sheet: self-contained, honest where there is nothing to show, and readable in a browser."""

import re
import struct
import subprocess
from pathlib import Path

import pytest

from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.tear_sheet import TearSheet, tear_sheet
from eth_pipeline_tests.decision_samples import walk
from eth_pipeline_tests.trading_samples import Market, hours_of, run, sides

PLOTS = {"equity", "drawdown", "months", "rolling_sharpe", "costs"}


def book_of(hours: int, **account: float) -> Book:
    wanted = sides(*[(1, 1, -1, 0)[n // 5 % 4] for n in range(hours)])
    return run(Market(hours_of(*walk(hours, seed=2)), wanted), AccountSettings(**account))


def sheet_of(book: Book, provenance: str = "simulated") -> TearSheet:
    return tear_sheet(book.events, symbol="ETHUSDT", phase="paper", provenance=provenance)


@pytest.fixture(scope="module")
def sheet() -> TearSheet:
    return sheet_of(book_of(24 * 45, max_daily_loss_share=0.004))


@pytest.fixture(scope="module")
def young() -> TearSheet:
    return sheet_of(book_of(10), "binance")


def test_every_plot_is_a_png_and_is_in_the_page(sheet: TearSheet) -> None:
    assert set(sheet.plots) == PLOTS
    for png in sheet.plots.values():
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", png[16:24])
        assert width > 1000
        assert height > 100
    assert sheet.html.count("data:image/png;base64,") == len(PLOTS)


def test_the_page_loads_nothing_and_runs_nothing(sheet: TearSheet) -> None:
    assert "<script" not in sheet.html
    assert set(re.findall(r'(?:src|href)="([a-z]+:)', sheet.html)) == {"data:"}
    assert "http" not in sheet.html
    assert "url(" not in sheet.html


def test_the_same_ledger_gives_the_same_page(young: TearSheet) -> None:
    assert sheet_of(book_of(10), "binance") == young


def test_the_page_says_whose_money_it_is(sheet: TearSheet, young: TearSheet) -> None:
    assert "Paper money on a simulated market." in sheet.html
    assert "Paper money on Binance market data." in young.html


def test_refused_orders_are_shown_with_their_reason(sheet: TearSheet, young: TearSheet) -> None:
    assert "Refused orders" in sheet.html
    assert re.search(r"the account lost 0\.\d\d% in 24 hours", sheet.html)
    assert "Refused orders" not in young.html


def test_a_young_account_has_a_dash_where_a_ratio_has_no_basis(young: TearSheet) -> None:
    assert set(young.plots) == PLOTS
    assert "<b>Sharpe</b><strong>—</strong>" in young.html
    assert not re.search(r"\b(nan|none|inf)\b", re.sub(r"base64,[^\"]+", "", young.html), re.IGNORECASE)


def test_an_account_without_an_hour_says_so() -> None:
    empty = tear_sheet((), symbol="ETHUSDT", phase="paper", provenance="simulated")
    assert empty.plots == {}
    assert "No hour was processed yet." in empty.html


def test_a_symbol_cannot_smuggle_markup() -> None:
    page = tear_sheet((), symbol="<b>x</b>", phase="paper", provenance="<i>").html
    assert "<b>x</b>" not in page
    assert "<i>" not in page


def test_a_browser_draws_it(sheet: TearSheet, chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"
    page.write_text(sheet.html)
    shot = tmp_path / "sheet.png"
    subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1000,3000",
            f"--screenshot={shot}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > 50_000
