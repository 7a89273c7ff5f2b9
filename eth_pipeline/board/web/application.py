"""The board put together: routes, errors, documentation, and the two layers around them.

Belongs here: wiring. Does not belong: any route, any socket (`server`).
"""

from functools import cache, partial
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from eth_pipeline.board.reading.parts import PartUnreadable
from eth_pipeline.board.reading.source import BoardSource
from eth_pipeline.board.showing.bodies import Problem
from eth_pipeline.board.showing.templating import STATIC_FOLDER
from eth_pipeline.board.web.answers import Answers, secrets_of
from eth_pipeline.board.web.api import PREFIX, make_api
from eth_pipeline.board.web.door import STATIC, Door, Sessions
from eth_pipeline.board.web.login import Attempts, make_login
from eth_pipeline.board.web.pages import make_pages
from eth_pipeline.board.web.problems import problem

OPENAPI = f"{PREFIX}/openapi.json"


def make_application(
    source: BoardSource, *, sessions: Sessions, attempts: Attempts, token: str | None, hosts: frozenset[str] | None
) -> ASGIApp:
    """The whole board as one ASGI application.

    Args:
        source: what it shows.
        sessions: who may look.
        attempts: limit of the login form.
        token: blotted out of every answer.
        hosts: names it may be addressed by; None takes any.
    """
    app = FastAPI(
        title="eth-pipeline board",
        version="1",
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(make_api(source))
    app.include_router(make_login(sessions, attempts=attempts))
    app.include_router(make_pages(source, sessions=sessions))
    app.mount(STATIC.rstrip("/"), StaticFiles(directory=STATIC_FOLDER))
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_wrong_parameter)
    app.add_exception_handler(PartUnreadable, _on_unreadable)
    app.add_exception_handler(Exception, _on_bug)
    app.openapi = cache(partial(_documentation, app, asks=sessions.asks))  # type: ignore[method-assign]  # FastAPI's own way to replace it
    return Answers(
        Door(app, sessions=sessions, hosts=hosts, language=source.settings.language),
        secrets=secrets_of(source.settings, token=token),
    )


def _documentation(app: FastAPI, *, asks: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description="Read-only: what this host signals, and how it got there. Answers carry an ETag; send it back.",
        routes=app.routes,
    )
    components = document["components"]
    components["schemas"]["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    if asks:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(request, error.status_code, error.detail, headers=error.headers)


def _on_wrong_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
    return problem(request, 422, f"{said}.")


def _on_unreadable(request: Request, error: Exception) -> Response:
    return problem(request, 503, str(error))


def _on_bug(request: Request, _: Exception) -> Response:
    return problem(request, 500, "The board has a bug; its log has the trace.")
