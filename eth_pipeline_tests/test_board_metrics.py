"""`/metrics` as Prometheus reads it, line by line; and the colours of the style sheet as eyes read them."""

import re
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from eth_pipeline.board.showing.metrics import CONTENT_TYPE
from eth_pipeline.board.showing.templating import STATIC_FOLDER
from eth_pipeline_tests.board_home import CLOCK, BoardHome, board_of
from eth_pipeline_tests.decision_samples import HOUR

SAMPLE = re.compile(r'(?P<name>[a-z_]+)(\{(?P<labels>[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*)\})? (?P<value>-?[0-9.e+-]+)')
PAIRS = [
    *[(front, back, 4.5) for front in ("ink", "dim", "link") for back in ("page", "card")],
    *[("ink", "quiet-back", 4.5), ("link", "quiet-back", 4.5)],
    *[(name, f"{name}-back", 4.5) for name in ("tradeable", "degraded", "blocked", "quiet", "alarm")],
    *[(name, "card", 3.0) for name in ("tradeable", "degraded", "blocked", "alarm-back", "line", "up", "down")],
    ("line", "area", 3.0),
]
"""Foreground, background, the least contrast of WCAG 2.2: 4.5 for text (1.4.3), 3 for shapes (1.4.11)."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> BoardHome:
    """One home for all tests here."""
    return BoardHome(tmp_path_factory.mktemp("board"))


def scraped(home: BoardHome, *, later: timedelta = timedelta()) -> dict[str, float]:
    """Every sample by name and labels, after the grammar was checked."""
    with board_of(home.settings, now=CLOCK + later) as server:
        answer = httpx2.get(server.url + "/metrics", timeout=60.0)
    assert answer.headers["Content-Type"] == CONTENT_TYPE
    assert answer.text.endswith("\n")
    declared: set[str] = set()
    found: dict[str, float] = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            kind, name = line.split()[1:3]
            assert kind in ("HELP", "TYPE")
            declared.add(name)
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        assert sample["name"] in declared
        key = f"{sample['name']}{{{sample['labels']}}}" if sample["labels"] else sample["name"]
        assert key not in found, "a sample is named once"
        found[key] = float(sample["value"])
    return found


def test_the_figures_are_those_of_the_home(home: BoardHome) -> None:
    found = scraped(home)
    assert found["eth_pipeline_signal_age_seconds"] == 260.0
    assert found["eth_pipeline_signal_overdue"] == 0.0
    assert found['eth_pipeline_signal_state{state="degraded"}'] == 1.0
    assert found['eth_pipeline_signal_state{state="tradeable"}'] == 0.0
    assert found["eth_pipeline_ml_available"] == 1.0
    assert found['eth_pipeline_stream_fresh{stream="klines",symbol="ETHUSDT"}'] == 1.0
    assert 'eth_pipeline_stream_lag_hours{stream="spot_klines",symbol="BTCUSDT"}' not in found
    assert found["eth_pipeline_alerts_raised"] == 1.0
    assert found["eth_pipeline_messages_undelivered"] == 2.0
    assert 9_000 < found["eth_pipeline_equity_usdt"] < 11_000
    assert found["eth_pipeline_drawdown_share"] <= found["eth_pipeline_max_drawdown_share"]
    assert {value for name, value in found.items() if "part_readable" in name} == {1.0}


def test_an_overdue_hour_has_no_state_no_action_and_no_forecast(home: BoardHome) -> None:
    """An alarm on `state="tradeable"` must not see yesterday's."""
    found = scraped(home, later=4 * HOUR)
    assert found["eth_pipeline_signal_overdue"] == 1.0
    assert {value for name, value in found.items() if "signal_state" in name or "signal_action" in name} == {0.0}
    assert "eth_pipeline_ml_available" not in found
    assert "eth_pipeline_signal_may_open" not in found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_has_the_contrast_that_it_needs(scheme: str) -> None:
    colours = palette(STATIC_FOLDER / "board.css")[scheme]
    low = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in PAIRS}
    assert {pair: value for pair, value in low.items() if value < pair[2]} == {}


def test_the_states_differ_for_eyes_that_see_no_red_or_no_green_or_no_colour() -> None:
    """Shape and word say it already; the colours should not contradict them. Viénot, Brettel and Mollon 1999."""
    for colours in palette(STATIC_FOLDER / "board.css").values():
        for seen in (protan, deutan):
            states = [seen(colours[name]) for name in ("tradeable", "degraded", "blocked")]
            assert distance(states[0], states[1]) > 40, "tradeable and degraded"
            assert distance(states[0], states[2]) > 40, "tradeable and blocked"


def palette(sheet: Path) -> dict[str, dict[str, tuple[int, int, int]]]:
    """The variables of the style sheet by scheme."""
    light, _, dark = sheet.read_text().partition("@media (prefers-color-scheme: dark)")
    dark = dark.partition("* {")[0]
    found = {
        scheme: {
            name: (int(value[:2], 16), int(value[2:4], 16), int(value[4:], 16))
            for name, value in re.findall(r"--([a-z-]+): #([0-9a-f]{6});", text)
        }
        for scheme, text in (("light", light), ("dark", dark))
    }
    assert found["light"].keys() == found["dark"].keys()
    return found


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Contrast ratio, WCAG 2.2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: tuple[int, int, int]) -> float:
    red, green, blue = (linear(value / 255) for value in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def protan(colour: tuple[int, int, int]) -> tuple[float, ...]:
    """What remains without long-wave cones, linear RGB times 255."""
    red, green, blue = (linear(value / 255) * 255 for value in colour)
    yellow = 0.11238 * red + 0.88762 * green
    return yellow, yellow, 0.00401 * red - 0.00401 * green + blue


def deutan(colour: tuple[int, int, int]) -> tuple[float, ...]:
    """What remains without middle-wave cones."""
    red, green, blue = (linear(value / 255) * 255 for value in colour)
    yellow = 0.29275 * red + 0.70725 * green
    return yellow, yellow, -0.02234 * red + 0.02234 * green + blue


def distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
