"""An answer longer than allowed is refused while it arrives, over real HTTP."""

import gzip
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from eth_pipeline.errors import RequestRefused
from eth_pipeline.exchange.http.body_limit import read_within
from eth_pipeline.exchange.http.endpoint import SERVER_TIME
from eth_pipeline.exchange.http.origin import PROVENANCE_HEADER
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.settings import ExchangeSettings

MEBIBYTE = 2**20
LONGEST = 64 * MEBIBYTE
TIME = b'{"serverTime": 1741608000000}'


class Host:
    """Sends whatever the test puts into `body`, and `LONGEST` bytes for None, as far as anybody reads them."""

    def __init__(self) -> None:
        self.body: bytes | None = TIME
        self.encoding = ""
        self.sent_bytes = 0
        self.url = ""


@pytest.fixture
def host() -> Iterator[Host]:
    state = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header(PROVENANCE_HEADER, "simulated")
            if state.encoding:
                self.send_header("Content-Encoding", state.encoding)
            self.end_headers()
            try:
                if state.body is not None:
                    self.wfile.write(state.body)
                while state.body is None and state.sent_bytes < LONGEST:
                    self.wfile.write(bytes(65536))
                    state.sent_bytes += 65536
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()
        thread.join()


def transport(host: Host, tmp_path: Path, **limits: int) -> Transport:
    urls = dict.fromkeys(("futures_url", "spot_url", "archive_url"), host.url)
    return Transport(ExchangeSettings.model_validate({**urls, **limits}), state_path=tmp_path / "state.sqlite")


def test_an_endless_answer_is_refused_before_it_fills_the_memory(host: Host, tmp_path: Path) -> None:
    host.body = None
    with transport(host, tmp_path, max_answer_bytes=MEBIBYTE) as asking:
        tracemalloc.start()
        with pytest.raises(RequestRefused, match=r"longer than 1,048,576 bytes.*raise `exchange\.max_answer_bytes`"):
            asking.get_json(SERVER_TIME, {})
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert asking.requests_sent == 1, "asking again would bring the same"
    assert peak_bytes < 16 * MEBIBYTE
    assert host.sent_bytes < LONGEST


def test_an_endless_archive_file_is_refused_by_its_own_limit(host: Host, tmp_path: Path) -> None:
    host.body = None
    with (
        transport(host, tmp_path, max_answer_bytes=1, max_file_bytes=MEBIBYTE) as asking,
        pytest.raises(RequestRefused, match=r"data.*longer than 1,048,576 bytes.*`exchange\.max_file_bytes`"),
    ):
        asking.get_file("data/futures/um/daily/klines/ETHUSDT/1h/some.zip")
    assert host.sent_bytes < LONGEST


def test_a_small_answer_that_unpacks_to_a_large_one_is_refused(host: Host, tmp_path: Path) -> None:
    host.body, host.encoding = gzip.compress(bytes(8 * MEBIBYTE)), "gzip"
    assert len(host.body) < 20_000
    with (
        transport(host, tmp_path, max_answer_bytes=MEBIBYTE) as asking,
        pytest.raises(RequestRefused, match="max_answer"),
    ):
        asking.get_json(SERVER_TIME, {})


def test_an_answer_packed_twice_is_refused_unread(host: Host, tmp_path: Path) -> None:
    host.body, host.encoding = gzip.compress(gzip.compress(TIME)), "gzip, gzip"
    with transport(host, tmp_path) as asking, pytest.raises(RequestRefused, match="packed more than once"):
        asking.get_json(SERVER_TIME, {})


def test_a_packed_answer_within_the_limit_is_read(host: Host, tmp_path: Path) -> None:
    host.body, host.encoding = gzip.compress(TIME), "gzip"
    with transport(host, tmp_path, max_answer_bytes=len(TIME)) as asking:
        assert asking.get_json(SERVER_TIME, {}) == {"serverTime": 1741608000000}


def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    def read(*pieces: bytes) -> bytes:
        return read_within(iter(pieces), limit_bytes=4, encoding="", what="GET /x", setting="exchange.max_file_bytes")

    assert read(b"ab", b"cd") == b"abcd"
    with pytest.raises(RequestRefused, match="GET /x"):
        read(b"ab", b"cd", b"e")
