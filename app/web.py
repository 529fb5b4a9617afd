"""What every route shares: request id, the gate, clock, log line, and the model that a path names.

`Edge` is a plain ASGI layer around the whole application, so that it also sees what no route does: unknown paths,
bodies that are too large, bugs.
"""

import itertools
import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import structlog
from fastapi import Request
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ModelNotReady, ServingError
from app.gate import Gate, InFlight, wanted_scope
from app.inference.model import Model
from app.inference.timing import CURRENT, Timing, server_timing
from app.metrics import Metrics
from app.refusals import response, told, told_of_bug
from app.repository import Repository
from app.tally import RequestTally

if TYPE_CHECKING:
    from app.tracing import Traces

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""A caller's request id that may be echoed into a header and the log."""


class NameConvertor(StringConvertor):
    """`{name:model}` in a route's path: no colon, so that `/v1/models/{name:model}` leaves `m:predict` to others."""

    regex = "[^/:]+"


register_url_convertor("model", NameConvertor())

log = structlog.get_logger("headrace.web")


@dataclass
class Call:
    """What is known of the request under way; the route fills in whom it called, for the log and the metrics."""

    request_id: str
    key: str = ""
    model: str = ""
    version: int = 0
    protocol: str = ""
    status: int = 0
    failure: Exception | None = None


@dataclass
class Stop:
    """How far the end of the service has come.

    begun:     no traffic should be sent here any more.
    runs_left: some runs would not end in their time.
    """

    begun: bool = False
    runs_left: bool = False


class Record:
    """What is kept of every request: a count, its seconds, a log line if `log_requests` or if it failed by us, and its
    trace where there are traces."""

    def __init__(self, metrics: Metrics, log_requests: bool, traces: "Traces | None") -> None:
        self._tally, self._log_requests, self._traces = RequestTally(metrics), log_requests, traces
        self._process, self._requests = uuid.uuid4().hex[:20], itertools.count()
        self.count, self.fail = self._tally.add, self._tally.fail

    def request_id(self, sent: bytes | None) -> str:
        """A caller's own id if it may be echoed, otherwise a new one: random for the process, then counted."""
        if sent is not None and REQUEST_ID.fullmatch(text := sent.decode("latin-1")):
            return text
        return f"{self._process}{next(self._requests):012x}"

    def wants_line(self, status: int) -> bool:
        """Whether a request with this status gets a line in the log; others need only be counted."""
        return self._log_requests or status >= 500

    def begin(self, timing: Timing, headers: Mapping[bytes, bytes]) -> None:
        """A request has come."""
        if self._traces is not None:
            self._traces.begin(timing, headers)

    def add(self, call: Call, method: str, path: str, route: str, timing: Timing) -> None:
        """A request that has been answered. route: what its path matched, empty for nothing."""
        seconds = perf_counter() - timing.started
        self.count(call.model, call.protocol, call.status, seconds)
        if call.failure is not None:
            self.fail(call.model, reason_of(call.failure))
        trace = ""
        if self._traces is not None and timing.span is not None:
            name, attributes = f"{method} {route}".strip(), _attributes(call, method, path, route)
            trace = self._traces.end(timing, name, call.status, attributes, call.failure)
        if self.wants_line(call.status):
            self._log(call, method, path, seconds, trace)

    def _log(self, call: Call, method: str, path: str, seconds: float, trace: str) -> None:
        """It has the reason where the fault is ours, and for a bug the stack."""
        ours = call.status >= 500
        known = isinstance(call.failure, ServingError)
        log.log(
            logging.ERROR if ours else logging.INFO,
            "request",
            request_id=call.request_id,
            method=method,
            path=path,
            model=call.model,
            **({"key": call.key} if call.key else {}),
            **({"trace_id": trace} if trace else {}),
            status=call.status,
            ms=round(1000 * seconds, 3),
            **({"reason": str(call.failure)} if ours and known else {}),
            exc_info=call.failure if ours and not known else None,
        )


def _attributes(call: Call, method: str, path: str, route: str) -> dict[str, str | int]:
    """Of a request's span. Source: OpenTelemetry's semantic conventions for HTTP spans, 1.30."""
    known: dict[str, str | int] = {"http.route": route, "headrace.model": call.model, "headrace.version": call.version}
    return {
        "http.request.method": method,
        "url.path": path,
        "headrace.request_id": call.request_id,
        **{name: value for name, value in known.items() if value},
    }


def reason_of(failure: Exception) -> str:
    """For the metrics."""
    return failure.reason if isinstance(failure, ServingError) else "bug"


class Edge:
    """The outermost layer: everything that comes in passes here once, and so does everything that goes out, but for
    what `app/lane.py` takes off the wire itself."""

    def __init__(self, app: ASGIApp, gate: Gate, record: Record) -> None:
        self._app, self._gate, self._record = app, gate, record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        timing = Timing(self._record.request_id(headers.get(b"x-request-id")))
        CURRENT.set(timing)
        self._record.begin(timing, headers)
        call = scope["headrace.call"] = Call(timing.identity)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                own = (b"x-request-id", call.request_id.encode()), (b"server-timing", server_timing(timing))
                message["headers"] = [*message["headers"], *own]
            await send(message)

        routed = _as_routed(scope, headers)
        try:
            caller = self._gate.check(scope["path"], headers)
            if caller is not None:
                call.key = caller.name
                if scope["method"] == "POST" and wanted_scope(scope["path"]) == "infer" and (late := caller.refusal()):
                    raise late
            await self._app(routed, receive, send_marked)
        except ServingError as error:
            call.failure = error
            await response(told(error))(scope, receive, send_marked)
        except Exception as error:
            call.failure = error
            if call.status not in (0, 500):
                raise
            if not call.status:
                await response(told_of_bug(call.request_id))(scope, receive, send_marked)
        finally:
            route = getattr(routed.get("route"), "path", "")
            self._record.add(call, scope["method"], scope["path"], route, timing)


def _as_routed(scope: Scope, headers: dict[bytes, bytes]) -> Scope:
    """HEAD is a GET whose body uvicorn keeps back, and ranges, which no answer here needs, are not served."""
    if scope["method"] == "HEAD":
        scope = {**scope, "method": "GET"}
    if b"range" in headers:
        scope = {**scope, "headers": [header for header in scope["headers"] if header[0] != b"range"]}
    return scope


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
    call.model, call.version = name, found.version
    return found


@contextmanager
def admitted(request: Request, model: Model) -> Iterator[None]:
    """Around a prediction, before its body is read. Raises QueueFull."""
    in_flight: InFlight = request.app.state.in_flight
    in_flight.count += 1
    try:
        if refusal := in_flight.refusal() or model.refusal():
            raise refusal
        yield
    finally:
        in_flight.count -= 1


def version_number(models: Repository, name: str, version: str) -> int:
    """The version that a path names, by its number or a label. Raises ModelNotFound."""
    return int(version) if re.fullmatch(r"[1-9][0-9]{0,17}", version) else models.labelled(name, version)
