"""One case: a model, what it is fed and how that travels; and what onnxruntime answers in this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
import onnxruntime

from tests.conformance.models import DTYPES, MODELS, Model, numbers_of

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]

ENCODINGS = ("flat", "nested", "binary", "mixed", "gzip", "deflate", "raw", "v1-rows", "v1-columns")
"""How a case travels; see wire.py."""

ROWS_WHEN_COMPRESSED = 150
"""So many times the rows, since short answers are sent as they are."""


@dataclass(frozen=True)
class Case:
    """One request. turn: which of a mixed request's tensors are binary, and which of the model's feeds is sent."""

    model: Model
    encoding: str
    turn: int = 0

    @property
    def name(self) -> str:
        return f"{self.model.name}-{self.encoding}-{self.turn}"

    def feed(self) -> Arrays:
        """Values from the edges of each datatype, the same in every process."""
        shapes = self.model.feeds[self.turn % len(self.model.feeds)]
        generator = np.random.default_rng(crc32(self.name.encode()))
        more = ROWS_WHEN_COMPRESSED if self.model.batchable and self.encoding in ("gzip", "deflate") else 1
        rows = 1 if self.encoding == "raw" and self.model.batchable else None
        sizes = {n: shape if n in self.model.defaults else sized(shape, more, rows) for n, shape in shapes.items()}
        return {
            port.name: values(port.datatype, sizes[port.name], generator, self.model.tolerance)
            for port in self.model.inputs
            if port.name in sizes
        }

    def expected(self, feed: Arrays) -> Arrays:
        """What onnxruntime answers in this process."""
        answers = session(self.model.name).run(None, feed)
        return dict(zip([port.name for port in self.model.outputs], answers, strict=True))


def sized(shape: tuple[int, ...], more: int, rows: int | None) -> tuple[int, ...]:
    return (rows or shape[0] * more, *shape[1:]) if shape else ()


def values(datatype: str, shape: tuple[int, ...], generator: np.random.Generator, tolerance: float = 0.0) -> Array:
    """Every edge of the datatype in turn; ordinary numbers where answers are compared with a tolerance."""
    if tolerance:
        return generator.standard_normal(shape).astype(DTYPES[datatype])
    edges = numbers_of(datatype)
    start = int(generator.integers(len(edges)))
    count = int(np.prod(shape, dtype=int))
    taken = [edges[(start + place) % len(edges)] for place in range(count)]
    return np.array(taken, DTYPES[datatype]).reshape(shape)


@cache
def session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(MODELS[name].graph(), options)


def difference(wanted: Array, got: Array, tolerance: float) -> str:
    """What sets two tensors apart, empty if nothing does. Without a tolerance every bit counts, but those of NaN."""
    if (wanted.dtype, wanted.shape) != (got.dtype, got.shape):
        return f"{got.dtype} {got.shape}, wanted {wanted.dtype} {wanted.shape}"
    if wanted.dtype.kind != "f":
        same = np.array_equal(wanted, got)
    elif tolerance:
        same = np.allclose(wanted, got, rtol=0, atol=tolerance * (1 + float(np.abs(wanted).max(initial=0))))
    else:
        numbers = ~np.isnan(wanted)
        same = np.array_equal(wanted, got, equal_nan=True) and np.array_equal(
            np.signbit(wanted[numbers]), np.signbit(got[numbers])
        )
    return "" if same else f"{got.ravel()[:20].tolist()}, wanted {wanted.ravel()[:20].tolist()}"


def encodings_of(model: Model) -> Iterator[str]:
    """Those that can say what the model's feeds are."""
    has_scalar = any(not shape for shape in model.feeds[0].values())
    for encoding in ENCODINGS:
        if encoding == "raw" and not takes_raw_requests(model):
            continue
        if encoding.startswith("v1") and not model.inputs:
            continue
        if encoding == "v1-rows" and (has_scalar or model.name == "time-first"):
            continue
        yield encoding


def takes_raw_requests(model: Model) -> bool:
    """One input, with at most one free axis behind the rows, which a body without elements cannot tell."""
    if len(model.inputs) != 1 or any(0 in shape for shape in model.feeds[0].values()):
        return False
    [port] = model.inputs
    free = [dim for dim in port.dims if not isinstance(dim, int)]
    if port.datatype == "BYTES":  # the body is the only element
        return int(np.prod(sized(model.feeds[0][port.name], 1, 1 if model.batchable else None), dtype=int)) == 1
    return len(free) - model.batchable <= 1


def turns_of(model: Model, encoding: str) -> int:
    """Cases of one encoding: every feed, and a mixed request both ways."""
    feeds = len(model.feeds)
    if encoding.startswith("v1") and model.defaults:
        return 1  # without those that may be left out
    if encoding.startswith("v1") and 0 in next(iter(model.feeds[-1].values()), ()):
        return 1  # a list cannot say how long the axes behind an empty one are
    return max(feeds, 2) if encoding == "mixed" else feeds


CASES = {
    case.name: case
    for model in MODELS.values()
    for encoding in encodings_of(model)
    for turn in range(turns_of(model, encoding))
    for case in [Case(model, encoding, turn)]
}
