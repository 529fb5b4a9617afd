"""What every data set is made of: named inputs, one target, a fixed split, and words for people.

The split has a seed of its own, so that runs with different seeds are measured on the same held-out rows.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
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

    shape: of one row's value: () for a number, (8, 8) for a small image.
    layout: of an image: HW for grey, CHW or HWC for one or three channels.
    minimum, maximum: what the measurement can be at all, generously; not what this data set happens to hold. Of an
    image: black and white, in which a caller's PNG or JPEG is put.
    """

    name: str
    description: str
    unit: str = ""
    kind: Literal["number", "integer", "image"] = "number"
    shape: tuple[int, ...] = ()
    layout: Literal["HW", "CHW", "HWC"] | None = None
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            better = re.sub(r"^(?=\d|$)", "_", re.sub(r"[^A-Za-z0-9_]+", "_", self.name))
            raise NotAName(f"feature {self.name!r}: wanted letters, digits and underscores, such as {better!r}")


@dataclass(frozen=True)
class Target:
    """What is predicted. labels: the class names, in the order of their numbers; empty for a value."""

    name: str
    description: str
    unit: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """inputs: tensor name -> (rows, ...); targets: (rows,), class numbers or values."""

    inputs: Mapping[str, Tensor]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: Tensor) -> "Rows":
        """The rows at these places, in this order; a place may come twice."""
        return Rows({name: tensor[index] for name, tensor in self.inputs.items()}, self.targets[index])


@dataclass(frozen=True)
class Dataset:
    """columns: tensor name -> the features that fill it. sha256: of the arrays before they are split.

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

    def __post_init__(self) -> None:
        described = {tensor: columns[0].shape or (len(columns),) for tensor, columns in self.columns.items()}
        for part, rows in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            if not len(rows):
                raise ValueError(f"no {part} rows, wanted some in each of train, validation and test")
            shapes = {tensor: tuple(values.shape[1:]) for tensor, values in rows.inputs.items()}
            if shapes != described:
                raise ValueError(f"a {part} row has shapes {shapes}, the columns describe {described}")

    def identity(self) -> dict[str, str]:
        """What a trained network must be used with: these arrays, in these columns."""
        columns = (f"{tensor}.{column.name}" for tensor, columns in self.columns.items() for column in columns)
        return {"data": self.sha256, "columns": " ".join(columns)}


def divide(rows: Rows, strata: NDArray[np.generic]) -> tuple[Rows, Rows, Rows]:
    """Train, validation and test rows, each with the same mixture of strata; the same rows every time."""
    rest, test = train_test_split(np.arange(len(rows)), test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=strata)
    train, validation = train_test_split(
        rest, test_size=VALIDATION_SHARE / (1 - TEST_SHARE), random_state=SPLIT_SEED, stratify=strata[rest]
    )
    return rows.take(_sorted(train)), rows.take(_sorted(validation)), rows.take(_sorted(test))


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
