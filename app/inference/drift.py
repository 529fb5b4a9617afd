"""How far what callers send, and what a model answers, lies from what it was trained on.

Runs are sampled on the event loop, which costs it a reference to their tensors, and counted in a thread once a second:
so many rows of each feature in each tenth of the training rows, or in each category. The last hour counts.

The population stability index of two distributions over the same bins, a as seen and e as expected, is the sum of
(a - e) ln(a / e): 0 where they are equal; by custom, from 0.1 on they differ, from 0.25 on they differ much.
Source: Siddiqi, Credit Risk Scorecards, 2006; Yurdakul, Statistical Properties of Population Stability Index, 2018.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.signature import Tensor, Tensors
from app.manifest import Manifest, OutputTensor, Summary

MOST_CATEGORIES = 20
"""Bins of one feature's categories; all rarer ones share one more."""

OTHERS, MISSING = "(others)", "missing"

FEWEST_ROWS = 500
"""Below this the index of two equal distributions is up to 0.05 by chance alone, and is not told."""

ROWS_A_SECOND = 200
BYTES_A_SECOND = 2**22
"""Of one model's inputs that are looked at, at most."""

ROUNDED = 1e-5
"""Of a value in the manifest, which has six digits."""

WINDOWS, WINDOW_S = 60, 60.0
"""An hour, a minute at a time."""

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Where the values of one feature are counted, MISSING last.

    expected: (bins,), the shares of the training rows.
    edges:    of a number: the upper ends of its bins, the first bin being open below and the last one above.
    lowest, highest: of a number in the training rows.
    places:   of a category: its number -> its bin.
    """

    names: tuple[str, ...]
    expected: Shares
    edges: Shares | None = None
    lowest: float = -np.inf
    highest: float = np.inf
    places: NDArray[np.int64] | None = None

    def count(self, values: NDArray[Any]) -> Counts:
        """(bins,): how many of the values lie in each."""
        size = len(self.names)
        if self.places is not None:
            return np.bincount(self.places[values.astype(np.int64).ravel()], minlength=size)
        assert self.edges is not None
        known = values[~np.isnan(values)].ravel()
        counts = np.bincount(np.minimum(np.searchsorted(self.edges, known), size - 2), minlength=size)
        counts[-1] = values.size - known.size
        return counts

    def outside(self, values: NDArray[Any]) -> int:
        """How many are further out than any training row."""
        return int(((values < self.lowest) | (values > self.highest)).sum())


def bins_of(summary: Summary, categories: Sequence[str]) -> Bins | None:
    """None where the summary tells nothing to compare with. categories: by their numbers."""
    if summary.shares:
        return _of_categories(summary, categories)
    return _of_deciles(summary) if summary.deciles else None


def _of_categories(summary: Summary, categories: Sequence[str]) -> Bins:
    common = sorted(categories, key=lambda name: -summary.shares.get(name, 0.0))[:MOST_CATEGORIES]
    names = (*common, *((OTHERS,) if len(common) < len(categories) else ()), MISSING)
    places = np.array([common.index(name) if name in common else len(common) for name in categories])
    shares = np.array([summary.shares.get(name, 0.0) for name in categories])
    known = np.bincount(places, shares, minlength=len(names) - 1) * (1 - summary.missing)
    return Bins(names, np.append(known, summary.missing), places=places)


def _of_deciles(summary: Summary) -> Bins:
    """Without `at_most`, a tenth lies between two deciles, however often one value comes."""
    deciles = np.array(summary.deciles)
    at_most = np.linspace(0, 1, len(deciles)) if summary.at_most is None else np.array(summary.at_most)
    edges, last = np.unique(deciles[::-1], return_index=True)
    shares = np.diff(at_most[::-1][last], prepend=0)
    kept = shares > 0
    names = (*(f"up to {edge:g}" for edge in edges[kept]), MISSING)
    known = shares[kept] * (1 - summary.missing)
    margin = ROUNDED * np.abs(deciles)
    lowest, highest = float((deciles - margin)[0]), float((deciles + margin)[-1])
    return Bins(names, np.append(known, summary.missing), edges[kept], lowest, highest)


def stability(counts: Counts, expected: Shares) -> float:
    """The population stability index. Half a row is added to each bin, so that an empty one is not infinitely far."""
    rows = counts.sum()
    seen = (counts + 0.5) / (rows + 0.5 * len(counts))
    wanted = (expected * rows + 0.5) / (rows + 0.5 * len(counts))
    return float(((seen - wanted) * np.log(seen / wanted)).sum())


@dataclass(frozen=True)
class Watched:
    """One feature or answer. column: its place in a tensor that several features share; None where it is the tensor."""

    name: str
    kind: str
    tensor: str
    bins: Bins
    column: int | None = None
    answer: OutputTensor | None = None

    def values(self, tensors: Tensors) -> Tensor:
        """Of each row, as they are counted."""
        tensor = tensors[self.tensor]
        if self.answer is None:
            return tensor if self.column is None else tensor[:, self.column]
        if self.answer.kind == "value":
            return tensor
        places = predicted(tensor, self.answer.threshold)
        return places if self.bins.places is not None else tensor[np.arange(len(tensor)), places]


def predicted(probabilities: Tensor, threshold: float | None) -> Tensor:
    """(rows, labels) -> (rows,): the place of the label that is answered."""
    if threshold is None:
        places: Tensor = probabilities.argmax(axis=1)
        return places
    return np.greater_equal(probabilities[:, 1], threshold).astype(np.int64)


def watched(manifest: Manifest) -> list[Watched]:
    """All that there is something to compare with."""
    found = []
    for one in manifest.inputs:
        for at, feature in enumerate(one.features):
            summary = manifest.summaries.get(feature.name)
            bins = bins_of(summary, feature.categories) if summary and feature.kind not in ("text", "audio") else None
            if bins:
                column = None if feature.shape else at
                found.append(Watched(feature.name, "feature", one.tensor, bins, column))
    for output in manifest.outputs:
        summary = manifest.predictions.get(output.tensor)
        if summary is None:
            continue
        if summary.shares and (bins := bins_of(summary, output.labels)):
            found.append(Watched(output.name, "answer", output.tensor, bins, answer=output))
        if summary.deciles:
            name = output.name if output.kind == "value" else f"probability of {output.name}"
            found.append(Watched(name, "answer", output.tensor, _of_deciles(summary), answer=output))
    return found


@dataclass(frozen=True)
class Told:
    """Of the last hour. rows: that were counted. missing, outside: shares of the values."""

    name: str
    kind: str
    rows: int
    stability: float | None
    missing: float
    outside: float
    bins: tuple[str, ...]
    expected: tuple[float, ...]
    seen: tuple[float, ...]


class Drift:
    """Of one model version. `see` belongs to the event loop; the rest may be called from one other thread."""

    def __init__(self, manifest: Manifest) -> None:
        self._watched = watched(manifest)
        self._waiting: deque[tuple[Tensors, int]] = deque()
        self._rows, self._bytes = ROWS_A_SECOND, BYTES_A_SECOND
        self._windows: deque[tuple[float, list[Counts], list[int]]] = deque(maxlen=WINDOWS)

    def see(self, inputs: Tensors, outputs: Tensors, rows: int) -> None:
        """A run is over; as many of its rows are kept for counting as there is room for."""
        if not self._watched or self._rows <= 0 or self._bytes <= 0:
            return
        taken = min(rows, self._rows)
        kept = {**inputs, **outputs}
        self._waiting.append(({name: tensor[:taken] for name, tensor in kept.items()}, taken))
        self._rows -= taken
        self._bytes -= sum(tensor.nbytes for tensor in inputs.values()) * taken // max(rows, 1)

    def count(self) -> None:
        """Take in what was seen, and make room for more."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._rows, self._bytes = ROWS_A_SECOND, BYTES_A_SECOND
        for tensors, _ in waiting:
            _, counts, outside = self._window()
            for place, one in enumerate(self._watched):
                values = one.values(tensors)
                counts[place] += one.bins.count(values)
                outside[place] += one.bins.outside(values)

    def _window(self) -> tuple[float, list[Counts], list[int]]:
        """That of this minute."""
        now = monotonic()
        if not self._windows or self._windows[-1][0] + WINDOW_S < now:
            empty = [np.zeros(len(one.bins.names), np.int64) for one in self._watched]
            self._windows.append((now, empty, [0] * len(self._watched)))
        return self._windows[-1]

    def told(self) -> list[Told]:
        """As it stands."""
        since = monotonic() - WINDOWS * WINDOW_S
        recent = [window for window in self._windows if window[0] >= since]
        return [self._told(place, one, recent) for place, one in enumerate(self._watched)] if recent else []

    def _told(self, place: int, one: Watched, recent: Sequence[tuple[float, list[Counts], list[int]]]) -> Told:
        counts: Counts = np.sum([window[1][place] for window in recent], axis=0)
        values = int(counts.sum())
        known = max(values - int(counts[-1]), 1)
        return Told(
            name=one.name,
            kind=one.kind,
            rows=values,
            stability=stability(counts, one.bins.expected) if values >= FEWEST_ROWS else None,
            missing=int(counts[-1]) / max(values, 1),
            outside=sum(window[2][place] for window in recent) / known,
            bins=one.bins.names,
            expected=tuple(one.bins.expected.tolist()),
            seen=tuple((counts / max(values, 1)).tolist()),
        )
