"""OpenTelemetry traces: a span for each request, in it decode, queue, run and encode.

A caller's traceparent is taken up. All spans are made once the request is over, out of the times that it carries, so
that nothing is asked for in between; and by hand, as the SDK's own, which may change until they end, take six times as
long. A run that several requests share is a span of the first that is answered, linked to all of them; the others have
one of the same time, linked to that.

Where spans go, how many, and under which name is said by OpenTelemetry's own variables.
Source: OpenTelemetry specification 1.55, environment variables; its semantic conventions for HTTP spans.
"""

import os
import time
import traceback
from collections.abc import Mapping
from importlib.metadata import entry_points
from threading import Thread
from typing import Any, NamedTuple

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_trace_id,
    get_current_span,
)

from app import __version__
from app.inference.timing import Run, Timing

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Protocol -> the name that its exporter is installed under."""

CLOSE_S = 3.0
"""For the last spans to be sent: a stop waits no longer for a receiver that does not answer."""

Attributes = Mapping[str, str | int]

SAMPLED, UNSET = TraceFlags(TraceFlags.SAMPLED), Status()


class Begun(NamedTuple):
    """The span of a request under way. caller: the span that it is in. start: nanoseconds since 1970."""

    own: SpanContext
    caller: SpanContext | None
    start: int


class Traces:
    """The traces of this process. Raises as `exporter`."""

    def __init__(self) -> None:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "headrace"}
        self._resource = _Resource(Resource.create({**named, SERVICE_VERSION: __version__}))
        self._scope = InstrumentationScope("headrace", __version__)
        self._processor = BatchSpanProcessor(exporter()())
        provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._sampler, self._numbers = provider.sampler, provider.id_generator
        self._carriers = {name.lower().encode() for name in propagate.get_global_textmap().fields}

    def begin(self, timing: Timing, headers: Mapping[bytes, bytes]) -> None:
        """A request has come; it is traced if its caller's trace is, or as the sampler says."""
        context, caller = (None, None) if self._carriers.isdisjoint(headers) else _told(headers)
        trace = caller.trace_id if caller else self._numbers.generate_trace_id()
        decided = self._sampler.should_sample(context, trace, "request", SpanKind.SERVER)
        if decided.decision is Decision.RECORD_AND_SAMPLE:
            own = SpanContext(trace, self._numbers.generate_span_id(), False, SAMPLED, decided.trace_state)
            timing.span = Begun(own, caller, time.time_ns())

    def end(self, timing: Timing, name: str, status: int, attributes: Attributes, failure: Exception | None) -> str:
        """A request that is traced is over, with this HTTP status; the number of its trace."""
        clock = _Clock()
        span: Begun = timing.span
        self._stages(timing, span.own, clock)
        failed = status >= 500
        self._send(
            name,
            span.own,
            span.caller,
            span.start,
            clock.now,
            kind=SpanKind.SERVER,
            attributes={**attributes, "http.response.status_code": status},
            status=Status(StatusCode.ERROR, str(failure) if failure else None) if failed else UNSET,
            events=[_raised(failure, clock.now)] if failed and failure else (),
        )
        timing.span = timing.run = None
        return format_trace_id(span.own.trace_id)

    def _stages(self, timing: Timing, span: SpanContext, clock: "_Clock") -> None:
        if timing.read_at and timing.arrived:
            self._stage("decode", span, clock.at(timing.read_at), clock.at(timing.arrived))
        if timing.arrived and timing.taken:
            self._stage("queue", span, clock.at(timing.arrived), clock.at(timing.taken))
        if timing.ended:
            run = self._stage("run", span, clock.at(timing.began), clock.at(timing.ended), timing.run)
            if timing.run and timing.run.span is None:
                timing.run.span = run
            self._stage("encode", span, clock.at(timing.ended), clock.now)

    def _stage(self, name: str, span: SpanContext, start: int, end: int, run: Run | None = None) -> SpanContext:
        own = SpanContext(span.trace_id, self._numbers.generate_span_id(), False, SAMPLED, span.trace_state)
        attributes = {"headrace.batch.rows": run.rows, "headrace.batch.requests": run.requests} if run else None
        self._send(name, own, span, start, end, attributes=attributes, links=_links(run, span) if run else ())
        return own

    def _send(self, name: str, own: SpanContext, around: SpanContext | None, start: int, end: int, **more: Any) -> None:
        self._processor.on_end(
            ReadableSpan(
                name,
                own,
                around,
                self._resource,
                start_time=start,
                end_time=end,
                instrumentation_scope=self._scope,
                **more,
            )
        )

    def close(self) -> None:
        """Send what has not been sent, if there is somebody to take it. Blocking."""
        closing = Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class _Resource(Resource):
    """Whose hash, which the exporter asks for with every span, is made once."""

    def __init__(self, made: Resource) -> None:
        super().__init__(made.attributes, made.schema_url)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


class _Clock:
    """Times of `perf_counter` as OpenTelemetry has them: nanoseconds since 1970."""

    def __init__(self) -> None:
        self.now = time.time_ns()
        self._zero = self.now - time.perf_counter_ns()

    def at(self, seconds: float) -> int:
        return self._zero + int(seconds * 1e9)


def _told(headers: Mapping[bytes, bytes]) -> tuple[Context, SpanContext | None]:
    """What a caller says of its own trace, and the span that it called from."""
    text = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
    context = propagate.extract(text)
    caller = get_current_span(context).get_span_context()
    return context, caller if caller.is_valid else None


def _links(run: Run, span: SpanContext) -> list[Link]:
    if run.span is not None:
        return [Link(run.span)]
    others = {timing.span.own.span_id: timing.span.own for timing in run.traced if timing.span is not None}
    return [Link(other) for other in others.values() if other is not span]


def _raised(failure: Exception, now: int) -> Event:
    """Source: OpenTelemetry's semantic conventions for exceptions, 1.30."""
    kind = type(failure)
    told = {
        "exception.type": f"{kind.__module__}.{kind.__qualname__}",
        "exception.message": str(failure),
        "exception.stacktrace": "".join(traceback.format_exception(failure)),
    }
    return Event("exception", told, now)


def exporter() -> type[SpanExporter]:
    """The one that OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL name. Raises ValueError."""
    name = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if name == "otlp":
        protocol = next((os.environ[variable] for variable in PROTOCOLS if os.environ.get(variable)), "http/protobuf")
        if protocol not in OTLP:
            raise ValueError(f"{PROTOCOLS[1]} is {protocol}, wanted {' or '.join(OTLP)}")
        name = OTLP[protocol]
    every = entry_points(group="opentelemetry_traces_exporter")
    if name not in every.names:
        more = ": pip install 'headrace[grpc]'" if name == OTLP["grpc"] else ""
        raise ValueError(f"no exporter {name} of traces is installed, only {', '.join(sorted(every.names))}{more}")
    found: type[SpanExporter] = every[name].load()
    return found
