"""OpenTelemetry traces: a span for each request, in it decode, queue, run and encode.

A caller's traceparent is taken up. The spans of the stages are made once the request is over, out of the times that it
carries, so that nothing is asked for in between. A run that several requests share is a span of the first that is
answered, linked to all of them; the others have one of the same time, linked to that.

Where spans go, how many, and under which name is said by OpenTelemetry's own variables.
Source: OpenTelemetry specification 1.55, environment variables; its semantic conventions for HTTP spans.
"""

import os
import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from threading import Thread

from opentelemetry import propagate
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, format_trace_id, set_span_in_context

from app import __version__
from app.inference.timing import Run, Timing

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Protocol -> the name that its exporter is installed under."""

CLOSE_S = 3.0
"""For the last spans to be sent: a stop waits no longer for a receiver that does not answer."""

Attributes = Mapping[str, str | int]


class Traces:
    """The traces of this process. Raises as `exporter`."""

    def __init__(self) -> None:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "headrace"}
        resource = Resource.create({**named, SERVICE_VERSION: __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter()()))
        self._tracer = self._provider.get_tracer("headrace", __version__)

    def begin(self, timing: Timing, headers: Mapping[bytes, bytes]) -> None:
        """A request has come; it is traced if its caller's trace is, or as the sampler says."""
        told = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        span = self._tracer.start_span("request", propagate.extract(told), SpanKind.SERVER, start_time=time.time_ns())
        if span.is_recording():
            timing.span = span

    def end(self, timing: Timing, name: str, status: int, attributes: Attributes, failure: Exception | None) -> str:
        """A request that is traced is over, with this HTTP status; the number of its trace."""
        clock = _Clock()
        span: Span = timing.span
        self._stages(timing, span, clock)
        span.update_name(name)
        span.set_attributes({**attributes, "http.response.status_code": status})
        if status >= 500:
            span.set_status(StatusCode.ERROR, str(failure) if failure else None)
            if failure:
                span.record_exception(failure)
        span.end(clock.now)
        timing.span = timing.run = None
        return format_trace_id(span.get_span_context().trace_id)

    def _stages(self, timing: Timing, span: Span, clock: "_Clock") -> None:
        if timing.read_at and timing.arrived:
            self._stage("decode", span, clock.at(timing.read_at), clock.at(timing.arrived))
        if timing.arrived and timing.taken:
            self._stage("queue", span, clock.at(timing.arrived), clock.at(timing.taken))
        if timing.ended:
            run = self._stage("run", span, clock.at(timing.began), clock.at(timing.ended), timing.run)
            if timing.run and timing.run.span is None:
                timing.run.span = run
            self._stage("encode", span, clock.at(timing.ended), clock.now)

    def _stage(self, name: str, span: Span, start: int, end: int, run: Run | None = None) -> Span:
        attributes = {"headrace.batch.rows": run.rows, "headrace.batch.requests": run.requests} if run else None
        links = _links(run, span) if run else ()
        inside = set_span_in_context(span)
        made = self._tracer.start_span(name, inside, attributes=attributes, links=links, start_time=start)
        made.end(end)
        return made

    def close(self) -> None:
        """Send what has not been sent, if there is somebody to take it. Blocking."""
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class _Clock:
    """Times of `perf_counter` as OpenTelemetry has them: nanoseconds since 1970."""

    def __init__(self) -> None:
        self.now = time.time_ns()
        self._zero = self.now - time.perf_counter_ns()

    def at(self, seconds: float) -> int:
        return self._zero + int(seconds * 1e9)


def _links(run: Run, span: Span) -> list[Link]:
    if run.span is not None:
        return [Link(run.span.get_span_context())]
    others = dict.fromkeys(timing.span for timing in run.traced if timing.span not in (None, span))
    return [Link(other.get_span_context()) for other in others]


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
