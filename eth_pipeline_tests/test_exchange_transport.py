"""The HTTP door and the state that processes share, over real HTTP against the embedded exchange."""

import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from stamina.instrumentation import set_on_retry_hooks

from eth_pipeline.contracts.clock import FixedClock
from eth_pipeline.errors import (
    Banned,
    CircuitOpen,
    ExchangeUnavailable,
    RateLimited,
    RegionRestricted,
    RequestRefused,
    SettingsInvalid,
)
from eth_pipeline.exchange.http.budget import Allowance, Budget
from eth_pipeline.exchange.http.endpoint import Endpoint
from eth_pipeline.exchange.http.origin import PROVENANCE_HEADER, Origin
from eth_pipeline.exchange.http.patience import Patience, retry_after_seconds
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import ExchangeSettings

NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
MARKET = SyntheticMarket(seed=7, start=NOW - timedelta(days=3), end=NOW + timedelta(days=1), symbols=("ETHUSDT",))
KLINES = Endpoint("futures", "/fapi/v1/klines", "weight")
ASK = {"symbol": "ETHUSDT", "interval": "15m", "limit": 5}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(MARKET, now=NOW) as running:
        yield running


@pytest.fixture
def clock() -> FixedClock:
    """The host's clock: bans and breakers run on it, not on exchange time."""
    return FixedClock(datetime(2030, 1, 1, tzinfo=UTC))


def door(sandbox: Sandbox, tmp_path: Path, clock: FixedClock, **changes: float) -> Transport:
    """A new transport on the same state file, as a new process would make it."""
    settings = ExchangeSettings.model_validate({**sandbox.exchange_urls(), "attempts": 1, **changes})
    return Transport(settings, state_path=tmp_path / "state.sqlite", clock=clock)


def test_exchange_time_and_provenance_come_from_the_exchange(
    sandbox: Sandbox, tmp_path: Path, clock: FixedClock
) -> None:
    with door(sandbox, tmp_path, clock) as transport:
        assert transport.server_time() == NOW
        assert transport.provenance() == "simulated"


def test_binance_over_https_is_binance_without_asking(tmp_path: Path) -> None:
    with Transport(ExchangeSettings(), state_path=tmp_path / "state.sqlite") as transport:
        assert transport.provenance() == "binance"
        assert transport.requests_sent == 0


@pytest.fixture
def strange_answer(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that answers every question with the same 200, as a portal or a broken proxy does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header(PROVENANCE_HEADER, "simulated")
            self.end_headers()
            self.wfile.write(request.param)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "strange_answer",
    [b"{}", b"[]", b"null", b'{"serverTime": "soon"}', b'{"serverTime": 1e300}', b"[" * 100_000, b"\xff", b""],
    indirect=True,
    ids=lambda body: repr(body[:24]),
)
def test_an_answer_that_names_no_time_is_asked_for_again_and_no_traceback(
    strange_answer: str, tmp_path: Path, clock: FixedClock
) -> None:
    """A KeyError, an OverflowError or a RecursionError ended the run, and with it the record of the hour."""
    settings = ExchangeSettings(
        futures_url=strange_answer, spot_url=strange_answer, archive_url=strange_answer, attempts=1
    )
    with (
        Transport(settings, state_path=tmp_path / "state.sqlite", clock=clock) as transport,
        pytest.raises(ExchangeUnavailable, match=r"asked again later|no complete JSON"),
    ):
        transport.server_time()


def test_two_exchanges_are_not_mixed() -> None:
    with pytest.raises(SettingsInvalid, match="mixed"):
        Origin({"futures_url": "https://fapi.binance.com", "archive_url": "http://127.0.0.1:1"})


@pytest.mark.parametrize("url", ["http://fapi.binance.com", "https://binance.com.example.org", "https://example.org"])
def test_an_unknown_exchange_is_refused(url: str) -> None:
    """Rows of unknown origin labelled `binance` could have gone live."""
    with pytest.raises(SettingsInvalid, match="neither Binance over https"):
        Origin({"futures_url": url}).check("futures_url", None)


def test_a_refused_request_says_the_code_and_text_of_the_exchange(
    sandbox: Sandbox, tmp_path: Path, clock: FixedClock
) -> None:
    with (
        door(sandbox, tmp_path, clock) as transport,
        pytest.raises(RequestRefused, match=r"code -1121: Invalid symbol"),
    ):
        transport.get_json(KLINES, {**ASK, "symbol": "NOSUCH"})


def test_a_failed_try_is_repeated(sandbox: Sandbox, tmp_path: Path, clock: FixedClock) -> None:
    sandbox.faults.switch_on("server_error", count=1)
    with door(sandbox, tmp_path, clock, attempts=2) as transport:
        assert len(transport.get_json(KLINES, ASK)) == 5
        assert transport.guard.breaker_states() == {}


def test_another_try_waits_as_long_as_the_settings_say(sandbox: Sandbox, tmp_path: Path, clock: FixedClock) -> None:
    """An hour of a silent exchange took a time-lapse eight real seconds, nearly all of them pauses."""
    waited: list[float] = []
    sandbox.faults.switch_on("server_error", count=2)
    set_on_retry_hooks([lambda details: waited.append(details.wait_for)])
    try:
        with door(sandbox, tmp_path, clock, attempts=3, retry_wait_seconds=0.004) as transport:
            transport.get_json(KLINES, ASK)
    finally:
        set_on_retry_hooks(None)
    first, second = waited
    assert 0.004 <= first <= 0.010, "the setting, and at most one and a half times as much at random"
    assert 0.008 <= second <= 0.014


def test_a_body_cut_short_is_unavailable_and_not_half_an_answer(
    sandbox: Sandbox, tmp_path: Path, clock: FixedClock
) -> None:
    sandbox.faults.switch_on("truncated_body")
    with door(sandbox, tmp_path, clock) as transport, pytest.raises(ExchangeUnavailable):
        transport.get_json(KLINES, ASK)


def test_a_long_retry_after_is_kept_by_every_process_of_the_host(
    sandbox: Sandbox, tmp_path: Path, clock: FixedClock
) -> None:
    sandbox.faults.switch_on("rate_limited", count=1, retry_after_seconds=90)
    with door(sandbox, tmp_path, clock, attempts=3) as transport, pytest.raises(RateLimited) as first:
        transport.get_json(KLINES, ASK)
    assert first.value.retry_after_seconds == pytest.approx(90)
    asked = sandbox.requests.total
    with door(sandbox, tmp_path, clock) as other_process:
        clock.instant += timedelta(seconds=60)
        with pytest.raises(RateLimited) as later:
            other_process.get_json(KLINES, ASK)
        assert later.value.retry_after_seconds == pytest.approx(30)
        assert sandbox.requests.total == asked
        clock.instant += timedelta(seconds=31)
        assert len(other_process.get_json(KLINES, ASK)) == 5


def test_a_short_retry_after_is_waited_for_inside_the_request(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.switch_on("rate_limited", count=1, retry_after_seconds=1)
    settings = ExchangeSettings.model_validate({**sandbox.exchange_urls(), "attempts": 2})
    with Transport(settings, state_path=tmp_path / "state.sqlite") as transport:
        assert len(transport.get_json(KLINES, ASK)) == 5


def test_patience_is_for_the_whole_request_and_ends_at_thirty_seconds() -> None:
    patience = Patience()
    assert patience(RateLimited("", retry_after_seconds=20)) == pytest.approx(20, abs=0.1)
    assert patience(RateLimited("", retry_after_seconds=20)) is False
    assert patience(Banned("", retry_after_seconds=1)) is False
    assert patience(CircuitOpen("", retry_after_seconds=1)) is False


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Mon, 10 Mar 2025 12:00:30 GMT", 30.0), (None, 60.0), ("soon", 60.0)],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header, otherwise=60.0, now=NOW) == pytest.approx(seconds)


def test_a_ban_is_remembered_by_the_next_process(sandbox: Sandbox, tmp_path: Path, clock: FixedClock) -> None:
    """Asking again during a 418 lengthens the ban, up to three days."""
    sandbox.faults.switch_on("banned", count=1, retry_after_seconds=3600)
    with door(sandbox, tmp_path, clock, attempts=3) as transport, pytest.raises(Banned):
        transport.get_json(KLINES, ASK)
    assert sandbox.requests.total == 1
    with door(sandbox, tmp_path, clock) as next_process, pytest.raises(Banned, match="banned this address"):
        next_process.server_time()
    assert sandbox.requests.total == 1


def test_a_restricted_region_is_asked_once(sandbox: Sandbox, tmp_path: Path, clock: FixedClock) -> None:
    sandbox.faults.switch_on("region_restricted")
    with door(sandbox, tmp_path, clock, attempts=3) as transport, pytest.raises(RegionRestricted, match="451"):
        transport.get_json(KLINES, ASK)
    assert sandbox.requests.total == 1


def test_a_breaker_opens_survives_a_restart_and_closes_after_one_good_probe(
    sandbox: Sandbox, tmp_path: Path, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Hourly runs are new processes: a breaker in memory was always closed."""
    caplog.set_level(logging.INFO, logger="eth_pipeline.exchange")
    sandbox.faults.switch_on("server_error", streams=["klines"])
    with door(sandbox, tmp_path, clock, breaker_failures=2) as transport:
        for _ in range(2):
            with pytest.raises(ExchangeUnavailable):
                transport.get_json(KLINES, ASK)
    asked = sandbox.requests.total
    with door(sandbox, tmp_path, clock, breaker_failures=2) as restarted:
        for _ in range(20):
            with pytest.raises(CircuitOpen):
                restarted.get_json(KLINES, ASK)
        assert sandbox.requests.total == asked
        assert restarted.server_time() == NOW  # the other endpoints are not concerned
        clock.instant += timedelta(minutes=11)
        with pytest.raises(ExchangeUnavailable):
            restarted.get_json(KLINES, ASK)  # the probe fails: open again at once
        with pytest.raises(CircuitOpen):
            restarted.get_json(KLINES, ASK)
        sandbox.faults.clear()
        clock.instant += timedelta(minutes=11)
        assert len(restarted.get_json(KLINES, ASK)) == 5
        assert set(restarted.guard.breaker_states().values()) == {"closed"}
    changes = [record.getMessage() for record in caplog.records if "breaker" in record.getMessage()]
    assert len(changes) == 5, changes  # open, probe, open, probe, closed; nothing for the 22 refused requests


def test_an_unreachable_host_is_one_failure_and_not_one_per_endpoint(tmp_path: Path, clock: FixedClock) -> None:
    """Offline, every endpoint used to wait for its own connect timeouts, every hour."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    urls = {"futures_url": url, "spot_url": url, "archive_url": url}
    settings = ExchangeSettings.model_validate({**urls, "attempts": 1, "breaker_failures": 2})
    with Transport(settings, state_path=tmp_path / "state.sqlite", clock=clock) as transport:
        for path in ("/fapi/v1/klines", "/fapi/v1/markPriceKlines"):
            with pytest.raises(ExchangeUnavailable, match="cannot be reached"):
                transport.get_json(Endpoint("futures", path, "weight"), ASK)
        with pytest.raises(CircuitOpen):
            transport.server_time()


def test_two_processes_share_one_request_budget(tmp_path: Path, clock: FixedClock) -> None:
    allowance = Allowance("request weight", 100, 60)
    one, other = (Budget(HostState(tmp_path / "state.sqlite"), clock=clock, reserve_share=0.2) for _ in range(2))
    one.spend("host", allowance, 50)
    other.spend("host", allowance, 30)
    with pytest.raises(RateLimited) as refused:
        one.spend("host", allowance, 1)
    assert refused.value.retry_after_seconds == pytest.approx(60)
    clock.instant += timedelta(seconds=60)
    one.spend("host", allowance, 1)


def test_the_exchange_is_believed_when_it_counted_more(tmp_path: Path, clock: FixedClock) -> None:
    """Another program on the same address spends the same budget; the header of every answer shows it."""
    allowance = Allowance("request weight", 100, 60)
    budget = Budget(HostState(tmp_path / "state.sqlite"), clock=clock, reserve_share=0.2)
    budget.spend("host", allowance, 5)
    budget.observe("host", allowance, 79)
    budget.observe("host", allowance, 3)
    with pytest.raises(RateLimited, match="79 of 100"):
        budget.spend("host", allowance, 2)
