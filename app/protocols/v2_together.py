"""Open Inference Protocol v2 for requests of one turn: JSON with flat data, and nothing asked beside an id."""

from math import prod

import orjson

from app.inference.batch import Rows
from app.inference.model import Model
from app.inference.signature import Tensors, TensorSpec, datatype_of
from app.protocols.elements import NonFinite
from app.protocols.together import Read, Texts, row_texts
from app.protocols.v2_codec import InferRequest, WantedOutput, encode


class V2Codec:
    """Bodies of one model whose rows share runs."""

    def __init__(self, model: Model) -> None:
        self._inputs = model.signature.inputs
        self._name, self._version = model.name, model.version
        self._head = orjson.dumps({"model_name": model.name, "model_version": str(model.version)})[:-1]
        self._texts = Texts(lambda outputs: [row_texts(tensor) for tensor in outputs.values()])

    def read(self, body: bytes) -> Read | None:
        """A request that gives all inputs in the graph's order. See `together.Codec`."""
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if type(request) is not dict or len(request) != 1 + ("id" in request):
            return None
        inputs, identity = request.get("inputs"), request.get("id")
        if type(inputs) is not list or len(inputs) != len(self._inputs) or type(identity) not in (str, type(None)):
            return None
        values, shapes = [], []
        for entry, spec in zip(inputs, self._inputs, strict=True):
            if type(entry) is not dict or not _is_plain(entry, spec):
                return None
            values.append(entry["data"])
            shapes.append(tuple(entry["shape"]))
        if len({shape[0] for shape in shapes}) > 1:
            return None
        told = b"" if identity is None else orjson.dumps(identity)
        return Read(shapes[0][0], values, [shape[1:] for shape in shapes], told)

    def write(self, rows: Rows, read: Read) -> bytes | None:
        """See `together.Codec`."""
        texts = self._texts.of(rows.outputs)
        if texts is None:
            return None
        written = []
        for (name, tensor), text in zip(rows.outputs.items(), texts, strict=True):
            shape = ",".join(map(str, (read.rows, *tensor.shape[1:])))
            described = f'{{"name":{orjson.dumps(name).decode()},"datatype":"{datatype_of(tensor)}","shape":[{shape}]'
            written.append(b'%b,"data":[%b]}' % (described.encode(), b",".join(text[rows.start : rows.stop])))
        identity = b',"id":' + read.identity if read.identity else b""
        return b'%b%b,"outputs":[%b]}' % (self._head, identity, b",".join(written))

    def write_alone(self, outputs: Tensors, read: Read, nonfinite: NonFinite) -> bytes:
        """See `together.Codec`."""
        identity = orjson.loads(read.identity) if read.identity else None
        asked = InferRequest(identity, {}, tuple(map(WantedOutput, outputs)))
        return encode(self._name, self._version, asked, outputs, {}, nonfinite).body


def _is_plain(entry: dict[str, object], spec: TensorSpec) -> bool:
    """Whether an input has the spec's name, datatype and a shape that it allows, and as many data as the shape says."""
    shape, data = entry.get("shape"), entry.get("data")
    return (
        len(entry) == 4
        and entry.get("name") == spec.name
        and entry.get("datatype") == spec.datatype
        and type(shape) is list
        and type(data) is list
        and set(map(type, shape)) == {int}
        and len(shape) == len(spec.dims)
        and all(size > 0 and want in (-1, size) for size, want in zip(shape, spec.shape, strict=True))
        and len(data) == prod(shape)
    )
