"""What an explanation takes an input apart into, and what stands where a part is absent.

A single value is one part, and where it is absent stands what is typical: the median of the training rows, or the most
frequent category. What is larger falls into several: an image into cells (absent: black), a sound into slices
(silence), a text into words (left out), an array into blocks (the median, or 0 where the model has no manifest). What
is typical anyway is no part: it cannot change anything.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.feature import Feature
from app.inference.coalitions import Present
from app.inference.signature import Tensor, Tensors
from app.manifest import InputTensor, Manifest

MOST_CELLS = 64
"""Parts of one array, over all of its axes; an image has 8 along its height and 8 along its width."""

SLICES = 20
"""Parts of one sound."""

WORD = re.compile(r"\s*\S+(?:\s+$)?")
"""A word with the white space before it, the last one also with that behind it: together they are the text."""

Places = NDArray[np.intp]


class Piece(Protocol):
    """One named input of one row.

    differs: (parts,), true where a part is not what would stand in its place anyway.
    """

    differs: NDArray[np.bool_]

    def rows(self, present: Present) -> Tensor:
        """(rows, parts) -> the input in each row."""

    def told(self, shares: NDArray[np.floating]) -> Any:
        """(parts,) -> the shares as an answer has them."""


class Elements:
    """Numbers, categories, and all else whose elements keep their place.

    value, absent: of one shape.
    cells:         the part that each element of the value is in.
    shown:         the part that each element of the answer is in; those of one part divide its share.
    """

    def __init__(self, value: Tensor, absent: Tensor, cells: Places, shown: Places) -> None:
        self._value, self._absent, self._cells, self._shown = value, absent, cells, shown
        changed = np.not_equal(value, absent)
        if value.dtype.kind == "f":
            changed = changed & ~(np.isnan(value) & np.isnan(absent))
        self.differs = np.zeros(int(cells.max(initial=-1)) + 1, np.bool_)
        self.differs[cells[changed]] = True

    def rows(self, present: Present) -> Tensor:
        """See `Piece`."""
        return np.where(present[:, self._cells], self._value, self._absent)

    def told(self, shares: NDArray[np.floating]) -> Any:
        """See `Piece`."""
        sizes = np.bincount(self._shown.ravel(), minlength=len(shares))
        return (shares / np.maximum(sizes, 1).astype(shares.dtype))[self._shown]


class Words:
    """A text."""

    def __init__(self, text: str) -> None:
        self._words = np.array(WORD.findall(text) or [text] * bool(text), np.object_)
        self.differs = np.ones(len(self._words), np.bool_)

    def rows(self, present: Present) -> Tensor:
        """See `Piece`."""
        return np.array(["".join(self._words[row]) for row in present], np.object_)

    def told(self, shares: NDArray[np.floating]) -> Any:
        """See `Piece`."""
        return [[word.strip(), share] for word, share in zip(self._words, shares, strict=True)]


class Input:
    """One row of all inputs, in parts.

    tensors: tensor -> its named pieces, each a column, or only one, which fills it.
    """

    def __init__(self, tensors: Mapping[str, Mapping[str, Piece]], filled: frozenset[str]) -> None:
        self._tensors, self._filled = tensors, filled
        pieces = {name: piece for named in tensors.values() for name, piece in named.items()}
        self._differs = np.concatenate([piece.differs for piece in pieces.values()])
        self.parts = int(self._differs.sum())

    def rows(self, present: Present) -> Tensors:
        """(rows, parts) -> the tensors of these rows."""
        every = np.ones((len(present), len(self._differs)), np.bool_)
        every[:, self._differs] = present
        tensors, at = {}, 0
        for tensor, named in self._tensors.items():
            columns = []
            for piece in named.values():
                columns.append(piece.rows(every[:, at : at + len(piece.differs)]))
                at += len(piece.differs)
            tensors[tensor] = columns[0] if tensor in self._filled else np.stack(columns, axis=1)
        return tensors

    def told(self, shares: NDArray[np.floating]) -> dict[str, Any]:
        """(parts,) -> the shares of every named input, as an answer has them."""
        every = np.zeros(len(self._differs), shares.dtype)
        every[self._differs] = shares
        told, at = {}, 0
        for named in self._tensors.values():
            for name, piece in named.items():
                told[name] = piece.told(every[at : at + len(piece.differs)])
                at += len(piece.differs)
        return told


def inputs(tensors: Tensors, absent: Tensors, manifest: Manifest | None) -> list[Input]:
    """Each row in parts. absent: the row that `absent_row` gives."""
    rows = len(next(iter(tensors.values())))
    if manifest is None:
        filled = frozenset(tensors)
        return [
            Input({name: {name: _piece(None, x[row], absent[name][0])} for name, x in tensors.items()}, filled)
            for row in range(rows)
        ]
    filled = frozenset(one.tensor for one in manifest.inputs if one.features[0].shape)
    return [
        Input(
            {one.tensor: _pieces(one, tensors[one.tensor][row], absent[one.tensor][0]) for one in manifest.inputs},
            filled,
        )
        for row in range(rows)
    ]


def _pieces(one: InputTensor, value: Tensor, absent: Tensor) -> dict[str, Piece]:
    first = one.features[0]
    if first.shape:
        return {first.name: _piece(first, value, absent)}
    return {
        feature.name: _piece(feature, value[column, ...], absent[column, ...])
        for column, feature in enumerate(one.features)
    }


def _piece(feature: Feature | None, value: Tensor, absent: Tensor) -> Piece:
    """feature: None where the model has no manifest."""
    kind = "number" if feature is None else feature.kind
    if kind == "text" and not value.shape:
        return Words(value.item())
    if feature is not None and feature.layout:
        shown = cells = grid(feature.image_size[:2], per_axis(feature.image_size[:2]))
        if "C" in feature.layout:
            cells = np.broadcast_to(np.expand_dims(shown, feature.layout.index("C")), value.shape)
        return Elements(value, absent, cells, shown)
    cells = grid(value.shape, SLICES if kind == "audio" else per_axis(value.shape))
    return Elements(value, absent, cells, np.unique(cells) if kind == "audio" else cells)


def per_axis(shape: Sequence[int]) -> int:
    """Parts along each axis, so that all together are no more than MOST_CELLS."""
    axes = sum(size > 1 for size in shape)
    return int(MOST_CELLS ** (1 / max(axes, 1)) + 1e-9)


def grid(shape: Sequence[int], most: int) -> Places:
    """The part that each element is in: every axis falls into `most` stretches as equal as can be, or into its own size
    where that is less; parts are numbered row by row."""
    if not shape or 0 in shape:
        return np.zeros(shape, np.intp)
    counts = [min(size, most) for size in shape]
    stretches = [np.arange(size) * count // size for size, count in zip(shape, counts, strict=True)]
    return np.ravel_multi_index(np.meshgrid(*stretches, indexing="ij"), counts)


def absent_row(tensors: Tensors, manifest: Manifest | None) -> Tensors:
    """One row in which every part is absent. tensors: of a request, for their shapes and datatypes."""
    if manifest is None:
        return {name: np.zeros((1, *tensor.shape[1:]), tensor.dtype) for name, tensor in tensors.items()}
    return {one.tensor: _absent_tensor(one, tensors[one.tensor].dtype, manifest)[None] for one in manifest.inputs}


def _absent_tensor(one: InputTensor, dtype: np.dtype[np.generic], manifest: Manifest) -> Tensor:
    values = [_absent(feature, column, one, dtype, manifest) for column, feature in enumerate(one.features)]
    return values[0] if one.features[0].shape else np.stack(values)


def _absent(feature: Feature, column: int, one: InputTensor, dtype: np.dtype[np.generic], manifest: Manifest) -> Tensor:
    """What stands for a feature that is absent, (*shape)."""
    if feature.kind == "text":
        return np.full(feature.shape, "", dtype)
    if feature.kind in ("image", "audio"):
        return np.full(feature.shape, feature.minimum or 0, dtype)
    known = _known(feature, column, one, dtype, manifest)
    if feature.kind == "category":
        return _most_frequent(known if dtype.kind == "O" else np.rint(known)).reshape(feature.shape).astype(dtype)
    inside = np.clip(_median(known), feature.minimum, feature.maximum)
    typical = np.rint(inside) if feature.kind == "integer" or dtype.kind != "f" else inside
    return np.broadcast_to(typical, feature.shape).astype(dtype)


def _known(feature: Feature, column: int, one: InputTensor, dtype: np.dtype[np.generic], manifest: Manifest) -> Tensor:
    """What the manifest tells of a feature's values, (values, ...): the deciles of the training rows, or, of texts and
    where there is no summary, the golden rows."""
    summary = manifest.summaries.get(feature.name)
    if summary is not None and summary.deciles and dtype.kind != "O":
        return np.array(summary.deciles).reshape(-1, *(1 for _ in feature.shape))
    golden = np.array(manifest.golden.inputs[one.tensor], np.object_ if dtype.kind == "O" else np.float64)
    return golden if feature.shape else golden[:, column]


def _median(known: Tensor) -> Tensor:
    """(values, ...) -> (...): the value in the middle of those that are there, the lower of two; NaN of none."""
    middle = np.maximum((~np.isnan(known)).sum(axis=0) - 1, 0) // 2
    median: Tensor = np.take_along_axis(np.sort(known, axis=0), np.expand_dims(middle, 0), axis=0)[0]
    return median


def _most_frequent(known: Tensor) -> Tensor:
    """(values, ...) -> as many as one value has elements; the first where several are equally frequent."""
    columns = known.reshape(len(known), -1).T.tolist()
    return np.array([Counter(column).most_common(1)[0][0] for column in columns], known.dtype)
