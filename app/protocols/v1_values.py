"""One value of a V1 body to the array that its feature makes of it.

What is wrong is told as what follows the value's place: `: 'plum', wanted one of fig, kiwi` or `[1][0]: null, ...`;
whoever knows the place puts it in front.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from app.errors import InvalidInput
from app.feature import Feature, days_of
from app.inference.signature import DTYPES, Tensor
from app.protocols import b64
from app.protocols.allowance import Allowance
from app.protocols.elements import flatten, kind_of, to_array

ABSENT = object()
"""In the place of a value that is not there."""


def read_value(value: Any, feature: Feature, datatype: str, allowance: Allowance) -> Tensor:
    """One value as an array of the feature's shape. Raises InvalidInput with what follows the value's place."""
    if feature.kind in ("image", "audio"):
        if isinstance(value, dict):
            return _decoded(value, feature, allowance, DTYPES[datatype])
        if not isinstance(value, list):
            raise InvalidInput(f": {_shown(value)}, wanted {feature.wanted_whole}")
        if feature.kind == "audio":
            value = _padded(value, feature, allowance)
    elements = parts_of(value, feature, datatype)
    try:
        return to_array("", elements, datatype).reshape(feature.shape)
    except InvalidInput:
        raise InvalidInput(first_wrong(elements, feature.shape, datatype)) from None


def _decoded(value: dict[str, Any], feature: Feature, allowance: Allowance, dtype: np.dtype[np.generic]) -> Tensor:
    with _told_after_colon():
        return file_value(b64.read_bytes(value), feature, allowance, dtype)


def file_value(data: bytes, feature: Feature, allowance: Allowance, dtype: np.dtype[np.generic]) -> Tensor:
    """The bytes of an image or a sound as an array of the feature's shape. Raises InvalidInput, MediaTooLarge."""
    from app.protocols import media  # when the first file comes: a service that takes none starts without its libraries

    read = media.read_image if feature.kind == "image" else media.read_sound
    array = read(data, feature, allowance)
    return array.astype(dtype) if dtype.kind == "f" else np.rint(array).astype(dtype)


def _padded(value: list[Any], feature: Feature, allowance: Allowance) -> list[Any]:
    """The numbers of a sound with silence behind, as behind a file."""
    [samples] = feature.shape
    if not 0 < len(value) <= samples:
        raise InvalidInput(f": {len(value)} numbers, wanted {feature.wanted_whole}")
    allowance.take_samples(samples)
    return value + [0.0] * (samples - len(value))


def parts_of(value: Any, feature: Feature, datatype: str) -> list[Any]:
    """The elements of a value as the tensor takes them. Raises InvalidInput with what follows the value's place."""
    if not feature.shape:
        return [element_of(value, feature, datatype)]
    if value is None or value is ABSENT:
        raise InvalidInput(f": {_shown(value)}, wanted {feature.wanted_whole}")
    if feature.may_be_shorter:
        value = _filled_up(value, feature)
    parts = flatten("", value, feature.shape)
    if set(map(type, parts)) <= {int, float} and feature.kind in ("number", "image", "audio"):
        return parts
    converted = []
    for at, part in enumerate(parts):
        try:
            converted.append(element_of(part, feature, datatype))
        except InvalidInput as error:
            raise InvalidInput(f"{index_of(at, feature.shape)}{error}") from error
    return converted


def _filled_up(value: Any, feature: Feature) -> list[Any]:
    """The list with nulls behind it, as many as it lacks."""
    [length] = feature.shape
    if not isinstance(value, list):
        raise InvalidInput(f": {_shown(value)}, wanted {feature.wanted_whole}")
    if not 0 < len(value) <= length:
        raise InvalidInput(f": {len(value)} elements, wanted {feature.wanted_whole}")
    return value + [None] * (length - len(value))


def element_of(value: Any, feature: Feature, datatype: str) -> Any:
    """A single value, or an element of a block, as the tensor takes it. Raises InvalidInput as the others do."""
    if value is None or value is ABSENT:
        if feature.missing == "nan":
            return math.nan
        if feature.missing == "refuse":
            raise InvalidInput(f": {_shown(value)}, wanted {feature.wanted}")
        value = feature.fill
    if feature.kind in ("category", "text"):
        return _text_element(value, feature, datatype)
    if feature.kind == "date":
        return _day(value, feature)
    if type(value) not in (int, float) or (feature.kind == "integer" and not float(value).is_integer()):
        raise InvalidInput(f": {_shown(value)}, wanted {feature.wanted}")
    return value


def _text_element(value: Any, feature: Feature, datatype: str) -> str | int:
    """A text, or the category that it names: itself in a tensor of texts, its place in one of numbers."""
    if isinstance(value, dict):
        with _told_after_colon():
            value = b64.read_text(value)
    if not isinstance(value, str) or (feature.kind == "category" and value not in feature.places):
        raise InvalidInput(f": {_shown(value)}, wanted {feature.wanted}")
    return value if datatype == "BYTES" else feature.places[value]


def _day(value: Any, feature: Feature) -> int:
    days = days_of(value) if isinstance(value, str) else None
    if days is None:
        raise InvalidInput(f": {_shown(value)}, wanted {feature.wanted}")
    return days


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "missing"
    return repr(value) if isinstance(value, str | int | float) and len(repr(value)) < 40 else kind_of(value)


@contextmanager
def _told_after_colon() -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f": {error}") from error


def first_wrong(elements: Sequence[Any], shape: Sequence[int], datatype: str) -> str:
    """What `to_array` says of the first element that does not fit the datatype, its place in the shape in front."""
    for at, element in enumerate(elements):
        try:
            to_array("", [element], datatype)
        except InvalidInput as error:
            return index_of(at, shape) + str(error).removeprefix("[0]")
    raise AssertionError("every element fits alone, so all do together")


def index_of(at: int, shape: Sequence[int]) -> str:
    """The place of a flat element in a shape: `[2][5]`."""
    return "".join(f"[{axis}]" for axis in np.unravel_index(at, shape)) if shape else ""
