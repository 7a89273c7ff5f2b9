"""One HTTP answer of the embedded exchange, from request to headers: refusals, limits, endpoint or file, faults.

Belongs here: the order in which those happen, status codes, headers, the log entry. Does not belong: which
endpoints there are (`endpoints`), what they say (`rest`), what the files hold (`archive`), sockets (`server`).
"""

import asyncio
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from eth_pipeline.contracts.clock import iso
from eth_pipeline.sandbox.archive import Archive, ArchiveKey, parse_key
from eth_pipeline.sandbox.clock import VirtualClock
from eth_pipeline.sandbox.endpoints import ENDPOINTS, Endpoint
from eth_pipeline.sandbox.faults import REFUSALS, Door, FaultBoard, Refusal
from eth_pipeline.sandbox.limits import Limits, Pools
from eth_pipeline.sandbox.market import Market
from eth_pipeline.sandbox.parameters import BadRequest
from eth_pipeline.sandbox.request_log import RequestLog, RequestRecord
from eth_pipeline.sandbox.rest import Rest
from eth_pipeline.sandbox.view import View

CHECKSUM = ".CHECKSUM"


@dataclass(frozen=True)
class _Target:
    """What a request concerns, as faults and the log see it."""

    door: Door
    stream: str
    symbol: str | None
    weight: int


class Exchange:
    """The exchange itself: give it a request, get the answer a real client would get."""

    def __init__(self, market: Market, clock: VirtualClock, *, limits: Limits) -> None:
        self.market, self.clock = market, clock
        self.faults = FaultBoard(clock.now)
        self.requests = RequestLog()
        self.pools = Pools(limits)
        view = View(market, clock, self.faults)
        self._rest, self._archive = Rest(view, self.faults), Archive(view, self.faults)

    async def answer(self, request: Request) -> Response:
        """Answer one request and log it."""
        path, params = request.url.path, request.query_params
        endpoint, key = ENDPOINTS.get(path), parse_key(path.removesuffix(CHECKSUM))
        target = _target(endpoint, key, params)
        response = await self._refused(target) or self._limited(endpoint, target)
        if response is None and endpoint is not None:
            response = self._rest_answer(endpoint, params)
        elif response is None:
            response = self._archive_answer(request, key)
        if response.status_code == 200:
            response = self._spoiled(response, target)
        spot = endpoint is not None and endpoint.pool == "spot"
        response.headers["X-MBX-USED-WEIGHT-1M"] = str(self.pools.used_weight(spot=spot))
        response.headers["X-Sandbox-Provenance"] = self.market.provenance
        self._log(request, target, response.status_code)
        return response

    async def _refused(self, target: _Target) -> Response | None:
        for fault in self.faults.hitting("answer", door=target.door, stream=target.stream, symbol=target.symbol):
            if not self.faults.spend(fault):
                continue
            if fault.kind == "delay":
                await asyncio.sleep(fault.seconds)
            else:
                return _refusal(REFUSALS[fault.kind](fault))
        return None

    def _limited(self, endpoint: Endpoint | None, target: _Target) -> Response | None:
        if endpoint is None:
            return None
        wait_seconds = self.pools.use(endpoint.pool, target.weight)
        if wait_seconds is None:
            return None
        return _refusal(Refusal(429, -1003, "Too many requests; current limit exceeded.", math.ceil(wait_seconds)))

    def _rest_answer(self, endpoint: Endpoint, params: Mapping[str, str]) -> Response:
        try:
            return JSONResponse(endpoint.answer(self._rest, params))
        except BadRequest as refused:
            return JSONResponse({"code": refused.code, "msg": refused.message}, status_code=400)

    def _archive_answer(self, request: Request, key: ArchiveKey | None) -> Response:
        file = None if key is None else self._archive.file(key)
        if file is None or key is None:
            return Response("<Error><Code>NoSuchKey</Code></Error>", status_code=404, media_type="application/xml")
        headers = {"Last-Modified": format_datetime(file.last_modified, usegmt=True)}
        if not request.url.path.endswith(CHECKSUM):
            headers["ETag"] = f'"{file.sha256[:32]}"'
            if request.headers.get("if-none-match") == headers["ETag"]:
                return Response(status_code=304, headers=headers)
            return Response(file.content, media_type="application/zip", headers=headers)
        sha256 = file.sha256
        for fault in self.faults.hitting("body", door="archive", stream=key.stream, symbol=key.symbol):
            if fault.kind == "wrong_checksum" and self.faults.spend(fault):
                sha256 = hashlib.sha256(sha256.encode()).hexdigest()
        line = f"{sha256}  {file.name}\n"
        headers["ETag"] = f'"{hashlib.sha256(line.encode()).hexdigest()[:32]}"'
        return Response(line, media_type="text/plain", headers=headers)

    def _spoiled(self, response: Response, target: _Target) -> Response:
        for fault in self.faults.hitting("body", door=target.door, stream=target.stream, symbol=target.symbol):
            if fault.kind == "truncated_body" and self.faults.spend(fault):
                return TruncatedResponse(response)
        return response

    def _log(self, request: Request, target: _Target, status: int) -> None:
        url, now = request.url, iso(self.clock.now())
        weight = target.weight
        self.requests.add(RequestRecord(url.path, url.query, target.stream, target.symbol, status, weight, now))


class TruncatedResponse(Response):
    """Promises a whole body, sends half of it and closes the connection."""

    def __init__(self, whole: Response) -> None:
        super().__init__(status_code=whole.status_code)
        self.body = bytes(whole.body)
        self.raw_headers = whole.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI signature)
        """Send half; the server closes a connection whose answer never ends."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


def _target(endpoint: Endpoint | None, key: ArchiveKey | None, params: Mapping[str, str]) -> _Target:
    if endpoint is not None:
        return _Target("rest", endpoint.stream, params.get(endpoint.asks_for), endpoint.weigh(params))
    if key is not None:
        return _Target("archive", key.stream, key.symbol, 0)
    return _Target("archive", "unknown", None, 0)


def _refusal(refusal: Refusal) -> Response:
    wait = refusal.retry_after_seconds
    headers = {} if wait is None else {"Retry-After": str(wait)}
    body = {"code": refusal.code, "msg": refusal.message}
    return JSONResponse(body, status_code=refusal.status, headers=headers)
