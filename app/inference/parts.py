"""What an explanation takes an input apart into, and what stands where a part is absent.

A single value is one part, and where it is absent stands what is typical: the median of the training rows, or the most
frequent category. What is larger falls into several: an image into cells (absent: black), a sound into slices
(silence), a text into words (left out), an array into blocks (the median, or 0 where the model has no manifest). What
is typical anyway is no part: it cannot change anything.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.feature import Feature
from app.inference.coalitions import Present
from app.inference.signature import Tensor, Tensors
from app.manifest import InputTensor, Manifest

CELLS_ALONG = 8
"""Parts along the height of an image, and along its width."""

MOST_CELLS = CELLS_ALONG**2
"""Parts of one array, over all of its axes."""

SLICES = 20
"""Parts of one sound."""

WORD = re.compile(r"\s*\S+(?:\s+$)?")
"""A word with the white space before it, the last one also with that behind it: together they are the text."""

Places = NDArray[np.intp]

Shares = NDArray[np.floating]


class Pieces(Protocol):
    """One tensor of one instance, in parts.

    differs: (parts,), true where a part is not what would stand in its place anyway.
    """

    differs: NDArray[np.bool_]

    def rows(self, present: Present) -> Tensor:
        """(rows, parts) -> the tensor of these rows."""

    def told(self, shares: Shares) -> dict[str, Any]:
        """(parts,) -> the shares of every named input, as an answer has them."""


class Elements:
    """Numbers, categories, and all else whose elements keep their place.

    value, absent: of one shape. cells: the part that each element is in.
    """

    def __init__(self, value: Tensor, absent: Tensor, cells: Places) -> None:
        self._value, self._absent, self._cells = value, absent, cells
        changed = np.not_equal(value, absent)
        if value.dtype.kind == "f":
            changed = changed & ~(np.isnan(value) & np.isnan(absent))
        self.differs = np.zeros(int(cells.max(initial=-1)) + 1, np.bool_)
        self.differs[cells[changed]] = True

    def rows(self, present: Present) -> Tensor:
        """See `Pieces`."""
        return np.where(present[:, self._cells], self._value, self._absent)


class Columns(Elements):
    """Single values, each a part."""

    def __init__(self, names: Sequence[str], value: Tensor, absent: Tensor) -> None:
        super().__init__(value, absent, np.arange(len(names)))
        self._names = names

    def told(self, shares: Shares) -> dict[str, Any]:
        """See `Pieces`."""
        return dict(zip(self._names, shares, strict=True))


class Block(Elements):
    """A named input that fills its tensor. shown: the part that each element of the answer is in; those of one part
    divide its share."""

    def __init__(self, name: str, value: Tensor, absent: Tensor, cells: Places, shown: Places) -> None:
        super().__init__(value, absent, cells)
        self._name, self._shown = name, shown

    def told(self, shares: Shares) -> dict[str, Any]:
        """See `Pieces`."""
        sizes = np.bincount(self._shown.ravel(), minlength=len(shares))
        return {self._name: (shares / np.maximum(sizes, 1).astype(shares.dtype))[self._shown]}


class Words:
    """A text, each of its words a part; a column of its tensor."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._words = np.array(WORD.findall(text) or [text] * bool(text), np.object_)
        self.differs = np.ones(len(self._words), np.bool_)

    def rows(self, present: Present) -> Tensor:
        """See `Pieces`."""
        return np.array([["".join(self._words[row])] for row in present], np.object_)

    def told(self, shares: Shares) -> dict[str, Any]:
        """See `Pieces`."""
        return {self._name: [[word.strip(), share] for word, share in zip(self._words, shares, strict=True)]}


class Parts:
    """Several pieces with all of their parts, those of the first first."""

    def __init__(self, pieces: Sequence[Pieces]) -> None:
        self._pieces = pieces
        self._ends = [*accumulate(len(one.differs) for one in pieces)][:-1]
        self.differs = np.concatenate([one.differs for one in pieces])

    def each(self, present: Present) -> list[Tensor]:
        """(rows, parts) -> of each of the pieces what it makes of its own."""
        own = np.split(present, self._ends, axis=1)
        return [one.rows(part) for one, part in zip(self._pieces, own, strict=True)]

    def told(self, shares: Shares) -> dict[str, Any]:
        """See `Pieces`."""
        own = np.split(shares, self._ends)
        named = [one.told(part) for one, part in zip(self._pieces, own, strict=True)]
        return {name: told for one in named for name, told in one.items()}


class Texts(Parts):
    """A tensor of texts and categories, column by column."""

    def rows(self, present: Present) -> Tensor:
        """See `Pieces`."""
        return np.concatenate(self.each(present), axis=1)


class Instance:
    """All tensors of one instance, in parts. parts: how many there are; what is typical anyway does not count."""

    def __init__(self, tensors: Mapping[str, Pieces]) -> None:
        self._names, self._all = [*tensors], Parts([*tensors.values()])
        self.parts = int(self._all.differs.sum())

    def rows(self, present: Present) -> Tensors:
        """(rows, parts) -> the tensors of these rows."""
        every = np.ones((len(present), len(self._all.differs)), np.bool_)
        every[:, self._all.differs] = present
        return dict(zip(self._names, self._all.each(every), strict=True))

    def told(self, shares: Shares) -> dict[str, Any]:
        """(parts,) -> the shares of every named input, as an answer has them."""
        every = np.zeros(len(self._all.differs), shares.dtype)
        every[self._all.differs] = shares
        return self._all.told(every)


def instance(tensors: Tensors, row: int, absent: Tensors, manifest: Manifest | None) -> Instance:
    """A row in parts. absent: the row that `absent_row` gives."""
    if manifest is None:
        return Instance({name: _array(name, x[row, ...], absent[name][0, ...]) for name, x in tensors.items()})
    return Instance(
        {one.tensor: _pieces(one, tensors[one.tensor][row], absent[one.tensor][0]) for one in manifest.inputs}
    )


def _pieces(one: InputTensor, value: Tensor, absent: Tensor) -> Pieces:
    first, names = one.features[0], [feature.name for feature in one.features]
    if first.layout:
        shown = cells = grid(first.image_size[:2], CELLS_ALONG)
        if "C" in first.layout:
            cells = np.broadcast_to(np.expand_dims(shown, first.layout.index("C")), value.shape)
        return Block(first.name, value, absent, cells, shown)
    if first.kind == "audio":
        cells = grid(value.shape, SLICES)
        return Block(first.name, value, absent, cells, np.unique(cells))
    if first.shape:
        return _array(first.name, value, absent)
    if all(feature.kind != "text" for feature in one.features):
        return Columns(names, value, absent)
    columns = [(feature, slice(at, at + 1)) for at, feature in enumerate(one.features)]
    return Texts(
        [
            Words(feature.name, value[at].item())
            if feature.kind == "text"
            else Columns([feature.name], value[at], absent[at])
            for feature, at in columns
        ]
    )


def _array(name: str, value: Tensor, absent: Tensor) -> Block:
    cells = grid(value.shape, per_axis(value.shape))
    return Block(name, value, absent, cells, cells)


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
    typical = np.rint(inside) if feature.kind in ("integer", "date") or dtype.kind != "f" else inside
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
