"""The one door to the exchange: retries, request weight, error classes, provenance.

Belongs here: asking until there is an answer, and saying what it is: JSON, a file or one error of `errors`. Does not
belong: HTTP itself (`wire`), what an endpoint means (`exchange.streams`), paging (`exchange.pages`), parsing rows,
whose data it is (`origin`), whether a request may be sent now (`guard`).

    answer                                becomes                                            tried again
    timeout, refused, 5xx, cut body       ExchangeUnavailable, counted by the breaker        yes, `attempts` times
    429                                   RateLimited, host held for Retry-After             if it fits PATIENCE_SECONDS
    418                                   Banned, remembered on this host                    no
    403, 451                              RegionRestricted                                   no
    404 of an archive file                None                                               no
    other 4xx                             RequestRefused with the exchange's code and text   no
    a body longer than the settings allow RequestRefused                                     no
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import stamina

from eth_pipeline.contracts.clock import Clock, SystemClock, from_milliseconds
from eth_pipeline.errors import ExchangeUnavailable, RequestRefused
from eth_pipeline.exchange.http.endpoint import SERVER_TIME, Endpoint, RemoteFile
from eth_pipeline.exchange.http.exchange_time import ClockOffset, newest_offset, remember_offset
from eth_pipeline.exchange.http.guard import Guard
from eth_pipeline.exchange.http.origin import PROVENANCE_HEADER, Origin
from eth_pipeline.exchange.http.patience import Patience
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.exchange.http.wire import Answer, Unreachable, Wire
from eth_pipeline.settings import ExchangeSettings

USED_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
_LONGEST_WAIT, _WAIT_JITTER = 10.0, 1.5
"""The longest pause between two tries and what chance adds at most, as multiples of the first pause."""


class Transport:
    """Requests to the three hosts of the exchange, with this host's shared state behind it.

    Thread-safe. Use it as a context manager or call `close()`.

    Args:
        settings: URLs, timeouts, attempts, budget and breaker limits.
        state_path: the SQLite file all processes of this host share.
        clock: wall clock of budgets, bans and breakers.

    Attributes:
        state: what this host remembers between processes.
        guard: what may be sent now, and the breakers.

    Raises:
        SettingsInvalid: the three URLs belong to different exchanges.
    """

    def __init__(self, settings: ExchangeSettings, *, state_path: Path, clock: Clock | None = None) -> None:
        self._settings = settings
        self._wire = Wire(settings)
        self._clock = clock or SystemClock()
        self._origin = Origin({f"{host}_url": url for host, url in self._wire.urls.items()})
        self.state = HostState(state_path)
        self.guard = Guard(self.state, settings=settings, clock=self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and the state file."""
        self._wire.close()
        self.state.close()

    @property
    def requests_sent(self) -> int:
        """Requests of this object so far, tries included."""
        return self._wire.requests_sent

    def server_time(self) -> datetime:
        """Exchange time, UTC.

        Raises:
            RetryLater: no usable answer now.
            NeedsHuman: refused, restricted or an unknown exchange.
        """
        asked, started = self._clock.now(), time.monotonic()
        answer = _server_time(self.get_json(SERVER_TIME, {}))
        round_trip = timedelta(seconds=time.monotonic() - started)
        host = self._wire.location("futures")
        remember_offset(self.state, host, exchange_time=answer, asked=asked, round_trip=round_trip)
        return answer

    def clock_offset(self) -> ClockOffset | None:
        """The newest measured difference between the exchange's clock and this host's; None where never measured."""
        return newest_offset(self.state, self._wire.location("futures"))

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
        found: Any = None

        def read(answer: Answer) -> None:
            nonlocal found
            try:
                found = answer.json()
            except (ValueError, RecursionError) as error:
                raise ExchangeUnavailable(f"GET {endpoint.path}: the answer is no complete JSON ({error}).") from error

        self._request(endpoint, params=params, cost=cost, read=read)
        return found

    def get_file(self, key: str) -> RemoteFile | None:
        """Download one archive file; None where the archive has none under `key`.

        Raises:
            ExchangeUnavailable, RateLimited, Banned, CircuitOpen, RegionRestricted, RequestRefused: as `get_json`.
        """
        found: RemoteFile | None = None

        def read(answer: Answer) -> None:
            nonlocal found
            if answer.status != 404:
                found = RemoteFile(answer.content, answer.headers.get("Last-Modified"))

        self._request(Endpoint("archive", f"/{key}", "none"), params={}, cost=0, read=read)
        return found

    def _request(
        self, endpoint: Endpoint, *, params: Mapping[str, str | int], cost: int, read: Callable[[Answer], None]
    ) -> None:
        host = self._wire.location(endpoint.host)
        self.guard.admit(endpoint, host)
        try:
            for attempt in stamina.retry_context(
                on=Patience(),
                attempts=self._settings.attempts,
                timeout=None,
                wait_initial=self._settings.retry_wait_seconds,
                wait_max=_LONGEST_WAIT * self._settings.retry_wait_seconds,
                wait_jitter=_WAIT_JITTER * self._settings.retry_wait_seconds,
            ):
                with attempt:
                    self.guard.pay(endpoint, host, cost=cost)
                    answer = self._wire.get(endpoint, params)
                    self.guard.answered(endpoint, host, status=answer.status)
                    self._refuse_bad_status(endpoint, host, answer)
                    read(answer)
        except ExchangeUnavailable as error:
            self.guard.failed(endpoint, host, str(error), unreachable=isinstance(error, Unreachable))
            raise
        self.guard.succeeded(endpoint, host, used_weight=answer.headers.get(USED_WEIGHT_HEADER, ""))

    def _refuse_bad_status(self, endpoint: Endpoint, host: str, answer: Answer) -> None:
        status, what = answer.status, f"GET {self._wire.url(endpoint)}"
        if status == 200:
            self._origin.check(f"{endpoint.host}_url", answer.headers.get(PROVENANCE_HEADER))
        elif status in (418, 429):
            self.guard.hold(host, is_ban=status == 418, retry_after=answer.headers.get("Retry-After"))
        elif status in (403, 451):
            self.guard.restrict(
                endpoint,
                f"{what} answered {status}: this address may not use it{answer.said()}. Run from a permitted "
                "location, or rely on the archive, which is usually still reachable; retrying cannot help.",
            )
        elif status == 404 and endpoint.host == "archive":
            return
        elif 400 <= status < 500:
            raise RequestRefused(
                f"{what} answered {status}{answer.said()}. Check the symbols and the interval; retrying cannot help."
            )
        else:
            raise ExchangeUnavailable(f"{what} answered {status}{answer.said()}. It is asked again later.")


def _server_time(answer: Any) -> datetime:
    try:
        return from_milliseconds(int(answer["serverTime"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ExchangeUnavailable(
            f"GET {SERVER_TIME.path}: the answer names no time ({error!r}), so whoever answers is not the exchange, or "
            "not well. It is asked again later."
        ) from error
