"""When a request was where: what its answer says in Server-Timing, and what its trace is made of."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any


@dataclass(eq=False, slots=True)
class Run:
    """A run for several requests.

    traced: those of them that are traced. span: of the run, once the first of them has told it.
    """

    rows: int
    requests: int
    traced: Sequence["Timing"]
    span: Any = None


class Timing:
    """One request's way, in seconds of `perf_counter`; 0 for where it has not been.

    identity: its id; empty for none.
    started:  its head began to arrive.
    read_at:  its body was whole.
    arrived:  it was decoded, and entered the queue.
    taken:    it left the queue.
    began:    its first run began; ended: its last run was over.
    run:      the last, of one that is traced.
    span:     of its trace, if it is traced.
    """

    __slots__ = ("arrived", "began", "ended", "identity", "read_at", "run", "span", "started", "taken")

    def __init__(self, identity: str = "") -> None:
        self.identity, self.started = identity, perf_counter()
        self.read_at = self.arrived = self.taken = self.began = self.ended = 0.0
        self.run: Run | None = None
        self.span: Any = None

    def enter(self, now: float) -> None:
        """Into the queue; of a request in several pieces, with the first of them."""
        self.arrived = self.arrived or now

    def take(self, now: float) -> None:
        """Out of it, as above."""
        self.taken = self.taken or now


CURRENT: ContextVar[Timing] = ContextVar("timing")
"""Of the request that a coroutine works for."""


def tell_run(timings: Sequence[Timing], rows: int, began: float, seconds: float) -> None:
    """A run of so many rows for these requests is over."""
    for timing in timings:
        timing.began, timing.ended = timing.began or began, began + seconds
    traced = [timing for timing in timings if timing.span is not None]
    if traced:
        run = Run(rows, len(timings), traced)
        for timing in traced:
            timing.run = run


def server_timing(timing: Timing) -> bytes:
    """The value of the header as of now: milliseconds in the queue, in runs, and in all.

    Source: W3C Server Timing, 2023.
    """
    total = perf_counter() - timing.started
    if not timing.ended:
        return b"total;dur=%.3f" % (1000 * total)
    queue, run = timing.taken - timing.arrived, timing.ended - timing.began
    return b"queue;dur=%.3f, run;dur=%.3f, total;dur=%.3f" % (1000 * queue, 1000 * run, 1000 * total)
