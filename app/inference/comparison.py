"""How far two answers are apart: pure functions over arrays."""

import numpy as np

from app.inference.signature import Tensor

COMPARED_ELEMENTS = 2**18
"""At one time, or one row: many rows of a large output would fill the memory in double precision."""


def relative_difference(wanted: Tensor, got: Tensor) -> float:
    """The largest |wanted - got| relative to 1 + the largest finite |wanted|; infinite unless NaN and infinity stand in
    the same places. Both of one shape, of floats."""
    return _largest(wanted.reshape(1, -1), got.reshape(1, -1))


def row_difference(wanted: Tensor, got: Tensor) -> float:
    """The largest relative difference of any row. Both (rows, ...) and of one shape, of floats."""
    rows = len(wanted)
    step = max(1, COMPARED_ELEMENTS * rows // max(1, wanted.size))
    slices = (slice(start, start + step) for start in range(0, rows, step))
    return max(_largest(wanted[s].reshape(len(wanted[s]), -1), got[s].reshape(len(got[s]), -1)) for s in slices)


def _largest(wanted: Tensor, got: Tensor) -> float:
    """Of all rows, each relative to itself. Both (rows, columns), of floats."""
    want, have = wanted.astype(np.float64), got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(want - have)
    if not np.isfinite(apart).all():
        apart[(want == have) | (np.isnan(want) & np.isnan(have))] = 0
        apart[np.isnan(apart)] = np.inf
        want[~np.isfinite(want)] = 0
    return float((apart.max(axis=1, initial=0) / (1 + np.abs(want).max(axis=1, initial=0))).max())
