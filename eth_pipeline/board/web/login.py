"""The login form: the token once, a cookie from then on.

Belongs here: the form, its limit of attempts, leaving. Does not belong: what a cookie is (`door`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from eth_pipeline.board.showing.templating import page
from eth_pipeline.board.web.door import COOKIE, LOGIN, LOGOUT, Sessions
from eth_pipeline.board.web.problems import problem

_MAX_BODY_BYTES = 4096
_WINDOW_SECONDS = 60.0
_BODY_SECONDS = 10.0
_PAGES = ("/", "/signals")


class Attempts:
    """How many wrong tokens the form has seen within a minute, from everybody together.

    Together: an attacker who comes from many addresses is one attacker. Programs are not affected, they send the token
    with every request.

    Args:
        limit: wrong tokens per minute.
        elapsed: seconds of a clock that only runs forward.
    """

    def __init__(self, limit: int, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._elapsed = elapsed
        self._wrong: deque[float] = deque(maxlen=limit)

    def wait_seconds(self) -> int:
        """How long the form refuses to look; 0 where it looks."""
        if len(self._wrong) < self._limit:
            return 0
        left = _WINDOW_SECONDS - (self._elapsed() - self._wrong[0])
        return max(int(left + 0.999), 0)

    def count_wrong(self) -> None:
        """Note one wrong token."""
        self._wrong.append(self._elapsed())


def make_login(sessions: Sessions, *, attempts: Attempts) -> APIRouter:
    """The routes of login and logout."""
    router = APIRouter(include_in_schema=False)

    @router.get(LOGIN)
    def form(request: Request) -> Response:
        """Ask for the token."""
        wanted = _page(request.query_params.get("next", "/"))
        if sessions.admits(request):
            return RedirectResponse(wanted, status_code=303)
        return page(request, "login.html", {"wanted": wanted, "refusal": None})

    @router.post(LOGIN)
    async def enter(request: Request) -> Response:
        """Compare the token, give a cookie."""
        if not _same_origin(request):
            return problem(request, 403, "The form was sent from another site.")
        try:
            fields = await asyncio.wait_for(_fields(request), _BODY_SECONDS)
        except (TimeoutError, ClientDisconnect):
            return problem(request, 408, "The form did not arrive.")
        if fields is None:
            return problem(request, 413, "The form is too long.")
        wanted = _page(fields.get("next", "/"))
        if wait := attempts.wait_seconds():
            refusal = f"Too many wrong tokens. Try again in {wait} s."
            headers = {"Retry-After": str(wait)}
            return page(request, "login.html", {"wanted": wanted, "refusal": refusal}, status_code=429, headers=headers)
        if not sessions.knows(fields.get("token", "").strip()):
            attempts.count_wrong()
            return page(request, "login.html", {"wanted": wanted, "refusal": "That is not the token."}, status_code=401)
        entered = RedirectResponse(wanted, status_code=303)
        entered.set_cookie(
            COOKIE,
            sessions.cookie(),
            max_age=int(sessions.lasts.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return entered

    @router.post(LOGOUT)
    async def leave(request: Request) -> Response:
        """Forget the cookie."""
        if not _same_origin(request):
            return problem(request, 403, "The form was sent from another site.")
        left = RedirectResponse(LOGIN, status_code=303)
        left.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return left

    return router


def _page(wanted: str) -> str:
    """Where to go after the login; anything but a page of the board is its first page."""
    return wanted if wanted in _PAGES or wanted.startswith("/signals/") else _PAGES[0]


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("Host")


async def _fields(request: Request) -> dict[str, str] | None:
    """The fields of a form, the last of each name; None where the body is too long. No more of it is read."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MAX_BODY_BYTES:
            return None
    parsed = parse_qs(content.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in parsed.items()}
