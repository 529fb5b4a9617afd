"""Columns of a table to tensors, by the manifest's features; what is wrong with a row is told, and costs no other row.

The same values are refused in the same words as over HTTP (`app.protocols.v1_values`).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.errors import InvalidInput, MediaTooLarge
from app.feature import Feature
from app.inference.domain import Domain
from app.inference.signature import DTYPES, Tensor, Tensors
from app.manifest import InputTensor
from app.protocols.allowance import USUAL, Allowance
from app.protocols.elements import to_array
from app.protocols.v1_values import ABSENT, element_of, file_value, read_value

Refused = defaultdict[int, list[str]]
"""Row -> what is wrong with it."""


@dataclass(frozen=True)
class Rows:
    """tensors: input name -> (rows, ...), 0 or an empty text where a row is refused. refused: row -> why."""

    tensors: Tensors
    refused: dict[int, str]


def read(
    batch: pa.RecordBatch, inputs: Sequence[InputTensor], datatypes: dict[str, str], where: Sequence[Domain]
) -> Rows:
    """The rows of a batch. Raises ValueError for a column whose type no value of its feature can have."""
    refused: Refused = defaultdict(list)
    names, tensors = batch.schema.names, {}
    for one in inputs:
        columns = []
        for feature in one.features:
            there = feature.name in names
            column = batch.column(feature.name) if there else pa.nulls(batch.num_rows, pa.string())
            columns.append(_column(column, feature, datatypes[one.tensor], refused))
        tensors[one.tensor] = columns[0] if one.features[0].shape else np.stack(columns, axis=1)
    for domain in where:
        inside = domain.inside(tensors[domain.tensor])
        for row in np.flatnonzero(~inside.all(axis=tuple(range(1, inside.ndim)))).tolist():
            if row not in refused:
                found = domain.violations(tensors[domain.tensor][row : row + 1])
                refused[row] += [f"{violation.feature}: {violation.fact}" for violation in found]
    return Rows(tensors, {row: "; ".join(reasons) for row, reasons in refused.items()})


def _column(column: pa.Array, feature: Feature, datatype: str, refused: Refused) -> Tensor:
    """(rows, *shape)."""
    if not feature.shape:
        numbers = _numbers(column) if feature.kind in ("number", "integer") and DTYPES[datatype].kind == "f" else None
        if numbers is None:
            return _by_value(column, feature, datatype, refused)
        return _filled(numbers, feature, refused).astype(DTYPES[datatype])
    if feature.kind == "number" and (block := _block(column, feature, datatype)) is not None:
        return block
    blank = np.full(feature.shape, "" if datatype == "BYTES" else 0, DTYPES[datatype])
    values = []
    for row, value in enumerate(column.to_pylist()):
        try:
            values.append(_value(value, feature, datatype))
        except InvalidInput as error:
            refused[row].append(f"{feature.name}{error}")
            values.append(blank)
        except MediaTooLarge as error:
            refused[row].append(f"{feature.name}: {error}")
            values.append(blank)
    return np.stack(values) if values else np.empty((0, *feature.shape), DTYPES[datatype])


def _numbers(column: pa.Array) -> NDArray[np.float64] | None:
    """Of a column of numbers or of their texts, NaN where there is none; None if it is another, or a text is wrong."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or _is_text(kind):
        with suppress(pa.ArrowInvalid):
            numbers: NDArray[np.float64] = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return numbers
    return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _filled(values: NDArray[np.float64], feature: Feature, refused: Refused) -> NDArray[np.float64]:
    """With what stands for a missing value."""
    if feature.missing == "nan" or not (missing := np.isnan(values)).any():
        return values
    if feature.missing == "fill":
        return np.where(missing, float(feature.fill or 0), values)
    for row in np.flatnonzero(missing).tolist():
        refused[row].append(f"{feature.name}: missing, wanted {feature.wanted}")
    return np.where(missing, 0, values)


def _by_value(column: pa.Array, feature: Feature, datatype: str, refused: Refused) -> Tensor:
    """Each different value is looked at once."""
    try:
        encoded = column.dictionary_encode() if not pa.types.is_dictionary(column.type) else column
    except pa.ArrowNotImplementedError as error:
        raise ValueError(f"column {feature.name} is {column.type}, wanted {feature.wanted}") from error
    blank = "" if datatype == "BYTES" else 0
    elements: list[Any] = []
    wrong: dict[int, str] = {}
    for place, value in enumerate([*encoded.dictionary.to_pylist(), None]):
        try:
            element = element_of(_plain(value, feature), feature, datatype)
            to_array("", [element], datatype)
        except InvalidInput as error:
            wrong[place], element = f"{feature.name}{error}", blank
        elements.append(element)
    places = encoded.indices.fill_null(len(elements) - 1).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(np.isin(places, list(wrong))).tolist():
        refused[row].append(wrong[int(places[row])])
    taken: Tensor = to_array("", elements, datatype)[places]
    return taken


def _plain(value: Any, feature: Feature) -> Any:
    """A value of a column as it would stand in JSON."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ABSENT
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, str) and feature.kind in ("number", "integer"):
        with suppress(ValueError):
            return float(value)
    return value


def _block(column: pa.Array, feature: Feature, datatype: str) -> Tensor | None:
    """A column of flat lists of numbers, all there and as long as the feature is; None if it is another."""
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if DTYPES[datatype].kind != "f" or column.null_count or not is_list or not pa.types.is_floating(kind.value_type):
        return None
    lengths, values = pc.list_value_length(column), column.flatten()
    if values.null_count or not pc.all(pc.equal(lengths, math.prod(feature.shape))).as_py():
        return None
    numbers: Tensor = values.to_numpy(zero_copy_only=False)
    return numbers.reshape(-1, *feature.shape).astype(DTYPES[datatype])


def _value(value: Any, feature: Feature, datatype: str) -> Tensor:
    """A file's bytes, those in a {"bytes": ..., "path": ...} as data sets on a hub have them, or numbers in lists."""
    if isinstance(value, dict) and "bytes" in value:
        value = value["bytes"]
    if isinstance(value, bytes):
        try:
            return file_value(value, feature, Allowance(USUAL), DTYPES[datatype])
        except InvalidInput as error:
            raise InvalidInput(f": {error}") from error
    return read_value(value, feature, datatype, Allowance(USUAL))
