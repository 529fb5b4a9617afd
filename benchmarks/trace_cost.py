"""Processor instructions that traces cost a prediction, beside none.

    python -m benchmarks.trace_cost

Requests are counted as by `benchmarks.instructions`: without traces, with a sampler that takes no request, and with one
that takes all of them. Spans go to a receiver in this process by OTLP over HTTP, and what sending them takes is counted
too; their batches are half as large as OpenTelemetry's default, so that all that is counted has whole ones. What one
request in a hundred costs follows: 0.99 of the second and 0.01 of the third.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.instructions import FEW, Caller, count, under_callgrind
from benchmarks.servers import Server, running
from benchmarks.traffic import Traffic
from tests.otlp import Received, http_receiver
from tests.serving import wait_until

SPANS = 5
"""Of a request: its own, and decode, queue, run and encode in it."""

REPEATS = 4

NEVER_MS = 86_400_000

SHARES = {"off": None, "none": 0, "all": 1}
"""Name -> the share of requests that are traced; None without traces."""

SAMPLED = 0.01


class PatientCaller(Caller):
    """One whose requests are over when their spans have come."""

    def __init__(self, port: int, received: Received) -> None:
        super().__init__(port)
        self._received = received

    def send(self, request: bytes, times: int) -> None:
        """As often as gives whole batches of spans."""
        wanted = len(self._received.spans) + SPANS * times
        super().send(request, times)
        wait_until(lambda: len(self._received.spans) >= wanted, "not all spans came")


def under_callgrind_traced(
    out: Path, address: str, share: int, port: int, models: Sequence[str], binary: bool
) -> list[str | Path]:
    """The service, which sends no spans but whole batches."""
    batches = (f"OTEL_BSP_MAX_EXPORT_BATCH_SIZE={SPANS * FEW}", f"OTEL_BSP_SCHEDULE_DELAY={NEVER_MS}")
    sampler = ("OTEL_TRACES_SAMPLER=parentbased_traceidratio", f"OTEL_TRACES_SAMPLER_ARG={share}")
    said = (f"OTEL_EXPORTER_OTLP_ENDPOINT={address}", *batches, *sampler)
    return ["env", *said, *under_callgrind(out, port, models, binary)]


def counted(name: str, share: int | None) -> dict[str, float]:
    """Instructions for one request of each kind, the fewest: what is done once in a while only adds to them."""
    with ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory()), "callgrind")
        address, received = stack.enter_context(http_receiver())
        command = (
            partial(under_callgrind, out) if share is None else partial(under_callgrind_traced, out, address, share)
        )
        service = stack.enter_context(running(Server(f"traces-{name}", command), [Traffic("mlp")]))
        caller = PatientCaller(service.port, received) if share else Caller(service.port)
        return {kind: min(counts) for kind, counts in count(service, caller, out, REPEATS).items()}


def table(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Markdown. found: setting -> request -> instructions."""
    lines = ["| request | off | 1% traced | times off | all traced | times off |", f"| --- |{' ---: |' * 5}"]
    for name, off in found["off"].items():
        every = found["all"][name]
        few = (1 - SAMPLED) * found["none"][name] + SAMPLED * every
        lines.append(f"| {name} | {off:,.0f} | {few:,.0f} | {few / off:.2f} | {every:,.0f} | {every / off:.2f} |")
    return lines


def main() -> int:
    """Count and print."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.trace_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    print("\n".join(table({name: counted(name, share) for name, share in SHARES.items()})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
