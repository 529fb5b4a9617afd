"""A model's outputs to columns of a table: the fields that V1 answers with; without a manifest, a column an output."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.inference.signature import DTYPES, Tensor, Tensors, TensorSpec
from app.manifest import Manifest, OutputTensor

LABEL, PROBABILITY, PROBABILITIES = "label", "probability", "probabilities"


def fields(manifest: Manifest | None, specs: Sequence[TensorSpec], *, probabilities: bool) -> list[pa.Field]:
    """The columns that `columns` gives."""
    types = {spec.name: _type(spec) for spec in specs}
    if manifest is None:
        return [pa.field(spec.name, _nested(types[spec.name], len(spec.shape) - 1)) for spec in specs]
    found = []
    for one in manifest.outputs:
        kind = types[one.tensor]
        if one.kind == "value":
            found.append(pa.field(one.name, kind))
        elif one.kind == "ranking":
            found.append(pa.field(one.name, pa.list_(pa.string())))
        else:
            found += [pa.field(LABEL, pa.string()), pa.field(PROBABILITY, kind)]
            if probabilities:
                found.append(pa.field(PROBABILITIES, pa.struct([(label, kind) for label in one.labels])))
    return found


def columns(outputs: Tensors, manifest: Manifest | None, *, probabilities: bool) -> list[pa.Array]:
    """A row for each of the outputs' rows."""
    if manifest is None:
        return [_array(tensor) for tensor in outputs.values()]
    return [column for one in manifest.outputs for column in _typed(outputs[one.tensor], one, probabilities)]


def _typed(tensor: Tensor, one: OutputTensor, probabilities: bool) -> list[pa.Array]:
    if one.kind == "value":
        return [_array(tensor.reshape(len(tensor)))]
    labels = pa.array(one.labels, pa.string())
    if one.kind == "ranking":
        ends = np.arange(len(tensor) + 1, dtype=np.int32) * tensor.shape[1]
        return [pa.ListArray.from_arrays(pa.array(ends), labels.take(pa.array(tensor.ravel())))]
    best: NDArray[np.intp] = (
        tensor.argmax(axis=1) if one.threshold is None else np.greater_equal(tensor[:, 1], one.threshold).astype(int)
    )
    found = [labels.take(pa.array(best)), pa.array(tensor[np.arange(len(tensor)), best])]
    if probabilities:
        each = [pa.array(np.ascontiguousarray(column)) for column in tensor.T]
        found.append(pa.StructArray.from_arrays(each, one.labels))
    return found


def _type(spec: TensorSpec) -> pa.DataType:
    return pa.string() if spec.datatype == "BYTES" else pa.from_numpy_dtype(DTYPES[spec.datatype])


def _nested(kind: pa.DataType, depth: int) -> pa.DataType:
    return _nested(pa.list_(kind), depth - 1) if depth > 0 else kind


def _array(tensor: Tensor) -> pa.Array:
    """Rows of single values, or of lists in each other."""
    if tensor.ndim == 1:
        return pa.array(tensor.tolist(), pa.string()) if tensor.dtype == object else pa.array(tensor)
    inner = _array(tensor.reshape(-1, *tensor.shape[2:]))
    ends = np.arange(len(tensor) + 1, dtype=np.int32) * tensor.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), inner)
