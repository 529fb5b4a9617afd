"""How requests become one batch and come apart again; pure functions.

Only tensors of equal datatype and equal trailing shape are put together, so rows never meet rows of another kind.
"""

from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from app.errors import InferenceFailed
from app.inference.signature import Tensors


def kind(tensors: Tensors) -> Hashable:
    """Equal for requests that may share a run: the same names, datatypes and trailing shapes."""
    return tuple((name, tensor.dtype.str, tensor.shape[1:]) for name, tensor in sorted(tensors.items()))


def whole_kind(tensors: Tensors) -> Hashable:
    """Equal for requests of equal names, datatypes and whole shapes."""
    return tuple((name, tensor.dtype.str, tensor.shape) for name, tensor in sorted(tensors.items()))


def cut(tensors: Tensors, rows: int, max_rows: int) -> list[tuple[Tensors, int]]:
    """A request of `rows` rows as pieces of at most max_rows with their rows, in order; views, nothing is copied."""
    if rows <= max_rows:
        return [(tensors, rows)]
    return [
        ({name: tensor[start : start + max_rows] for name, tensor in tensors.items()}, min(max_rows, rows - start))
        for start in range(0, rows, max_rows)
    ]


def stack(requests: Sequence[Tensors]) -> Tensors:
    """Requests of one kind as one: name -> (sum of rows, ...). A single request passes through uncopied."""
    if len(requests) == 1:
        return requests[0]
    return {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}


class Rows(NamedTuple):
    """One request's part of a run's outputs: the rows from start to stop, or all of it where stop is None."""

    outputs: Tensors
    start: int = 0
    stop: int | None = None

    def tensors(self) -> Tensors:
        """name -> (stop - start, ...); views, nothing is copied."""
        if self.stop is None:
            return self.outputs
        return {name: tensor[self.start : self.stop] for name, tensor in self.outputs.items()}


def split(outputs: Tensors, rows: Sequence[int]) -> list[Rows]:
    """Cut a batch's outputs back into one part per request.

    outputs: name -> (sum(rows), ...), in the order the requests were stacked.
    rows:    each request's number of rows, all > 0.
    Raises InferenceFailed if an output has another number of rows.
    """
    total = sum(rows)
    for name, tensor in outputs.items():
        if tensor.shape[:1] != (total,):
            raise InferenceFailed(f"output {name} has shape {list(tensor.shape)} for {total} rows")
    if len(rows) == 1:
        return [Rows(outputs, 0, total)]
    stops = [*accumulate(rows)]
    return [Rows(outputs, stop - count, stop) for stop, count in zip(stops, rows, strict=True)]
