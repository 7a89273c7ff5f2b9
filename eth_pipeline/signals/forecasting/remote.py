"""The client of the inference service: one question per hour, with an end to its patience.

Belongs here: HTTP to the service, its timeouts, retry budget and breaker. Does not belong: the messages (`scoring`),
what happens when it does not answer (`inference`).

    answer                                          becomes                 tried again         breaker counts it
    refused connection, timeout, 5xx, cut body      InferenceUnavailable    within the budget   yes, once per hour
    401, other 4xx, redirect                        InferenceRefused        no                  no: it answers
    too long, of another bundle, of another shape   InferenceRefused        no                  no: it answers
    open breaker                                    CircuitOpen             nothing was sent    -

The budget is one for all tries of an hour (`attempts`, `total_timeout_seconds`): the hour must be decided in time, and
the local bundle is a few milliseconds away.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx2
import polars as pl
import stamina

from eth_pipeline.contracts.clock import Clock
from eth_pipeline.contracts.inference import INVOCATIONS
from eth_pipeline.errors import InferenceRefused, InferenceUnavailable, SettingsInvalid
from eth_pipeline.exchange.http.breaker import Breaker
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.settings import InferenceSettings
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo
from eth_pipeline.signals.forecasting.scoring import forecast_answered, request_body

MIN_TOKEN_CHARACTERS = 16


class RemoteForecaster:
    """One service and this host's memory of it.

    Use it as a context manager or call `close()`.

    Args:
        settings: URL, token, patience.
        state_path: SQLite file in which all processes of this host keep the breaker.
        clock: of the breaker; in a time-lapse the virtual one.

    Attributes:
        requests_sent: requests of this object so far, tries included.
    """

    def __init__(self, settings: InferenceSettings, *, state_path: Path, clock: Clock) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/") + INVOCATIONS
        self._circuit = f"inference {urlsplit(settings.url).netloc}"
        self.requests_sent = 0
        self._state = HostState(state_path)
        self._breaker = Breaker(
            self._state,
            clock=clock,
            failures_to_open=settings.breaker_failures,
            cooldown_seconds=settings.breaker_cooldown_minutes * 60.0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the state file."""
        self._state.close()

    def forecast(self, rows: pl.DataFrame, *, info: ModelInfo) -> Forecast:
        """Ask for one hour.

        Args:
            rows: feature rows ending with the decision hour, as `BundleForecaster.forecast` takes them.
            info: the local, verified bundle; an answer of another one is refused.

        Raises:
            InferenceUnavailable, CircuitOpen: no usable answer in time.
            InferenceRefused: an answer that does not count, or none to this token.
            SettingsInvalid: URL or token cannot be used.
        """
        headers = self._headers()
        body = request_body(rows, info.contract)
        self._breaker.admit(self._circuit)
        started = time.perf_counter()
        try:
            answer = self._ask(body, headers, deadline=started + self._settings.total_timeout_seconds)
        except InferenceUnavailable as error:
            self._breaker.failed(self._circuit, str(error))
            raise
        except InferenceRefused:  # it refuses, so it works
            self._breaker.succeeded(self._circuit)
            raise
        self._breaker.succeeded(self._circuit)
        return forecast_answered(answer, info, seconds=time.perf_counter() - started)

    def _headers(self) -> dict[str, str]:
        token = read_token(self._settings)
        # `identity`: a few bytes of gzip can become more than `max_answer_bytes`.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "eth-pipeline"}
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})

    def _ask(self, body: bytes, headers: dict[str, str], *, deadline: float) -> bytes:
        for attempt in stamina.retry_context(
            on=InferenceUnavailable,
            attempts=self._settings.attempts,
            timeout=max(0.0, deadline - time.perf_counter()),
            wait_initial=0.05,
            wait_max=0.5,
            wait_jitter=0.05,
        ):
            with attempt:
                return self._send(body, headers, deadline=deadline)
        raise AssertionError("unreachable: stamina raises after its last attempt")

    def _send(self, body: bytes, headers: dict[str, str], *, deadline: float) -> bytes:
        left = deadline - time.perf_counter()
        if left <= 0:
            raise InferenceUnavailable(f"{self._url} did not answer within {self._settings.total_timeout_seconds} s.")
        patience = httpx2.Timeout(
            min(self._settings.read_timeout_seconds, left), connect=min(self._settings.connect_timeout_seconds, left)
        )
        self.requests_sent += 1
        # No proxy, no .netrc: the environment must not send the token to another host.
        with (
            _named(self._url),
            httpx2.Client(timeout=patience, trust_env=False) as client,
            client.stream("POST", self._url, content=body, headers=headers) as response,
        ):
            content = self._read(response, deadline=deadline)
        return self._require_ok(response, content)

    def _read(self, response: httpx2.Response, *, deadline: float) -> bytes:
        content = bytearray()
        for chunk in response.iter_raw():
            content += chunk
            if len(content) > self._settings.max_answer_bytes:
                raise InferenceRefused(
                    f"{self._url} answered more than {self._settings.max_answer_bytes} bytes. Look at what runs there."
                )
            if time.perf_counter() > deadline:  # a drop now and then satisfies the read timeout for ever
                raise InferenceUnavailable(
                    f"{self._url} did not finish its answer within {self._settings.total_timeout_seconds} s."
                )
        return bytes(content)

    def _require_ok(self, response: httpx2.Response, content: bytes) -> bytes:
        status = response.status_code
        said = content[:300].decode(errors="replace")
        if status >= 500:
            raise InferenceUnavailable(f"{self._url} answered {status}: {said}")
        if status in (401, 403):
            raise InferenceRefused(f"{self._url} answered {status}: it knows another token. Give both hosts the same.")
        if status != 200:
            raise InferenceRefused(f"{self._url} answered {status}: {said}. Check `inference.url` and the versions.")
        return content


def read_token(settings: InferenceSettings) -> str | None:
    """The bearer token, from `token` or the file `token_file`; None where neither is set. It is never shown.

    Raises:
        SettingsInvalid: it cannot be read, or is too short to be one.
    """
    if settings.token is not None:
        token, where = settings.token.get_secret_value().strip(), "`inference.token`"
    elif settings.token_file is not None:
        where = str(settings.token_file)
        try:
            token = settings.token_file.expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsInvalid(
                f"`inference.token_file` names {where}, which cannot be read: {type(error).__name__}. Write the token "
                "there, readable for this user alone."
            ) from error
    else:
        return None
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or any(character.isspace() for character in token):
        raise SettingsInvalid(
            f"The token in {where} is no token: at least {MIN_TOKEN_CHARACTERS} ASCII characters without blanks. Make "
            "one with `openssl rand -hex 32`."
        )
    return token


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Whatever the HTTP library raises becomes one error that names the service."""
    try:
        yield
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise SettingsInvalid(f"{url} is no usable URL ({error}). Correct `inference.url`.") from error
    except httpx2.RequestError as error:
        raise InferenceUnavailable(f"POST {url} failed: {str(error) or type(error).__name__}.") from error
