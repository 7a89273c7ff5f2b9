"""The shadow report: its figures are those of the forecasts and of outcomes that have really come."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from eth_pipeline.cli.shadow import shadow_report
from eth_pipeline.contracts.clock import SystemClock, floor_hour
from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.shadow_plots import draw
from eth_pipeline.operations.shadow_report import Judged, ShadowReport, make_report
from eth_pipeline.operations.shadow_text import as_markdown
from eth_pipeline.operations.shadow_window import read_window
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline_tests.decision_samples import HOUR, MODEL, NOON, bars, forecast, mark_bars, sample_settings, signal

DAYS = 2
FIRST = NOON - 47 * HOUR
STALE = judge([Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="2 h")], phase="paper")
UP_AND_DOWN = [(100.0, 101.0, 99.0, 101.0), (101.0, 101.0, 99.0, 100.0)]


def market(lake: Lake, *, end: datetime = NOON) -> None:
    """Bars from two hours before the window to `end`: up in every hour that starts at FIRST + 2n, else down."""
    count = int((end - FIRST) / HOUR) + 2
    prices = [UP_AND_DOWN[n % 2] for n in range(count)]
    lake.upsert(KLINES, bars(prices, first=FIRST - 2 * HOUR))
    lake.upsert(MARK_KLINES, mark_bars(prices, first=FIRST - 2 * HOUR))


def forecasts(says: dict[str, list[float]], *, horizon_hours: int = 1, role: str = "production") -> pl.DataFrame:
    """Rows of FORECASTS from FIRST on, per algorithm; the first one acts."""
    rows: list[dict[str, Any]] = [
        {
            "symbol": "ETHUSDT",
            "decision_time": FIRST + n * HOUR,
            "available_at": FIRST + n * HOUR,
            "horizon_hours": horizon_hours,
            "algorithm": algorithm,
            "role": role,
            "acting": role == "production" and algorithm == next(iter(says)),
            "probability_up": probability,
            "coverage": 1.0,
            "out_of_bounds_share": 0.0,
            "model_version": "7",
            "fingerprint": "f" * 64,
            "inference": "local",
            "provenance": "simulated",
        }
        for algorithm, probabilities in says.items()
        for n, probability in enumerate(probabilities)
    ]
    return FORECASTS.conform(pl.DataFrame(rows, schema=FORECASTS.schema))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return sample_settings(tmp_path)


def reported(lake: Lake, settings: Settings, *, now: datetime = NOON) -> ShadowReport:
    return make_report(read_window(lake, settings, now=now, days=DAYS), settings)


def only(report: ShadowReport) -> Judged:
    (judged,) = report.judged
    return judged


RIGHT = [0.7 if n % 2 == 0 else 0.3 for n in range(48)]


def test_a_model_that_is_always_right_has_auc_1_and_earns_the_move(lake: Lake, settings: Settings) -> None:
    market(lake)
    lake.upsert(FORECASTS, forecasts({"lightgbm": RIGHT}))
    judged = only(reported(lake, settings))
    assert judged.auc == 1.0
    assert judged.up_share == pytest.approx(24 / 47)
    assert judged.log_loss == pytest.approx(-np.log(0.7))
    assert judged.calibration_error == pytest.approx(0.3)
    up, down = 1 / 100, 1 / 101
    assert judged.side_return_bps == pytest.approx((24 * up + 23 * down) / 47 * 1e4)


def test_a_model_that_is_always_wrong_has_auc_0_and_loses_it(lake: Lake, settings: Settings) -> None:
    market(lake)
    lake.upsert(FORECASTS, forecasts({"lightgbm": [1 - p for p in RIGHT]}))
    judged = only(reported(lake, settings))
    assert judged.auc == 0.0
    assert judged.side_return_bps is not None
    assert judged.side_return_bps < -90


@pytest.mark.parametrize("horizon_hours", [1, 5, 23])
def test_an_hour_whose_horizon_has_not_passed_has_no_outcome(
    lake: Lake, settings: Settings, horizon_hours: int
) -> None:
    """Also where the bars of the future lie in the lake already, as in a replay."""
    market(lake, end=NOON + 48 * HOUR)
    lake.upsert(FORECASTS, forecasts({"lightgbm": RIGHT}, horizon_hours=horizon_hours))
    judged = only(reported(lake, settings))
    assert (judged.hours, judged.finished) == (48, 48 - horizon_hours)
    assert judged.independent == (48 - horizon_hours) // horizon_hours


def test_the_report_of_an_hour_does_not_change_when_later_bars_arrive(lake: Lake, settings: Settings) -> None:
    market(lake)
    lake.upsert(FORECASTS, forecasts({"lightgbm": RIGHT}, horizon_hours=5))
    before = reported(lake, settings)
    market(lake, end=NOON + 30 * HOUR)
    assert reported(lake, settings) == before


def test_a_missing_bar_is_no_outcome(lake: Lake, settings: Settings) -> None:
    prices = [UP_AND_DOWN[n % 2] for n in range(49)]
    hole = FIRST + 10 * HOUR
    lake.upsert(KLINES, bars(prices, first=FIRST - 2 * HOUR).filter(pl.col("open_time") != hole))
    lake.upsert(MARK_KLINES, mark_bars(prices, first=FIRST - 2 * HOUR).filter(pl.col("open_time") != hole))
    lake.upsert(FORECASTS, forecasts({"lightgbm": RIGHT}))
    assert only(reported(lake, settings)).finished == 46


def test_coverage_counts_every_hour_of_the_window_also_those_without_a_record(lake: Lake, settings: Settings) -> None:
    log = SignalLog(lake, folder=settings.home / "logs")
    model: dict[str, Any] = {
        "ml": MlAvailability(True, None, "version 7 answered"),
        "model": MODEL,
        "forecast": forecast(0.7, 0.6, 0.6),
    }
    log.write_many([signal(settings, NOON - n * HOUR, **model) for n in range(12)])
    log.write_many([signal(settings, NOON - n * HOUR, verdict=STALE) for n in range(12, 24)])
    report = reported(lake, settings)
    assert (report.hours, report.recorded, report.ml_available, report.ml_coverage) == (48, 24, 12, 0.25)
    assert report.states == {"tradeable": 12, "blocked": 12}
    assert report.gating == {"stream_stale": 12}
    assert report.versions == {"7": 12, "none": 12}
    assert report.actions == {"LONG": 12, "HOLD": 12}


def test_agreement_is_about_the_hours_that_both_forecast(lake: Lake, settings: Settings) -> None:
    half = [0.9 if n % 4 == 0 else 0.1 for n in range(24)]
    lake.upsert(FORECASTS, forecasts({"lightgbm": RIGHT, "lstm": half}))
    lake.upsert(FORECASTS, forecasts({"lightgbm": [1 - p for p in RIGHT]}, role="shadow"))
    found = {(a.one, a.other): a for a in reported(lake, settings).agreement}
    assert found["lightgbm", "lightgbm (shadow)"].same_side_share == 0.0
    assert found["lightgbm", "lightgbm (shadow)"].correlation == pytest.approx(-1.0)
    pair = found["lightgbm", "lstm"]
    assert (pair.hours, pair.same_side_share) == (24, 0.75)
    assert len(found) == 3


def test_a_shadow_never_acts_and_is_judged_beside_production(lake: Lake, settings: Settings) -> None:
    market(lake)
    lake.upsert(FORECASTS, forecasts({"lightgbm": RIGHT, "lstm": RIGHT}))
    lake.upsert(FORECASTS, forecasts({"lightgbm": RIGHT}, role="shadow"))
    acting = {(j.role, j.algorithm): j.acting_hours for j in reported(lake, settings).judged}
    assert acting == {
        ("production", "lightgbm"): 48,
        ("production", "lstm"): 0,
        ("shadow", "lightgbm"): 0,
    }


def test_an_empty_home_gives_a_report_that_says_so(lake: Lake, settings: Settings) -> None:
    report = reported(lake, settings)
    page = as_markdown(report)
    assert "0 of 48 hours have a record, 48 have none" in page
    assert "No model forecast anything" in page
    assert list(draw(report, read_window(lake, settings, now=NOON, days=DAYS))) == ["states"]


def test_the_command_writes_page_json_and_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the host's own clock, as the operator runs it."""
    settings = sample_settings(tmp_path / "home")
    lake, now = Lake(settings.lake_location), floor_hour(SystemClock().now())
    shift = now - NOON
    prices = [UP_AND_DOWN[n % 2] for n in range(49)]
    lake.upsert(KLINES, bars(prices, first=FIRST - 2 * HOUR + shift))
    lake.upsert(MARK_KLINES, mark_bars(prices, first=FIRST - 2 * HOUR + shift))
    rows = forecasts({"lightgbm": RIGHT, "lstm": RIGHT})
    lake.upsert(FORECASTS, rows.with_columns(pl.col("decision_time", "available_at") + shift))
    SignalLog(lake, folder=settings.home / "logs").write(signal(settings, now))
    for name, value in {"HOME": tmp_path / "home", "BASE_INTERVAL": "1h", "CROSS_SYMBOLS": '["BTCUSDT"]'}.items():
        monkeypatch.setenv(f"ETH_PIPELINE_{name}", str(value))
    app = typer.Typer()
    app.command()(shadow_report)
    folder = tmp_path / "report"
    answer = CliRunner().invoke(app, ["--days", "2", "--output", str(folder)])
    assert answer.exit_code == 0, answer.output
    made = {path.name for path in folder.iterdir()}
    assert made == {"shadow_report.md", "shadow_report.json", "states.png", "calibration.png", "forecasts.png"}
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in made if name.endswith("png"))
    figures = json.loads((folder / "shadow_report.json").read_text())
    assert figures["recorded"] == 1
    assert [row["auc"] for row in figures["judged"]] == [1.0, 1.0]
    assert "![calibration](calibration.png)" in (folder / "shadow_report.md").read_text()
    printed = CliRunner().invoke(app, ["--days", "2", "--json"])
    assert json.loads(printed.output) == figures


def test_the_window_ends_with_the_newest_hour(lake: Lake, settings: Settings) -> None:
    window = read_window(lake, settings, now=NOON + timedelta(minutes=59), days=7)
    assert (window.end - window.first, window.end) == (timedelta(days=7), NOON + HOUR)
