"""The one HTTP door to the exchange: timeouts, retries, request weight, error classes, provenance.

Belongs here: sending a request and saying what came back, as JSON, as a file or as one error of `errors`. Does
not belong: what an endpoint means (`streams`), paging (`pages`), parsing rows, whose data it is (`origin`).

    answer                                becomes                                            tried again
    timeout, refused, 5xx, cut body       ExchangeUnavailable, counted by the breaker        yes, `attempts` times
    429                                   RateLimited, host held for Retry-After             if it fits PATIENCE_SECONDS
    418                                   Banned, remembered on this host                    no
    403, 451                              RegionRestricted                                   no
    404 of an archive file                None                                               no
    other 4xx                             RequestRefused with the exchange's code and text   no
"""

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import httpx2
import stamina

from eth_pipeline.contracts.clock import Clock, SystemClock, from_milliseconds
from eth_pipeline.errors import (
    ExchangeUnavailable,
    RegionRestricted,
    RequestRefused,
    SettingsInvalid,
)
from eth_pipeline.exchange.breaker import Breaker, BreakerState
from eth_pipeline.exchange.budget import Allowance, Budget
from eth_pipeline.exchange.exchange_time import ClockOffset, newest_offset, remember_offset
from eth_pipeline.exchange.origin import PROVENANCE_HEADER, Origin
from eth_pipeline.exchange.patience import Patience, retry_after_seconds
from eth_pipeline.exchange.state import HostState
from eth_pipeline.settings import ExchangeSettings

USED_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
_DEFAULT_PAUSE_SECONDS = 60.0  # 429 without Retry-After: one weight window
_DEFAULT_BAN_SECONDS = 120.0  # 418 without Retry-After: the shortest ban Binance documents

Host = Literal["futures", "spot", "archive"]
AllowanceName = Literal["weight", "futures_data_requests", "funding_requests", "none"]


@dataclass(frozen=True)
class Endpoint:
    """One REST path and the allowance its requests are paid from."""

    host: Host
    path: str
    allowance: AllowanceName


@dataclass(frozen=True)
class RemoteFile:
    """A downloaded file: its bytes and the server's Last-Modified, where it sent one."""

    content: bytes
    last_modified: str | None


SERVER_TIME = Endpoint("futures", "/fapi/v1/time", "weight")


@cache
def _trusted() -> ssl.SSLContext:
    """Whom to trust, read once per process: an hourly run opens fourteen transports, the file takes 20 ms each time."""
    return httpx2.create_ssl_context()


class Transport:
    """HTTP to the three hosts of the exchange, with this host's shared state behind it.

    Thread-safe. Use it as a context manager or call `close()`.

    Args:
        settings: URLs, timeouts, attempts, budget and breaker limits.
        state_path: the SQLite file all processes of this host share.
        clock: wall clock of budgets, bans and breakers.

    Attributes:
        requests_sent: requests of this object so far, tries included.
        state: what this host remembers between processes.

    Raises:
        SettingsInvalid: the three URLs belong to different exchanges.
    """

    def __init__(self, settings: ExchangeSettings, *, state_path: Path, clock: Clock | None = None) -> None:
        self._settings = settings
        self._urls: dict[Host, str] = {
            "futures": settings.futures_url.rstrip("/"),
            "spot": settings.spot_url.rstrip("/"),
            "archive": settings.archive_url.rstrip("/"),
        }
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._origin = Origin({f"{host}_url": url for host, url in self._urls.items()})
        self._restricted: dict[Host, str] = {}
        self.requests_sent = 0
        self.state = HostState(state_path)
        self._budget = Budget(self.state, clock=self._clock, reserve_share=settings.weight_reserve_share)
        self._breaker = Breaker(
            self.state,
            clock=self._clock,
            failures_to_open=settings.breaker_failures,
            cooldown_seconds=settings.breaker_cooldown_minutes * 60.0,
        )
        # Binance's documented limits per address; spot allows 6000, the futures figure is kept there too.
        self._allowances = {
            "weight": Allowance("request weight", settings.weight_limit_per_minute, 60),
            "futures_data_requests": Allowance("futures data requests", 1000, 300),
            "funding_requests": Allowance("funding requests", 500, 300),
        }
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds),
            limits=httpx2.Limits(max_connections=2 * settings.archive_parallel_downloads + 4),
            headers={"User-Agent": "eth-pipeline"},
            verify=_trusted(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and the state file."""
        self._client.close()
        self.state.close()

    def server_time(self) -> datetime:
        """Exchange time, UTC.

        Raises:
            RetryLater: no usable answer now.
            NeedsHuman: refused, restricted or an unknown exchange.
        """
        asked, started = self._clock.now(), time.monotonic()
        answer = _server_time(self.get_json(SERVER_TIME, {}))
        round_trip = timedelta(seconds=time.monotonic() - started)
        host = urlsplit(self._urls["futures"]).netloc
        remember_offset(self.state, host, exchange_time=answer, asked=asked, round_trip=round_trip)
        return answer

    def clock_offset(self) -> ClockOffset | None:
        """The newest measured difference between the exchange's clock and this host's; None where never measured."""
        return newest_offset(self.state, urlsplit(self._urls["futures"]).netloc)

    def estimated_time(self, *, max_age: timedelta = timedelta(days=7)) -> datetime | None:
        """Exchange time without asking: this host's clock and the newest offset; None where that is too old."""
        offset, now = self.clock_offset(), self._clock.now()
        if offset is None or not timedelta(0) <= now - offset.measured_at <= max_age:
            return None
        return now + offset.offset

    @property
    def known_provenance(self) -> str | None:
        """Provenance as far as it is known without asking; None until an embedded exchange has answered."""
        return self._origin.known

    def provenance(self) -> str:
        """`binance`, or what an embedded exchange says it serves: `replay` or `simulated`.

        Raises:
            SettingsInvalid: the host is no exchange we know.
            RetryLater: an embedded exchange does not answer.
        """
        if self._origin.known is None:
            self.server_time()
        assert self._origin.known is not None
        return self._origin.known

    def breaker_states(self) -> dict[str, BreakerState]:
        """State of every breaker that ever counted: of a host (connecting) or of `host/path` (answering)."""
        return self._breaker.states()

    def get_json(self, endpoint: Endpoint, params: Mapping[str, str | int], *, cost: int = 1) -> Any:
        """GET a REST endpoint.

        Args:
            endpoint: where, and which allowance pays.
            params: query parameters.
            cost: units of the allowance that this request takes.

        Raises:
            ExchangeUnavailable: no usable answer after `attempts` tries.
            RateLimited, Banned, CircuitOpen: nothing more may be sent now.
            RegionRestricted, RequestRefused, SettingsInvalid: retrying cannot help.
        """
        answer: Any = None

        def read(response: httpx2.Response) -> None:
            nonlocal answer
            try:
                answer = response.json()
            except (ValueError, RecursionError) as error:
                raise ExchangeUnavailable(f"GET {endpoint.path}: the answer is no complete JSON ({error}).") from error

        self._request(endpoint, params=params, cost=cost, read=read)
        return answer

    def get_file(self, key: str) -> RemoteFile | None:
        """Download one archive file; None where the archive has none under `key`.

        Raises:
            ExchangeUnavailable, RateLimited, Banned, CircuitOpen, RegionRestricted, RequestRefused: as `get_json`.
        """
        found: RemoteFile | None = None

        def read(response: httpx2.Response) -> None:
            nonlocal found
            if response.status_code != 404:
                found = RemoteFile(response.content, response.headers.get("Last-Modified"))

        self._request(Endpoint("archive", f"/{key}", "none"), params={}, cost=0, read=read)
        return found

    def _request(
        self, endpoint: Endpoint, *, params: Mapping[str, str | int], cost: int, read: Callable[[httpx2.Response], None]
    ) -> None:
        host = urlsplit(self._urls[endpoint.host]).netloc
        circuit = f"{host}{'/data' if endpoint.host == 'archive' else endpoint.path}"
        if (refused := self._restricted.get(endpoint.host)) is not None:
            raise RegionRestricted(refused)  # final: one question per process and host is enough
        self._budget.check_hold(host)
        # Two circuits: a host nobody can connect to is one failure, not one for every endpoint it has.
        self._breaker.admit(host)
        self._breaker.admit(circuit)
        try:
            for attempt in stamina.retry_context(
                on=Patience(),
                attempts=self._settings.attempts,
                timeout=None,
                wait_initial=0.2,
                wait_max=2.0,
                wait_jitter=0.3,
            ):
                with attempt:
                    self._budget.check_hold(host)
                    if endpoint.allowance != "none":
                        self._budget.spend(host, self._allowances[endpoint.allowance], cost)
                    response = self._send(endpoint, params)
                    self._breaker.succeeded(host)
                    if 400 <= response.status_code < 500:  # it refuses, so it works
                        self._breaker.succeeded(circuit)
                    self._refuse_bad_status(endpoint, host, response)
                    read(response)
        except ExchangeUnavailable as error:
            self._breaker.failed(host if isinstance(error, _Unreachable) else circuit, str(error))
            raise
        self._breaker.succeeded(circuit)
        used = response.headers.get(USED_WEIGHT_HEADER, "")
        if endpoint.allowance == "weight" and used.isdigit():
            self._budget.observe(host, self._allowances["weight"], int(used))

    def _send(self, endpoint: Endpoint, params: Mapping[str, str | int]) -> httpx2.Response:
        url = self._urls[endpoint.host] + endpoint.path
        with self._lock:
            self.requests_sent += 1
        try:
            return self._client.get(url, params=dict(params))
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise SettingsInvalid(f"{url} is no usable URL ({error}). Correct {endpoint.host}_url.") from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            reason = str(error) or type(error).__name__
            raise _Unreachable(f"{url} cannot be reached: {reason}. It is asked again later.") from error
        except httpx2.RequestError as error:  # timeouts, cut bodies
            reason = str(error) or type(error).__name__
            raise ExchangeUnavailable(f"GET {url} failed: {reason}. It is asked again later.") from error

    def _refuse_bad_status(self, endpoint: Endpoint, host: str, response: httpx2.Response) -> None:
        status, what = response.status_code, f"GET {self._urls[endpoint.host]}{endpoint.path}"
        if status == 200:
            self._origin.check(f"{endpoint.host}_url", response.headers.get(PROVENANCE_HEADER))
        elif status in (418, 429):
            default = _DEFAULT_BAN_SECONDS if status == 418 else _DEFAULT_PAUSE_SECONDS
            header = response.headers.get("Retry-After")
            pause = retry_after_seconds(header, otherwise=default, now=self._clock.now())
            self._budget.hold(host, seconds=max(1.0, pause), is_ban=status == 418)
            self._budget.check_hold(host)  # raises
        elif status in (403, 451):
            self._restricted[endpoint.host] = (
                f"{what} answered {status}: this address may not use it{_said(response)}. Run from a permitted "
                "location, or rely on the archive, which is usually still reachable; retrying cannot help."
            )
            raise RegionRestricted(self._restricted[endpoint.host])
        elif status == 404 and endpoint.host == "archive":
            return
        elif 400 <= status < 500:
            raise RequestRefused(
                f"{what} answered {status}{_said(response)}. Check the symbols and the interval; retrying cannot help."
            )
        else:
            raise ExchangeUnavailable(f"{what} answered {status}{_said(response)}. It is asked again later.")


def _server_time(answer: Any) -> datetime:
    try:
        return from_milliseconds(int(answer["serverTime"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ExchangeUnavailable(
            f"GET {SERVER_TIME.path}: the answer names no time ({error!r}), so whoever answers is not the exchange, or "
            "not well. It is asked again later."
        ) from error


class _Unreachable(ExchangeUnavailable):
    """No connection to the host: says nothing about one endpoint."""


def _said(response: httpx2.Response) -> str:
    """The exchange's own error code and text, where the body has them."""
    try:
        body = response.json()
        return f" (code {body['code']}: {body['msg']})"
    except (ValueError, KeyError, TypeError):
        return ""
