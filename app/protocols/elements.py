"""JSON values <-> tensors: what both protocols share of parsing, checking and writing numbers and texts."""

import json
import math
import re
import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from math import prod
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import InvalidInput
from app.inference.signature import DTYPES, Tensor, Tensors, all_true

NonFinite = Literal["token", "string", "null", "error"]
"""How NaN and infinity stand in JSON, which has no numbers for them: as the bare words that Triton and TensorFlow
Serving write, as texts, as null (which is read as NaN), or not at all."""

TEXTS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

HINTS = {"string": 'as texts, such as "NaN"', "null": "as null", "error": "in binary tensors alone"}

EXACT_FLOATS = 2.0**53
"""From here on a float stands for more than one integer."""

ALLOWED: dict[str, set[type]] = {"BOOL": {bool, int, float}, "BYTES": {str}}
"""The types that orjson gives to what may be an element; of all other datatypes an int or a float."""

CODES = {"FP16": "e", "FP32": "f", "FP64": "d"} | {
    ("U" if sign else "") + f"INT{bits}": code.upper() if sign else code
    for bits, code in ((8, "b"), (16, "h"), (32, "i"), (64, "q"))
    for sign in (False, True)
}
"""Datatype -> its letter in the module struct."""

SHORT_BYTES = 4096
"""Up to here a text is looked through in less time than the arrays that it was made of."""

TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)

QUOTE, OPENER, CLOSER = b'"[]'

PIECE_BYTES = 2**15
"""So much is looked at in the processor's cache: a tenth of the time."""

ANY_CASE = 0xDF
"""The bits of a character without the one that tells [ from {, and ] from }."""

MOST_AXES = 32

MOST_ELEMENTS = 2**28
"""Of one tensor, axes without elements left out: four times what the default limit of a body can hold."""


def check_depth(body: bytes | memoryview, most: int) -> None:
    """Raises InvalidInput for JSON whose lists and objects are nested deeper than `most`; what is no JSON may pass.

    A body with no more brackets than that is not deeper. Otherwise only brackets and quotation marks are looked at: a
    pair of these without a bracket between them, of one text or of two neighbours, changes nothing.
    """
    codes = np.frombuffer(body, np.uint8)
    pieces = (codes[at : at + PIECE_BYTES] for at in range(0, len(codes), PIECE_BYTES))
    if sum(np.count_nonzero(_opened(piece)) for piece in pieces) <= most:
        return
    whole = bytes(body)
    codes = np.frombuffer(TEXT.sub(b"", whole) if b"\\" in whole else whole, np.uint8)
    structure = codes[_opened(codes) | ((codes & ANY_CASE) == CLOSER) | (codes == QUOTE)].tobytes()
    brackets = np.frombuffer(TEXT.sub(b"", structure.replace(b'""', b"")), np.uint8)
    steps = np.where(_opened(brackets), 1, -1)
    if (depth := int(np.cumsum(steps).max(initial=0))) > most:
        raise InvalidInput(f"the body is nested {depth} deep, wanted at most {most}")


def _opened(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    opened: NDArray[np.bool_] = (codes & ANY_CASE) == OPENER
    return opened


def parse(body: bytes | memoryview, nonfinite: NonFinite = "token") -> dict[str, Any]:
    """A JSON object, with bare NaN, Infinity and -Infinity where `nonfinite` says so. Raises InvalidInput."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        told = f"the body is not JSON: {error}"
        body = bytes(body)
        if b"NaN" not in body and b"Infinity" not in body:
            raise InvalidInput(told) from error
        if nonfinite != "token":
            raise InvalidInput(f"{told}; NaN and infinity are read {HINTS[nonfinite]}") from error
        value = _parse_with_tokens(body)
    if not isinstance(value, dict):
        raise InvalidInput(f"the body is {kind_of(value)}, wanted an object")
    return value


def _parse_with_tokens(body: bytes) -> Any:
    """What orjson would read, and the tokens; the standard library alone also lets numbers beyond a float and halves
    of characters through."""
    try:
        value = json.loads(body.decode(), parse_int=_number, parse_float=_number)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    return value


def _number(text: str) -> float:
    """An int of up to 64 bits, a float for all else. Raises ValueError for what neither can hold."""
    if len(text) <= 20 and text.lstrip("-").isdigit() and -(2**63) <= (whole := int(text)) < 2**64:
        return whole
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]}... is too large a number")
    return value


def dump(content: dict[str, Any], nonfinite: NonFinite = "token", source: Iterable[Tensor] = ()) -> bytes:
    """JSON of an answer whose leaves may be numpy arrays and scalars.

    source: the arrays that all numbers of the content are from, if it has many leaves: while these are finite, so are
            those, and need not be looked at one by one.

    Raises InvalidInput where a value is not finite and `nonfinite` has no way to write it.
    """
    text = written(content)
    if nonfinite == "null" or (len(text) < SHORT_BYTES and b"null" not in text):
        return text
    if (source and all(map(_is_finite, source))) or _is_finite(content):
        return text
    if nonfinite == "error":
        raise InvalidInput(f"the answer holds NaN or infinity, which are written {HINTS['error']}")
    plain = _in_texts(content) if nonfinite == "string" else content
    return json.dumps(plain, default=lambda value: value.tolist(), separators=(",", ":"), ensure_ascii=False).encode()


def written(content: Any) -> bytes:
    """JSON of content whose numbers are finite; null stands for those that are not."""
    return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _in_texts(value: Any) -> Any:
    """The content in plain lists, a text in place of each number that is not finite."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _in_texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_in_texts(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _plain(value: Any) -> Any:
    """What orjson does not know of numpy: arrays without an axis, and integers of the platform's C types, which
    onnxruntime gives for some operators. As scalars first, so that a short float stays short."""
    return value[()] if isinstance(value, np.ndarray) and not value.ndim else value.tolist()


def _is_finite(value: Any) -> bool:
    if isinstance(value, np.ndarray | np.floating):
        return value.dtype.kind != "f" or all_true(np.isfinite(value))
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))


def count_of(where: str, shape: Sequence[int]) -> int:
    """The elements of a shape. Raises InvalidInput for one that no request can fill, before any arithmetic on it."""
    if len(shape) > MOST_AXES:
        raise InvalidInput(f"{where}: shape of {len(shape)} axes, wanted at most {MOST_AXES}")
    count = prod(shape)
    if not 0 < count <= MOST_ELEMENTS and prod(size or 1 for size in shape) > MOST_ELEMENTS:
        raise InvalidInput(f"{where}: shape {list(shape)}, wanted at most {MOST_ELEMENTS} elements")
    return count


def check_elements(tensors: Tensors, most: int) -> None:
    """Raises InvalidInput for a tensor with more elements."""
    for name, tensor in tensors.items():
        if tensor.size > most:
            raise InvalidInput(f"{name}: {tensor.size} elements, wanted at most {most}")


def flatten(where: str, data: Any, shape: Sequence[int]) -> list[Any]:
    """The elements of nested or flat data, row-major. Raises InvalidInput unless they fill the shape exactly."""
    count = count_of(where, shape)
    level = data if isinstance(data, list) else [data]
    if shape and not isinstance(data, list):
        raise InvalidInput(f"{where}: {kind_of(data)}, wanted a list of {count} elements")
    if level and isinstance(level[0], list):
        for axis, size in enumerate(shape):
            rows = [level] if axis == 0 else level
            if not all(isinstance(row, list) and len(row) == size for row in rows):
                raise InvalidInput(f"{where}: nested data do not have shape {list(shape)}")
            level = list(chain.from_iterable(rows))
    if len(level) != count:
        raise InvalidInput(f"{where}: {len(level)} elements, wanted {count} for shape {list(shape)}")
    return level


def nested_shape(where: str, data: Any) -> tuple[int, ...]:
    """The shape that nested lists have if they are regular, read off their first elements."""
    shape = []
    while isinstance(data, list):
        shape.append(len(data))
        if not data:
            break
        data = data[0]
    if len(shape) > MOST_AXES:
        raise InvalidInput(f"{where}: nested {len(shape)} deep, wanted at most {MOST_AXES}")
    return tuple(shape)


def to_array(where: str, values: list[Any], datatype: str, nonfinite: NonFinite = "token") -> Tensor:
    """JSON elements as a flat array of the datatype, nothing lost on the way.

    2.0 may stand for an integer, and 0 or 1.0 for a boolean. A fraction, a value out of range or one of another type
    raises InvalidInput that says which element.
    """
    dtype = DTYPES[datatype]
    if dtype.kind == "f" and nonfinite == "string":
        values = [TEXTS.get(value, value) if isinstance(value, str) else value for value in values]
    if dtype.kind == "f" and nonfinite == "null":
        values = [math.nan if value is None else value for value in values]
    allowed = ALLOWED.get(datatype, {int, float})
    if not allowed.issuperset(map(type, values)):
        place, wrong = next((i, v) for i, v in enumerate(values) if type(v) not in allowed)
        raise InvalidInput(f"{where}[{place}]: {kind_of(wrong)}, wanted {_wanted(datatype)}")
    if datatype in CODES:
        return _numbers(where, values, datatype)
    if dtype.kind == "b" and not set(values) <= {0, 1}:
        place, wrong = next((i, v) for i, v in enumerate(values) if v not in (0, 1))
        raise InvalidInput(f"{where}[{place}]: {wrong}, wanted {_wanted(datatype)}")
    return np.array(values, dtype)


def _numbers(where: str, values: list[Any], datatype: str) -> Tensor:
    """ints and floats in the bytes of the datatype. struct refuses a fraction for an integer, and what is beyond the
    datatype, as it goes: to_array took 7.1 us for 30 floats and 347 for 7,680 while numpy made FP64 of them, then FP32,
    and looked for what had become infinite; now 2.7 and 249 in the same run.
    """
    try:
        return np.frombuffer(struct.pack(f"<{len(values)}{CODES[datatype]}", *values), DTYPES[datatype])
    except (OverflowError, struct.error):
        if DTYPES[datatype].kind != "f":
            return _integers(where, values, datatype)
        place = next(place for place, value in enumerate(values) if not _fits(value, datatype))
        raise InvalidInput(f"{where}[{place}]: {values[place]:g} does not fit {datatype}") from None


def _fits(value: float, datatype: str) -> bool:
    try:
        struct.pack(f"<{CODES[datatype]}", value)
    except (OverflowError, struct.error):
        return False
    return True


def _integers(where: str, values: list[Any], datatype: str) -> Tensor:
    """The same where a float may stand for an integer. Raises InvalidInput that names the first that does not."""
    low, high = _range(datatype)
    for place, value in enumerate(values):
        if isinstance(value, float) and not (value.is_integer() and abs(value) < EXACT_FLOATS):
            raise InvalidInput(f"{where}[{place}]: {value}, wanted {_wanted(datatype)}")
    values = [int(value) for value in values]
    if values and not low <= min(values) <= max(values) <= high:
        place = next(i for i, value in enumerate(values) if not low <= value <= high)
        raise InvalidInput(f"{where}[{place}]: {values[place]}, wanted {_wanted(datatype)}")
    return np.array(values, DTYPES[datatype])


def _range(datatype: str) -> tuple[int, int]:
    """The least and the greatest value of an integer datatype."""
    dtype = DTYPES[datatype]
    bits = 8 * dtype.itemsize
    return (0, 2**bits - 1) if dtype.kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _wanted(datatype: str) -> str:
    if DTYPES[datatype].kind in "iu":
        low, high = _range(datatype)
        return f"an integer from {low} to {high} ({datatype})"
    return {"BOOL": "true or false (BOOL)", "BYTES": "a string (BYTES)"}.get(datatype, f"a number ({datatype})")


def kind_of(value: Any) -> str:
    """What a JSON value is, for a sentence."""
    if isinstance(value, bool):
        return str(value).lower()
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names.get(type(value), "null")
