"""Does a graph treat rows as rows? Found out by running it at load, since names and shapes only hint at it.

A graph is a candidate when the first axis of every input and output is free and no two of them carry different
names. It is confirmed when rows give the same answers alone, together, and beside hostile neighbours: a softmax over
the first axis, a time axis in front, or int8 scales taken over the whole batch do not.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from app.errors import InferenceFailed, InvalidInput
from app.inference.session import Session
from app.inference.signature import DTYPES, Tensor, Tensors, TensorSpec

MADE_UP = re.compile(r"unk__\d+|p2o\.DynamicDimension\.\d+|\?")
"""Names that tf2onnx and paddle2onnx give to axes that had none; they count as no name."""

SIZES = (32, 48, 64, 224, 16, 8, 4, 2, 1, 128, 256, 512)
"""Sizes tried for free axes behind the first, when no golden rows say what fits."""

ROUNDING = {2: 5e-3, 4: 1e-5, 8: 1e-12}
"""Bytes of a float -> differences up to here are rounding, relative to 1 + the largest answer."""

HOSTILE = {"huge": 1e3, "infinite": np.inf, "NaN": np.nan}
"""Factors that make a neighbour of a row of floats; a row of integers gets 1000s for a huge one."""

SIZE_TOLERANCE = 0.02
"""How far a row may move between batch sizes when no neighbour moves it. magika's network moves by 0.004 on bytes
without meaning and by 0.00001 on real files."""

MOST_ELEMENTS = 2**18
"""Of one made-up row, 256 x 256 pixels of three colours: a graph of many free axes would fill the memory at size 32."""

INTEGERS = (100, 1)
"""The largest made-up integer; 1 where a graph refuses more, as a small table of embeddings does."""

ROWS = 3

MANY_ROWS = 64
"""The largest batch that is tried, so that what reaches over a few rows is found too."""


@dataclass(frozen=True)
class Finding:
    """Whether rows may share a run, and the reason in words.

    example: a feed of one row that the graph runs; None if none was found.
    """

    batched: bool
    reason: str
    example: Tensors | None = None


def probe(session: Session, golden: Tensors | None = None) -> Finding:
    """Runs the graph on golden rows, or on made-up ones, alone and in company. Also its warm-up: it has run since."""
    candidate = _candidate(session.inputs, session.outputs)
    if session.scales_by_batch and candidate.batched:
        candidate = Finding(False, "dynamic int8 takes its scale over the whole batch")
    rows = _golden_rows(golden) if golden else _made_up_rows(session, candidate.batched)
    if rows is None:
        reason = "no made-up input could be run, so rows cannot be compared; golden rows would tell"
        return Finding(False, candidate.reason or reason)
    if not candidate.batched:
        return Finding(False, candidate.reason, golden or rows)
    batched, reason = _compare(session, rows)
    return Finding(batched, reason, _pick(rows, [0]))


def _golden_rows(golden: Tensors) -> Tensors:
    """ROWS rows of the golden ones, repeated if there are fewer."""
    return {name: tensor[np.arange(ROWS) % len(tensor)] for name, tensor in golden.items()}


def _candidate(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Finding:
    specs = (*inputs, *outputs)
    if not inputs:
        return Finding(False, "there are no inputs")
    if fixed := [spec.name for spec in specs if not spec.dims or isinstance(spec.dims[0], int)]:
        return Finding(False, f"the first axis of {', '.join(fixed)} is not free")
    names = {str(spec.dims[0]) for spec in specs if spec.dims[0] and not MADE_UP.fullmatch(str(spec.dims[0]))}
    if len(names) > 1:
        return Finding(False, f"first axes have different names: {', '.join(sorted(names))}")
    return Finding(True, "")


def _made_up_rows(session: Session, batched: bool) -> Tensors | None:
    """The first made-up feed that the graph runs, ROWS rows of it if it may be batched; None if it runs none."""
    for size, largest in product(_sizes(session.inputs), INTEGERS):
        rows = _random_feed(session.inputs, size, largest, ROWS if batched else 1)
        if _run(session, _pick(rows, [0]) if batched else rows) is not None:
            return rows
    return None


def _sizes(specs: Sequence[TensorSpec]) -> list[int]:
    """SIZES at which a row is not too large; 1 where the fixed axes alone are."""
    return [size for size in SIZES if size == 1 or sum(_elements(spec, size) for spec in specs) <= MOST_ELEMENTS]


def _elements(spec: TensorSpec, size: int) -> int:
    """Of one row, each free axis `size` long."""
    return prod(dim if isinstance(dim, int) else size for dim in spec.dims[1:])


def _random_feed(specs: Sequence[TensorSpec], size: int, largest: int, rows: int) -> Tensors:
    """A feed of `rows` rows with every other free axis `size` long; axes of one name are equally long."""
    generator = np.random.default_rng(0)
    lengths: dict[int | str | None, int] = {spec.dims[0]: rows for spec in specs if spec.dims}
    feed = {}
    for spec in specs:
        shape = [
            dim if isinstance(dim, int) else rows if axis == 0 else lengths.get(dim, size) if dim else size
            for axis, dim in enumerate(spec.dims)
        ]
        feed[spec.name] = _random_tensor(spec.datatype, shape, largest, generator)
    return feed


def _random_tensor(datatype: str, shape: Sequence[int], largest: int, generator: np.random.Generator) -> Tensor:
    if datatype.startswith("FP"):
        return np.asarray(generator.standard_normal(shape), DTYPES[datatype])
    whole = generator.integers(0, largest + 1, shape)
    return np.asarray(whole.astype(str) if datatype == "BYTES" else whole, DTYPES[datatype])


def _compare(session: Session, rows: Tensors) -> tuple[bool, str]:
    """Whether every row is the same in every company, and the reason in words.

    Among different neighbours in a batch of one size a row must not move. Between sizes it may by a little: kernels
    round differently, and a network can amplify that.
    """
    alone = [_run(session, _pick(rows, [row])) for row in range(ROWS)]
    wanted = [outputs for outputs in alone if outputs is not None]
    if len(wanted) < ROWS or not _has_rows(wanted[0], 1):
        return False, "a single row does not give a single answer"
    moved = 0.0
    for feed, places in _other_sizes(rows):
        outputs = _run(session, feed)
        if outputs is None or not _has_rows(outputs, len(places)):
            return False, f"{len(places)} rows do not give {len(places)} answers"
        moved = max(moved, *(_distance(wanted[row], _pick(outputs, [i])) for i, row in enumerate(places)))
    if moved > SIZE_TOLERANCE:
        return False, f"a row alone and in a batch differ by {moved:.2g}"
    return _stays_beside(session, rows)


def _other_sizes(rows: Tensors) -> Iterator[tuple[Tensors, list[int]]]:
    """Batches of the rows, with the row at each place."""
    for places in ([2, 0, 1], [0, 1, 2, 0, 1, 2, 0], [row % ROWS for row in range(MANY_ROWS)]):
        yield _pick(rows, places), places


def _stays_beside(session: Session, rows: Tensors) -> tuple[bool, str]:
    inner = list(range(1, ROWS + 1))
    still = _run(session, _framed(rows, "ordinary"))
    if still is None:
        return False, f"{ROWS + 2} rows cannot be run"
    for neighbours in ("other", "zero", "huge", "infinite", "NaN"):
        outputs = _run(session, _framed(rows, neighbours))
        if outputs is None:
            continue  # neighbours that the graph refuses never travel far: their batch is run again without them
        if not _has_rows(outputs, ROWS + 2) or _distance(_pick(still, inner), _pick(outputs, inner)) > 0:
            return False, f"a row gives another answer beside {neighbours} neighbours"
    return True, "rows give the same answers alone, together and beside hostile neighbours"


def _framed(rows: Tensors, neighbours: str) -> Tensors:
    """The rows with a neighbour before and behind them."""
    framed = {}
    for name, tensor in rows.items():
        before, behind = _ends(tensor, neighbours)
        framed[name] = np.concatenate([before, tensor, behind])
    return framed


def _ends(tensor: Tensor, neighbours: str) -> tuple[Tensor, Tensor]:
    """Two rows of the kind asked for; where the datatype has no such value, ordinary rows."""
    first, last = tensor[:1], tensor[-1:]
    if neighbours == "other":
        return last, first
    if neighbours == "zero" and tensor.dtype != object:
        return np.zeros_like(first), np.zeros_like(first)
    if neighbours == "huge" and tensor.dtype.kind in "iu":
        hostile = np.full_like(first, min(1000, np.iinfo(tensor.dtype).max))  # type: ignore[type-var]
        return hostile, hostile
    if neighbours in HOSTILE and tensor.dtype.kind == "f":
        with np.errstate(all="ignore"):
            hostile = np.multiply(np.abs(first) + 1, HOSTILE[neighbours]).astype(tensor.dtype)
        return hostile, hostile
    return first, last


def _pick(rows: Tensors, places: list[int]) -> Tensors:
    return {name: tensor[places] for name, tensor in rows.items()}


def _run(session: Session, feed: Tensors) -> Tensors | None:
    """The outputs, None if the graph refuses the feed."""
    try:
        return session.run(feed)
    except (InvalidInput, InferenceFailed):
        return None


def _has_rows(outputs: Tensors, count: int) -> bool:
    return all(tensor.ndim and tensor.shape[0] == count for tensor in outputs.values())


def _distance(wanted: Tensors, got: Tensors) -> float:
    """The largest difference of any output, relative to 1 + the largest wanted value; infinite where they differ in
    anything but finite numbers. Differences that rounding explains count as 0."""
    return max(_tensor_distance(wanted[name], got[name]) for name in wanted)


def _tensor_distance(wanted: Tensor, got: Tensor) -> float:
    if wanted.shape != got.shape:
        return np.inf
    if wanted.dtype.kind != "f":
        return 0.0 if np.array_equal(wanted, got) else np.inf
    distance = relative_difference(wanted, got)
    return distance if distance > ROUNDING[wanted.dtype.itemsize] else 0.0


def relative_difference(wanted: Tensor, got: Tensor) -> float:
    """The largest |wanted - got| relative to 1 + the largest finite |wanted|; infinite unless NaN and infinity stand in
    the same places. Both of one shape, of floats."""
    want, have = wanted.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(want)
    if not np.array_equal(want[~finite], have[~finite], equal_nan=True) or not np.isfinite(have[finite]).all():
        return np.inf
    if not finite.any():
        return 0.0
    return float(np.abs(want[finite] - have[finite]).max() / (1.0 + np.abs(want[finite]).max()))
