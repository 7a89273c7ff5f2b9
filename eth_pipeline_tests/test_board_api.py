"""The JSON API over real HTTP: what it answers, what it refuses, what it leaves untouched."""

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import polars as pl
import pytest

from eth_pipeline.board.reading.account import thinned
from eth_pipeline.board.reading.alerts import read_alerts
from eth_pipeline.board.reading.exchange_clock import ExchangeClock
from eth_pipeline.board.web.server import BoardServer
from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.clock import FixedClock, iso
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.exchange.http.exchange_time import remember_offset
from eth_pipeline.exchange.http.state import STATE_FILE, HostState
from eth_pipeline.lake import Lake
from eth_pipeline.operations.alerting.book import FILE, AlertBook
from eth_pipeline.operations.alerting.kinds import Condition
from eth_pipeline.operations.processes import note_start
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.signals.gating import kill_switch
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS
from eth_pipeline_tests.board_home import CLOCK, DAYS, HOLE, STALE, STALE_HOUR, BoardHome, board_of
from eth_pipeline_tests.decision_samples import HOUR, NOON, sample_settings, signal

ROUTES = ("signals/latest", "signals", "streams", "account", "model", "alerts", "manifest")
PAGES = ("/", "/signals", f"/signals/{iso(NOON)}", "/metrics", "/healthz")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> BoardHome:
    """One home for all tests here; those that change something copy it."""
    return BoardHome(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def server(home: BoardHome) -> Iterator[BoardServer]:
    """Its board, four minutes past noon."""
    with board_of(home.settings) as running:
        yield running


def ask(server: BoardServer, route: str, **parameters: str) -> httpx2.Response:
    return httpx2.get(f"{server.url}/api/v1/{route}", params=parameters or None, timeout=60.0)


def refused(answer: httpx2.Response, status: int, *words: str) -> None:
    """Problem details of RFC 9457 with these words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert {"type", "title", "status", "detail", "instance"} == set(body)
    assert body["status"] == status
    for word in words:
        assert word in body["detail"]


def test_the_latest_signal_is_the_record_as_the_log_has_it(server: BoardServer, home: BoardHome) -> None:
    body = ask(server, "signals/latest").json()
    record = home.log.get(NOON)
    assert record is not None
    assert body["signal"] == record.flat()
    assert (body["status"], body["may_open"], body["last_known"]) == ("current", True, None)
    assert body["next_hour"] == "2025-03-03T13:00:00Z"


@pytest.mark.parametrize(("later", "status"), [(HOUR + timedelta(minutes=9), "waiting"), (5 * HOUR, "overdue")])
def test_an_old_record_is_never_the_signal(home: BoardHome, later: timedelta, status: str) -> None:
    """A consumer that reads `signal` and nothing else must not open on a record of hours ago."""
    with board_of(home.settings, now=NOON + later) as server:
        body = ask(server, "signals/latest").json()
    assert (body["status"], body["signal"], body["may_open"]) == (status, None, False)
    assert body["last_known"]["allow_open"] is True


def test_the_kill_switch_forbids_opening_before_the_next_record_says_so(home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    kill_switch.pull(settings.home, reason="drill")
    with board_of(settings) as server:
        body = ask(server, "signals/latest").json()
    assert (body["kill_switch"], body["may_open"], body["signal"]["allow_open"]) == ("drill", False, True)


def test_a_home_that_nothing_was_written_to_answers_every_route(tmp_path: Path) -> None:
    with board_of(sample_settings(tmp_path / "home")) as server:
        bodies: dict[str, Any] = {route: ask(server, route).json() for route in ROUTES}
        assert [httpx2.get(server.url + path).status_code for path in ("/", "/signals", "/metrics")] == [200, 200, 200]
        assert httpx2.get(server.url + "/healthz").status_code == 503
    assert (bodies["signals/latest"]["status"], bodies["signals/latest"]["signal"]) == ("absent", None)
    assert bodies["signals"]["signals"] == []
    assert bodies["account"] == {"opened": False, "figures": {}, "curve": []}
    assert (bodies["model"]["in_use"], bodies["alerts"]["kept"], bodies["manifest"]["manifest"]) == (None, False, None)
    assert not (tmp_path / "home").exists()


def test_a_span_is_newest_first_and_names_the_hours_that_have_no_record(server: BoardServer) -> None:
    body = ask(server, "signals").json()
    times = [record["decision_time"] for record in body["signals"]]
    assert times == sorted(times, reverse=True)
    assert len(times) == 24 * DAYS
    assert body["hours_without_record"] == [iso(HOLE)]
    assert body["truncated"] is False


def test_an_hour_that_is_not_due_yet_is_no_hole_and_one_that_is_due_is(home: BoardHome) -> None:
    for minutes, holes in ((9, [iso(HOLE)]), (11, ["2025-03-03T13:00:00Z", iso(HOLE)])):
        with board_of(home.settings, now=NOON + HOUR + timedelta(minutes=minutes)) as server:
            assert ask(server, "signals").json()["hours_without_record"] == holes


def test_a_limit_keeps_the_newest_and_says_that_it_cut(server: BoardServer) -> None:
    span = {"from": iso(NOON - 20 * HOUR), "to": iso(NOON - 2 * HOUR), "limit": "3"}
    body = ask(server, "signals", **span).json()
    expected = [iso(NOON - n * HOUR) for n in (2, 3, 4)]
    assert [record["decision_time"] for record in body["signals"]] == expected
    assert (body["truncated"], body["hours_without_record"]) == (True, [])


def test_one_hour_is_found_in_any_offset(server: BoardServer) -> None:
    body = ask(server, "signals/2025-03-02T18:30:00+02:30").json()
    assert body["decision_time"] == iso(STALE_HOUR)
    assert [(reason["code"], reason["detail"]) for reason in body["reasons"]] == [(STALE.code, STALE.detail)]
    assert (body["state"], body["allow_open"]) == ("blocked", False)


def test_the_lineage_of_a_signal_ends_at_its_code(server: BoardServer, home: BoardHome) -> None:
    body = ask(server, f"signals/{iso(NOON)}/lineage").json()
    steps = {step["name"]: step["facts"] for step in body["steps"]}
    assert [step["name"] for step in body["steps"]][:: len(steps) - 1] == ["signal", "code"]
    assert steps["model"]["fingerprint"] == home.bundle.fingerprint
    assert steps["promotion"]["action"] == "promoted"


@pytest.mark.parametrize("route", ["signals/{}", "signals/{}/lineage"])
def test_an_unknown_hour_is_not_found(server: BoardServer, route: str) -> None:
    refused(ask(server, route.format(iso(HOLE))), 404, iso(HOLE))


@pytest.mark.parametrize("text", ["yesterday", "2025-03-03T12:00:00", "2025-13-03T12:00:00Z", "0", "2025-03-03"])
def test_what_is_no_instant_is_refused(server: BoardServer, text: str) -> None:
    refused(ask(server, f"signals/{text}"), 422, "hour")
    refused(ask(server, "signals", to=text), 422, "to")


def test_an_instant_at_the_edge_of_the_calendar_is_refused_and_not_a_bug(server: BoardServer) -> None:
    refused(ask(server, "signals/0001-01-01T00:00:00+14:00"), 422, "calendar")
    assert ask(server, "signals", to="0001-01-01T00:00:00Z").json()["signals"] == []
    whole = {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999999Z", "limit": "1"}
    (newest,) = ask(server, "signals", **whole).json()["signals"]
    assert newest["decision_time"] == iso(NOON)


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
def test_a_limit_outside_its_range_is_refused(server: BoardServer, limit: str) -> None:
    refused(ask(server, "signals", limit=limit), 422, "limit")


def test_a_span_that_ends_before_it_begins_is_refused(server: BoardServer) -> None:
    refused(ask(server, "signals", **{"from": iso(NOON), "to": iso(NOON - HOUR)}), 422, "Exchange them")


def test_streams_say_fresh_stale_and_absent_at_the_last_full_minute(server: BoardServer) -> None:
    body = ask(server, "streams").json()
    rows = {(row["stream"], row["symbol"]): row for row in body["streams"]}
    assert body["measured_at"] == "2025-03-03T12:04:00Z"
    assert (rows["klines", "ETHUSDT"]["fresh"], rows["spot_klines", "ETHUSDT"]["fresh"]) == (True, False)
    assert rows["spot_klines", "BTCUSDT"]["lag_hours"] is None


def test_the_account_ends_where_its_figures_say(server: BoardServer) -> None:
    body = ask(server, "account").json()
    assert body["curve"][-1]["equity_usdt"] == pytest.approx(body["figures"]["equity_usdt"])
    deepest = min(point["drawdown_share"] for point in body["curve"])
    assert -deepest <= body["figures"]["max_drawdown_share"]
    assert body["figures"]["closed_trades"] > 0


def test_a_thinned_curve_keeps_its_end_and_its_deepest_fall() -> None:
    hours = 1000
    curve = pl.DataFrame(
        {
            "time": [NOON + n * HOUR for n in range(hours)],
            "equity_usdt": [float(n) for n in range(hours)],
            "drawdown_share": [-0.5 if n == 337 else 0.0 for n in range(hours)],
        },
        schema_overrides={"time": INSTANT},
    )
    thin = thinned(curve, points=48)
    assert thin.height == 48
    assert thin.row(-1) == curve.row(-1)
    assert thin["drawdown_share"].min() == -0.5
    assert thin["time"].is_sorted()


def test_the_account_follows_its_ledger(home: BoardHome, tmp_path: Path) -> None:
    """The summed-up ledger is kept between requests; a new event must not be missed."""
    settings = home.copy_to(tmp_path / "home")
    lake = Lake(settings.lake_location)
    rows = lake.read(ACCOUNT_EVENTS)
    with board_of(settings) as server:
        before = ask(server, "account").json()["figures"]["processed_until"]
        lake.replace(ACCOUNT_EVENTS, rows.head(rows.height - 5))
        after = ask(server, "account").json()["figures"]["processed_until"]
    assert after < before


def test_the_model_card_carries_the_decision_and_the_log_entry(server: BoardServer, home: BoardHome) -> None:
    body = ask(server, "model").json()
    assert (body["files_intact"], body["expired"], body["problems"]) == (True, False, [])
    assert body["decision"]["candidate_fingerprint"] == home.bundle.fingerprint == body["in_use"]["fingerprint"]
    assert [entry["action"] for entry in body["promotions"]] == ["promoted"]
    assert len(body["decision"]["gates"]) > 10


def test_a_changed_bundle_and_an_edited_log_are_said(home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    metrics = settings.home / "production" / home.bundle.fingerprint / "metrics.json"
    metrics.write_text(metrics.read_text().replace("0.55", "0.56"))
    log = settings.home / "promotions.jsonl"
    log.write_text(log.read_text().replace("run-0", "run-9"))
    with board_of(settings) as server:
        body = ask(server, "model").json()
    assert body["files_intact"] is False
    assert body["promotions"] == []
    assert any("fingerprinted" in text for text in body["problems"])
    assert any("edited" in text for text in body["problems"])


def test_alerts_are_read_beside_a_book_that_is_open(home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    book = AlertBook(settings.home, targets=1, hold_off=timedelta(), calm=timedelta())
    low = Condition(AlertKind.DISK_LOW, "/", "1 GB left. Make room.")
    drift = Condition(AlertKind.DRIFT, "features", "still", "warning")
    book.observe([low, drift], now=NOON)
    with board_of(settings) as server:
        body = ask(server, "alerts").json()
    assert {alert["kind"] for alert in body["raised"]} == {"disk_low", "drift"}
    assert body["undelivered"] == book.undelivered() == 3
    book.close()


def test_reading_a_closed_book_creates_no_side_files(home: BoardHome) -> None:
    before = sorted(path.name for path in home.settings.home.iterdir())
    assert read_alerts(home.settings.home, newest=5).kept
    assert sorted(path.name for path in home.settings.home.iterdir()) == before
    assert FILE in before
    assert f"{FILE}-shm" not in before


def test_the_manifest_says_when_the_board_has_other_settings(home: BoardHome) -> None:
    for settings, same in ((home.settings, True), (home.configured(refresh_seconds=99), False)):
        with board_of(settings) as server:
            body = ask(server, "manifest").json()
        assert body["same_configuration"] is same
    assert body["settings"]["symbol"] == "ETHUSDT"
    assert body["manifest"]["model_version"] == "7"


def test_the_manifest_lists_processes_and_what_changed_since_they_started(home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    note_start(settings, name="daemon", pid=os.getpid(), now=CLOCK)
    with board_of(settings) as server:
        (process,) = ask(server, "manifest").json()["processes"]
        assert (process["name"], process["state"], process["pid"]) == ("daemon", "running", os.getpid())
        assert (process["same_code"], process["same_configuration"], process["same_bundle"]) == (True, True, True)
        (settings.home / "production" / "current").unlink()
        assert "older than the bundle in use (none)" in httpx2.get(server.url, timeout=60.0).text
    with board_of(home.settings) as server:
        assert ask(server, "manifest").json()["processes"] == []


def test_an_answer_that_has_not_changed_is_not_sent_again(server: BoardServer) -> None:
    for route in ROUTES:
        first = ask(server, route)
        again = httpx2.get(first.url, headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'})
        assert (again.status_code, again.content) == (304, b""), route
        assert again.headers["ETag"] == first.headers["ETag"]
        assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "private, no-cache"
        assert httpx2.get(first.url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_new_record_changes_the_etag(home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    log = SignalLog(Lake(settings.lake_location), folder=settings.home / "logs")
    with board_of(settings) as server:
        before = ask(server, "signals").headers["ETag"]
        log.write(signal(settings, HOLE))
        after = ask(server, "signals")
    assert after.headers["ETag"] != before
    assert after.json()["hours_without_record"] == []


def test_records_of_another_phase_are_neither_shown_nor_fill_a_hole(home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    live = settings.model_copy(update={"phase": "live"})
    log = SignalLog(Lake(settings.lake_location), folder=settings.home / "logs")
    log.write_many([signal(live, HOLE), signal(live, NOON + HOUR)])
    with board_of(settings) as server:
        span, latest = ask(server, "signals").json(), ask(server, "signals/latest").json()
    assert span["hours_without_record"] == [iso(HOLE)]
    assert {record["phase"] for record in span["signals"]} == {"paper"}
    assert latest["signal"]["decision_time"] == iso(NOON)


def test_errors_and_pages_are_never_kept(server: BoardServer) -> None:
    """A browser that goes back must not show figures of an hour ago as if they were of now."""
    for path in ("/", "/signals", "/api/v1/signals/yesterday", "/nope"):
        answer = httpx2.get(server.url + path)
        assert answer.headers["Cache-Control"] == "no-store", path
        assert "ETag" not in answer.headers, path


def test_head_is_get_without_a_body(server: BoardServer) -> None:
    for path in ("/", "/api/v1/account", "/static/board.css", "/healthz"):
        got, asked = httpx2.get(server.url + path), httpx2.head(server.url + path)
        assert (asked.status_code, asked.content) == (got.status_code, b"")
        assert asked.headers["Content-Length"] == str(len(got.content))


def test_health_is_503_with_the_reason_once_the_newest_record_is_overdue(home: BoardHome) -> None:
    for later, status, words in ((timedelta(), 200, "current"), (3 * HOUR, 503, "no record of 2025-03-03T15:00:00Z")):
        with board_of(home.settings, now=CLOCK + later + timedelta(minutes=10)) as server:
            answer = httpx2.get(server.url + "/healthz")
        assert answer.status_code == status
        assert words in answer.text


def test_a_damaged_table_takes_its_own_part_and_nothing_else(home: BoardHome, tmp_path: Path) -> None:
    settings = home.copy_to(tmp_path / "home")
    for log in (settings.home / "lake" / ACCOUNT_EVENTS.name / "_delta_log").iterdir():
        log.write_text("torn")
    with board_of(settings) as server:
        refused(ask(server, "account"), 503, "The paper account cannot be read")
        assert ask(server, "signals/latest").json()["status"] == "current"
        page = httpx2.get(server.url + "/").text
        metrics = httpx2.get(server.url + "/metrics").text
    assert "The paper account cannot be read" in page
    assert "Signal of this hour" in page
    assert 'eth_pipeline_board_part_readable{part="account"} 0.0' in metrics
    assert "eth_pipeline_equity_usdt" not in metrics


def test_a_torn_data_file_is_an_unreadable_part_and_no_crash(home: BoardHome, tmp_path: Path) -> None:
    """A torn parquet file makes polars panic, and a panic is no Exception."""
    settings = home.copy_to(tmp_path / "home")
    for data in (settings.home / "lake" / SIGNALS.name).rglob("*.parquet"):
        data.write_bytes(data.read_bytes()[:40])
    with board_of(settings) as server:
        refused(ask(server, "signals/latest"), 503, "The signal log cannot be read")
        assert httpx2.get(server.url + "/healthz").status_code == 503
        assert "No current signal" in httpx2.get(server.url + "/").text


def test_looking_changes_nothing(home: BoardHome, tmp_path: Path) -> None:
    """The board runs beside the hourly job; a reader that locks, upgrades or creates a file is a second writer."""
    settings = home.copy_to(tmp_path / "home")
    before = _content(settings.home)
    with board_of(settings) as server:
        for path in (*PAGES, *(f"/api/v1/{route}" for route in ROUTES), f"/api/v1/signals/{iso(NOON)}/lineage"):
            assert httpx2.get(server.url + path, timeout=60.0).status_code == 200, path
    assert _content(settings.home) == before


def test_a_ledger_of_an_older_shape_is_read_and_left_as_it_is(home: BoardHome, tmp_path: Path) -> None:
    """The account's writer upgrades the table; a reader that does it too would race it."""
    settings = home.copy_to(tmp_path / "home")
    lake = Lake(settings.lake_location)
    rows = lake.read(ACCOUNT_EVENTS).drop("reference_usdt")
    shutil.rmtree(settings.home / "lake" / ACCOUNT_EVENTS.name)
    rows.write_delta(lake.uri(ACCOUNT_EVENTS))
    with board_of(settings) as server:
        assert ask(server, "account").json()["opened"] is True
    assert not lake.is_current(ACCOUNT_EVENTS)


def test_exchange_time_is_the_hosts_clock_and_the_offset_that_was_measured_last(tmp_path: Path) -> None:
    clock = ExchangeClock(FixedClock(NOON), home=tmp_path, exchange="fapi.example")
    assert clock.now() == NOON
    assert not (tmp_path / STATE_FILE).exists()
    state = HostState(tmp_path / STATE_FILE)
    measured = {"exchange_time": NOON + timedelta(days=9), "asked": NOON, "round_trip": timedelta()}
    remember_offset(state, "fapi.example", **measured)
    assert clock.now() == NOON + timedelta(days=9)
    state.close()
    assert clock.now() == NOON + timedelta(days=9)
    (tmp_path / STATE_FILE).write_text("no database")
    assert clock.now() == NOON


def _content(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below, with size and time of the last change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size if path.is_file() else 0, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }
