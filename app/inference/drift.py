"""How far what callers send, and what a model answers, lies from what it was trained on.

Runs are sampled on the event loop, which costs it a reference to their tensors, and counted in a thread once a second:
so many rows of each feature in each tenth of the training rows, or in each category. The last hour counts.

What the manifest's ranges and categories refuse never comes to a run, so it is counted where it is refused.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from threading import Lock
from time import monotonic

import numpy as np

from app.feature import Feature
from app.inference.bins import Bins, Counts, bins_of, by_chance, of_categories, of_deciles, stability
from app.inference.signature import DTYPES, Tensor, Tensors, TensorSpec
from app.manifest import Manifest, OutputTensor

FEWEST_ROWS = 500
"""Below this the index is mostly chance, and is not told."""

ROWS_A_SECOND = 200
BYTES_A_SECOND = 2**22
"""Of one model that are looked at, at most; what is kept for that until its second is over is one run more at most."""

WINDOWS, WINDOW_S = 12, 300.0
"""An hour, five minutes at a time."""


@dataclass(frozen=True)
class Watched:
    """One feature or answer.

    trained: rows that its bins were made from; infinity where that is not known.
    feature, column: of a feature, and its place in a tensor that several share; None where it is the tensor.
    answer:  of an answer.
    """

    name: str
    tensor: str
    bins: Bins
    trained: float
    feature: Feature | None = None
    column: int | None = None
    answer: OutputTensor | None = None

    @property
    def kind(self) -> str:
        return "feature" if self.answer is None else "answer"

    def values(self, tensor: Tensor) -> Tensor:
        """(rows, ...) -> (rows, ...): as they are counted."""
        if self.answer is None:
            values = tensor if self.column is None else tensor[:, self.column]
            return self._numbers(values) if values.dtype.kind == "O" else values
        if self.answer.kind == "value":
            return tensor.reshape(-1)
        rows = tensor.reshape(-1, len(self.answer.labels))
        places = predicted(rows, self.answer.threshold)
        return places if self.bins.places is not None else rows[np.arange(len(rows)), places]

    def _numbers(self, names: Tensor) -> Tensor:
        """Of categories that are sent by their names."""
        assert self.feature is not None
        places, unknown = self.feature.places, len(self.feature.categories)
        return np.array([places.get(name, unknown) for name in names.ravel().tolist()], np.int64).reshape(names.shape)


def predicted(probabilities: Tensor, threshold: float | None) -> Tensor:
    """(rows, labels) -> (rows,): the place of the label that is answered."""
    if threshold is None:
        places: Tensor = probabilities.argmax(axis=1)
        return places
    return np.greater_equal(probabilities[:, 1], threshold).astype(np.int64)


def watched(manifest: Manifest, outputs: Iterable[TensorSpec]) -> list[Watched]:
    """All that there is something to compare with. outputs: of the graph."""
    found = []
    trained = manifest.data.rows.get("train") or inf
    for one in manifest.inputs:
        for at, feature in enumerate(one.features):
            summary = manifest.summaries.get(feature.name)
            if summary and (bins := bins_of(summary, feature)):
                column = None if feature.shape else at
                found.append(Watched(feature.name, one.tensor, bins, trained, feature, column))
    numbers = {spec.name for spec in outputs if DTYPES[spec.datatype].kind in "iuf"}
    for output in manifest.outputs:
        if output.tensor in numbers and output.kind != "ranking":
            found += _answers(manifest, output)
    return found


def _answers(manifest: Manifest, output: OutputTensor) -> list[Watched]:
    """Which labels come how often, and how sure they are; or the values."""
    found, trained = [], manifest.data.rows.get("validation") or inf
    summary = manifest.predictions.get(output.tensor)
    if summary and summary.shares and output.kind == "probabilities":
        found.append(Watched(output.name, output.tensor, of_categories(summary, output.labels), trained, answer=output))
    if summary and summary.deciles:
        name = output.name if output.kind == "value" else f"probability of {output.name}"
        found.append(Watched(name, output.tensor, of_deciles(summary), trained, answer=output))
    return found


@dataclass
class Second:
    """What came in one second, and the room that is left in it.

    runs: (tensors, how many of their rows are to be counted).
    refused: feature -> values.
    """

    runs: list[tuple[Tensors, int]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    rows: int = ROWS_A_SECOND
    bytes: int = BYTES_A_SECOND


@dataclass
class _Tally:
    """Counts of one feature or answer, over some minutes."""

    counts: Counts
    rows: int = 0
    missing: int = 0
    outside: int = 0
    refused: int = 0


@dataclass(frozen=True)
class _Window:
    """tallies: of each that is watched."""

    began: float
    tallies: Sequence[_Tally]


@dataclass(frozen=True)
class Told:
    """Of the last hour.

    rows:      that were counted.
    stability: the index; None of too few rows, or where there is nothing to compare with.
    chance:    what the index exceeds once in a thousand times where nothing has changed.
    missing, outside, unknown: shares of the values; None where there is no such thing.
    refused:   values for which requests were refused, ten a request at most.
    """

    name: str
    kind: str
    rows: int
    stability: float | None
    chance: float | None
    missing: float
    outside: float | None
    unknown: float | None
    refused: int
    bins: tuple[str, ...]
    expected: tuple[float, ...]
    seen: tuple[float, ...]

    @property
    def figures(self) -> dict[str, float]:
        """For Prometheus, which knows no None: an index that is not told is 0."""
        found = {
            "stability_index": self.stability or 0.0,
            "stability_chance": self.chance or 0.0,
            "rows": self.rows,
            "missing_ratio": self.missing,
            "outside_ratio": self.outside,
            "unknown_ratio": self.unknown,
            "refused_values": self.refused,
        }
        return {name: value for name, value in found.items() if value is not None}


class Drift:
    """Of one model version. `see`, `refuse` and `take` belong to the event loop; the rest may be called from anywhere.

    kinds: of what is watched: feature, answer.
    """

    def __init__(self, what: Sequence[Watched]) -> None:
        self._watched = what
        self.kinds = {one.kind for one in what}
        self._tensors = {one.tensor for one in what}
        self._second = Second()
        self._windows: deque[_Window] = deque(maxlen=WINDOWS)
        self._lock = Lock()

    def see(self, inputs: Tensors, outputs: Tensors, rows: int) -> None:
        """A run is over; as many of its rows are kept for counting as there is room for."""
        second = self._second
        if second.rows <= 0 or second.bytes <= 0:
            return
        wanted = self._tensors
        kept = {name: tensor for side in (inputs, outputs) for name, tensor in side.items() if name in wanted}
        size = sum([_size(tensor) for tensor in kept.values()])
        taken = min(rows, second.rows, max(1, second.bytes * rows // max(size, 1)))
        second.runs.append((kept, taken))
        second.rows -= taken
        second.bytes -= size

    def refuse(self, features: Iterable[str]) -> None:
        """Values of these were refused."""
        self._second.refused.update(features)

    def take(self) -> Second | None:
        """What came since the last time, if anything did."""
        second = self._second
        if not second.runs and not second.refused:
            return None
        self._second = Second()
        return second

    def count(self, second: Second) -> None:
        """Take in what was seen: all runs at once, since numpy costs a call as much as a thousand rows."""
        seen = {
            name: np.concatenate([_spread(tensors[name], taken) for tensors, taken in second.runs])
            for name in (self._tensors if second.runs else ())
        }
        with self._lock:
            for one, tally in zip(self._watched, self._window().tallies, strict=True):
                if seen:
                    values = one.values(seen[one.tensor])
                    tally.counts += one.bins.count(values)
                    tally.rows += len(values)
                    tally.missing += one.bins.missing(values)
                    tally.outside += one.bins.outside(values)
                if one.feature:
                    tally.refused += second.refused[one.name]

    def _window(self) -> _Window:
        """That of these minutes."""
        now = monotonic()
        if not self._windows or self._windows[-1].began + WINDOW_S < now:
            tallies = [_Tally(np.zeros(len(one.bins.names), np.int64)) for one in self._watched]
            self._windows.append(_Window(now, tallies))
        return self._windows[-1]

    def told(self) -> list[Told]:
        """As it stands; empty before anything came."""
        with self._lock:
            if not self._windows:
                return []
            since = monotonic() - WINDOWS * WINDOW_S
            recent = [window.tallies for window in self._windows if window.began >= since]
            return [_told(one, [tallies[place] for tallies in recent]) for place, one in enumerate(self._watched)]


def _size(tensor: Tensor) -> int:
    """Bytes; of texts their characters."""
    return tensor.nbytes if tensor.dtype.kind != "O" else sum(map(len, tensor.ravel().tolist()))


def _spread(tensor: Tensor, taken: int) -> Tensor:
    """So many of its rows, from all parts of it."""
    rows = np.atleast_1d(tensor)
    return rows[:: max(1, len(rows) // taken)][:taken]


def _told(one: Watched, recent: Sequence[_Tally]) -> Told:
    bins = one.bins
    counts = sum((tally.counts for tally in recent), np.zeros(len(bins.names), np.int64))
    rows = sum(tally.rows for tally in recent)
    values = max(int(counts.sum()), 1)
    compared = rows >= FEWEST_ROWS and bins.compares
    is_number, is_category = bins.edges is not None, one.feature is not None and bins.places is not None
    return Told(
        name=one.name,
        kind=one.kind,
        rows=rows,
        stability=stability(counts, bins.expected) if compared else None,
        chance=by_chance(bins.expected, rows, one.trained) if compared else None,
        missing=sum(tally.missing for tally in recent) / values,
        outside=sum(tally.outside for tally in recent) / values if is_number else None,
        unknown=int(counts[-1]) / values if is_category else None,
        refused=sum(tally.refused for tally in recent),
        bins=bins.names,
        expected=tuple(bins.expected.tolist()),
        seen=tuple((counts / values).tolist()),
    )
