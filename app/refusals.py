"""Errors as HTTP: the one table of statuses, and the one shape that every answer to a failed request has."""

from collections.abc import Mapping
from math import ceil

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


def error_response(error: ServingError, facts: Mapping[str, object] | None = None) -> Response:
    """An error of ours as the one shape that all errors have; what onnxruntime said stays in the log.

    facts: what a route has to tell beside the error.
    """
    status = STATUS[type(error)]
    headers = {}
    if isinstance(error, QueueFull | RateExceeded):
        headers["retry-after"] = str(max(1, ceil(error.retry_after_s)))
    elif isinstance(error, ModelNotReady) and error.loading:
        headers["retry-after"] = "1"
    elif isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    elif isinstance(error, BodyTooLarge):
        headers["connection"] = "close"
    elif isinstance(error, UnsupportedMedia):
        headers |= {"accept": "application/json, application/octet-stream", "accept-encoding": "gzip, deflate"}
    if isinstance(error, InferenceFailed):
        return _response(status, "the model failed on this input; the server's log has the reason", headers)
    return _response(status, str(error), headers, facts)


def _response(
    status: int, message: str, headers: dict[str, str] | None = None, facts: Mapping[str, object] | None = None
) -> Response:
    content = {"error": message, **(facts or {})}
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def bug_response(request_id: str) -> Response:
    """Of a fault that nobody foresaw: its text stays in the log."""
    return _response(500, f"internal error; request id {request_id}")


async def _on_bug(request: Request, _: Exception) -> Response:
    return bug_response(request.scope["headrace.call"].request_id)


async def _on_serving_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)
    return refused(request, error)


def refused(request: Request, error: ServingError, **facts: object) -> Response:
    """The answer to a request that fails so, with what the route has to tell beside the error; marks the call."""
    request.scope["headrace.call"].failure = error
    return error_response(error, facts)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path if len(request.url.path) <= SHOWN_PATH else f"{request.url.path[:SHOWN_PATH]}..."
    told = {
        404: f"no such path: {path}; GET /openapi.json lists all",
        405: f"method {request.method} is not allowed on {path}",
    }
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = _allowed(request) or headers.get("Allow", "GET, HEAD")
    return _response(error.status_code, told.get(error.status_code, error.detail), headers)


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
