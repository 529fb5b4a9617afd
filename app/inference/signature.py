"""What a graph takes and gives: datatypes, names and shapes, and the check of a request against them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput

Tensor: TypeAlias = NDArray[np.generic]
Tensors: TypeAlias = Mapping[str, Tensor]

DTYPES: dict[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""Open Inference Protocol v2 datatype -> numpy dtype; BYTES elements are `str`, as onnxruntime wants them."""

DATATYPES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output as the graph declares it.

    dims: a size, or the name of a free axis, or None for a free axis without a name.
    """

    name: str
    datatype: str
    dims: tuple[int | str | None, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """dims with -1 for every free axis, as the protocols write it."""
        return tuple(dim if isinstance(dim, int) else -1 for dim in self.dims)


@dataclass(frozen=True)
class Signature:
    """A model's inputs and outputs.

    inputs:   that every request gives.
    batched:  the first axis of all of them is the row axis, confirmed by the probe; requests may share a run.
    optional: inputs with a default in the graph (an initialiser of the same name). They hold for a whole run, so a
              request that gives one runs alone.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batched: bool
    optional: tuple[TensorSpec, ...] = ()

    @property
    def speaks_rows(self) -> bool:
        """Whether the first axis of every tensor can be the rows', as a protocol of instances needs it."""
        specs = (*self.inputs, *self.outputs)
        return bool(self.inputs) and all(spec.shape and spec.shape[0] in (-1, 1) for spec in specs)

    def check(self, tensors: Tensors) -> int:
        """The number of rows of a request that fits this signature; 1 where the model is not batched.

        Raises InvalidInput that says which tensor, what it is and what was wanted.
        """
        known = self._known
        if not tensors.keys() <= known.keys():
            unknown = [name for name in tensors if name not in known]
            raise InvalidInput(f"unknown input {listed(unknown)}; the model takes {listed(known)}")
        if not tensors.keys() >= self._needed:
            missing = [spec.name for spec in self.inputs if spec.name not in tensors]
            raise InvalidInput(f"missing input {listed(missing)}; the model takes {listed(known)}")
        for name, tensor in tensors.items():
            check_tensor(known[name], tensor)
        return self._rows(tensors) if self.batched else 1

    def runs_alone(self, tensors: Tensors) -> bool:
        """Whether a request gives what would hold for its neighbours too."""
        return any(spec.name in tensors for spec in self.optional)

    @cached_property
    def _known(self) -> dict[str, TensorSpec]:
        return {spec.name: spec for spec in (*self.inputs, *self.optional)}

    @cached_property
    def _needed(self) -> frozenset[str]:
        return frozenset(spec.name for spec in self.inputs)

    def _rows(self, tensors: Tensors) -> int:
        rows: set[int] = {tensors[spec.name].shape[0] for spec in self.inputs}
        if len(rows) != 1:
            told = ", ".join(f"{spec.name} has {tensors[spec.name].shape[0]}" for spec in self.inputs)
            raise InvalidInput(f"all inputs need the same number of rows: {told}")
        return rows.pop()


def check_tensor(spec: TensorSpec, tensor: Tensor) -> None:
    """Raises InvalidInput unless the tensor has the datatype and a shape that the spec allows."""
    if tensor.dtype != DTYPES[spec.datatype]:
        raise InvalidInput(f"{spec.name}: datatype {datatype_of(tensor)}, wanted {spec.datatype}")
    if not _fits(tensor.shape, spec.shape):
        raise InvalidInput(f"{spec.name}: shape {list(tensor.shape)}, wanted {list(spec.shape)}")


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a shape is as wanted. A plain loop: a generator would take twice as long, and every request comes by."""
    if len(shape) != len(wanted):
        return False
    for size, want in zip(shape, wanted, strict=True):  # noqa: SIM110
        if want not in (-1, size):
            return False
    return True


def all_true(mask: NDArray[np.bool_]) -> bool:
    """`mask.all()`, for which numpy takes 1.5 us on a few elements and this 0.3."""
    return b"\0" not in mask.tobytes()


def datatype_of(tensor: Tensor) -> str:
    """The protocol's name of an array's dtype."""
    return datatype_of_dtype(tensor.dtype)


def datatype_of_dtype(dtype: np.dtype[np.generic]) -> str:
    """The protocol's name of a dtype."""
    return DATATYPES[dtype]


def listed(names: Sequence[str] | Mapping[str, object]) -> str:
    """Names for a sentence; `nothing` for none."""
    return ", ".join(names) or "nothing"
