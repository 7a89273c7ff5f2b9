"""Who may come in: the token that a request must carry.

Belongs here: that rule. Does not belong: where the service may listen without one (`contracts.listening`), reading the
token (`signals.forecasting.remote.read_token`), routes (`application`).
"""

import hashlib
import hmac

from starlette.requests import Request

from eth_pipeline.contracts.listening import is_loopback


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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
