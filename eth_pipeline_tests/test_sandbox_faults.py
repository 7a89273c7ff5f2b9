"""Every fault does what its row in the table says, to whom it says, and nothing else."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from eth_pipeline.contracts.clock import iso, to_milliseconds
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.faults import KINDS
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket

NOW = datetime(2025, 6, 15, 12, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
HTTP = httpx2.Client()
KLINES = "/fapi/v1/klines"
DAY_BARS = "/data/futures/um/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2025-06-14.zip"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(SyntheticMarket(seed=7, start=datetime(2025, 6, 1, tzinfo=UTC)), now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.clock.set(NOW)
    running.faults.clear()
    return running


def ask(sandbox: Sandbox, path: str = KLINES, **params: Any) -> httpx2.Response:
    return HTTP.get(sandbox.url + path, params={"symbol": "ETHUSDT", "interval": "1h", **params})


def bars(sandbox: Sandbox, **params: Any) -> list[list[Any]]:
    rows: list[list[Any]] = ask(sandbox, **params).json()
    return rows


def test_a_stale_feed_publishes_nothing_after_its_stop_while_time_goes_on(sandbox: Sandbox) -> None:
    """The reviewed system served bars that were 77.8 hours old, for days."""
    stop = NOW - timedelta(hours=30)
    sandbox.faults.switch_on("stale", since=stop, streams=["klines"])
    newest = bars(sandbox)[-1]
    assert newest[6] < to_milliseconds(stop)
    assert newest[0] == to_milliseconds(stop.replace(minute=0)) - HOUR_MS, "no half bar either"
    assert ask(sandbox, DAY_BARS).status_code == 404
    assert ask(sandbox, "/fapi/v1/time").json()["serverTime"] == to_milliseconds(NOW)
    assert ask(sandbox, "/fapi/v1/markPriceKlines").json()[-1][0] == to_milliseconds(NOW.replace(minute=0))
    assert bars(sandbox, symbol="BTCUSDT")[-1][0] == newest[0]


def test_a_stale_feed_without_a_time_stops_where_the_clock_stands(sandbox: Sandbox) -> None:
    sandbox.faults.switch_on("stale", streams=["open_interest", "funding_rates"], symbols=["ETHUSDT"])
    sandbox.clock.advance(timedelta(days=2))
    assert ask(sandbox, "/fapi/v1/openInterest").json()["time"] == to_milliseconds(NOW)
    assert ask(sandbox, "/fapi/v1/fundingRate", limit=1).json()[0]["fundingTime"] < to_milliseconds(NOW)
    assert ask(sandbox, "/fapi/v1/openInterest", symbol="BTCUSDT").json()["time"] > to_milliseconds(NOW)


@pytest.mark.parametrize(
    ("kind", "status", "waits"),
    [
        ("server_error", 503, False),
        ("rate_limited", 429, True),
        ("banned", 418, True),
        ("region_restricted", 451, False),
    ],
)
def test_a_refusal_lasts_for_its_count_and_says_how_long_to_wait(
    sandbox: Sandbox, kind: str, status: int, waits: bool
) -> None:
    sandbox.faults.switch_on(kind, count=2, **({"retry_after_seconds": 7} if waits else {}))
    answers = [ask(sandbox) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers.get("Retry-After") == ("7" if waits else None)
    assert "code" in answers[0].json()


def test_a_restricted_region_still_reads_the_archive(sandbox: Sandbox) -> None:
    sandbox.faults.switch_on("region_restricted")
    assert ask(sandbox).status_code == 451
    assert ask(sandbox, DAY_BARS).status_code == 200


def test_a_delay_waits_before_the_answer(sandbox: Sandbox) -> None:
    sandbox.faults.switch_on("delay", seconds=5.0, count=1)
    with pytest.raises(httpx2.ReadTimeout):
        HTTP.get(sandbox.url + "/fapi/v1/time", timeout=0.2)
    assert ask(sandbox, "/fapi/v1/time").status_code == 200


def test_an_unfinished_bar_looks_closed_and_changes_later(sandbox: Sandbox) -> None:
    """Trusting the closeTime field alone stored bars of twenty minutes as bars of an hour."""
    sandbox.faults.switch_on("unfinished", streams=["klines"])
    looks_closed = bars(sandbox, limit=1)[0]
    assert looks_closed[6] == to_milliseconds(NOW) - 1
    assert looks_closed[0] + HOUR_MS > to_milliseconds(NOW), "its open time gives it away"
    sandbox.clock.advance(HOUR)
    final = bars(sandbox, startTime=looks_closed[0], limit=1)[0]
    assert final[6] == looks_closed[0] + HOUR_MS - 1
    assert float(final[5]) > float(looks_closed[5])


def test_a_late_bar_keeps_changing_for_a_while_after_its_close(sandbox: Sandbox) -> None:
    sandbox.clock.set(NOW.replace(minute=0) + timedelta(seconds=30))
    sandbox.faults.switch_on("late_bar", seconds=120)
    early = bars(sandbox, limit=2)
    sandbox.clock.advance(timedelta(seconds=120))
    late = bars(sandbox, limit=2)
    assert [bar[0] for bar in early] == [bar[0] for bar in late]
    assert early[0] != late[0]
    sandbox.faults.clear()
    assert bars(sandbox, limit=2)[0] == late[0]


def test_a_gap_is_missing_from_the_door_it_names(sandbox: Sandbox) -> None:
    since = datetime(2025, 6, 14, 5, tzinfo=UTC)
    window = {"startTime": to_milliseconds(since - HOUR), "endTime": to_milliseconds(since + 2 * HOUR)}
    for only, over_rest, in_archive in (("rest", 2, 24), ("archive", 4, 22), (None, 2, 22)):
        sandbox.faults.clear()
        sandbox.faults.switch_on("gap", since=since, until=since + 2 * HOUR, only=only)
        assert len(bars(sandbox, **window)) == over_rest
        content = ask(sandbox, DAY_BARS).content
        assert hashlib.sha256(content).hexdigest() == ask(sandbox, DAY_BARS + ".CHECKSUM").text.split()[0]
        assert len(_lines(content)) == in_archive + 1


def test_duplicate_rows_come_twice_in_both_doors(sandbox: Sandbox) -> None:
    sandbox.faults.switch_on("duplicate", rows=2, only="rest")
    times = [bar[0] for bar in bars(sandbox, limit=6)]
    assert len(times) == 6
    assert len(set(times)) == 4
    sandbox.faults.clear()
    sandbox.clock.set(datetime(2025, 6, 15, tzinfo=UTC))
    sandbox.faults.switch_on("duplicate", only="archive")
    assert len(_lines(ask(sandbox, DAY_BARS).content)) == 26


def test_a_partial_page_has_fewer_rows_and_no_sign_of_it(sandbox: Sandbox) -> None:
    """Pages that came short were returned as complete."""
    start = to_milliseconds(datetime(2025, 6, 3, tzinfo=UTC))
    whole = bars(sandbox, startTime=start, limit=100)
    sandbox.faults.switch_on("partial_page", rows=30, count=1)
    short = ask(sandbox, startTime=start, limit=100)
    assert short.status_code == 200
    assert short.json() == whole[:70]
    assert bars(sandbox, startTime=start, limit=100) == whole


def test_zero_open_interest_shows_in_rest_and_in_metrics(sandbox: Sandbox) -> None:
    since = datetime(2025, 6, 14, 6, tzinfo=UTC)
    sandbox.faults.switch_on("zero_open_interest", since=since, until=since + HOUR)
    params = {"period": "5m", "startTime": to_milliseconds(since), "endTime": to_milliseconds(since + HOUR)}
    rows = ask(sandbox, "/futures/data/openInterestHist", **params).json()
    assert [float(row["sumOpenInterest"]) == 0 for row in rows] == [True] * 12 + [False]
    metrics = _lines(ask(sandbox, "/data/futures/um/daily/metrics/ETHUSDT/ETHUSDT-metrics-2025-06-14.zip").content)
    assert sum(float(line.split(",")[2]) == 0 for line in metrics[1:]) == 12


@pytest.mark.parametrize("path", [KLINES, DAY_BARS])
def test_a_truncated_body_ends_before_its_length(sandbox: Sandbox, path: str) -> None:
    sandbox.faults.switch_on("truncated_body", count=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(sandbox, path)
    assert ask(sandbox, path).status_code == 200


def test_a_wrong_checksum_leaves_the_zip_alone(sandbox: Sandbox) -> None:
    sandbox.faults.switch_on("wrong_checksum", streams=["klines"], count=1)
    digest = hashlib.sha256(ask(sandbox, DAY_BARS).content).hexdigest()
    assert ask(sandbox, DAY_BARS + ".CHECKSUM").text.split()[0] != digest
    assert ask(sandbox, DAY_BARS + ".CHECKSUM").text.split()[0] == digest


def test_a_corrupt_zip_matches_its_checksum_and_cannot_be_read(sandbox: Sandbox) -> None:
    sandbox.faults.switch_on("corrupt_zip")
    content = ask(sandbox, DAY_BARS).content
    assert hashlib.sha256(content).hexdigest() == ask(sandbox, DAY_BARS + ".CHECKSUM").text.split()[0]
    with pytest.raises((zipfile.BadZipFile, zlib.error)):
        _lines(content)


def test_clock_skew_shows_in_time_only(sandbox: Sandbox) -> None:
    before = bars(sandbox, limit=1)
    sandbox.faults.switch_on("clock_skew", seconds=-90)
    assert ask(sandbox, "/fapi/v1/time").json()["serverTime"] == to_milliseconds(NOW) - 90_000
    assert bars(sandbox, limit=1) == before


def test_a_fault_refuses_parameters_it_does_not_read(sandbox: Sandbox) -> None:
    """A test that switches a fault on with a misspelt parameter tests nothing."""
    for kind, parameters in (
        ("stale", {"until": NOW}),
        ("gap", {"since": NOW}),
        ("server_error", {"only": "door"}),
        ("flood", {}),
    ):
        with pytest.raises(SettingsInvalid):
            sandbox.faults.switch_on(kind, **parameters)
    assert sandbox.faults.on() == ()


def test_every_kind_can_be_switched_on_and_describes_itself(sandbox: Sandbox) -> None:
    given = {"since": iso(NOW), "until": iso(NOW + HOUR), "seconds": 0.0}
    for kind, spec in KINDS.items():
        fault = sandbox.faults.switch_on(kind, **{name: given[name] for name in spec.required})
        assert fault.as_json()["says"] == spec.says
    listed = HTTP.get(f"{sandbox.url}/sandbox/faults").json()["faults"]
    assert [fault["kind"] for fault in listed] == list(KINDS)


def _lines(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        return bundle.read(bundle.namelist()[0]).decode().splitlines()
