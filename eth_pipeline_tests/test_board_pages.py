"""The pages as people see them: a real Chromium on the real server, phone and desktop, light and dark."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from eth_pipeline.board.web.server import BoardServer
from eth_pipeline.contracts.clock import FixedClock, iso
from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.gating import kill_switch
from eth_pipeline_tests.board_home import CLOCK, HOLE, STALE, STALE_HOUR, TOKEN, BoardHome, board_of, token_file
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.spoken_chinese import english_in
from eth_pipeline_tests.test_ui import QUIET

SIZES = {"phone": (390, 844), "desktop": (1360, 900)}
PATHS = ("/", "/signals", f"/signals/{iso(NOON)}")
HEADINGS = ("Forecast", "Consensus by timeframe", "Alerts", "Paper account", "Streams", "Model", "What runs here")
PATIENCE_MS = 60_000.0


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        expect.set_options(timeout=PATIENCE_MS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> BoardHome:
    """One home for all tests here; those that change something copy it."""
    return BoardHome(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def server(home: BoardHome) -> Iterator[BoardServer]:
    """Its board, four minutes past noon."""
    with board_of(home.settings) as running:
        yield running


def opened(browser: Browser, server: BoardServer, *, size: str = "desktop", **context: object) -> Page:
    """A page in a fresh context; whatever the console complains about fails the test."""
    width, height = SIZES[size]
    made = browser.new_context(viewport={"width": width, "height": height}, base_url=server.url, **context)  # type: ignore[arg-type]  # passed through
    made.set_default_timeout(PATIENCE_MS)
    page = made.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
    page.on("console", lambda message: _no_violation(message.text))
    return page


def _seconds(text: str) -> int:
    """`55 min 39 s` as a number; a page that no script has touched yet says `55 min`."""
    found = re.fullmatch(r"(\d+) min(?: (\d+) s)?", text)
    assert found, text
    return 60 * int(found[1]) + int(found[2] or 59)


def _no_violation(text: str) -> None:
    assert "Content Security Policy" not in text, text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_its_screen_and_is_legible(
    browser: Browser, server: BoardServer, size: str, scheme: str
) -> None:
    page = opened(browser, server, size=size, color_scheme=scheme)
    for path in PATHS:
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach(node => node.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], path
        smallest = page.evaluate(
            "Math.min(...[...document.querySelectorAll('main *')]"
            ".filter(n => n.offsetParent && [...n.childNodes].some(c => c.nodeType === 3 && c.data.trim()))"
            ".map(n => parseFloat(getComputedStyle(n).fontSize)))"
        )
        assert smallest >= 12, path
        heights = [box["height"] for link in page.locator("nav a").all() if (box := link.bounding_box())]
        assert min(heights) >= 24, "WCAG 2.5.8"
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(re.findall(r"\d+", back)[0])
    assert (red > 200) is (scheme == "light")
    page.context.close()


def test_the_first_screen_of_a_phone_says_state_action_hour_and_countdown(
    browser: Browser, server: BoardServer
) -> None:
    page = opened(browser, server, size="phone")
    page.goto("/")
    hero = page.locator(".hero")
    for text in ("degraded", "LONG", "simulated data", "2025-03-03 12:00 UTC", "source_degraded", "no row at all"):
        place = hero.get_by_text(text).first
        expect(place).to_be_in_viewport()
    expect(page.locator("[data-until]").first).to_be_in_viewport()
    assert page.title() == "LONG, degraded · ETHUSDT"
    for heading in HEADINGS:
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    page.context.close()


def test_nothing_is_told_by_colour_alone(browser: Browser, server: BoardServer) -> None:
    """Every coloured mark has a word and one of three shapes; each state has its own."""
    page = opened(browser, server)
    shapes: dict[str, set[str]] = {}
    for path in PATHS:
        page.goto(path)
        for state, word, shape in page.evaluate(
            "[...document.querySelectorAll('.state')].map(mark => "
            "[mark.className, mark.textContent.trim(), mark.querySelector('svg > *').tagName])"
        ):
            assert word, path
            shapes.setdefault(state.removeprefix("state "), set()).add(shape)
    assert shapes == {"tradeable": {"circle"}, "degraded": {"path"}, "blocked": {"rect"}}
    page.context.close()


def test_an_overdue_signal_is_said_first_and_no_figure_of_it_is_shown(browser: Browser, home: BoardHome) -> None:
    """The incident: the reviewed system showed and traded figures that were 77.8 hours old."""
    with board_of(home.settings, now=NOON + timedelta(hours=77, minutes=48)) as server:
        page = opened(browser, server, size="phone")
        page.goto("/")
        alarm = page.get_by_role("alert").filter(has_text="No current signal: overdue")
        expect(alarm).to_be_in_viewport()
        expect(alarm).to_contain_text("3 d 5 h ago")
        assert page.title().startswith("OVERDUE")
        text = page.locator("main").inner_text()
        for figure in ("LONG", "tradeable", "degraded", "82.1 %", "strength 100"):
            assert figure not in text
        expect(page.get_by_text("The account is 3 d 5 h behind")).to_be_visible()
        expect(page.get_by_text("The newest run wrote this 3 d 5 h ago")).to_be_visible()
        alarm.get_by_role("link").click()
        expect(page.get_by_text("History: this record is of another hour than now.")).to_be_visible()
        page.context.close()


def test_between_the_hour_and_its_record_the_page_waits(browser: Browser, home: BoardHome) -> None:
    with board_of(home.settings, now=NOON + HOUR + timedelta(minutes=2)) as server:
        page = opened(browser, server)
        page.goto("/")
        expect(page.get_by_role("heading", name="Waiting for 2025-03-03 13:00 UTC")).to_be_visible()
        expect(page.get_by_text("LONG")).to_have_count(0)
        page.context.close()


def test_the_kill_switch_is_told_above_everything(browser: Browser, home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    kill_switch.pull(settings.home, reason="drill on Monday")
    with board_of(settings) as server:
        page = opened(browser, server, size="phone")
        page.goto("/")
        expect(page.get_by_role("alert").filter(has_text="drill on Monday")).to_be_in_viewport()
        expect(page.get_by_text("no, kill switch")).to_be_visible()
        assert page.title().startswith("KILL SWITCH")
        page.context.close()


def test_the_countdown_runs_and_a_new_record_appears_by_itself(
    browser: Browser, home: BoardHome, tmp_path: Path
) -> None:
    settings, clock = home.copy_to(tmp_path / "home"), FixedClock(CLOCK)
    with BoardServer(settings, clock=clock) as server:
        page = opened(browser, server)
        page.clock.install()
        page.goto("/")
        until = page.locator("[data-until]").first
        before = _seconds(until.inner_text())
        page.clock.run_for(5_000)
        assert 4 <= before - _seconds(until.inner_text()) < 60
        page.locator("#gates summary").click()
        record = home.record(NOON + HOUR, reasons=(STALE,))
        SignalLog(Lake(settings.lake_location), folder=settings.home / "logs").write(record)
        clock.instant = CLOCK + HOUR
        page.clock.run_for(31_000)
        expect(page.locator(".hero.blocked")).to_contain_text("2025-03-03 13:00 UTC")
        expect(page).to_have_title("HOLD, blocked · ETHUSDT")
        expect(page.locator("#gates table")).to_be_visible()  # what was open stays open
        page.context.close()


def test_a_page_whose_board_has_died_says_so(browser: Browser, home: BoardHome) -> None:
    with board_of(home.settings) as server:
        page = opened(browser, server, size="phone")
        page.clock.install()
        page.goto("/")
        expect(page.locator("#silence")).to_be_hidden()
        server.stop()
        page.clock.run_for(95_000)
        banner = page.locator("#silence")
        expect(banner).to_be_in_viewport()
        expect(banner).to_contain_text("The board does not answer")
        expect(banner).to_contain_text("2025-03-03 12:04 UTC")
        page.context.close()


def test_a_week_shows_every_hour_and_the_one_without_a_record(browser: Browser, server: BoardServer) -> None:
    page = opened(browser, server, size="phone")
    page.goto("/signals")
    expect(page.locator("tbody tr")).to_have_count(73)
    expect(page.locator("tr.hole")).to_have_count(1)
    expect(page.locator("tr.hole")).to_contain_text(f"{HOLE:%m-%d %H:%M}")
    expect(page.get_by_text("hours missing: 1")).to_be_visible()
    page.get_by_role("link", name="03-03 11:00").click()
    expect(page.get_by_role("heading", name="Lineage")).to_be_visible()
    expect(page.get_by_text(re.compile("all .* gates pass")).first).to_be_visible()
    page.context.close()


def test_without_scripts_the_pages_are_complete(browser: Browser, server: BoardServer) -> None:
    page = opened(browser, server, java_script_enabled=False)
    page.goto("/")
    expect(page.locator(".hero")).to_contain_text("55 min")
    for heading in HEADINGS:
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    for drawing in page.locator("svg[role=img]").all():
        assert len(drawing.locator("title").text_content() or "") > 10
    page.context.close()


def test_a_record_that_holds_markup_is_text(browser: Browser, home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    evil = '<img src=x onerror="document.title=1"></p><script>document.title=2</script>{{ 7*7 }}'
    record = home.record(NOON, reasons=(Reason(code=ReasonCode.STREAM_STALE, subject=evil, detail=evil),))
    SignalLog(Lake(settings.lake_location), folder=settings.home / "logs").write(record)
    with board_of(settings) as server:
        page = opened(browser, server)
        for path in PATHS:
            page.goto(path)
            assert page.title() == "HOLD, blocked · ETHUSDT"
            expect(page.locator("main img, main script")).to_have_count(0)
        expect(page.get_by_text(evil).first).to_be_visible()
        page.context.close()


def test_a_person_logs_in_by_the_form(browser: Browser, home: BoardHome, tmp_path: Path) -> None:
    settings: Settings = home.configured(token_file=token_file(tmp_path))
    with board_of(settings) as server:
        page = opened(browser, server, size="phone")
        page.goto(f"/signals/{iso(NOON)}")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("That is not the token.")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="2025-03-03 12:00 UTC")).to_be_visible()
        assert page.evaluate("document.cookie") == "", "scripts cannot read it"
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.goto("/")
        expect(page.get_by_label("Token")).to_be_visible()
        page.context.close()


CODES = ":not([aria-labelledby=manifest])"
LABELS = f"h1, h2, section{CODES} :is(h3, dt, summary), th[scope=col], nav a, figcaption, .state, .action"
"""What is said in words; a manifest and the settings are lists of codes."""
NOT_WORDS = re.compile(r"[\d\s.,:%()–−+·/=↑↓-]+( UTC)?|ETHUSDT")


def test_the_board_speaks_chinese_when_the_setting_says_so(browser: Browser, home: BoardHome) -> None:
    """Every label, not only those that somebody thought of: what has no Chinese character is a code or a figure."""
    with board_of(home.settings.model_copy(update={"language": "zh"})) as board:
        page = opened(browser, board)
        for path in PATHS:
            page.goto(path)
            expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
            said = [text.strip() for text in page.locator(LABELS).all_text_contents()]
            strange = [text for text in said if not re.search("[一-鿿]", text) and not NOT_WORDS.fullmatch(text)]
            assert len(said) > 20
            assert strange == [], path
        page.goto("/")
        expect(page.get_by_text("标记价格").first).to_be_visible()
        gates = page.locator("#gates tbody tr")
        assert gates.count() > 14
        for text in (*gates.locator("th").all_text_contents(), *gates.locator("td.text").all_text_contents()):
            assert english_in(text) == []
        (promotion,) = page.locator("#promotions td.text").all_text_contents()
        assert "道闸门全部通过" in promotion
        page.goto(f"/signals/{iso(STALE_HOUR)}")
        expect(page.get_by_text("数据流过期（stream_stale）", exact=True)).to_be_visible()
        expect(page.get_by_text("最新数据已有 3.01 小时，上限 1.00 小时").first).to_be_visible()
        expect(page.get_by_text("阻断").first).to_be_visible()
        page.goto("/signals/2025-01-01T00:00:00Z")
        expect(page.get_by_text("没有 2025-01-01T00:00:00Z 的记录。")).to_be_visible()
        page.goto("/healthz")
        expect(page.get_by_text("current: 2025-03-03T12:00:00Z 的记录就是这一小时的信号。")).to_be_visible()
