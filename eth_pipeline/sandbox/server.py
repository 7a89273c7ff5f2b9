"""The embedded exchange as a server on the loopback interface, in a thread or in the foreground.

Belongs here: sockets, the server thread, the control endpoints under /sandbox. Does not belong: answers
(`exchange`). It binds 127.0.0.1 and nothing else: it is a test exchange, not a service.

Control over HTTP, the same as the attributes of `Sandbox`:

    GET  /sandbox/health                 what is served
    GET  /sandbox/clock                  POST {"now": "..."} | {"advance_seconds": 3600} | {"speed": 1}
    GET  /sandbox/faults                 POST {"kind": "stale", ...}   DELETE [?number=3]
    GET  /sandbox/requests[?newest=50]
"""

import json
import socket
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eth_pipeline.contracts.clock import iso, parse_instant
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.clock import VirtualClock
from eth_pipeline.sandbox.exchange import Exchange
from eth_pipeline.sandbox.faults import FaultBoard, fault_from_json
from eth_pipeline.sandbox.limits import Limits
from eth_pipeline.sandbox.market import STREAMS, Market
from eth_pipeline.sandbox.request_log import RequestLog

HOST = "127.0.0.1"


class Sandbox:
    """A market behind loopback HTTP; a context manager.

    Args:
        market: What is traded.
        now: Virtual time at the start.
        port: 0 takes a free one.
        clock_speed: Virtual seconds per real second; 0 stands still.
        limits: Request limits; `Limits.none()` for time-lapse.
    """

    def __init__(
        self,
        market: Market,
        *,
        now: datetime,
        port: int = 0,
        clock_speed: float = 0.0,
        limits: Limits | None = None,
    ) -> None:
        self.market = market
        self.clock = VirtualClock(now, speed=clock_speed)
        self._exchange = Exchange(market, self.clock, limits=Limits() if limits is None else limits)
        self._wanted_port = port
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def faults(self) -> FaultBoard:
        """Switch faults on and off here."""
        return self._exchange.faults

    @property
    def requests(self) -> RequestLog:
        """What was asked so far."""
        return self._exchange.requests

    def restart_limits(self) -> None:
        """Begin new windows of all limits: for a time-lapse, whose hours pass within a real minute."""
        self._exchange.pools.restart()

    @property
    def url(self) -> str:
        """Base of everything: futures REST, spot REST, archive and control.

        Raises:
            SettingsInvalid: not started.
        """
        if self._socket is None:
            raise SettingsInvalid("the embedded exchange is not running. Call start() or use it as a context manager.")
        return f"http://{HOST}:{self._socket.getsockname()[1]}"

    def exchange_urls(self) -> dict[str, str]:
        """The three settings of `ExchangeSettings` that point a pipeline at this exchange."""
        return {"futures_url": self.url, "spot_url": self.url, "archive_url": self.url}

    def start(self) -> "Sandbox":
        """Serve in a thread; the port accepts connections when this returns."""
        server, listening = self._prepare()
        self._thread = threading.Thread(target=server.run, args=([listening],), name="sandbox", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port; harmless when not running."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None

    def serve_forever(self, announce: Callable[["Sandbox"], None] = lambda _: None) -> None:
        """Serve in the calling thread until interrupted; `announce` is called once when the port is bound."""
        server, listening = self._prepare()
        try:
            announce(self)
            server.run([listening])
        finally:
            self.stop()

    def __enter__(self) -> "Sandbox":
        return self.start() if self._socket is None else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _prepare(self) -> tuple[uvicorn.Server, socket.socket]:
        if self._socket is not None:
            raise SettingsInvalid(f"the embedded exchange already runs at {self.url}. Stop it first.")
        self._socket = _listen(self._wanted_port)
        config = uvicorn.Config(
            _application(self, self._exchange),
            log_level="critical",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        return self._server, self._socket


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise SettingsInvalid(
            f"port {port} of {HOST} is taken ({error}). Choose another, or 0 for a free one."
        ) from error
    listening.listen(256)
    return listening


def _application(sandbox: Sandbox, exchange: Exchange) -> Starlette:
    control = _Control(sandbox)
    return Starlette(
        routes=[
            Route("/sandbox/health", control.health),
            Route("/sandbox/clock", control.clock, methods=["GET", "POST"]),
            Route("/sandbox/faults", control.faults, methods=["GET", "POST", "DELETE"]),
            Route("/sandbox/requests", control.requests),
            Route("/{path:path}", exchange.answer),
        ]
    )


class _Control:
    """The /sandbox endpoints."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def health(self, _: Request) -> Response:
        market = self.sandbox.market
        served = {"symbols": list(market.symbols), "streams": list(STREAMS), "provenance": market.provenance}
        base_minutes = market.base_interval / timedelta(minutes=1)
        return self._json({"status": "ok", **served, "base_interval_minutes": base_minutes, **self._clock_state()})

    async def clock(self, request: Request) -> Response:
        body = await _body(request) if request.method == "POST" else {}
        clock = self.sandbox.clock
        try:
            if "now" in body:
                clock.set(parse_instant(str(body["now"])))
            if "advance_seconds" in body:
                clock.advance(timedelta(seconds=float(body["advance_seconds"])))
            if "speed" in body:
                clock.set_speed(float(body["speed"]))
        except ValueError as refused:
            return self._json({"error": str(refused)}, status=400)
        return self._json(self._clock_state())

    async def faults(self, request: Request) -> Response:
        board = self.sandbox.faults
        try:
            if request.method == "POST":
                board.switch_on(**fault_from_json(await _body(request)))
            elif request.method == "DELETE":
                number = request.query_params.get("number")
                board.clear(None if number is None else int(number))
        except (SettingsInvalid, ValueError) as refused:
            return self._json({"error": str(refused)}, status=400)
        return self._json({"faults": [fault.as_json() for fault in board.on()]})

    async def requests(self, request: Request) -> Response:
        newest = request.query_params.get("newest", "100")
        return self._json(self.sandbox.requests.as_json(newest=int(newest) if newest.isdigit() else 100))

    def _clock_state(self) -> dict[str, Any]:
        return {"now": iso(self.sandbox.clock.now()), "speed": self.sandbox.clock.speed}

    def _json(self, body: dict[str, Any], *, status: int = 200) -> Response:
        return JSONResponse(body, status_code=status, headers={"X-Sandbox-Provenance": self.sandbox.market.provenance})


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is no JSON ({error})") from error
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body
