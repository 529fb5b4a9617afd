"""Does a graph treat rows as rows? Found out by running it at load, since names and shapes only hint at it.

A graph is a candidate when the first axis of every input and output is free and no two of them carry different
names. It is confirmed when rows give the same answers alone, together, and beside hostile neighbours: a softmax over
the first axis, a time axis in front, or int8 scales taken over the whole batch do not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, product
from math import prod
from time import perf_counter

import numpy as np

from app.errors import InferenceFailed, InvalidInput, ModelLoadFailed
from app.inference.comparison import row_difference
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

FINITE, NOT_FINITE = ("other", "zero", "huge"), ("infinite", "NaN")
"""Neighbours that are tried in one run, since a run of a large graph takes seconds. What is not finite stays apart: a
graph that guards against it might hide what a huge neighbour does."""

ROWS = 3

FRAME = [2, 0, 1, 0, 1, 2, 1, 2, 0]
"""Of the ROWS rows, in order in the middle, with company before and behind, and each at several places."""

MANY_ROWS = (64, 16)
"""The largest batch that is tried, so that what reaches over a few rows is found too; the second of a slow graph."""

SLOW_S = 5.0
"""A batch that would take longer, by what a smaller one took, is not tried: a start waits for it."""


@dataclass(frozen=True)
class Finding:
    """Whether rows may share a run, and the reason in words.

    example:   a feed of one row that the graph runs; None if none was found.
    invariant: whether a row's answer depends on its company: "exact", "within 3e-07" by rounding, or "no".
    """

    batched: bool
    reason: str
    example: Tensors | None = None
    invariant: str = "no"


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
    batched, reason, invariant = _compare(session, rows)
    return Finding(batched, reason, _pick(rows, [0]), invariant)


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
    """The first made-up feed that the graph runs, ROWS rows of it if it may be batched; None if it runs none.

    Raises ModelLoadFailed where memory or a device is to blame each time: no input helps then.
    """
    failures: list[Exception] = []
    for size, largest in product(_sizes(session.inputs), INTEGERS):
        rows = _random_feed(session.inputs, size, largest, ROWS if batched else 1)
        try:
            session.run(_pick(rows, [0]) if batched else rows)
        except (InvalidInput, InferenceFailed) as error:
            failures.append(error)
        else:
            return rows
    if all(isinstance(error, InferenceFailed) for error in failures):
        raise ModelLoadFailed(f"no made-up input can be run: {failures[-1]}")
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


def _compare(session: Session, rows: Tensors) -> tuple[bool, str, str]:
    """Whether every row is the same in every company, the reason in words, and how far it moves.

    Among different neighbours in a batch of one size a row must not move. Between sizes it may by a little: kernels
    round differently, and a network can amplify that.
    """
    alone = _alone(session, rows)
    if alone is None:
        return False, "single rows do not give single answers of one shape", "no"
    furthest, started = 0.0, perf_counter()
    still = _run(session, _pick(rows, FRAME))
    row_s = (perf_counter() - started) / len(FRAME)
    for places in (FRAME, *_large_batch(row_s)):
        outputs = still if places is FRAME else _run(session, _pick(rows, places))
        if outputs is None or not _has_rows(outputs, len(places)):
            return False, f"{len(places)} rows do not give {len(places)} answers", "no"
        moved = _distance(_pick(alone, places), outputs)
        if moved > SIZE_TOLERANCE:
            return False, f"a row alone and in a batch differ by {moved:.2g}", "no"
        furthest = max(furthest, moved)
    assert still is not None
    kind, moved = _disturbing(session, rows, _inner(still))
    if kind:
        return False, f"a row gives another answer beside {kind} neighbours", "no"
    furthest = max(furthest, moved)
    invariant = f"within {furthest:.1g}" if furthest else "exact"
    return True, "rows give the same answers alone, together and beside hostile neighbours", invariant


def _alone(session: Session, rows: Tensors) -> Tensors | None:
    """The answers to each of the rows by itself, (ROWS, ...); None where a row has none, or one of another shape."""
    runs = [_run(session, _pick(rows, [row])) for row in range(ROWS)]
    answers = [outputs for outputs in runs if outputs is not None and _has_rows(outputs, 1)]
    shapes = {tuple(tensor.shape for tensor in outputs.values()) for outputs in answers}
    if len(answers) < ROWS or len(shapes) > 1:
        return None
    return {name: np.concatenate([outputs[name] for outputs in answers]) for name in answers[0]}


def _large_batch(row_s: float) -> list[list[int]]:
    """The rows of the largest batch that may be tried, if any. row_s: seconds that a row takes."""
    fitting = [count for count in MANY_ROWS if count * row_s <= SLOW_S]
    return [[row % ROWS for row in range(count)] for count in fitting[:1]]


def _disturbing(session: Session, rows: Tensors, still: Tensors) -> tuple[str, float]:
    """The kind of neighbours beside which rows do not answer as they do among themselves, empty if there is none; and
    how far rounding moves them beside the others."""
    furthest = 0.0
    for kinds in (FINITE, NOT_FINITE):
        moved = _moved(session, rows, kinds, still)
        if moved not in (None, np.inf):
            furthest = max(furthest, moved or 0.0)
            continue
        if found := [kind for kind in kinds if _moved(session, rows, (kind,), still) == np.inf]:
            return found[0], furthest
        if moved == np.inf:
            return " and ".join(kinds), furthest
    return "", furthest


def _moved(session: Session, rows: Tensors, kinds: Sequence[str], still: Tensors) -> float | None:
    """How far rows beside these neighbours are from what they are in `still`; infinite where rounding does not explain
    it. None where the graph refuses the neighbours: those never travel far, since their batch is run again without
    them."""
    company = {name: _company(tensor, kinds) for name, tensor in rows.items()}
    outputs = _run(session, {name: np.concatenate([company[name], rows[name], company[name]]) for name in rows})
    if outputs is None:
        return None
    if not _has_rows(outputs, len(FRAME)):
        return np.inf
    return max(_rounded(tensor, _inner(outputs)[name]) for name, tensor in still.items())


def _inner(outputs: Tensors) -> Tensors:
    """Of a batch like FRAME, the rows in its middle."""
    return {name: tensor[ROWS : 2 * ROWS] for name, tensor in outputs.items()}


def _company(rows: Tensor, kinds: Sequence[str]) -> Tensor:
    """As many rows of the kinds in turn."""
    turns = zip(range(ROWS), cycle(kinds), strict=False)
    return np.concatenate([_neighbour(rows[[place]], rows[[place - 1]], kind) for place, kind in turns])


def _neighbour(row: Tensor, other: Tensor, kind: str) -> Tensor:
    """A row of the kind asked for; where the datatype has no such value, an ordinary row."""
    if kind == "other":
        return other
    if kind == "zero" and row.dtype != object:
        return np.zeros_like(row)
    if kind == "huge" and row.dtype.kind in "iu":
        return np.full_like(row, min(1000, np.iinfo(row.dtype).max))  # type: ignore[type-var]
    if kind in HOSTILE and row.dtype.kind == "f":
        with np.errstate(all="ignore"):
            return np.asarray(np.multiply(np.abs(row) + 1, HOSTILE[kind]), row.dtype)
    return row


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
    """The largest difference of any row of any output, relative to 1 + the row's largest wanted value; infinite where
    they differ in anything but finite numbers."""
    return max(_tensor_distance(wanted[name], got[name]) for name in wanted)


def _rounded(wanted: Tensor, got: Tensor) -> float:
    """The distance, infinite where it is more than rounding."""
    distance = _tensor_distance(wanted, got)
    return distance if distance <= (ROUNDING[wanted.dtype.itemsize] if wanted.dtype.kind == "f" else 0.0) else np.inf


def _tensor_distance(wanted: Tensor, got: Tensor) -> float:
    if wanted.shape != got.shape:
        return np.inf
    if wanted.dtype.kind != "f":
        return 0.0 if np.array_equal(wanted, got) else np.inf
    return row_difference(wanted, got)
