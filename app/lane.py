"""The fast lane: ordinary predictions, taken off the wire below ASGI and answered without a task of their own.

A POST to a model that serves, whole and plain (a Content-Length, no compression, nothing repeated or expected), is read
here; everything else becomes a request of the ASGI application, as if this lane were not there. All that arrived in one
turn of the event loop is decoded together, enters the models' queues, and runs. What turns out not to be plain is
answered by the same coroutine that the route would await.

uvicorn's protocol class is no stable interface, so its version is pinned, and the tests of the service run with this
lane and without it.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from fastapi.responses import Response

from app.bodies import aligned, compressed_response, encoded
from app.compression import SMALLEST_BYTES
from app.errors import CallerGone, ModelNotFound, ModelNotReady, ServingError
from app.inference import batch
from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.scheduler import Entry
from app.inference.signature import Tensors
from app.protocols import v1, v2
from app.protocols.allowance import MediaLimits
from app.protocols.elements import NonFinite
from app.protocols.together import Codec, Read, tensors_of
from app.protocols.v1_together import V1Codec
from app.protocols.v2_together import V2Codec
from app.refusals import STATUS, bug_response, error_response
from app.repository import Repository
from app.web import Call, Gate, Record, request_id, version_number

PATH = re.compile(
    r"/v2/models/(?P<v2>[^/:%?#]+)(/versions/(?P<v2_version>[^/:%?#]+))?/infer"
    r"|/v1/models/(?P<v1>[^/:%?#]+)(/(versions|labels)/(?P<v1_version>[^/:%?#]+))?:predict"
)

UNUSUAL = {
    b"transfer-encoding",
    b"content-encoding",
    b"expect",
    b"upgrade",
    b"range",
}
"""Headers of requests that are left to ASGI."""

PLAIN_TYPES = {b"", b"application/json", b"application/octet-stream", b"application/x-www-form-urlencoded"}

OWN = {b"x-request-id", b"traceparent"}
"""Headers that each request has a value of its own for: its head will not be seen again."""

MOST_HEADS = 1024

MOST_KINDS = 1024

LARGEST_HEAD = 4096
"""Of the heads that are remembered, in bytes."""

LARGEST_BODY = 2**20
"""Larger ones are left to ASGI, which reads them piece by piece and decodes them in a thread."""

LARGEST_TOGETHER = 2**18
"""A larger body is decoded by itself, in a thread; up to here that takes the event loop less than a millisecond."""

JSON_LENGTH = v2.HEADER_LENGTH.lower().encode()

HEAD = b"content-type: application/json\r\ncontent-length: %d\r\n"


class Target:
    """What a path names. codec: None where no request for it can be read together with others."""

    def __init__(self, model: Model, protocol: str) -> None:
        self.model, self.protocol, self.codec = model, protocol, _codec(model, protocol)
        self._kinds: dict[Hashable, Hashable] = {}

    def kind(self, trailing: Hashable, tensors: Tensors) -> Hashable:
        """As `batch.kind`, which always is the same where the shapes without the rows are."""
        if trailing not in self._kinds:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            self._kinds[trailing] = batch.kind(tensors)
        return self._kinds[trailing]


class Connection(Protocol):
    """Where a request came from and its answer goes."""

    loop: asyncio.AbstractEventLoop

    def respond(self, request: "Request", status: int, head: bytes, body: bytes) -> None:
        """Write an answer; head: its headers, each with its line's end."""


@dataclass(frozen=True)
class Head:
    """What a request says before its body. headers: lower-case name -> value; no name stands twice."""

    target: Target
    path: bytes
    headers: Mapping[bytes, bytes]
    body_bytes: int
    keep_alive: bool


class Request:
    """A request of the lane's. It stands where uvicorn's protocol keeps the request under way, and has what that asks
    of one: `response_complete` and `keep_alive`."""

    __slots__ = (
        "connection",
        "disconnected",
        "entry",
        "head",
        "identity",
        "keep_alive",
        "parts",
        "read",
        "read_at",
        "response_complete",
        "started",
        "task",
    )

    def __init__(self, connection: Connection, head: Head) -> None:
        self.connection, self.head, self.keep_alive = connection, head, head.keep_alive
        self.parts: list[bytes] = []
        self.started, self.read_at = perf_counter(), 0.0
        self.identity = request_id(head.headers.get(b"x-request-id"))
        self.read: Read | None = None
        self.entry: Entry | None = None
        self.task: asyncio.Task[None] | None = None
        self.response_complete = self.disconnected = False


class Lane:
    """What all connections of one application share."""

    def __init__(
        self, repository: Repository, gate: Gate, record: Record, nonfinite: NonFinite, limits: MediaLimits
    ) -> None:
        self._repository, self._gate, self._record = repository, gate, record
        self._nonfinite, self._limits = nonfinite, limits
        self._targets: dict[bytes, Target] = {}
        self._pending: list[Request] = []
        self._heads: dict[bytes, Head] = {}
        self._default: list[tuple[bytes, bytes]] = []
        self._shared = b""
        repository.watch(self._forget)

    def head(self, sent: bytes) -> Head | None:
        """The head that these bytes are, if they were one before and no model has changed since."""
        return self._heads.get(sent)

    def remember(self, sent: bytes, head: Head) -> None:
        """These bytes are this head."""
        if len(sent) > LARGEST_HEAD or not OWN.isdisjoint(head.headers):
            return
        if len(self._heads) >= MOST_HEADS:
            self._heads.clear()
        self._heads[sent] = head

    def _forget(self) -> None:
        """What a path named may be gone; while it stood here its memory would stay."""
        self._heads.clear()
        self._targets.clear()

    def shared_headers(self, default: list[tuple[bytes, bytes]]) -> bytes:
        """The headers of all answers, such as the date, each with its line's end; uvicorn makes a new list of them
        every second."""
        if default is not self._default:
            self._default, self._shared = default, b"".join(b"%b: %b\r\n" % header for header in default)
        return self._shared

    def admit(self, path: bytes, headers: Sequence[tuple[bytes, bytes]], keep_alive: bool) -> Head | None:
        """The head of a request that may be read here, None for any other."""
        target = self._targets.get(path) or self._find(path)
        named = dict(headers)
        if target is None or len(named) != len(headers) or not UNUSUAL.isdisjoint(named):
            return None
        length = named.get(b"content-length", b"")
        if not length.isdigit() or int(length) > LARGEST_BODY or named.get(b"content-type", b"") not in PLAIN_TYPES:
            return None
        try:
            self._gate.check(path.decode("latin-1"), named)
        except ServingError:
            return None
        return Head(target, path, named, int(length), keep_alive)

    def _find(self, url: bytes) -> Target | None:
        named = PATH.fullmatch(url.decode("latin-1"))
        if named is None:
            return None
        protocol = "v1" if named["v1"] else "v2"
        name, version = named[protocol], named[f"{protocol}_version"]
        try:
            number = None if version is None else version_number(self._repository, name, version)
            model = self._repository.get(name, number)
        except (ModelNotFound, ModelNotReady):
            return None
        target = self._targets[url] = Target(model, protocol)
        return target

    def take(self, request: Request) -> None:
        """A request has been read whole; it is decoded once this turn of the loop is over."""
        request.read_at = perf_counter()
        self._pending.append(request)
        if len(self._pending) == 1:
            request.connection.loop.call_soon(self._turn)

    def _turn(self) -> None:
        pending, self._pending = self._pending, []
        together: defaultdict[tuple[Target, Any], list[Request]] = defaultdict(list)
        for request in pending:
            if request.disconnected:
                self._lost(request)
                continue
            try:
                request.read = self._read(request)
            except Exception as error:  # noqa: BLE001 - a bug of ours, and the others of this turn want their answers
                self._refuse(request, error)
                continue
            if request.read is None:
                self._answer_alone(request)
            else:
                together[request.head.target, request.read.trailing].append(request)
        for (target, _), requests in together.items():
            try:
                self._enter(target.model, requests)
            except Exception as error:  # noqa: BLE001 - as above
                for request in requests:
                    if request.entry is None and request.task is None and not request.response_complete:
                        self._refuse(request, error)

    def _read(self, request: Request) -> Read | None:
        """None for a request that cannot be handled together with others."""
        codec = request.head.target.codec
        if codec is None or JSON_LENGTH in request.head.headers:
            return None
        body = request.parts[0] if len(request.parts) == 1 else b"".join(request.parts)
        if len(body) > LARGEST_TOGETHER:
            return None
        read = codec.read(body)
        most = request.head.target.model.limits.max_rows
        return read if read and (most is None or read.rows <= most) else None

    def _enter(self, model: Model, requests: Sequence[Request]) -> None:
        """Requests of one kind go into the model's queue, and what waits there runs."""
        reads = [request.read for request in requests if request.read]
        tensors = tensors_of(model, reads, self._nonfinite)
        if tensors is None and len(requests) > 1:
            for request in requests:
                self._enter(model, [request])  # so that the others need not care which of them is wrong
            return
        if tensors is None:
            requests[0].read = None
            self._answer_alone(requests[0])
            return
        kind = requests[0].head.target.kind(reads[0].trailing, tensors[0])
        for request, own, read in zip(requests, tensors, reads, strict=True):
            try:
                request.entry = model.enter(own, read.rows, kind, partial(self.finish, request))
            except ServingError as error:
                self._refuse(request, error)
        model.dispatch()

    def finish(self, request: Request, result: Rows | Exception) -> None:
        """A run has given a request's rows, or the reason why there are none."""
        request.entry = None
        if isinstance(result, Exception):
            self._refuse(request, result)
            return
        read, codec = request.read, request.head.target.codec
        assert read is not None
        assert codec is not None
        try:
            body = codec.write(result, read)
        except Exception as error:  # noqa: BLE001 - whatever it is, its caller must hear of it, and its neighbours not
            self._refuse(request, error)
            return
        if body is None:
            outputs = result.tensors()
            self._await(request, self._written_alone(request, codec, outputs, read))
        elif len(body) >= SMALLEST_BYTES and b"accept-encoding" in request.head.headers:
            self._await(request, compressed_response(body, {}, "application/json", _accepted(request)))
        else:
            self._count(request, succeeded=True)
            self._respond(request, 200, HEAD % len(body), body)

    async def _written_alone(self, request: Request, codec: Codec, outputs: Tensors, read: Read) -> Response:
        body = await encoded(outputs, lambda: codec.write_alone(outputs, read, self._nonfinite))
        return await compressed_response(body, {}, "application/json", _accepted(request))

    def _answer_alone(self, request: Request) -> None:
        """By the coroutine of the route."""
        self._await(request, self._answer(request))

    async def _answer(self, request: Request) -> Response:
        model, headers = request.head.target.model, request.head.headers
        if request.head.target.protocol == "v1":
            body = b"".join(request.parts)
            return await v1.answer(model, body, self._limits, self._nonfinite, _accepted(request))
        lengths = [value.decode("latin-1") for name, value in headers.items() if name == JSON_LENGTH]
        json_length = v2.json_length_of(lengths, headers.get(b"content-type", b"").decode("latin-1"))
        return await v2.answer(
            model, aligned(request.parts, json_length or 0), json_length, self._nonfinite, _accepted(request)
        )

    def _await(self, request: Request, work: Coroutine[Any, Any, Response]) -> None:
        request.task = asyncio.ensure_future(self._respond_with(request, work))

    async def _respond_with(self, request: Request, work: Coroutine[Any, Any, Response]) -> None:
        try:
            response = await work
        except asyncio.CancelledError:
            self._lost(request)
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(request, error)
        else:
            self._send(request, response)

    def _refuse(self, request: Request, error: Exception) -> None:
        response = error_response(error) if isinstance(error, ServingError) else bug_response(request.identity)
        self._send(request, response, error)

    def _send(self, request: Request, response: Response, failure: Exception | None = None) -> None:
        self._count(request, succeeded=response.status_code < 400)
        head = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
        if response.headers.get("connection") == "close":
            request.keep_alive = False
        self._respond(request, response.status_code, head, bytes(response.body), failure)

    def _count(self, request: Request, *, succeeded: bool) -> None:
        """For the model's statistics; the route's coroutine counts by itself."""
        if request.read is not None:
            request.head.target.model.count(perf_counter() - request.read_at, succeeded)

    def _respond(
        self, request: Request, status: int, head: bytes, body: bytes, failure: Exception | None = None
    ) -> None:
        if request.disconnected:
            self._lost(request)
            return
        identity = request.identity
        request.connection.respond(request, status, b"%bx-request-id: %b\r\n" % (head, identity.encode()), body)
        self._keep(
            request, Call(identity, request.head.target.model.name, request.head.target.protocol, status, failure)
        )

    def lose(self, request: Request) -> None:
        """The caller has hung up: what waits for it is taken back."""
        if request.task is not None:
            request.task.cancel()
        elif request.entry is not None:
            request.head.target.model.leave(request.entry)
            self._lost(request)
        elif not request.read_at:  # in the middle of its body
            self._lost(request)

    def _lost(self, request: Request) -> None:
        error = CallerGone("the caller hung up")
        status = STATUS[CallerGone]
        self._count(request, succeeded=False)
        self._keep(
            request, Call(request.identity, request.head.target.model.name, request.head.target.protocol, status, error)
        )

    def _keep(self, request: Request, call: Call) -> None:
        self._record.add(call, "POST", request.head.path.decode("latin-1"), perf_counter() - request.started)


def _accepted(request: Request) -> str:
    return request.head.headers.get(b"accept-encoding", b"").decode("latin-1")


def _codec(model: Model, protocol: str) -> Codec | None:
    """Of models whose rows share runs; texts are read one by one."""
    if not model.signature.batched or any(spec.datatype == "BYTES" for spec in model.signature.inputs):
        return None
    if protocol == "v2":
        return V2Codec(model)
    return V1Codec(model) if V1Codec.takes(model) else None
