"""What every answer gets on its way out: strict headers, an ETag, 304, and no secret in it.

Belongs here: headers and bytes that do not depend on the route. Does not belong: who may ask (`door`), content.

A body is complete before its first byte leaves: the ETag is its digest, and a secret of the settings that some error
message quotes is blotted out of it.
"""

import hashlib
import html
import json
from collections.abc import Iterable
from urllib.parse import quote

from pydantic import BaseModel, SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eth_pipeline.board.web.door import STATIC
from eth_pipeline.settings import Settings
from eth_pipeline.settings.url_secrets import url_passwords

_CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("style", "script", "img", "connect", "manifest")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
STRICT_HEADERS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # without one a browser sends `Origin: null` with the login form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex",
}
_BLOT = b"***"
_SHORTEST_SECRET = 4


class Answers:
    """ASGI middleware around everything.

    Args:
        inner: what answers.
        secrets: bytes that must not leave; see `secrets_of`.
    """

    def __init__(self, inner: ASGIApp, *, secrets: Iterable[bytes]) -> None:
        self._inner = inner
        self._secrets = tuple(secrets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let `inner` answer a HEAD as a GET, then finish the answer."""
        if scope["type"] != "http":
            return
        wanted = dict(scope)
        if scope["method"] == "HEAD":
            wanted["method"] = "GET"
        start: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish(scope, start, bytes(body), send)

        await self._inner(wanted, receive, collect)

    async def _finish(self, scope: Scope, start: Message, body: bytes, send: Send) -> None:
        for secret in self._secrets:
            body = body.replace(secret, _BLOT)
        headers = MutableHeaders(raw=list(start["headers"]))
        for name, value in STRICT_HEADERS.items():
            headers[name] = value
        status = start["status"]
        cacheable = status == 200 and scope["method"] in ("GET", "HEAD") and _tagged(headers)
        headers["Cache-Control"] = _cache_control(scope["path"], cacheable=cacheable)
        if cacheable:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            headers.add_vary_header("Authorization, Cookie")
            if _matches(Headers(scope=scope).get("If-None-Match", ""), headers["ETag"]):
                status, body = 304, b""
                del headers["Content-Type"]
                del headers["Content-Length"]
        if status != 304:
            headers["Content-Length"] = str(len(body))
        await send({"type": "http.response.start", "status": status, "headers": headers.raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def secrets_of(settings: Settings, *, token: str | None) -> tuple[bytes, ...]:
    """Every secret that this process knows, in the forms in which it could stand in an answer, longest first."""
    known = {*_hidden(settings), *([token] if token else [])}
    for url in (settings.postgres_url, settings.mlflow_tracking_uri, settings.lake_url):
        known |= set(url_passwords(url))
    forms = {
        form for secret in known for form in (secret, html.escape(secret), json.dumps(secret)[1:-1], quote(secret))
    }
    return tuple(sorted((form.encode() for form in forms if len(form) >= _SHORTEST_SECRET), key=len, reverse=True))


def _hidden(section: BaseModel) -> set[str]:
    found = set()
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value().strip())
        elif isinstance(value, BaseModel):
            found |= _hidden(value)
    return found


def _tagged(headers: Headers) -> bool:
    """Pages carry ages that run on, so they are never kept; everything else is worth asking for again."""
    return not headers.get("Content-Type", "").startswith("text/html") and "Set-Cookie" not in headers


def _cache_control(path: str, *, cacheable: bool) -> str:
    if not cacheable:
        return "no-store"
    return "public, max-age=300" if path.startswith(STATIC) else "private, no-cache"


def _matches(asked: str, tag: str) -> bool:
    """RFC 9110, weak comparison."""
    return any(candidate.strip().removeprefix("W/") in (tag, "*") for candidate in asked.split(","))
