"""Tensors as the bytes of the binary tensor data extension: little-endian, row-major, without padding.

Source: triton-inference-server/server, docs/protocol/extension_binary_data.md.
"""

import struct
from typing import NamedTuple

import numpy as np

from app.errors import InvalidInput
from app.inference.signature import DTYPES, Tensor
from app.protocols.elements import count_of

LENGTH = struct.Struct("<I")
"""Before each BYTES element."""


class Answer(NamedTuple):
    """The body of an answer. json_length: of the JSON in front of binary tensors; None where all is JSON."""

    body: bytes
    json_length: int | None = None


def read_tensor(name: str, blob: memoryview, datatype: str, shape: list[int]) -> Tensor:
    """A view of the blob; a copy only where its place does not suit the datatype. BYTES become texts.

    Raises InvalidInput unless the blob holds exactly this tensor.
    """
    count = count_of(name, shape)
    if datatype == "BYTES":
        return np.array(_texts(name, blob, count), object).reshape(shape)
    dtype = DTYPES[datatype]
    if len(blob) != count * dtype.itemsize:
        raise InvalidInput(f"{name}: {len(blob)} bytes, wanted {count * dtype.itemsize} for {datatype} {shape}")
    array = np.frombuffer(blob, "u1" if datatype == "BOOL" else dtype)
    if datatype == "BOOL":
        if array.size and array.max() > 1:
            raise InvalidInput(f"{name}: a byte of {array.max()}, wanted 0 or 1 (BOOL)")
        array = array.view(np.bool_)
    return (array if array.flags.aligned else array.copy()).reshape(shape)


def _texts(name: str, blob: memoryview, count: int) -> list[str]:
    texts: list[str] = []
    place = 0
    while place < len(blob):
        if place + LENGTH.size > len(blob):
            raise InvalidInput(f"{name}: element {len(texts)} ends within its length")
        (length,) = LENGTH.unpack_from(blob, place)
        place += LENGTH.size
        end = place + length
        if end > len(blob):
            raise InvalidInput(f"{name}: element {len(texts)} has {length} bytes, {len(blob) - place} are left")
        try:
            texts.append(str(blob[place:end], "utf-8"))
        except UnicodeDecodeError as error:
            raise _not_utf8(name, len(texts), error) from error
        place = end
    if len(texts) != count:
        raise InvalidInput(f"{name}: {len(texts)} elements, wanted {count}")
    return texts


def text_of(name: str, place: int, blob: memoryview) -> str:
    """onnxruntime's strings are UTF-8. Raises InvalidInput for anything else."""
    try:
        return str(blob, "utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(name, place, error) from error


def _not_utf8(name: str, place: int, error: UnicodeDecodeError) -> InvalidInput:
    return InvalidInput(f"{name}[{place}]: not UTF-8: {error.reason} at byte {error.start}")


def write_tensor(tensor: Tensor) -> bytes | memoryview:
    """The bytes of a tensor, where they lie; texts with their length before each."""
    if tensor.dtype != object:
        return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data
    elements = [str(text).encode() for text in tensor.ravel().tolist()]
    return b"".join(part for element in elements for part in (LENGTH.pack(len(element)), element))
