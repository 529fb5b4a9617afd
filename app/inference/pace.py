"""How long a model's runs take, by their rows: measured at load, and the batches and the place that follow from it.

Larger batches pay until a run's time grows as its rows do; from there on they only make callers wait. A run that is
much shorter than the way to a thread and back is better made on the event loop, if the loop can bear it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable
from itertools import accumulate
from time import perf_counter

import numpy as np

from app.errors import InferenceFailed, InvalidInput
from app.inference.batch import kind, whole_kind
from app.inference.signature import Tensors

STEP = 4
"""Sizes that are measured lie so far apart."""

MOST_ROWS = 1024
"""The largest batch that is measured, and made."""

REPEATS = 3
"""Runs of each size; the fastest counts, since other programs can only slow one down."""

PATIENCE_S = 1.0
"""Sizes are measured as long as all runs together take less: a slow model needs no large batch."""

REPEAT_S = 0.1
"""A size is run again only as long as its runs together took less. A run of microseconds may take 50 ms on a machine
that does something else, and would be taken for a slow one if it were not run again."""

MOST_BYTES = 2**26
"""Of the inputs of a batch that is measured, and of its outputs."""

HOP_S = 1e-4
"""What a run costs beside the computing: to a thread and back, stacked and cut apart."""

WORTH = 0.95
"""Of the best rate that was measured: the smallest batch with so much of it is the largest that is made."""

UNMEASURED_ROWS = 8

SHORT_S = 4e-3
"""A batch whose run takes no longer is not too large, whatever a disturbed measurement says of its rate."""

INLINE_S = 1.5e-4
"""A request whose own run is expected to take no longer runs on the event loop: a thread would hand the interpreter's
lock back and forth for it. Tried with a small convolutional network on two cores: callers with an image each, of 30 to
80 us, got 1.3 to 1.7 times the answers so as through threads; callers with 16 images each, of 300 to 600 us, got 0.6 to
0.7 times the rows."""

STALL_S = 1e-3
"""A run on the event loop takes no more rows than are expected to hold it up for so long."""

LEARNT = 0.05
"""The share of a new observation in how much slower runs on the event loop are than at load."""


class Pace:
    """Seconds of a run by its rows, as measured.

    seconds: rows -> seconds, rows ascending; empty if nothing is known.
    of_kind: what was run, as `batch.kind` tells it, or `batch.whole_kind` where rows do not share runs.
    steady:  the same for all values; otherwise no run is sure to be short.

    `bearable_rows` are those of the largest run that the event loop is held up by.
    """

    def __init__(self, seconds: dict[int, float], of_kind: Hashable, *, steady: bool = True) -> None:
        self._rows, self._seconds = [*seconds], [*accumulate(seconds.values(), max)]
        self._kind, self._steady = of_kind, steady
        self._slowdown = 1.0
        self._apply()

    def _apply(self) -> None:
        """What follows from how much slower runs are than at load."""
        self._applied = self._slowdown
        place = bisect_right(self._seconds, INLINE_S / self._slowdown)
        self._short_rows = self._rows[place - 1] if place and self._steady else 0
        self.bearable_rows = self.rows_within(STALL_S)

    def knows(self, of_kind: Hashable) -> bool:
        """Whether tensors of this kind were measured; others may take any time."""
        return bool(self._rows) and of_kind == self._kind

    @property
    def best_rows(self) -> int:
        """The smallest batch at nearly the best rate, or the largest that is over before anyone notices.

        MOST_ROWS if nothing is known. UNMEASURED_ROWS where a slow model was not measured far enough to tell.
        """
        measured = [*zip(self._rows, self._seconds, strict=True)]
        best = max((rows / (seconds + HOP_S) for rows, seconds in measured), default=0.0)
        worth = [rows for rows, seconds in measured if rows / (seconds + HOP_S) >= WORTH * best]
        short = [rows for rows, seconds in measured if seconds <= SHORT_S]
        rising = [UNMEASURED_ROWS] if len(worth) == 1 and worth == self._rows[-1:] else []
        return max(worth[:1] + short[-1:] + rising, default=MOST_ROWS)

    def expected_s(self, rows: int) -> float:
        """Seconds of a run of so many rows; infinite for more than were measured."""
        place = bisect_left(self._rows, rows)
        return self._seconds[place] * self._slowdown if place < len(self._rows) else np.inf

    def is_short(self, of_kind: Hashable, rows: int) -> bool:
        """Whether a request of so many rows is better run on the event loop than in a thread."""
        return rows <= self._short_rows and of_kind == self._kind

    def rows_within(self, seconds: float) -> int:
        """The rows of the largest run that is expected to take no longer; at least 1."""
        place = bisect_right(self._seconds, seconds / self._slowdown)
        if not place:
            return 1
        more = int(self._rows[place - 1] * seconds / (self._seconds[place - 1] * self._slowdown))
        return min(more, STEP * self._rows[place - 1])

    def learn(self, rows: int, seconds: float) -> None:
        """A run of so many rows on the event loop took so long: neighbours on the machine, or other values, may have
        slowed it down. None is faster than at load, where the fastest of several counted."""
        place = bisect_left(self._rows, rows)
        if place < len(self._rows):
            ratio = min(seconds / self._seconds[place], 10.0)
            self._slow_down(max(1.0, self._slowdown + LEARNT * (ratio - self._slowdown)))

    def fade(self) -> None:
        """A run was made in a thread, where it says nothing of the event loop, as it waits for the interpreter's lock:
        what was learnt fades, so that in time the event loop is tried again."""
        self._slow_down(self._slowdown + LEARNT * (1.0 - self._slowdown))

    def _slow_down(self, times: float) -> None:
        self._slowdown = times
        if not 0.95 < times / self._applied < 1.05:
            self._apply()


def measure(run: Callable[[Tensors], Tensors], example: Tensors | None, *, batched: bool, steady: bool) -> Pace:
    """Runs the example alone and, where rows may share a run, in batches of 1, 4, 16, ... rows. Blocking.

    example: of one row where the model is batched; None if none is known. steady: see `Pace`.
    """
    seconds: dict[int, float] = {}
    if example is None:
        return Pace(seconds, None)
    row_bytes = sum(tensor.nbytes for tensor in example.values())
    most = min(MOST_ROWS, MOST_BYTES // max(row_bytes, 1)) if batched else 1
    end, rows = perf_counter() + PATIENCE_S, 1
    while rows == 1 or (rows <= most and perf_counter() + STEP * seconds[rows // STEP] < end):
        feed = example if rows == 1 else {name: np.repeat(tensor, rows, axis=0) for name, tensor in example.items()}
        try:
            outputs = run(feed)
        except (InvalidInput, InferenceFailed):
            break  # so many rows are not to be had, which is no reason not to serve fewer
        seconds[rows] = _fastest(run, feed)
        if STEP * sum(tensor.nbytes for tensor in outputs.values()) > MOST_BYTES:
            break
        rows *= STEP
    return Pace(seconds, kind(example) if batched else whole_kind(example), steady=steady)


def _fastest(run: Callable[[Tensors], Tensors], feed: Tensors) -> float:
    taken = [_timed(run, feed)]
    while len(taken) < REPEATS and sum(taken) < REPEAT_S:
        taken.append(_timed(run, feed))
    return min(taken)


def _timed(run: Callable[[Tensors], Tensors], feed: Tensors) -> float:
    started = perf_counter()
    run(feed)
    return perf_counter() - started
