"""The client of the inference service: every way a service can fail costs bounded time and has its own error."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from eth_pipeline.contracts.clock import FixedClock
from eth_pipeline.errors import CircuitOpen, InferenceRefused, InferenceUnavailable, SettingsInvalid
from eth_pipeline.settings import InferenceSettings, load_settings
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo
from eth_pipeline.signals.forecasting.remote import RemoteForecaster, read_token
from eth_pipeline.signals.forecasting.scoring import answer_body
from eth_pipeline_tests.decision_samples import NOON, forecast, runtime_contract
from eth_pipeline_tests.inference_host import TOKEN
from eth_pipeline_tests.test_signals_scoring import rows

INFO = ModelInfo(version="7", fingerprint="f" * 64, contract=runtime_contract())
GOOD = forecast(0.61, 0.55, 0.48)
CLOSED_PORT = "http://127.0.0.1:9"  # discard; nothing listens there

Answer = Callable[["OddService", BaseHTTPRequestHandler], None]


class OddService:
    """A service at the wire that answers as it is told to, one script for every request.

    Attributes:
        received: headers and bodies of the requests so far.
        over: set when the test is over; scripts that never end wait for it.
    """

    def __init__(self, script: Answer) -> None:
        self.script = script
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.over = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.received.append((dict(self.headers), body))
                service.script(service, self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def odd_service(script: Answer) -> Iterator[OddService]:
    service = OddService(script)
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.over.set()
        service.server.shutdown()
        service.server.server_close()
        thread.join()


def answering(status: int, body: bytes, **headers: str) -> Answer:
    def answer(_: OddService, request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def silent(service: OddService, _: BaseHTTPRequestHandler) -> None:
    service.over.wait(30)


def cut(_: OddService, request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b"{")


def dripping(service: OddService, request: BaseHTTPRequestHandler) -> None:
    """A byte before every read timeout: no single read is ever late."""
    request.send_response(200)
    request.end_headers()
    while not service.over.wait(0.02):
        request.wfile.write(b" ")
        request.wfile.flush()


def endless(service: OddService, request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    while not service.over.is_set():
        request.wfile.write(b" " * 65536)


def right() -> Answer:
    return answering(200, answer_body([GOOD], INFO))


class Client:
    """The client of one host at a virtual time."""

    def __init__(self, folder: Path, url: str, **settings: Any) -> None:
        limits = {"read_timeout_seconds": 0.2, "total_timeout_seconds": 2.0, "breaker_failures": 2}
        self.settings = InferenceSettings(enabled=True, url=url, **{**limits, **settings})
        self.path = folder / "inference_state.sqlite"
        self.sent = 0

    def ask(self, *, now: datetime = NOON, info: ModelInfo = INFO) -> Forecast:
        """What one hourly process does."""
        with RemoteForecaster(self.settings, state_path=self.path, clock=FixedClock(now)) as remote:
            try:
                return remote.forecast(rows(1), info=info)
            finally:
                self.sent = remote.requests_sent


def test_an_answer_of_the_right_bundle_is_the_forecast(tmp_path: Path) -> None:
    with odd_service(right()) as service:
        client = Client(tmp_path, service.url)
        answer = client.ask()
    assert answer.remote
    assert (answer.probabilities, answer.raw, answer.members) == (GOOD.probabilities, GOOD.raw, GOOD.members)
    assert answer.seconds > 0
    assert client.sent == 1


@pytest.mark.parametrize(
    "script", [silent, cut, dripping, answering(500, b"broken"), answering(503, b"{}")], ids=lambda s: s.__qualname__
)
def test_no_usable_answer_is_tried_again_within_one_budget_and_then_given_up(tmp_path: Path, script: Answer) -> None:
    with odd_service(script) as service:
        client = Client(tmp_path, service.url, attempts=3, total_timeout_seconds=0.7)
        started = time.perf_counter()
        with pytest.raises(InferenceUnavailable):
            client.ask()
        assert time.perf_counter() - started < 5.0  # without a limit, the silent and the dripping one never end
        assert 1 <= len(service.received) == client.sent <= 3


def test_a_failed_try_is_repeated_and_the_second_answer_counts(tmp_path: Path) -> None:
    def second_time(service: OddService, request: BaseHTTPRequestHandler) -> None:
        (answering(500, b"") if len(service.received) == 1 else right())(service, request)

    with odd_service(second_time) as service:
        client = Client(tmp_path, service.url)
        assert client.ask().remote
    assert client.sent == 2


def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    client = Client(tmp_path, CLOSED_PORT)
    with pytest.raises(InferenceUnavailable, match=r"127\.0\.0\.1:9"):
        client.ask()
    assert client.sent == 2


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (answering(401, b"{}"), "another token"),
        (answering(400, b'{"message":"no such input"}'), "no such input"),
        (answering(307, b"", Location="http://127.0.0.1:9/"), "307"),
        (answering(200, b"<html>"), "agreed shape"),
        (endless, "more than 4096 bytes"),
    ],
    ids=["token", "400", "redirect", "no json", "endless"],
)
def test_a_wrong_answer_is_refused_at_once_and_does_not_open_the_breaker(
    tmp_path: Path, script: Answer, words: str
) -> None:
    """A service that refuses works; its breaker must not hide the reason from the hours that follow."""
    with odd_service(script) as service:
        client = Client(tmp_path, service.url, max_answer_bytes=4096)
        for _ in range(3):
            with pytest.raises(InferenceRefused, match=words):
                client.ask()
        assert len(service.received) == 3


def test_a_compressed_answer_is_never_unpacked(tmp_path: Path) -> None:
    """One kilobyte of gzip can be a gigabyte of answer."""
    import gzip

    body = gzip.compress(answer_body([GOOD], INFO))
    with odd_service(answering(200, body, Content_Encoding="gzip")) as service:
        with pytest.raises(InferenceRefused, match="agreed shape"):
            Client(tmp_path, service.url).ask()
        assert service.received[0][0]["Accept-Encoding"] == "identity"


def test_an_answer_of_another_bundle_is_refused(tmp_path: Path) -> None:
    with odd_service(right()) as service, pytest.raises(InferenceRefused, match="ffffffffffff"):
        Client(tmp_path, service.url).ask(info=ModelInfo(version="8", fingerprint="e" * 64, contract=INFO.contract))


def test_the_breaker_opens_across_processes_and_one_probe_closes_it(tmp_path: Path) -> None:
    """Hourly runs are separate processes; what one learnt the next one knows."""
    with odd_service(answering(500, b"")) as service:
        client = Client(tmp_path, service.url, attempts=1, breaker_cooldown_minutes=90)
        for _ in range(2):
            with pytest.raises(InferenceUnavailable):
                client.ask()
        with pytest.raises(CircuitOpen, match="Nothing was sent"):
            client.ask(now=NOON + timedelta(minutes=89))
        assert len(service.received) == 2
        with pytest.raises(InferenceUnavailable):  # the probe fails, the breaker opens again
            client.ask(now=NOON + timedelta(minutes=91))
        with pytest.raises(CircuitOpen):
            client.ask(now=NOON + timedelta(minutes=120))
        service.script = right()
        assert client.ask(now=NOON + timedelta(minutes=182)).remote
        assert client.ask(now=NOON + timedelta(minutes=182)).remote


def test_the_token_travels_in_the_header_and_nowhere_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with odd_service(right()) as service:
        client = Client(tmp_path, service.url, token=SecretStr(TOKEN))
        client.ask()
        (headers, body) = service.received[0]
        assert headers["Authorization"] == f"Bearer {TOKEN}"
        assert TOKEN.encode() not in body
        service.script = answering(401, b"{}")
        with pytest.raises(InferenceRefused) as refused:
            client.ask()
    assert TOKEN not in str(refused.value) + caplog.text + repr(client.settings) + str(client.settings.model_dump())


def test_without_a_token_no_authorization_is_sent_whatever_the_environment_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password in .netrc, or a proxy in the environment, must not see what we ask."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login operator password hunter2hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", CLOSED_PORT)
    with odd_service(right()) as service:
        assert Client(tmp_path, service.url).ask().remote
        assert "Authorization" not in service.received[0][0]


def test_a_token_file_is_read_and_a_bad_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = InferenceSettings(token_file=file)
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        read_token(settings)
    for bad in ("", "short", "sixteen characters with blanks", "é" * 20):
        file.write_text(bad)
        with pytest.raises(SettingsInvalid, match="is no token"):
            read_token(settings)
    file.write_text(f"{TOKEN}\n")
    assert read_token(settings) == TOKEN
    assert read_token(InferenceSettings(token=SecretStr(TOKEN), token_file=tmp_path / "other")) == TOKEN
    assert read_token(InferenceSettings()) is None


def test_the_token_is_masked_in_every_dump_and_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_PIPELINE_INFERENCE__TOKEN", TOKEN)
    settings = load_settings()
    assert read_token(settings.inference) == TOKEN
    assert TOKEN not in json.dumps(settings.masked())


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:5002", "http://"])
def test_an_unusable_url_is_a_setting_to_correct(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"inference\.url"):
        Client(tmp_path, url).ask()


def test_credentials_in_the_url_are_refused_before_anything_prints_them() -> None:
    with pytest.raises(SettingsInvalid, match=r"inference\.url"):
        load_settings(inference={"url": "http://operator:hunter2@127.0.0.1:5002"})
