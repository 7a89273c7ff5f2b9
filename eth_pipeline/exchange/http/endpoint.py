"""What is asked of the exchange: a REST path with the allowance that pays for it; and a file that came back.

Belongs here: the values. Does not belong: which endpoints a stream has (`exchange.streams`), sending (`transport`).
"""

from dataclasses import dataclass
from typing import Literal

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
