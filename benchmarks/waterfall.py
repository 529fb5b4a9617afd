"""Draw the trace of one batch: requests that share a run, from the spans that a receiver of OTLP gets.

    python -m benchmarks.waterfall

Callers send garments to the shipped model `fashion`, a few at a time and when they like. One of the runs that several
requests share is drawn: a line for each span, its time from left to right. The picture is
.cache/bench/dashboards/trace.png.
"""

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import Event

import httpx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.networks import CACHE
from tests.otlp import http_receiver
from tests.serving import serving_process, wait_until

SHIPPED = Path(__file__).parents[1] / "models" / "fashion"
CONFIG = "batching: {max_rows: 256}\ninstances: 1\n"
"""One run at a time, so that who comes meanwhile waits for the next."""

CALLERS, TIMES = 6, 30
MOST_ROWS, MOST_REST_S = 24, 0.008
"""Of a request, and between an answer and the caller's next request."""

SEED = 20261128

FEWEST, MOST = 3, 4
"""Requests of the run that is drawn."""

COLOURS = {"request": "#b9c0ca", "decode": "#3b9a5b", "queue": "#e8a33d", "run": "#b5403f", "encode": "#3f74b5"}
LINE, WIDTH = 0.28, 13.0
"""Inches of a span's line, and of the picture's width."""

THINNEST = 0.002
"""Of the time that is drawn, for what would not be seen."""


@dataclass(frozen=True)
class Request:
    """A request's own span, and its stages in the order of their time."""

    span: Span
    stages: Sequence[Span]

    def stage(self, name: str) -> Span:
        """By its name."""
        [found] = [stage for stage in self.stages if stage.name == name]
        return found


def body(name: str, shape: Sequence[int], chance: random.Random) -> bytes:
    """A few rows of noise."""
    count = chance.randint(1, MOST_ROWS)
    pixels = chance.choices(range(256), k=count * prod(shape))
    tensor = {"name": name, "shape": [count, *shape], "datatype": "FP32", "data": pixels}
    return json.dumps({"inputs": [tensor]}).encode()


def call(address: httpx.URL, seed: int) -> None:
    """One caller, from the first request to the last."""
    chance, pause = random.Random(seed), Event()  # noqa: S311
    path = f"/v2/models/{SHIPPED.name}"
    with httpx.Client(base_url=address, timeout=30) as client:
        [told] = client.get(path).json()["inputs"]
        for _ in range(TIMES):
            sent = body(told["name"], told["shape"][1:], chance)
            client.post(f"{path}/infer", content=sent).raise_for_status()
            pause.wait(chance.uniform(0, MOST_REST_S))


def traced(folder: Path) -> list[Span]:
    """Every span that is sent while all callers call."""
    shutil.copytree(SHIPPED, folder / "models" / SHIPPED.name)
    (folder / "models" / SHIPPED.name / "config.yaml").write_text(CONFIG)
    with ExitStack() as stack:
        address, received = stack.enter_context(http_receiver())
        place = (folder / "models", folder / "log")
        serving = serving_process(*place, OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_BSP_SCHEDULE_DELAY="100")
        client, _ = stack.enter_context(serving)
        with ThreadPoolExecutor(CALLERS) as pool:
            for one in [pool.submit(call, client.base_url, SEED + number) for number in range(CALLERS)]:
                one.result()
        wait_until(lambda: len(received.named("run")) == CALLERS * TIMES, "not all spans came")
        return received.spans


def batch_that_waited(spans: Sequence[Span]) -> list[Request]:
    """The requests of one shared run, of all those that waited longest: first the one whose run has the links, then the
    others as they came.

    Raises ValueError if no run was shared by FEWEST to MOST.
    """
    requests = {span.span_id: Request(span, inside(span, spans)) for span in spans if is_request(span)}
    shared = [
        [requests[number] for number in (run.parent_span_id, *(link.span_id for link in run.links))]
        for run in spans
        if run.name == "run" and FEWEST <= 1 + len(run.links) <= MOST
    ]
    if not shared:
        raise ValueError(f"no run was shared by {FEWEST} to {MOST} requests")
    first, *others = max(shared, key=lambda batch: sum(length(one.stage("queue")) for one in batch))
    return [first, *sorted(others, key=lambda one: one.span.start_time_unix_nano)]


def is_request(span: Span) -> bool:
    """Or a stage of one."""
    return span.kind == Span.SPAN_KIND_SERVER


def inside(span: Span, spans: Sequence[Span]) -> list[Span]:
    """In the order of their time."""
    found = [one for one in spans if one.parent_span_id == span.span_id]
    return sorted(found, key=lambda one: one.start_time_unix_nano)


def length(span: Span) -> int:
    """In nanoseconds."""
    return span.end_time_unix_nano - span.start_time_unix_nano


def told(span: Span, *, leads: bool) -> str:
    """How long it took, and what it says of itself."""
    milliseconds = f"{length(span) / 1e6:.2f} ms"
    said = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
    if is_request(span):
        return f"{milliseconds}  {said['headrace.model']}, version {said['headrace.version']}"
    if span.name != "run":
        return milliseconds
    of = f"{said['headrace.batch.rows']} rows of {said['headrace.batch.requests']} requests"
    return f"{milliseconds}  {of}" if leads else f"{milliseconds}  the same run"


def draw(requests: Sequence[Request], place: Path) -> None:
    """A line for each span; the run's links as arrows."""
    zero = min(one.span.start_time_unix_nano for one in requests)
    end = max(one.span.end_time_unix_nano for one in requests)
    lines = [(one, span) for one in requests for span in (one.span, *one.stages)]
    heights = {span.span_id: height for height, (_, span) in enumerate(lines)}
    figure = Figure(figsize=(WIDTH, LINE * (len(lines) + 6)), layout="constrained")
    axis = figure.add_subplot()
    for request, span in lines:
        bar(axis, span, heights[span.span_id], zero, end, leads=request is requests[0])
    link(axis, requests, heights, zero)
    axis.set_yticks(range(len(lines)), [label(span, requests) for _, span in lines])
    for tick, (_, span) in zip(axis.get_yticklabels(), lines, strict=True):
        tick.set_fontweight("bold" if is_request(span) else "normal")
    axis.set(xlim=(0, (end - zero) / 1e6), ylim=(len(lines) - 0.4, -0.6), xlabel="ms since the first of them came")
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=True, axis="x", alpha=0.25)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_title(
        "One batch: requests wait in the queue for the run before, and leave it together for one run", loc="left"
    )
    arrows = [Line2D([], [], color="black"), Line2D([], [], color="black", linestyle=":")]
    kinds = [Patch(color=colour) for colour in COLOURS.values()]
    names = [*COLOURS, "the run's links to the requests in it", "their own spans of the run, linked to it"]
    figure.legend([*kinds, *arrows], names, loc="outside lower center", ncols=len(names), fontsize=8, frameon=False)
    figure.savefig(place, dpi=110)


def label(span: Span, requests: Sequence[Request]) -> str:
    """Of its line."""
    own = [number for number, one in enumerate(requests, 1) if one.span is span]
    return f"request {own[0]}" if own else span.name


def bar(axis: Axes, span: Span, height: int, zero: int, end: int, *, leads: bool) -> None:
    """One span. zero, end: of all that are drawn."""
    width = max(length(span), THINNEST * (end - zero))
    colour = COLOURS["request" if is_request(span) else span.name]
    pale = span.name == "run" and not leads
    axis.barh(
        height,
        width / 1e6,
        left=(span.start_time_unix_nano - zero) / 1e6,
        height=0.72,
        color=colour,
        alpha=0.45 if pale else 1,
        hatch="//" if pale else None,
        edgecolor=colour if pale else "none",
    )
    text = told(span, leads=leads)
    axis.text(1.01, height, text, transform=axis.get_yaxis_transform(), va="center", fontsize=8)


def link(axis: Axes, requests: Sequence[Request], heights: dict[bytes, int], zero: int) -> None:
    """Arrows from the run to the requests that it is linked to, and to it from their own spans of it."""
    first, *others = requests
    run = first.stage("run")
    for number, other in enumerate(others, 1):
        for along, above, below, style in (
            (number / (2 * len(requests)), run, other.span, "-"),
            (0.5 + number / (2 * len(requests)), other.stage("run"), run, ":"),
        ):
            place = (run.start_time_unix_nano + along * length(run) - zero) / 1e6
            ends = (place, heights[below.span_id]), (place, heights[above.span_id])
            arrow = {"arrowstyle": "-|>", "linestyle": style, "shrinkA": 0, "shrinkB": 0, "color": "black"}
            axis.annotate("", *ends, arrowprops=arrow)
            axis.plot(*ends[1], "o", color="black", markersize=3)


def main() -> None:
    """Call, choose, draw."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.waterfall",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    place = CACHE / "dashboards" / "trace.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="headrace-waterfall-") as folder:
        draw(batch_that_waited(traced(Path(folder))), place)
    print(place)


if __name__ == "__main__":
    main()
