"""Large arrays of numbers in a JSON body, read into tensors without a Python object for each number.

The arrays are cut out of the body's text and read by simdjson; what is left, a few hundred bytes, is parsed and checked
as any body. Whatever is not plainly a regular array of numbers that fit their datatype makes it None, and the body is
read the usual way, which gives the answer or says what is wrong. So a tensor from here is, to the bit, the one from
there. Microseconds for a whole V2 request of 7,680 / 784 / 256 / 30 floats in one run: 188 / 49 / 37 / 31, the usual
way 511 / 60 / 33 / 14. A parser is made for each array: one that a thread keeps was not 1% faster from 784 numbers on.
"""

import re
from itertools import chain
from typing import Any, Literal

import numpy as np
import orjson
import simdjson

from app.inference.signature import DTYPES, Signature, Tensor, all_true
from app.protocols.elements import MOST_AXES

LEAST_BYTES = 4096
"""Below, some 500 numbers, the usual way is as fast."""

MOST_BYTES = 2**23
"""Above, simdjson would hold up to 13 times the body."""

ARRAY = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*(\[*)")
"""What follows a key, up to the first thing in an array."""

WIDE: dict[str, Literal["d", "i", "u"]] = {"f": "d", "i": "i", "u": "u"}
"""The kind of a numpy dtype -> what simdjson calls its 64-bit type."""


def parse_inputs(body: bytes | memoryview) -> dict[str, Any] | None:
    """A V2 request as `elements.parse` gives it, the data of its inputs as tensors, flat or nested as sent."""
    request, texts = _cut(body, b'"data"')
    inputs = request.get("inputs") if texts else None
    entries = [entry for entry in inputs if _is_cut(entry, "data")] if isinstance(inputs, list) else []
    if not entries or len(entries) != len(texts):
        return None
    for entry, text in zip(entries, texts, strict=True):
        entry["data"] = read_array(text, entry.get("datatype"))
        if entry["data"] is None:
            return None
    return request


def parse_rows(body: bytes, signature: Signature) -> dict[str, Any] | None:
    """A V1 request as `elements.parse` gives it, its instances or inputs as one tensor, if the model takes only one."""
    for key in ("instances", "inputs") if len(signature.inputs) == 1 else ():
        request, texts = _cut(body, f'"{key}"'.encode())
        if len(texts) == 1 and _is_cut(request, key):
            request[key] = read_array(texts[0], signature.inputs[0].datatype)
            return None if request[key] is None else request
    return None


def _is_cut(entry: Any, key: str) -> bool:
    return isinstance(entry, dict) and entry.get(key) == []


def _cut(body: bytes | memoryview, key: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The body with [] for each array that follows the key, and the texts of those arrays in order; nothing in doubt.

    In a body without a backslash every quotation mark begins or ends a text, so `key` is a whole text wherever it
    stands, and a key where a colon follows. An array that is [] in the rest was cut out of it, then. One that begins
    with so many brackets ends at the first place that closes as many at once, or is not regular, and not JSON.
    """
    if not LEAST_BYTES <= len(body) <= MOST_BYTES or b"\\" in (text := bytes(body)):
        return {}, []
    rest, arrays, end = [], [], 0
    at = text.find(key)
    while at >= 0:
        if found := ARRAY.match(text, at + len(key)):
            start, inside = found.span(1)
            brackets = b"]" * (inside - start)
            rest.append(text[end:start])
            end = text.find(brackets, inside) + len(brackets)
            if not brackets or end < inside:
                return {}, []
            arrays.append(text[start:end])
        at = text.find(key, max(end, at + 1))
    try:
        request = orjson.loads(b"[]".join([*rest, text[end:]])) if arrays else {}
    except orjson.JSONDecodeError:
        return {}, []
    return (request, arrays) if isinstance(request, dict) else ({}, [])


def read_array(text: bytes, datatype: Any) -> Tensor | None:
    """A JSON array of numbers as a tensor of the datatype and of the shape that it is nested in, None for all else."""
    dtype = DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None or dtype.kind not in WIDE:
        return None
    try:
        array = simdjson.Parser().parse(text)
        if not isinstance(array, simdjson.Array):
            return None
        flat: Tensor = np.frombuffer(array.as_buffer(of_type=WIDE[dtype.kind]), f"{dtype.kind}8")
        wide = flat.reshape(_shape(array, text))
    except (ValueError, TypeError, RuntimeError):
        return None
    with np.errstate(over="ignore"):
        tensor = wide.astype(dtype, copy=False)
    fits = all_true(np.isfinite(tensor)) if dtype.kind == "f" else np.array_equal(tensor, wide)
    return tensor if fits and tensor.ndim <= MOST_AXES else None


def _shape(array: simdjson.Array, text: bytes) -> tuple[int, ...]:
    """The shape of lists that are equally long on each axis. Raises ValueError, or TypeError, for any others.

    They are regular down to the axis on which as many lists have been seen as the text has brackets.
    """
    if text.rfind(b"[") == 0:
        return (len(array),)
    lists = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("[")))
    level: list[Any] = [array]
    shape: list[int] = []
    seen = 0
    while seen < lists:
        [size] = set(map(len, level))
        shape.append(size)
        seen += len(level)
        level = list(chain.from_iterable(level)) if seen < lists else []
    return tuple(shape)
