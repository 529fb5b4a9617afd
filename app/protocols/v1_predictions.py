"""Outputs to V1 predictions: named fields by the manifest, rows or objects of outputs without one."""

from typing import Any

import numpy as np

from app.errors import InvalidInput
from app.inference.signature import Tensor, Tensors
from app.manifest import Manifest, OutputTensor
from app.protocols import b64
from app.protocols.elements import NonFinite, dump, written
from app.protocols.v1_codec import PredictRequest


def encode(
    outputs: Tensors, request: PredictRequest, manifest: Manifest | None, nonfinite: NonFinite = "token"
) -> bytes:
    """{"predictions": [...]}, one an instance, or {"outputs": ...} for a request in columns.

    Raises InvalidInput where an output has no row for each instance.
    """
    if request.columns and manifest is None:
        columns = {name: tensor if tensor.dtype != object else _texts(name, tensor) for name, tensor in outputs.items()}
        return dump({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}, nonfinite)
    check_rows(outputs, request.rows, "; ask for columns")
    if manifest is None and len(outputs) == 1:
        [(name, tensor)] = outputs.items()
        whole = np.ascontiguousarray(tensor) if tensor.dtype != object else _texts(name, tensor)
        return dump({"predictions": whole}, nonfinite)
    rows = predictions(outputs, request.rows, manifest, request.probabilities)
    if request.columns:
        columns = {field: [row[field] for row in rows] for field in rows[0]}
        return dump({"outputs": columns}, nonfinite, outputs.values())
    return dump({"predictions": rows}, nonfinite, outputs.values())


def predictions(outputs: Tensors, rows: int, manifest: Manifest | None, probabilities: bool = False) -> list[Any]:
    """One an instance. outputs: with a row for each of them."""
    if manifest is not None:
        return _typed_rows(outputs, probabilities, manifest)
    if len(outputs) > 1:
        return _raw_rows(outputs, rows)
    [(name, tensor)] = outputs.items()
    return _rows(name, tensor)


def check_rows(outputs: Tensors, rows: int, advice: str = "") -> None:
    """Raises InvalidInput unless every output has a row for each instance."""
    for name, tensor in outputs.items():
        if not tensor.ndim or tensor.shape[0] != rows:
            raise InvalidInput(f"output {name} has shape {list(tensor.shape)}, not a row an instance{advice}")


def row_texts(outputs: Tensors, manifest: Manifest | None) -> list[bytes] | None:
    """Each row's prediction as JSON, without the probabilities of all classes; None where one may not be finite.

    outputs: (rows, ...).
    """
    [tensor, *others] = outputs.values()
    if manifest is not None:
        rows: Any = _typed_rows(outputs, False, manifest)
    else:
        rows = _raw_rows(outputs, len(tensor)) if others else np.ascontiguousarray(tensor)
    texts = [written(row) for row in rows]
    return None if any(b"null" in text for text in texts) else texts


def _raw_rows(outputs: Tensors, rows: int) -> list[Any]:
    columns = {name: _rows(name, tensor) for name, tensor in outputs.items()}
    return [{name: column[row] for name, column in columns.items()} for row in range(rows)]


def _rows(name: str, tensor: Tensor) -> list[Any]:
    return list(_texts(name, tensor)) if tensor.dtype == object else list(np.ascontiguousarray(tensor))


def _texts(name: str, tensor: Tensor) -> Any:
    """Nested lists of texts, each as {"b64": ...} where the output's name asks for that."""
    return b64.write_nested(tensor.tolist()) if name.endswith(b64.SUFFIX) else tensor.tolist()


def _typed_rows(outputs: Tensors, probabilities: bool, manifest: Manifest) -> list[dict[str, Any]]:
    first, *others = (_fields(outputs[one.tensor], one, probabilities) for one in manifest.outputs)
    for other in others:
        for row, fields in zip(first, other, strict=True):
            row |= fields
    return first


def _fields(tensor: Tensor, one: OutputTensor, probabilities: bool) -> list[dict[str, Any]]:
    """Each row's fields: `label` and `probability`, and on request `probabilities`; or the named value or ranking."""
    if one.kind == "value":
        return [{one.name: value} for value in _rows(one.name, tensor.reshape(len(tensor)))]
    if one.kind == "ranking":
        return [{one.name: [one.labels[place] for place in row]} for row in tensor.tolist()]
    best = tensor.argmax(axis=1) if one.threshold is None else np.greater_equal(tensor[:, 1], one.threshold).astype(int)
    given = tensor[np.arange(len(tensor)), best]
    fields: list[dict[str, Any]] = [
        {"label": one.labels[place], "probability": p} for place, p in zip(best.tolist(), given, strict=True)
    ]
    if probabilities:
        for row, all_of_them in zip(fields, tensor, strict=True):
            row["probabilities"] = dict(zip(one.labels, all_of_them, strict=True))
    return fields
