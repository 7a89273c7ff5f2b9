"""The routes of the inference service, as MLflow's scoring server has them.

Belongs here: HTTP in and out. Does not belong: messages (`signals.forecasting.scoring`), the bundle (`served_bundle`),
sockets (`server`).

    POST /invocations   forecasts; see `contracts.inference`
    GET  /ping          200 while a bundle may be served, nothing said; the only route without a token
    GET  /health        a forecast of the stored probe, its difference from the local answer, the expiry
    GET  /version       versions of the packages, and which bundle is served

Errors have MLflow's shape: {"error_code": ..., "message": ...}.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib.metadata import version as installed_version
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eth_pipeline.contracts.clock import Clock, iso
from eth_pipeline.contracts.inference import FINGERPRINT_HEADER, HEALTH, INVOCATIONS, PING, VERSION, VERSION_HEADER
from eth_pipeline.errors import BundleRefused, InferenceRefused, SchemaMismatch
from eth_pipeline.serving.door import Door
from eth_pipeline.serving.probe import TOLERANCE
from eth_pipeline.serving.served_bundle import LoadedBundle, ServedBundle
from eth_pipeline.signals.forecasting.scoring import answer_body, hours_asked

_BODY_SECONDS = 10.0

Handler = Callable[[Request], Awaitable[Response]]


class InferenceApplication:
    """Answers requests with the served bundle.

    Args:
        served: the bundle.
        door: who may ask.
        clock: exchange time.
        max_request_bytes: a larger body is refused before it is read.
    """

    def __init__(self, served: ServedBundle, *, door: Door, clock: Clock, max_request_bytes: int) -> None:
        self._served = served
        self._door = door
        self._clock = clock
        self._max_request_bytes = max_request_bytes
        self.starlette = Starlette(
            routes=[
                Route(INVOCATIONS, self._guarded(self.invocations), methods=["POST"]),
                Route(PING, self.ping),
                Route(HEALTH, self._guarded(self.health)),
                Route(VERSION, self._guarded(self.version)),
            ]
        )

    async def invocations(self, request: Request) -> Response:
        """Forecast every hour asked for."""
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            return _error(415, "INVALID_PARAMETER_VALUE", "Send application/json.")
        try:
            body = await asyncio.wait_for(self._body(request), _BODY_SECONDS)
        except TimeoutError:
            return _error(408, "BAD_REQUEST", f"The body did not arrive within {_BODY_SECONDS:.0f} s.")
        except ClientDisconnect:
            return _error(400, "BAD_REQUEST", "The request ended early.")
        if body is None:
            return _error(413, "BAD_REQUEST", f"The body is larger than {self._max_request_bytes} bytes.")
        return await run_in_threadpool(self._score, body)

    async def ping(self, _: Request) -> Response:
        """MLflow's liveness question: an empty line and a status."""
        try:
            await run_in_threadpool(self._served.current)
        except BundleRefused:
            return Response("\n", status_code=503, media_type="application/json")
        return Response("\n", media_type="application/json")

    async def health(self, _: Request) -> Response:
        """Forecast the probe and compare."""
        return await run_in_threadpool(self._prove)

    async def version(self, _: Request) -> Response:
        """What runs here."""
        packages = {name: installed_version(name) for name in ("eth-pipeline", "mlflow", "onnxruntime")}
        try:
            loaded = await run_in_threadpool(self._served.current)
        except BundleRefused as refusal:
            return JSONResponse({"packages": packages, "fingerprint": None, "reason": _said(refusal)})
        info = loaded.forecaster.info
        served = {"fingerprint": info.fingerprint, "model_version": info.version}
        return JSONResponse({"packages": packages, **served}, headers=_headers(loaded))

    def _score(self, body: bytes) -> Response:
        try:
            loaded = self._served.current()
        except BundleRefused as refusal:
            return _error(503, "TEMPORARILY_UNAVAILABLE", _said(refusal))
        info, now = loaded.forecaster.info, self._clock.now()
        try:
            hours = hours_asked(body, info.contract)
            forecasts = [loaded.forecaster.forecast(rows, now=now) for rows in hours]
        except (InferenceRefused, SchemaMismatch) as refusal:
            return _error(400, "BAD_REQUEST", str(refusal), headers=_headers(loaded))
        except BundleRefused as refusal:
            return _error(503, "TEMPORARILY_UNAVAILABLE", _said(refusal), headers=_headers(loaded))
        return Response(answer_body(forecasts, info), media_type="application/json", headers=_headers(loaded))

    def _prove(self) -> Response:
        now = self._clock.now()
        try:
            loaded = self._served.current()
            difference = loaded.probe.difference(loaded.forecaster, now=now)
        except BundleRefused as refusal:
            return JSONResponse({"healthy": False, "reason": _said(refusal), "checked_at": iso(now)}, status_code=503)
        info, healthy = loaded.forecaster.info, difference <= TOLERANCE
        said: dict[str, Any] = {
            "healthy": healthy,
            "reason": "the probe was forecast as the local bundle forecasts it"
            if healthy
            else f"the probe's answer differs by {difference:.2g}, at most {TOLERANCE:.0e} is believed",
            "checked_at": iso(now),
            "fingerprint": info.fingerprint,
            "model_version": info.version,
            "expires_at": iso(info.contract.expires_at),
            "expires_in_hours": round((info.contract.expires_at - now).total_seconds() / 3600, 2),
            "providers": list(loaded.forecaster.providers),
            "probe_rows": loaded.probe.source,
            "largest_difference": difference,
            "probabilities": dict(loaded.probe.expected.probabilities),
        }
        return JSONResponse(said, status_code=200 if healthy else 503, headers=_headers(loaded))

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if self._door.admits(request):
                return await handler(request)
            refusal = "The request carries no token that this service knows."
            return _error(401, "UNAUTHENTICATED", refusal, headers={"WWW-Authenticate": "Bearer"})

        return guarded

    async def _body(self, request: Request) -> bytes | None:
        """The body, None where it is too long; no more of it is read than allowed."""
        declared = request.headers.get("Content-Length", "0")
        if not declared.isdigit() or int(declared) > self._max_request_bytes:
            return None
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > self._max_request_bytes:
                return None
        return bytes(content)


def _headers(loaded: LoadedBundle) -> dict[str, str]:
    info = loaded.forecaster.info
    return {FINGERPRINT_HEADER: info.fingerprint, VERSION_HEADER: info.version or ""}


def _said(refusal: BundleRefused) -> str:
    return f"{type(refusal).__name__}: {refusal}"


def _error(status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps({"error_code": code, "message": message})
    return Response(content, status_code=status, media_type="application/json", headers=headers)
