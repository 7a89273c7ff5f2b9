"""Who may look: the host name a request was addressed to, the token it carries, the cookie of a login.

Belongs here: admitting and refusing, before any route runs. Does not belong: where the token comes from (`token`), the
login form (`login`), what is answered otherwise.

Nothing is open by accident: a path that is not named here asks for the token. Without a token the board listens on
loopback only, and then a name that is not this machine's is refused: a page in a browser can point a name of its own
at 127.0.0.1 and would read the board with it (DNS rebinding).

The path is taken from the request line alone. `request.url` is built from the Host header too, so a header such as
`x/static/y?` would make any path look like an open one.
"""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from eth_pipeline.board.showing.templating import LANGUAGE
from eth_pipeline.board.web.problems import API, problem
from eth_pipeline.contracts.clock import Clock
from eth_pipeline.contracts.listening import is_loopback
from eth_pipeline.settings import Language

COOKIE = "eth_pipeline_board"
LOGIN = "/login"
LOGOUT = "/logout"
HEALTH = "/healthz"
METRICS = "/metrics"
STATIC = "/static/"
_OPEN = (LOGIN, LOGOUT, HEALTH)
_POSTED = (LOGIN, LOGOUT)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?", re.ASCII | re.IGNORECASE)


class Sessions:
    """Tokens and the cookies that stand for them.

    A cookie is the instant it ends and a keyed digest of it: nothing is stored, a restart ends no session, another
    token ends all of them.

    Args:
        token: None admits everybody who can reach the socket.
        clock: for the end of a session.
        lasts: how long a login lasts.
    """

    def __init__(self, token: str | None, *, clock: Clock, lasts: timedelta) -> None:
        self._digest = None if token is None else _digest(token)
        self._clock = clock
        self.lasts = lasts

    @property
    def asks(self) -> bool:
        """True where a token is needed."""
        return self._digest is not None

    def knows(self, token: str) -> bool:
        """True for the token. Takes the same time for every wrong one."""
        return self._digest is not None and hmac.compare_digest(_digest(token), self._digest)

    def cookie(self) -> str:
        """A cookie of a session that begins now."""
        end = str(int((self._clock.now() + self.lasts).timestamp()))
        return f"{end}.{self._seal(end)}"

    def admits(self, request: Request) -> bool:
        """True where the request carries the token, a cookie that has not ended, or needs neither."""
        if not self.asks:
            return True
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.knows(token.strip()):
            return True
        end, _, seal = request.cookies.get(COOKIE, "").partition(".")
        return hmac.compare_digest(seal.encode(), self._seal(end).encode()) and not _ended(end, self._clock.now())

    def _seal(self, end: str) -> str:
        assert self._digest is not None, "without a token there are no cookies"
        return hmac.new(self._digest, f"board session until {end}".encode(), hashlib.sha256).hexdigest()


class Door:
    """ASGI middleware in front of everything.

    Args:
        inner: what answers an admitted request.
        sessions: tokens and cookies.
        hosts: names, without port, that a request may be addressed to; None takes any.
        language: of the pages; it goes along with every request.
    """

    def __init__(self, inner: ASGIApp, *, sessions: Sessions, hosts: frozenset[str] | None, language: Language) -> None:
        self._inner = inner
        self._sessions = sessions
        self._hosts = hosts
        self._language = language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal, or let the request in."""
        if scope["type"] != "http":
            return  # there are no sockets to open here
        scope[LANGUAGE] = self._language
        request = Request(scope, receive)
        refusal = self._refusal(request)
        await (refusal or self._inner)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if not self._addressed(request):
            return problem(request, 421, "This host name is none of the board's. Add it to `board.allowed_hosts`.")
        path: str = request.scope["path"]
        if not (path in _OPEN or path.startswith(STATIC) or self._sessions.admits(request)):
            return _ask(request)
        if request.method not in ("GET", "HEAD") and not (request.method == "POST" and path in _POSTED):
            return problem(request, 405, "The board is read-only.", headers={"Allow": "GET, HEAD"})
        return None

    def _addressed(self, request: Request) -> bool:
        """There is one Host header, it is a host, and its name is one of ours."""
        named = request.headers.getlist("Host")
        found = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        if found is None:
            return False
        name = found[1].strip("[]").lower()
        return self._hosts is None or name in self._hosts or is_loopback(name)


def _ask(request: Request) -> Response:
    path: str = request.scope["path"]
    if path.startswith(API) or path == METRICS or request.method not in ("GET", "HEAD"):
        return problem(
            request,
            401,
            "Send the board's token as `Authorization: Bearer ...`.",
            headers={"WWW-Authenticate": 'Bearer realm="eth-pipeline board"'},
        )
    return RedirectResponse(f"{LOGIN}?next={quote(path, safe='')}", status_code=303)


def _ended(end: str, now: datetime) -> bool:
    return not (end.isascii() and end.isdigit()) or now.timestamp() >= int(end)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
