"""Open Inference Protocol v2 for requests of one turn: JSON with plain data, and nothing asked beside an id."""

import re
from collections.abc import Hashable
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import orjson

from app.errors import ServingError
from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.signature import DTYPES, Tensors, TensorSpec, datatype_of_dtype
from app.protocols.binary import Answer, write_tensor
from app.protocols.elements import NonFinite
from app.protocols.numbers import LEAST_BYTES, parse_inputs, read_array
from app.protocols.together import Read, Texts, parsed, row_texts
from app.protocols.v2_codec import InferRequest, WantedOutput, decode, encode

KEYS = ({"inputs"}, {"inputs", "id"})

ID = b',"id":'

DATA = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\[')

NUMBERS = re.compile(rb"[-+.eE0-9, \t\r\n]*")

MOST_FRAMES = 256

LARGEST_FRAME = 1024
"""Of a body around its numbers, in bytes."""

FRAMED = "iuf"
"""Kinds of the dtypes whose tensors are known by what stands around them."""


class _Frame(NamedTuple):
    """What a body says around its numbers, or in front of its bytes.

    size: of the numbers. json_length: of the JSON in front of bytes. binary: how the outputs are wanted.
    """

    rows: int
    trailing: tuple[tuple[int, ...], ...]
    size: int
    json_length: int | None = None
    binary: bool = False


class V2Codec:
    """Bodies of one model whose rows share runs.

    A caller sends the same body again and again, but for the numbers of its only input. What stood around them in a
    plain one is known by its bytes from then on, and only the numbers are read.
    """

    def __init__(self, model: Model) -> None:
        self._signature, self._inputs = model.signature, model.signature.inputs
        self._name, self._version = model.name, model.version
        self._head = orjson.dumps({"model_name": model.name, "model_version": str(model.version)})[:-1]
        self._texts = Texts(_written)
        dtypes = [DTYPES[spec.datatype] for spec in self._inputs]
        self._dtype = dtypes[0] if len(dtypes) == 1 and dtypes[0].kind in FRAMED else None
        self._frames: dict[tuple[bytes, ...], _Frame] = {}
        self._heads: dict[Hashable, bytes] = {}

    def read(self, body: bytes, json_length: int | None) -> Read | None:
        """A request that gives all inputs in the graph's order. See `together.Codec`."""
        if json_length is not None:
            return self._read_binary(body, json_length)
        found = DATA.search(body) if self._dtype else None
        if found is None:
            return self._read_plain(body)
        start = found.end()
        end = body.find(b"]", start)
        around = body[:start], body[end:]
        frame = self._frames.get(around)
        if frame is None:
            read = self._read_plain(body)
            if read and not read.identity and _tells_all(body) and _is_flat(body[start:end]):
                self._learn(around, _Frame(read.rows, read.trailing, read.rows * prod(read.trailing[0])))
            return read
        text = body[start:end]
        if len(text) < LEAST_BYTES:
            if text.count(b",") + 1 != frame.size:
                return self._read_plain(body)
            return Read(frame.rows, (), frame.trailing, text)
        numbers = read_array(b"[%b]" % text, self._inputs[0].datatype)
        if numbers is None or numbers.shape != (frame.size,):
            return self._read_plain(body)
        return Read(frame.rows, (numbers,), frame.trailing)

    def _read_plain(self, body: bytes) -> Read | None:
        request = parse_inputs(body) or parsed(body)
        if request is None or request.keys() not in KEYS:
            return None
        inputs, identity = request["inputs"], request.get("id")
        if type(inputs) is not list or len(inputs) != len(self._inputs) or type(identity) not in (str, type(None)):
            return None
        values, trailing, rows = [], [], 0
        for entry, spec in zip(inputs, self._inputs, strict=True):
            if not _is_plain(entry, spec) or rows not in (0, entry["shape"][0]):
                return None
            values.append(entry["data"])
            rows, *others = entry["shape"]
            trailing.append(tuple(others))
        told = b"" if identity is None else ID + orjson.dumps(identity)
        return Read(rows, values, tuple(trailing), identity=told)

    def _read_binary(self, body: bytes, json_length: int) -> Read | None:
        if self._dtype is None or not 0 < json_length <= min(len(body), LARGEST_FRAME):
            return None
        around = (body[:json_length],)
        frame = self._frames.get(around) or self._learn(around, self._binary_frame(body, json_length))
        if frame is None or len(body) != json_length + frame.size * self._dtype.itemsize:
            return None
        array = np.frombuffer(body, self._dtype, frame.size, json_length)
        return Read(frame.rows, (array,), frame.trailing, binary=frame.binary)

    def _binary_frame(self, body: bytes, json_length: int) -> _Frame | None:
        """None unless the body has bytes and nothing else, and asks for all outputs in one form and nothing else."""
        try:
            asked = decode(body, json_length, self._signature)
            rows = self._signature.check(asked.tensors)
        except ServingError:
            return None
        tensor, *others = asked.tensors.values()
        binary = asked.outputs[0].binary
        every = tuple(WantedOutput(spec.name, binary) for spec in self._signature.outputs)
        if asked._replace(tensors={}) != InferRequest(None, {}, every, batched=True) or others:
            return None
        if not tensor.size or len(body) != json_length + tensor.nbytes:
            return None
        return _Frame(rows, (tensor.shape[1:],), tensor.size, json_length, binary)

    def _learn(self, around: tuple[bytes, ...], frame: _Frame | None) -> _Frame | None:
        if frame is not None and sum(map(len, around)) <= LARGEST_FRAME:
            if len(self._frames) >= MOST_FRAMES:
                self._frames.clear()
            self._frames[around] = frame
        return frame

    def write(self, rows: Rows, read: Read) -> Answer | None:
        """See `together.Codec`."""
        if read.binary:
            return self._write_binary(rows.tensors())
        written = self._texts.of(rows.outputs)
        if written is None:
            return None
        parts = [self._head, read.identity, b',"outputs":[']
        for before, behind, texts in written:
            parts += (before, b"%d" % read.rows, behind, b",".join(texts[rows.start : rows.stop]), b"]},")
        parts[-1] = b"]}]}"
        return Answer(b"".join(parts))

    def _write_binary(self, outputs: Tensors) -> Answer | None:
        """The JSON in front says of the outputs what is the same for all answers of their shapes."""
        if any(tensor.dtype == object for tensor in outputs.values()):
            return None
        shapes = tuple((tensor.dtype.str, tensor.shape) for tensor in outputs.values())
        head = self._heads.get(shapes)
        if head is None:
            if len(self._heads) >= MOST_FRAMES:
                self._heads.clear()
            whole = self._encoded(outputs, None, binary=True)
            head = self._heads[shapes] = whole.body[: whole.json_length]
        return Answer(b"".join((head, *map(write_tensor, outputs.values()))), len(head))

    def write_alone(self, outputs: Tensors, read: Read, nonfinite: NonFinite) -> Answer:
        """See `together.Codec`."""
        identity = orjson.loads(read.identity.removeprefix(ID)) if read.identity else None
        return self._encoded(outputs, identity, binary=read.binary, nonfinite=nonfinite)

    def _encoded(
        self, outputs: Tensors, identity: str | None, *, binary: bool, nonfinite: NonFinite = "token"
    ) -> Answer:
        asked = InferRequest(identity, {}, tuple(WantedOutput(name, binary) for name in outputs))
        return encode(self._name, self._version, asked, outputs, {}, nonfinite)


def _written(outputs: Tensors) -> list[tuple[bytes, bytes, list[bytes]]] | None:
    """Each output as JSON, up to the number of rows, from there to the data, and the data row by row; None if a number
    is not finite."""
    written = []
    for name, tensor in outputs.items():
        texts = row_texts(tensor)
        if texts is None:
            return None
        written.append((*_described(name, tensor.dtype, tensor.shape[1:]), texts))
    return written


@lru_cache(maxsize=1024)
def _described(name: str, dtype: np.dtype[np.generic], trailing: tuple[int, ...]) -> tuple[bytes, bytes]:
    before = b'{"name":%b,"datatype":"%b","shape":[' % (orjson.dumps(name), datatype_of_dtype(dtype).encode())
    return before, b"".join(b",%d" % size for size in trailing) + b'],"data":['


def _tells_all(body: bytes) -> bool:
    """Whether the only data of a request are those behind the first "data" in it: no other key stands for it."""
    return b"\\" not in body and body.count(b'"data"') == 1


def _is_flat(text: bytes) -> bool:
    """Whether only numbers stand in the text of an array, so that its first bracket is the one that closes it."""
    return NUMBERS.fullmatch(text) is not None


def _is_plain(entry: Any, spec: TensorSpec) -> bool:
    """Whether an input has the spec's name, datatype and a shape that it allows, and as many data as the shape says."""
    try:
        name, datatype, shape, data = entry["name"], entry["datatype"], entry["shape"], entry["data"]
    except (TypeError, KeyError):
        return False
    if len(entry) != 4 or name != spec.name or datatype != spec.datatype or type(shape) is not list:
        return False
    if set(map(type, shape)) != {int} or len(shape) != len(spec.shape) or shape[0] < 1:
        return False
    for size, want in zip(shape, spec.shape, strict=True):
        if want != size and (want != -1 or size < 1):
            return False
    if type(data) is list:
        return len(data) == prod(shape)
    return isinstance(data, np.ndarray) and list(data.shape) in (shape, [prod(shape)])
