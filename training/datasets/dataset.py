"""What every data set is made of: named inputs, one target, a fixed split, and words for people.

The split has a seed of its own, so that runs with different seeds are measured on the same held-out rows.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch import Tensor

SPLIT_SEED = 42
TEST_SHARE = VALIDATION_SHARE = 0.2


NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class NotAName(ValueError):
    """A feature name that a caller could not write as a field."""


@dataclass(frozen=True)
class Column:
    """One feature as a caller knows it. Raises NotAName unless its name is letters, digits and underscores.

    The fields are those of `app.feature.Feature`. A category stands in its tensor as its place in `categories`, a date
    as days since 1970-01-01, a text as itself in `Rows.texts`.

    shape: of one row's value: () for a number, (8, 8) for a small image, (8000,) for a sound.
    layout: of an image: HW for grey, CHW or HWC for one or three channels.
    missing, fill: what stands for a value that is not there: it is refused; NaN; or `fill`.
    minimum, maximum: what the measurement can be at all, generously; not what this data set happens to hold. Of an
    image: black and white, in which a caller's PNG or JPEG is put.
    """

    name: str
    description: str
    unit: str = ""
    kind: Literal["number", "integer", "date", "category", "text", "image", "audio"] = "number"
    shape: tuple[int, ...] = ()
    layout: Literal["HW", "CHW", "HWC"] | None = None
    sample_rate: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    missing: Literal["refuse", "nan", "fill"] = "refuse"
    fill: float | str | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            better = re.sub(r"^(?=\d|$)", "_", re.sub(r"[^A-Za-z0-9_]+", "_", self.name))
            raise NotAName(f"feature {self.name!r}: wanted letters, digits and underscores, such as {better!r}")


@dataclass(frozen=True)
class Target:
    """What is predicted.

    labels: the class names, in the order of their numbers; empty for a value.
    top:    of a ranking: so many labels are answered, the best first.
    """

    name: str
    description: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    top: int = 0


@dataclass(frozen=True)
class Rows:
    """inputs: of the network, by name -> (rows, ...); targets: (rows, ...), class numbers or values.

    texts: what a caller sends, by name -> (rows, columns) of str, where a `Reader` makes inputs out of it.
    plain: the inputs that a caller sends beside texts; all of them where there are none.
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor
    texts: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    plain: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: Tensor) -> "Rows":
        """The rows at these places, in this order; a place may come twice."""
        inputs = {name: tensor[index] for name, tensor in self.inputs.items()}
        texts = {name: array[index.numpy()] for name, array in self.texts.items()}
        return Rows(inputs, self.targets[index], texts, self.plain)

    def sent(self) -> dict[str, NDArray[Any]]:
        """What the exported graph takes."""
        names = self.plain if self.texts else self.inputs
        return {**self.texts, **{name: self.inputs[name].numpy() for name in names}}


def together(first: Rows, second: Rows) -> Rows:
    """The rows of both, the first ones first."""
    return Rows(
        {name: torch.cat([tensor, second.inputs[name]]) for name, tensor in first.inputs.items()},
        torch.cat([first.targets, second.targets]),
        {name: np.concatenate([array, second.texts[name]]) for name, array in first.texts.items()},
    )


@dataclass(frozen=True)
class Reader:
    """An ONNX graph from texts to the network's inputs. It makes the training's inputs and goes with the exported
    graph, so that both read alike.

    graph: its inputs are named as the `texts` of the rows, its outputs as their `inputs` that are not `plain`.
    """

    graph: onnx.ModelProto


@dataclass(frozen=True)
class Dataset:
    """columns: tensor name -> the features that fill it, as a caller sends them. sha256: of the arrays before they are
    split. reader: from those to the network's inputs, where they are texts. groups: of the test rows, in words -> which
    rows belong to it, for figures by group. blocks: (test rows,), where rows of one number are one piece of evidence,
    such as days that overlap; intervals are then over blocks. outside_graph: what a caller has to do first, in words.

    Raises ValueError if a part has no rows, or a row is not as the columns describe it.
    """

    name: str
    source: str
    licence: str
    sha256: str
    columns: Mapping[str, tuple[Column, ...]]
    target: Target
    split: str
    train: Rows
    validation: Rows
    test: Rows
    reader: Reader | None = None
    groups: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    blocks: NDArray[np.int64] | None = None
    outside_graph: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        described = {tensor: columns[0].shape or (len(columns),) for tensor, columns in self.columns.items()}
        for part, rows in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            if not len(rows):
                raise ValueError(f"no {part} rows, wanted some in each of train, validation and test")
            shapes = {tensor: tuple(values.shape[1:]) for tensor, values in rows.sent().items()}
            if shapes != described:
                raise ValueError(f"a {part} row has shapes {shapes}, the columns describe {described}")

    def identity(self) -> dict[str, str]:
        """What a trained network must be used with: these arrays, in these columns."""
        columns = (f"{tensor}.{column.name}" for tensor, columns in self.columns.items() for column in columns)
        return {"data": self.sha256, "columns": " ".join(columns)}


def divide(rows: Rows, strata: NDArray[np.generic]) -> tuple[Rows, Rows, Rows]:
    """Train, validation and test rows, each with the same mixture of strata; the same rows every time."""
    train, validation, test = places(strata)
    return rows.take(train), rows.take(validation), rows.take(test)


def places(strata: NDArray[np.generic]) -> tuple[Tensor, Tensor, Tensor]:
    """Where the rows of each part stand, in rising order."""
    everything = np.arange(len(strata))
    rest, test = train_test_split(everything, test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=strata)
    train, validation = train_test_split(
        rest, test_size=VALIDATION_SHARE / (1 - TEST_SHARE), random_state=SPLIT_SEED, stratify=strata[rest]
    )
    return _sorted(train), _sorted(validation), _sorted(test)


def split_in_words(strata: str) -> str:
    train = 1 - TEST_SHARE - VALIDATION_SHARE
    return (
        f"{train:.0%} train, {VALIDATION_SHARE:.0%} validation, {TEST_SHARE:.0%} test, stratified by {strata}; "
        f"fixed by seed {SPLIT_SEED}, whatever the seed of the run"
    )


def fingerprint(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 over the arrays' types, shapes and bytes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _sorted(index: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.sort(index))
