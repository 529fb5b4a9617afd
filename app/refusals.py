"""Errors as HTTP: the one table of statuses, and the one shape that every answer to a failed request has."""

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.errors import (
    BodyTooLarge,
    CallerGone,
    DeadlineExceeded,
    Forbidden,
    InferenceFailed,
    InvalidInput,
    MediaTooLarge,
    Misdirected,
    ModelLoadFailed,
    ModelNotFound,
    ModelNotReady,
    OutsideDomain,
    QueueFull,
    RateExceeded,
    ServingError,
    Unauthorized,
    Unsupported,
    UnsupportedMedia,
)

STATUS: dict[type[ServingError], int] = {
    InvalidInput: 400,
    ModelLoadFailed: 400,
    OutsideDomain: 400,
    Unauthorized: 401,
    Forbidden: 403,
    ModelNotFound: 404,
    BodyTooLarge: 413,
    MediaTooLarge: 413,
    UnsupportedMedia: 415,
    Misdirected: 421,
    QueueFull: 429,
    RateExceeded: 429,
    CallerGone: 499,
    InferenceFailed: 500,
    Unsupported: 501,
    ModelNotReady: 503,
    DeadlineExceeded: 504,
}

SHOWN_PATH = 200
"""Characters of an unknown path that are told back to its caller."""


class Told(NamedTuple):
    """What the answer to a failed request says. headers: beside those of every answer."""

    status: int
    message: str
    headers: dict[str, str] = {}  # noqa: RUF012  (nobody changes it)


def told(error: ServingError) -> Told:
    """What onnxruntime said stays in the log."""
    status = STATUS[type(error)]
    if isinstance(error, QueueFull | RateExceeded):
        return Told(status, str(error), {"retry-after": str(max(1, ceil(error.retry_after_s)))})
    if isinstance(error, ModelNotReady) and error.loading:
        return Told(status, str(error), {"retry-after": "1"})
    if isinstance(error, Unauthorized):
        return Told(status, str(error), {"www-authenticate": "Bearer"})
    if isinstance(error, BodyTooLarge):
        return Told(status, str(error), {"connection": "close"})
    if isinstance(error, UnsupportedMedia):
        accepted = {"accept": "application/json, application/octet-stream", "accept-encoding": "gzip, deflate"}
        return Told(status, str(error), accepted)
    if isinstance(error, InferenceFailed):
        return Told(status, "the model failed on this input; the server's log has the reason")
    return Told(status, str(error))


def told_of_bug(request_id: str) -> Told:
    """Of a fault that nobody foresaw: its text stays in the log."""
    return Told(500, f"internal error; request id {request_id}")


def response(answer: Told, facts: Mapping[str, object] | None = None) -> Response:
    """In the one shape that all errors have. facts: what a route has to tell beside the error."""
    content = {"error": answer.message, **(facts or {})}
    return Response(orjson.dumps(content), answer.status, answer.headers, media_type="application/json")


async def _on_bug(request: Request, _: Exception) -> Response:
    return response(told_of_bug(request.scope["headrace.call"].request_id))


async def _on_serving_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)
    return refused(request, error)


def refused(request: Request, error: ServingError, **facts: object) -> Response:
    """The answer to a request that fails so, with what the route has to tell beside the error; marks the call."""
    request.scope["headrace.call"].failure = error
    return response(told(error), facts)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path if len(request.url.path) <= SHOWN_PATH else f"{request.url.path[:SHOWN_PATH]}..."
    known = {
        404: f"no such path: {path}; GET /openapi.json lists all",
        405: f"method {request.method} is not allowed on {path}",
    }
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = _allowed(request) or headers.get("Allow", "GET, HEAD")
    return response(Told(error.status_code, known.get(error.status_code, error.detail), headers))


def _allowed(request: Request) -> str:
    """The methods of every route on this path: the router's own error names those of the first one only."""
    routes = iter_route_contexts(request.app.routes)
    methods = {
        method
        for route in routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def install_error_answers(app: FastAPI) -> None:
    """Every error that a route raises, and FastAPI's own, answers in the one shape."""
    app.add_exception_handler(ServingError, _on_serving_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)
