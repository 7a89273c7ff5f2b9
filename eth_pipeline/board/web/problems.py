"""Errors as answers: problem details for programs (RFC 9457), a page for people.

Belongs here: the shape of an error and how it is documented. Does not belong: when one happens.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from eth_pipeline.board.showing.bodies import Problem
from eth_pipeline.board.showing.templating import page

API = "/api/"
MEDIA_TYPE = "application/problem+json"
_MEANINGS = {
    401: "No token, or not the right one.",
    404: "There is no record of this hour.",
    421: "The host name in the request is none of the board's.",
    422: "A parameter is not what it should be.",
    503: "A part of the home cannot be read now.",
}


def problem(request: Request, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """The error in the form that the asker reads: a page below `/`, JSON below `/api/`."""
    title = HTTPStatus(status).phrase
    path: str = request.scope["path"]
    if not path.startswith(API):
        return page(
            request,
            "problem.html",
            {"title": title, "status": status, "detail": detail},
            status_code=status,
            headers=headers,
        )
    body = Problem(title=title, status=status, detail=detail, instance=path)
    return JSONResponse(body.model_dump(), status, dict(headers or {}), media_type=MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in (401, 421, *statuses, 503)}
