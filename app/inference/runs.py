"""Requests that run together: what each of them gets of the run, or why it gets nothing.

Nothing here knows of the queue or of the event loop, so all of it may happen in any thread.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple, Protocol

from app.inference import batch
from app.inference.batch import Rows
from app.inference.signature import Tensors
from app.inference.timing import Timing


class Abandonable(Protocol):
    """Runs that another thread can give up."""

    def __call__(self, tensors: Tensors) -> Tensors:
        """Blocking. Raises what the run raises, or something after `abandon`."""

    def abandon(self) -> None:
        """What runs ends as soon as it can, and what has not begun does not begin; from any thread."""


@dataclass(eq=False, slots=True)
class Entry:
    """A request, or a piece of one, on its way through the queue.

    kind:   equal for those that may share a run.
    alone:  shares none.
    done:   called once, with its part of a run's outputs or the reason why there is none; not after it has left.
    timing: of the whole request.
    """

    tensors: Tensors
    rows: int
    kind: Hashable
    alone: bool
    priority: int
    arrived: float
    due: float
    done: Callable[[Rows | Exception], None]
    timing: Timing
    queued: bool = True
    over: bool = False


class Stacked(NamedTuple):
    """The tensors of a run, and how long it took to put them together."""

    tensors: Tensors
    seconds: float


class Outcome(NamedTuple):
    """What one run gave to each of its requests; the seconds of stacking, computing and cutting apart, when the
    computing began, and what it was made from."""

    rows: int
    results: Sequence[Rows]
    input_s: float
    infer_s: float
    output_s: float
    began: float
    inputs: Tensors


See = Callable[[Outcome, Sequence[int], Sequence[Timing]], None]
"""Is shown a run, with the rows and the timing of each of its requests."""


class Computed(NamedTuple):
    """What came of some entries that were run together."""

    entries: Sequence[Entry]
    outcome: Outcome | Exception


def stack(pieces: Sequence[Tensors]) -> Stacked:
    """The rows of all pieces behind each other."""
    started = perf_counter()
    return Stacked(batch.stack(pieces), perf_counter() - started)


def compute(
    run: Callable[[Tensors], Tensors], taken: Sequence[Entry], stacked: Stacked | None = None
) -> list[Computed]:
    """What comes of these entries. A batch that fails is tried again in halves, so that only the request that makes
    it fail goes without an answer. What a caller has left meanwhile is not computed.

    stacked: the tensors of all of them, if they are put together already.
    """
    left = [entry for entry in taken if not entry.over]
    if len(left) < len(taken):
        return compute(run, left) if left else []
    try:
        stacked = stacked or stack([entry.tensors for entry in taken])
        outcome = outcome_of(run, stacked, [entry.rows for entry in taken], alone=taken[0].alone)
    except Exception as error:  # noqa: BLE001 - whatever it is must reach its caller, who would wait for ever
        if len(taken) == 1:
            return [Computed(taken, error)]
        half = len(taken) // 2
        return compute(run, taken[:half]) + compute(run, taken[half:])
    return [Computed(taken, outcome)]


def outcome_of(run: Callable[[Tensors], Tensors], stacked: Stacked, rows: Sequence[int], *, alone: bool) -> Outcome:
    """One run. Raises what it raises.

    rows: of each request. alone: there is only one, whose outputs may have any shape.
    """
    started = perf_counter()
    outputs = run(stacked.tensors)
    computed = perf_counter()
    results = [Rows(outputs)] if alone else batch.split(outputs, rows)
    cut = perf_counter() - computed
    return Outcome(sum(rows), results, stacked.seconds, computed - started, cut, started, stacked.tensors)
