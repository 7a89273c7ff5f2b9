"""Who may come in: where the service listens, and the token that a request must carry.

Belongs here: the two rules. Does not belong: reading the token (`signals.remote.read_token`), routes (`application`).
"""

import hashlib
import hmac
import ipaddress

from starlette.requests import Request

from eth_pipeline.errors import SettingsInvalid

_LOOPBACK_NAMES = ("localhost",)


class Door:
    """Admits requests with the token; without one, requests that were addressed to this very host.

    Args:
        token: bearer token; None admits everybody who can reach the socket.
    """

    def __init__(self, token: str | None) -> None:
        self._digest = None if token is None else _digest(token)

    def admits(self, request: Request) -> bool:
        """True where the request may be answered. Takes the same time for every wrong token."""
        if self._digest is None:
            # A page in a browser can point a name of its own at 127.0.0.1; its requests then carry that name.
            return is_loopback(request.url.hostname or "")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(_digest(token.strip()), self._digest)


def require_safe(host: str, *, token: str | None) -> None:
    """Refuse to listen beyond this machine without a token.

    Raises:
        SettingsInvalid: `host` is no loopback address and there is no token.
    """
    if token is None and not is_loopback(host):
        raise SettingsInvalid(
            f"{host} is reachable from other machines and the service has no token. Set `inference.token_file` or "
            "`inference.token` on both hosts, or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """True for addresses and names that only this machine can reach; an unknown name is none of them."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
