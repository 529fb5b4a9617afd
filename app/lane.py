"""The fast lane: ordinary predictions, taken off the wire below ASGI and answered without a task of their own.

What `app/admission.py` lets in and comes in whole is read here; everything else becomes a request of the ASGI
application, as if this lane were not there. All that arrived in one turn of the event loop is decoded together and runs
together, at once if the run is short and nothing waits, otherwise through the models' queues. What turns out not to be
plain is answered by the same coroutine that the route would await.

uvicorn's protocol class is no stable interface, so its version is pinned, and the tests of the service run with this
lane and without it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from math import prod
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import orjson
from fastapi.responses import Response

from app.admission import JSON_LENGTH, Admission, Head, Target
from app.bodies import aligned, encoded
from app.compression import SMALLEST_BYTES
from app.errors import CallerGone, ServingError
from app.gate import InFlight
from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.runs import Entry
from app.inference.signature import Tensors
from app.inference.timing import CURRENT, Timing, server_timing
from app.protocols import v1, v2
from app.protocols.allowance import BodyLimits
from app.protocols.elements import NonFinite
from app.protocols.together import Codec, Read, cut, pieces_of
from app.refusals import STATUS, told, told_of_bug
from app.web import Call, Record, reason_of

LARGEST_TOGETHER = 2**18
"""Bytes of a body, which has fewer elements. A larger one is decoded by itself, in a thread; and no more is decoded in
one turn of the event loop, which takes it less than a millisecond."""

OWN = b"content-length: %d\r\nx-request-id: %b\r\nserver-timing: %b\r\n"

JSON = b"content-type: application/json\r\n" + OWN

BINARY = b"content-type: application/octet-stream\r\n%b: %d\r\n" + OWN

ROUTES = {"v1": "/v1/models/{name}:predict", "v2": "/v2/models/{name}/infer"}
"""By protocol, as traces name them; that of a version, too."""


class Connection(Protocol):
    """Where a request came from and its answer goes."""

    loop: asyncio.AbstractEventLoop

    def respond(self, request: "Request", status: int, head: bytes, body: bytes) -> None:
        """Write an answer; head: its headers, each with its line's end."""


class Request(Timing):
    """A request of the lane's, which keeps its own time. It stands where uvicorn's protocol keeps the request under
    way, and has what that asks of one: `response_complete` and `keep_alive`."""

    __slots__ = (
        "connection",
        "disconnected",
        "entry",
        "head",
        "keep_alive",
        "parts",
        "read",
        "response_complete",
        "task",
    )

    def __init__(self, connection: Connection, head: Head, identity: str) -> None:
        super().__init__(identity)
        self.connection, self.head, self.keep_alive = connection, head, head.keep_alive
        self.parts: list[bytes] = []
        self.read: Read | None = None
        self.entry: Entry | None = None
        self.task: asyncio.Task[None] | None = None
        self.response_complete = self.disconnected = False


class Refusal(NamedTuple):
    """An answer to a request that fails: no Response, which takes five times as long, and in an overload most answers
    are of this kind. more: the headers that only this one has, each with its line's end."""

    error: Exception
    status: int
    body: bytes
    more: bytes


def refusal_of(error: Exception, request: Request) -> Refusal:
    """In the one shape that all errors have."""
    answer = told(error) if isinstance(error, ServingError) else told_of_bug(request.identity)
    more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    return Refusal(error, answer.status, orjson.dumps({"error": answer.message}), more.encode())


class Lane:
    """What all connections of one application share."""

    def __init__(
        self, admission: Admission, record: Record, in_flight: InFlight, nonfinite: NonFinite, limits: BodyLimits
    ) -> None:
        self.admission, self._in_flight = admission, in_flight
        self._record, self._nonfinite, self._limits = record, nonfinite, limits
        self._pending: list[Request] = []
        self._ahead: defaultdict[Model, int] = defaultdict(int)
        self._full: dict[Model, Refusal] = {}
        self._turn_is_due = False
        self._default: list[tuple[bytes, bytes]] = []
        self._shared = b""

    def begin(self, connection: Connection, head: Head) -> Request:
        """A request of the lane's."""
        self._in_flight.count += 1
        request = Request(connection, head, self._record.request_id(head.headers.get(b"x-request-id")))
        self._record.begin(request, head.headers)
        return request

    def shared_headers(self, default: list[tuple[bytes, bytes]]) -> bytes:
        """The headers of all answers, such as the date, each with its line's end; uvicorn makes a new list of them
        every second."""
        if default is not self._default:
            self._default, self._shared = default, b"".join(b"%b: %b\r\n" % header for header in default)
        return self._shared

    def take(self, request: Request) -> None:
        """A request has been read whole. It is refused at once, or decoded when this turn of the loop is over."""
        request.read_at = perf_counter()
        if not self._turn_is_due:
            self._turn_is_due = True
            request.connection.loop.call_soon(self._turn)
        if refusal := self._refusal(request):
            self._tell(request, refusal)
        else:
            self._pending.append(request)
            self._ahead[request.head.target.model] += 1

    def _turn(self) -> None:
        self._turn_is_due = False
        self._full.clear()
        together: defaultdict[tuple[Target, Any, bool], list[Request]] = defaultdict(list)
        for request in self._next():
            if request.disconnected:
                self._lost(request)
                continue
            try:
                read = request.read = self._read(request)
            except Exception as error:  # noqa: BLE001 - a bug of ours, and the others of this turn want their answers
                self._refuse(request, error)
                continue
            if read is None:
                self._answer_alone(request)
            else:
                together[request.head.target, read.trailing, read.text is None].append(request)
        for (target, _, _), requests in together.items():
            try:
                self._enter(target.model, requests)
            except Exception as error:  # noqa: BLE001 - as above
                for request in requests:
                    if request.entry is None and request.task is None and not request.response_complete:
                        self._refuse(request, error)

    def _refusal(self, request: Request) -> Refusal | None:
        """Why the request is not taken now. A model that is full stays so until the turn of the loop is over."""
        model, caller = request.head.target.model, request.head.caller
        if busy := self._in_flight.refusal():
            return refusal_of(busy, request)
        if model not in self._full and (error := model.refusal(ahead=self._ahead[model])):
            self._full[model] = refusal_of(error, request)
        if full := self._full.get(model):
            return full
        late = caller and caller.refusal()
        return refusal_of(late, request) if late else None

    def _next(self) -> list[Request]:
        """Those for this turn of the loop; what is more than one turn can bear waits for the next."""
        pending, total, count = self._pending, 0, len(self._pending)
        for place, request in enumerate(pending):
            total += request.head.body_bytes
            if total > LARGEST_TOGETHER and place:
                count, self._turn_is_due = place, True
                request.connection.loop.call_soon(self._turn)
                break
        self._pending = pending[count:]
        self._ahead.clear()
        for request in self._pending:
            self._ahead[request.head.target.model] += 1
        return pending[:count]

    def _read(self, request: Request) -> Read | None:
        """None for a request that cannot be handled together with others."""
        head = request.head
        codec = head.target.codec
        if codec is None or head.body_bytes > LARGEST_TOGETHER:
            return None
        body = request.parts[0] if len(request.parts) == 1 else b"".join(request.parts)
        read = codec.read(body, head.plain_json_length)
        if read is None or read.rows > head.target.most_rows:
            return None
        return read if self._limits.elements >= LARGEST_TOGETHER or _is_small(read, self._limits.elements) else None

    def _enter(self, model: Model, requests: Sequence[Request]) -> None:
        """Requests of one kind run at once, or go into the model's queue, and what waits there runs."""
        reads = [request.read for request in requests if request.read]
        pieces = pieces_of(model, reads, self._nonfinite)
        if pieces is None and len(requests) > 1:
            for request in requests:
                self._enter(model, [request])  # so that the others need not care which of them is wrong
            return
        if pieces is None:
            requests[0].read = None
            self._answer_alone(requests[0])
            return
        kind = requests[0].head.target.kind(reads[0].trailing, pieces[0])
        results = model.run_now(pieces, [read.rows for read in reads], kind, requests)
        if results is not None:
            for request, rows in zip(requests, results, strict=True):
                self.finish(request, rows)
            return
        for request, read, tensors in zip(requests, reads, cut(pieces, reads), strict=True):
            try:
                request.entry = model.enter(tensors, read.rows, kind, partial(self.finish, request), request)
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
            answer = codec.write(result, read)
        except Exception as error:  # noqa: BLE001 - whatever it is, its caller must hear of it, and its neighbours not
            self._refuse(request, error)
            return
        if answer is None:
            self._await(request, partial(self._written_alone, request, codec, result.tensors(), read))
            return
        body, json_length = answer
        if len(body) >= SMALLEST_BYTES and request.head.accepted:
            self._await(request, partial(v2.answered, answer, request.head.accepted))
            return
        identity = request.identity.encode()
        if json_length is None:
            head = JSON % (len(body), identity, server_timing(request))
        else:
            head = BINARY % (JSON_LENGTH, json_length, len(body), identity, server_timing(request))
        self._count(request, succeeded=True)
        self._respond(request, 200, head, body)

    async def _written_alone(self, request: Request, codec: Codec, outputs: Tensors, read: Read) -> Response:
        answer = await encoded(outputs, lambda: codec.write_alone(outputs, read, self._nonfinite))
        return await v2.answered(answer, request.head.accepted)

    def _answer_alone(self, request: Request) -> None:
        """By the coroutine of the route."""
        self._await(request, partial(self._answer, request))

    async def _answer(self, request: Request) -> Response:
        head = request.head
        model = head.target.model
        if head.target.protocol == "v1":
            return await v1.answer(model, b"".join(request.parts), self._limits, self._nonfinite, head.accepted)
        json_length = head.json_length
        body = aligned(request.parts, json_length or 0)
        return await v2.answer(model, body, json_length, self._limits, self._nonfinite, head.accepted)

    def _await(self, request: Request, work: Callable[[], Coroutine[Any, Any, Response]]) -> None:
        request.task = asyncio.ensure_future(self._respond_with(request, work))

    async def _respond_with(self, request: Request, work: Callable[[], Coroutine[Any, Any, Response]]) -> None:
        CURRENT.set(request)
        try:
            response = await work()
        except asyncio.CancelledError:
            self._lost(request)
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(request, error)
        else:
            self._send(request, response)

    def _refuse(self, request: Request, error: Exception) -> None:
        self._tell(request, refusal_of(error, request))

    def _tell(self, request: Request, refusal: Refusal) -> None:
        head = JSON % (len(refusal.body), request.identity.encode(), server_timing(request)) + refusal.more
        self._count(request, succeeded=False)
        self._respond(request, refusal.status, head, refusal.body, refusal.error)

    def _send(self, request: Request, response: Response) -> None:
        self._count(request, succeeded=True)
        own = (b"x-request-id", request.identity.encode()), (b"server-timing", server_timing(request))
        head = b"".join(b"%b: %b\r\n" % header for header in (*response.raw_headers, *own))
        self._respond(request, response.status_code, head, bytes(response.body))

    def _count(self, request: Request, *, succeeded: bool) -> None:
        """For the model's statistics; the route's coroutine counts by itself."""
        if request.read is not None:
            request.head.target.model.count(perf_counter() - request.read_at, succeeded)

    def _respond(
        self, request: Request, status: int, head: bytes, body: bytes, failure: Exception | None = None
    ) -> None:
        if request.disconnected:
            self._lost(request)
        else:
            request.connection.respond(request, status, head, body)
            self._keep(request, status, failure)

    def lose(self, request: Request) -> None:
        """The caller has hung up: what waits for it is taken back."""
        request.disconnected = True
        if request.task is not None:
            request.task.cancel()
        elif request.entry is not None:
            request.head.target.model.leave(request.entry)
            self._lost(request)
        elif not request.read_at:  # in the middle of its body
            self._lost(request)

    def _lost(self, request: Request) -> None:
        self._count(request, succeeded=False)
        self._keep(request, STATUS[CallerGone], CallerGone("the caller hung up"))

    def _keep(self, request: Request, status: int, failure: Exception | None) -> None:
        self._in_flight.count -= 1
        target = request.head.target
        if request.span is not None or self._record.wants_line(status):
            key, model = request.head.caller.name if request.head.caller else "", target.model
            call = Call(request.identity, key, model.name, model.version, target.protocol, status, failure)
            self._record.add(call, "POST", request.head.path.decode("latin-1"), ROUTES[target.protocol], request)
            return
        self._record.count(target.model.name, target.protocol, status, perf_counter() - request.started)
        if failure is not None:
            self._record.fail(target.model.name, reason_of(failure))


def _is_small(read: Read, elements: int) -> bool:
    """Whether no tensor has more elements."""
    return all(read.rows * prod(trailing) <= elements for trailing in read.trailing)
