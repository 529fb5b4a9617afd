"""What every route shares: request id, API key, body limit, clock, log line, and errors as HTTP.

`Edge` is a plain ASGI layer around the whole application, so that it also sees what no route does: unknown paths,
bodies that are too large, bugs.
"""

import asyncio
import hmac
import logging
import re
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import TypeVar

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.compression import Inflater, deflate
from app.errors import (
    BodyTooLarge,
    CallerGone,
    DeadlineExceeded,
    Forbidden,
    InferenceFailed,
    InvalidInput,
    MediaTooLarge,
    ModelLoadFailed,
    ModelNotFound,
    ModelNotReady,
    OutsideDomain,
    QueueFull,
    ServingError,
    Unauthorized,
    Unsupported,
    UnsupportedMedia,
)
from app.inference.model import Model
from app.inference.signature import Tensors
from app.metrics import Metrics
from app.repository import Repository

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
    QueueFull: 429,
    CallerGone: 499,
    InferenceFailed: 500,
    Unsupported: 501,
    ModelNotReady: 503,
    DeadlineExceeded: 504,
}

OPEN_PATHS = re.compile(r"/health/(live|ready)|/v2/health/(live|ready)|/|/docs|/redoc|/static/.+")
"""Answered without a key: probes have none, and pages must load before anyone can enter one. The pages and their assets
are the same for every service; they hold no data and ask for all of it with the key."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""A caller's request id that may be echoed into a header and the log."""

SHOWN_PATH = 200
"""Characters of an unknown path that are told back to its caller."""

LARGE_BODY_BYTES = 64 * 1024
"""From this size on a body is decoded off the event loop: about a millisecond of JSON."""

LARGE_COMPRESSED_BYTES = 2048
"""From this size on a part of a compressed body is inflated off the event loop: it may become 1000 times as large."""

LARGEST_ITEM_BYTES = 8
"""Of all datatypes; numbers at a multiple of it can be read where they lie."""


class NameConvertor(StringConvertor):
    """`{name:model}` in a route's path: no colon, so that `/v1/models/{name:model}` leaves `m:predict` to others."""

    regex = "[^/:]+"


register_url_convertor("model", NameConvertor())

Answer = TypeVar("Answer")

log = structlog.get_logger("headrace.web")


@dataclass
class Call:
    """What is known of the request under way; the route fills in whom it called, for the log and the metrics."""

    request_id: str
    model: str = ""
    protocol: str = ""
    status: int = 0
    failure: Exception | None = None


class Edge:
    """The outermost layer: everything that comes in passes here once, and so does everything that goes out.

    api_key: wanted of every request but those for OPEN_PATHS; empty lets everyone in.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, api_key: str, max_body_bytes: int, log_requests: bool
    ) -> None:
        self._app, self._metrics = app, metrics
        self._key, self._max_body_bytes, self._log_requests = api_key.encode(), max_body_bytes, log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = dict(scope["headers"])
        call = scope["headrace.call"] = Call(_request_id(headers))

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", call.request_id.encode())]
            await send(message)

        try:
            self._check_key(scope["path"], headers)
            self._check_length(headers)
            await self._app(_as_routed(scope, headers), receive, send_marked)
        except ServingError as error:
            await error_response(error)(scope, receive, send_marked)
        except Exception as error:
            call.failure = error
            if call.status not in (0, 500):
                raise
            if not call.status:
                await _bug_response(call)(scope, receive, send_marked)
        finally:
            self._record(scope, call, perf_counter() - started)

    def _check_key(self, path: str, headers: dict[bytes, bytes]) -> None:
        if not self._key or OPEN_PATHS.fullmatch(path):
            return
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        sent = (headers.get(b"x-api-key", b""), bearer.strip() if scheme.lower() == b"bearer" else b"")
        by_header, by_bearer = (hmac.compare_digest(key, self._key) for key in sent)
        if not (by_header or by_bearer):
            raise Unauthorized("wanted an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`")

    def _check_length(self, headers: dict[bytes, bytes]) -> None:
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_body_bytes:
            raise BodyTooLarge(_too_large(f"{int(length)} bytes", self._max_body_bytes))

    def _record(self, scope: Scope, call: Call, seconds: float) -> None:
        self._metrics.requests.labels(call.model, call.protocol, call.status).inc()
        self._metrics.request_seconds.labels(call.model, call.protocol).observe(seconds)
        if self._log_requests or call.status >= 500:
            self._log(scope, call, seconds)

    def _log(self, scope: Scope, call: Call, seconds: float) -> None:
        """One line a request; it has the reason where the fault is ours, and for a bug the stack."""
        ours = call.status >= 500
        known = isinstance(call.failure, ServingError)
        log.log(
            logging.ERROR if ours else logging.INFO,
            "request",
            request_id=call.request_id,
            method=scope["method"],
            path=scope["path"],
            model=call.model,
            status=call.status,
            ms=round(1000 * seconds, 3),
            **({"reason": str(call.failure)} if ours and known else {}),
            exc_info=call.failure if ours and not known else None,
        )


def _as_routed(scope: Scope, headers: dict[bytes, bytes]) -> Scope:
    """HEAD is a GET whose body uvicorn keeps back, and ranges, which no answer here needs, are not served."""
    if scope["method"] == "HEAD":
        scope = {**scope, "method": "GET"}
    if b"range" in headers:
        scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != b"range"]}
    return scope


def _request_id(headers: dict[bytes, bytes]) -> str:
    sent = headers.get(b"x-request-id", b"").decode("latin-1")
    return sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def _too_large(size: str, limit: int) -> str:
    return f"the body has {size}, wanted at most {limit} bytes"


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it outgrows the limit, whatever Content-Length said."""
    return b"".join(await _read_parts(request))


async def read_aligned_body(request: Request, offset: int) -> memoryview:
    """The whole body at such a place in memory that what follows its first `offset` bytes is read where it lies.

    Numbers at an odd address are copied once more before onnxruntime takes them. Raises as read_body.
    """
    padding = -offset % LARGEST_ITEM_BYTES
    return memoryview(b"".join([bytes(padding), *await _read_parts(request)]))[padding:]


async def _read_parts(request: Request) -> list[bytes]:
    limit: int = request.app.state.max_body_bytes
    _check_content_type(request.headers.get("content-type", ""))
    encoding = request.headers.get("content-encoding", "").strip().lower() or "identity"
    inflater = Inflater(encoding, limit) if encoding != "identity" else None
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise BodyTooLarge(_too_large("more", limit))
            parts.append(await _inflated(inflater, part) if inflater else part)
    except ClientDisconnect as error:
        raise CallerGone("the caller hung up before the end of the body") from error
    if inflater:
        inflater.finish()
    return parts


async def _inflated(inflater: Inflater, part: bytes) -> bytes:
    """A small part may become a thousand times as much, so all but the smallest are inflated in a thread."""
    small = len(part) < LARGE_COMPRESSED_BYTES
    return inflater.feed(part) if small else await asyncio.to_thread(inflater.feed, part)


def _check_content_type(sent: str) -> None:
    """curl's -d says form data, so that passes too."""
    kind = sent.partition(";")[0].strip().lower()
    if kind not in ("", "application/json", "application/octet-stream", "application/x-www-form-urlencoded"):
        raise UnsupportedMedia(f"Content-Type {kind}, wanted application/json or application/octet-stream")


async def body_response(request: Request, body: bytes, headers: dict[str, str], media_type: str) -> Response:
    """An answer, compressed if the caller accepts that and it pays."""
    accepted = request.headers.get("accept-encoding", "")
    large = len(body) >= LARGE_BODY_BYTES
    body, encoding = await asyncio.to_thread(deflate, body, accepted) if large else deflate(body, accepted)
    if encoding:
        headers = {**headers, "content-encoding": encoding, "vary": "accept-encoding"}
    return Response(body, headers=headers, media_type=media_type)


async def decoded(body: bytes | memoryview, decode: Callable[[], Answer], *, slow: bool = False) -> Answer:
    """What decode makes of the body; a large one is decoded in a thread, so that the event loop turns on.

    slow: that may take long though the body is small, as with images.
    """
    return await asyncio.to_thread(decode) if slow or len(body) >= LARGE_BODY_BYTES else decode()


async def encoded(outputs: Tensors, encode: Callable[[], Answer]) -> Answer:
    """What encode makes of the outputs; large ones are encoded in a thread."""
    large = sum(tensor.nbytes for tensor in outputs.values()) >= LARGE_BODY_BYTES
    return await asyncio.to_thread(encode) if large else encode()


async def unless_gone(request: Request, work: Coroutine[None, None, Answer]) -> Answer:
    """The result of work, which is cancelled if the caller hangs up first. Raises CallerGone then."""
    answer = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise CallerGone("the caller hung up")
    finally:
        answer.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def repository(request: Request) -> Repository:
    """The repository that the app was built with."""
    found: Repository = request.app.state.repository
    return found


def find_model(request: Request, protocol: str, name: str, version: str | None = None) -> Model:
    """The model that a path names, by its version's number or label; marks the call with it.

    Raises ModelNotFound, ModelNotReady.
    """
    call: Call = request.scope["headrace.call"]
    call.protocol = protocol
    models = repository(request)
    try:
        found = models.get(name, None if version is None else version_number(models, name, version))
    except ModelNotReady:
        call.model = name
        raise
    call.model = name
    return found


def version_number(models: Repository, name: str, version: str) -> int:
    """The version that a path names, by its number or a label. Raises ModelNotFound."""
    return int(version) if re.fullmatch(r"[1-9][0-9]{0,17}", version) else models.labelled(name, version)


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON body; numpy arrays are written as they stand."""
    return Response(dumped(content), status, headers, media_type="application/json")


def dumped(content: object) -> bytes:
    """content as JSON, numpy arrays as they stand."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def error_response(error: ServingError, facts: Mapping[str, object] | None = None) -> Response:
    """An error of ours as the one shape that all errors have; what onnxruntime said stays in the log.

    facts: what a route has to tell beside the error.
    """
    status = STATUS[type(error)]
    headers = {}
    if isinstance(error, QueueFull):
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


def _bug_response(call: Call) -> Response:
    return _response(500, f"internal error; request id {call.request_id}")


async def _on_bug(request: Request, _: Exception) -> Response:
    return _bug_response(request.scope["headrace.call"])


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
