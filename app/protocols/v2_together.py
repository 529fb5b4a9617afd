"""Open Inference Protocol v2 for requests of one turn: JSON with plain data, and nothing asked beside an id."""

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import orjson

from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.signature import Tensors, TensorSpec, datatype_of_dtype
from app.protocols.elements import NonFinite
from app.protocols.numbers import parse_inputs
from app.protocols.together import Read, Texts, parsed, row_texts
from app.protocols.v2_codec import InferRequest, WantedOutput, encode

KEYS = ({"inputs"}, {"inputs", "id"})

ID = b',"id":'


class V2Codec:
    """Bodies of one model whose rows share runs."""

    def __init__(self, model: Model) -> None:
        self._inputs = model.signature.inputs
        self._name, self._version = model.name, model.version
        self._head = orjson.dumps({"model_name": model.name, "model_version": str(model.version)})[:-1]
        self._texts = Texts(_written)

    def read(self, body: bytes) -> Read | None:
        """A request that gives all inputs in the graph's order. See `together.Codec`."""
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
        return Read(rows, values, tuple(trailing), b"" if identity is None else ID + orjson.dumps(identity))

    def write(self, rows: Rows, read: Read) -> bytes | None:
        """See `together.Codec`."""
        written = self._texts.of(rows.outputs)
        if written is None:
            return None
        count = b"%d" % read.rows
        outputs = [
            b"".join((before, count, behind, b",".join(texts[rows.start : rows.stop])))
            for before, behind, texts in written
        ]
        return b"".join((self._head, read.identity, b',"outputs":[', b"]},".join(outputs), b"]}]}"))

    def write_alone(self, outputs: Tensors, read: Read, nonfinite: NonFinite) -> bytes:
        """See `together.Codec`."""
        identity = orjson.loads(read.identity.removeprefix(ID)) if read.identity else None
        asked = InferRequest(identity, {}, tuple(map(WantedOutput, outputs)))
        return encode(self._name, self._version, asked, outputs, {}, nonfinite).body


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
