"""Where the values of a feature or an answer are counted, and how far the counts lie from the training's.

The population stability index of two distributions over the same bins, a as seen and e as expected, is the sum of
(a - e) ln(a / e): 0 where they are equal; by custom, from 0.1 on they differ, from 0.25 on they differ much. Where n
and m rows of the same kind were counted, it is about (1/n + 1/m) times a chi-squared variable of one degree less than
there are bins: 0.1 is chance where one side was a hundred rows.
Source: Siddiqi, Credit Risk Scorecards, 2006; Yurdakul and Naranjo, Statistical properties of the population stability
index, Journal of Risk Model Validation 14, 2020.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.feature import Feature, days_of
from app.manifest import Summary

MOST_CATEGORIES = 20
"""Bins of one feature's categories; all rarer ones share one more."""

OTHERS, UNKNOWN, MISSING = "(others)", "(unknown)", "(missing)"

ROUNDED = 1e-5
"""Of a value in the manifest, which has six digits."""

ONE_IN_A_THOUSAND = 3.0902
"""Standard deviations that a normal variable exceeds so often."""

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """The last one has the numbers that are missing, or the categories that are unknown.

    expected: (bins,), the shares of the training rows.
    edges:    of a number: the upper ends of its bins, the first bin being open below and the last one above.
    lowest, highest: of a number in the training rows.
    places:   of a category: its number -> its bin; unknown ones have the number behind all others.
    fill:     what a missing value became before it came here.
    """

    names: tuple[str, ...]
    expected: Shares
    edges: Shares | None = None
    lowest: float = -np.inf
    highest: float = np.inf
    places: NDArray[np.int64] | None = None
    fill: float | None = None

    @property
    def compares(self) -> bool:
        """Whether there is more than one bin, so that values can move from one to the other."""
        return bool(np.count_nonzero(self.expected) > 1)

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

    def missing(self, values: NDArray[Any]) -> int:
        """How many were not given, or given as what stands for that."""
        filled = 0 if self.fill is None else int((values == self.fill).sum())
        return filled if self.places is not None else filled + int(np.isnan(values).sum())


def bins_of(summary: Summary, feature: Feature) -> Bins | None:
    """None where the summary tells nothing to compare with."""
    if feature.kind == "category":
        return of_categories(summary, feature.categories, feature.fill) if summary.shares else None
    if feature.kind in ("text", "audio") or not summary.deciles:
        return None
    fill = days_of(str(feature.fill)) if feature.kind == "date" and feature.fill is not None else feature.fill
    return of_deciles(summary, None if fill is None else float(fill), feature.shown)


def of_categories(summary: Summary, categories: Sequence[str], fill: float | str | None = None) -> Bins:
    """categories: by their numbers; fill: one of them."""
    common = sorted(categories, key=lambda name: -summary.shares.get(name, 0.0))[:MOST_CATEGORIES]
    names = (*common, *((OTHERS,) if len(common) < len(categories) else ()), UNKNOWN)
    places = [common.index(name) if name in common else len(common) for name in categories] + [len(names) - 1]
    shares = [summary.shares.get(name, 0.0) for name in categories] + [0.0]
    expected = np.bincount(places, shares, minlength=len(names)).astype(np.float64)
    filled = None if fill is None else categories.index(str(fill))
    return Bins(names, expected, places=np.array(places), fill=filled)


def of_deciles(summary: Summary, fill: float | None = None, shown: Callable[[float], str] = "{:g}".format) -> Bins:
    """A decile that comes more than once is a value that many rows have. How many have no more than it is in `at_most`;
    without that the value is no edge of a bin. shown: an edge in words."""
    deciles = np.array(summary.deciles)
    edges, first, times = np.unique(deciles, return_index=True, return_counts=True)
    at_most = np.linspace(0, 1, len(deciles)) if summary.at_most is None else np.array(summary.at_most)
    at_most = at_most[first]
    at_most[-1] = 1.0
    if summary.at_most is None:
        certain = times == 1
        certain[-1] = True
        edges, at_most = edges[certain], at_most[certain]
    shares = np.diff(at_most, prepend=0)
    kept = shares > 0
    inner = [shown(edge) for edge in edges[kept][:-1]]
    names = (*(f"up to {edge}" for edge in inner), f"above {inner[-1]}" if inner else "(any)", MISSING)
    known = shares[kept] * (1 - summary.missing)
    margin = ROUNDED * np.abs(edges)
    lowest, highest = float(deciles[0] - margin[0]), float(deciles[-1] + margin[-1])
    return Bins(names, np.append(known, summary.missing), edges[kept], lowest, highest, fill=fill)


def stability(counts: Counts, expected: Shares) -> float:
    """The population stability index. Half a row is added to each bin, so that an empty one is not infinitely far."""
    rows = counts.sum()
    seen = (counts + 0.5) / (rows + 0.5 * len(counts))
    wanted = (expected * rows + 0.5) / (rows + 0.5 * len(counts))
    return float(((seen - wanted) * np.log(seen / wanted)).sum())


def by_chance(expected: Shares, rows: int, trained: float) -> float:
    """What the index of equal distributions exceeds once in a thousand times: by Wilson and Hilferty's approximation of
    the chi-squared distribution. rows, trained: that the two were taken from, each > 0."""
    degrees = np.count_nonzero(expected) - 1
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + ONE_IN_A_THOUSAND * sqrt(part)) ** 3 * (1 / rows + 1 / trained))
