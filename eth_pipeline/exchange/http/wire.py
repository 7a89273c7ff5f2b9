"""One GET over the wire: the whole answer, whatever its status, or the error that kept it from coming.

Belongs here: the HTTP client, its connections and time limits, what is wrong where no answer came. Does not belong:
what a status means, whether to ask again (`transport`), whether a request may be sent now (`guard`).
"""

import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2

from eth_pipeline.errors import ExchangeUnavailable, SettingsInvalid
from eth_pipeline.exchange.http.body_limit import read_within
from eth_pipeline.exchange.http.endpoint import Endpoint, Host
from eth_pipeline.settings import ExchangeSettings


@cache
def _trusted() -> ssl.SSLContext:
    """Whom to trust, read once per process: an hourly run opens fourteen transports, the file takes 20 ms each time."""
    return httpx2.create_ssl_context()


class Unreachable(ExchangeUnavailable):
    """No connection to the host: says nothing about one endpoint."""


@dataclass(frozen=True)
class Answer:
    """What came back: `headers` are found under any case, `content` is the whole body, unpacked."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError, RecursionError: it is none.
        """
        return json.loads(self.content)

    def said(self) -> str:
        """The exchange's own error code and text, where the body has them."""
        try:
            body = self.json()
            return f" (code {body['code']}: {body['msg']})"
        except (ValueError, KeyError, TypeError):
            return ""


class Wire:
    """The connections to the three hosts of the exchange; thread-safe.

    Args:
        settings: URLs, time limits and the longest bodies that are taken.

    Attributes:
        requests_sent: requests of this object so far, tries included.
        urls: of the three hosts, without a slash at the end.
    """

    def __init__(self, settings: ExchangeSettings) -> None:
        self._settings = settings
        self.urls: dict[Host, str] = {
            "futures": settings.futures_url.rstrip("/"),
            "spot": settings.spot_url.rstrip("/"),
            "archive": settings.archive_url.rstrip("/"),
        }
        self._lock = threading.Lock()
        self.requests_sent = 0
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds),
            limits=httpx2.Limits(max_connections=2 * settings.archive_parallel_downloads + 4),
            headers={"User-Agent": "eth-pipeline"},
            verify=_trusted(),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def location(self, host: Host) -> str:
        """Where a host is in the network, as breakers and holds name it."""
        return urlsplit(self.urls[host]).netloc

    def url(self, endpoint: Endpoint) -> str:
        """Where an endpoint is."""
        return self.urls[endpoint.host] + endpoint.path

    def get(self, endpoint: Endpoint, params: Mapping[str, str | int]) -> Answer:
        """Send one GET and take in the whole answer.

        Raises:
            Unreachable: no connection to the host.
            ExchangeUnavailable: it took too long, or the body was cut.
            RequestRefused: the body is longer than the settings allow.
            SettingsInvalid: the URL is none.
        """
        url = self.url(endpoint)
        with self._lock:
            self.requests_sent += 1
        try:
            with self._client.stream("GET", url, params=dict(params)) as response:
                return Answer(response.status_code, response.headers, self._body(endpoint, response))
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise SettingsInvalid(f"{url} is no usable URL ({error}). Correct {endpoint.host}_url.") from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(f"{url} cannot be reached: {reason}. It is asked again later.") from error
        except httpx2.RequestError as error:  # timeouts, cut bodies
            reason = str(error) or type(error).__name__
            raise ExchangeUnavailable(f"GET {url} failed: {reason}. It is asked again later.") from error

    def _body(self, endpoint: Endpoint, response: httpx2.Response) -> bytes:
        """The whole body, unpacked.

        Raises:
            RequestRefused: it is longer than the settings allow.
        """
        is_file = endpoint.host == "archive"
        return read_within(
            response.iter_bytes(),
            limit_bytes=self._settings.max_file_bytes if is_file else self._settings.max_answer_bytes,
            encoding=response.headers.get("Content-Encoding", ""),
            what=f"GET {self.url(endpoint)}",
            setting=f"exchange.{'max_file_bytes' if is_file else 'max_answer_bytes'}",
        )
