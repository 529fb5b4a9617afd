"""Shapley values: which parts of an input are there in each perturbed row, and what the rows' values say of each.

A coalition is a set of parts that are there while all others are absent. A part's share is the mean of what it adds
when it comes, over all orders in which the parts can come; so the shares of all parts add up to what the whole input
gives less what the empty one gives. Few parts are weighed exactly, over all coalitions. Of more, orders are drawn, and
each is walked forwards and backwards: what comes early in one comes late in the other, which takes most of the noise
away, and every walk leads from the empty input to the whole one, so that the sum is exact all the same.

Sources: Strumbelj and Kononenko, Explaining prediction models and individual predictions with feature contributions,
Knowledge and Information Systems 41 (2014), for drawn orders; Mitchell, Cooper, Frank and Holmes, Sampling permutations
for Shapley value estimation, Journal of Machine Learning Research 23 (2022), for orders with their reverse.
"""

from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Present = NDArray[np.bool_]
"""(rows, parts): true where a part is there."""

USUAL_ROWS = 2048
"""Of one input, where nobody says how many orders to draw."""

FEW_ROWS = 256
"""All coalitions of 8 parts: so many are always worth it."""

SEED = 0
"""The same input has the same explanation."""


@dataclass(frozen=True)
class AllCoalitions:
    """Every one, once."""

    parts: int

    @property
    def rows(self) -> int:
        """Coalitions, without the empty one and the whole one."""
        return max(0, (1 << self.parts) - 2)

    def present(self, start: int, stop: int) -> Present:
        """The coalitions from start to stop."""
        return self._members(np.arange(start + 1, stop + 1))

    @np.errstate(invalid="ignore", over="ignore")  # of values that are not finite nothing is
    def attributions(self, base: float, values: Floats, value: float) -> Floats:
        """base: of the empty input, values: of each coalition, value: of the whole input -> each part's share."""
        shares = np.zeros(self.parts)
        every = np.concatenate([[base], values, [value]])
        sets = np.arange(2**self.parts)
        sizes = self._members(sets).sum(axis=1)
        weights = np.array([1 / (self.parts * comb(self.parts - 1, size)) for size in range(self.parts)])
        for part in range(self.parts):
            without = sets[sets & (1 << part) == 0]
            shares[part] = weights[sizes[without]] @ (every[without | (1 << part)] - every[without])
        return shares

    def _members(self, sets: NDArray[np.int64]) -> Present:
        members: Present = (sets[:, None] >> np.arange(self.parts)) & 1 == 1
        return members


@dataclass(frozen=True)
class Walks:
    """Orders in which the parts come, one by one. samples: that are drawn; each is walked backwards too."""

    parts: int
    samples: int

    @property
    def rows(self) -> int:
        """Coalitions on the way, without the empty one and the whole one of each walk."""
        return 2 * self.samples * (self.parts - 1)

    def present(self, start: int, stop: int) -> Present:
        """As of `AllCoalitions`."""
        walk, step = np.divmod(np.arange(start, stop), self.parts - 1)
        return np.less_equal(self._places[walk], step[:, None])

    @np.errstate(invalid="ignore", over="ignore")  # of values that are not finite nothing is
    def attributions(self, base: float, values: Floats, value: float) -> Floats:
        """As of `AllCoalitions`."""
        ways = values.reshape(-1, self.parts - 1)
        whole = np.pad(np.pad(ways, ((0, 0), (1, 0)), constant_values=base), ((0, 0), (0, 1)), constant_values=value)
        shares: Floats = np.take_along_axis(np.diff(whole, axis=1), self._places, axis=1).mean(axis=0)
        return shares

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """(walks, parts): which place a part has in the order."""
        every = np.tile(np.arange(self.parts), (self.samples, 1))
        places = np.random.default_rng(SEED).permuted(every, axis=1)
        return np.concatenate([places, self.parts - 1 - places])


def coalitions(parts: int, samples: int | None) -> AllCoalitions | Walks:
    """All of them where that takes no more rows than walks would, or few; walks otherwise.

    samples: orders to draw; as many as fit into USUAL_ROWS if None, and at least one.
    """
    if samples is None:
        samples = max(1, USUAL_ROWS // (2 * max(1, parts - 1)))
    every, walks = AllCoalitions(parts), Walks(parts, samples)
    return every if every.rows <= max(FEW_ROWS, walks.rows) else walks
