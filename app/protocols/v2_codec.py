"""Open Inference Protocol v2 bodies: JSON and binary to tensors and back; pure functions, no web framework.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md, and of triton-inference-server/server
docs/protocol/extension_binary_data.md, extension_classification.md and extension_schedule_policy.md.
"""

from math import prod
from typing import Any, NamedTuple

import numpy as np
import orjson

from app.errors import InvalidInput, Unsupported
from app.inference.signature import DTYPES, Signature, Tensor, Tensors, TensorSpec, datatype_of, listed
from app.protocols import numbers
from app.protocols.allowance import USUAL, BodyLimits
from app.protocols.binary import Answer, read_tensor, text_of, write_tensor
from app.protocols.elements import (
    NonFinite,
    check_depth,
    check_elements,
    count_of,
    dump,
    flatten,
    kind_of,
    parse,
    to_array,
)

MOST = 2**64 - 1
"""The largest integer that the protocol knows."""


class WantedOutput(NamedTuple):
    """How one output is to be sent. A tuple, as the request: it is made in a third of a frozen data class's time.

    binary:  as bytes behind the JSON.
    classes: as its so many largest values with their places, by the classification extension; 0 sends the tensor.
    """

    name: str
    binary: bool = False
    classes: int = 0


class InferRequest(NamedTuple):
    """A decoded request.

    outputs:   in the order they are to be sent.
    batched:   the first axis of every output counts rows.
    timeout_s: the caller's own deadline, None for the model's.
    priority:  1 is the most urgent; 0 the default.
    """

    id: str | None
    tensors: Tensors
    outputs: tuple[WantedOutput, ...]
    batched: bool = False
    timeout_s: float | None = None
    priority: int = 0


def decode(
    body: bytes | memoryview,
    json_length: int | None,
    signature: Signature,
    limits: BodyLimits = USUAL,
    nonfinite: NonFinite = "token",
) -> InferRequest:
    """An inference request. Raises InvalidInput, Unsupported.

    json_length: what the header Inference-Header-Content-Length says; None means that all of the body is JSON, 0 that
    none is: a raw request.
    """
    if json_length == 0:
        raw = _raw_request(memoryview(body), signature)
        check_elements(raw.tensors, limits.elements)
        return raw
    if json_length is not None and json_length > len(body):
        raise InvalidInput(f"Inference-Header-Content-Length: {json_length}, the body has {len(body)} bytes")
    text = body[:json_length] if json_length else body
    check_depth(text, limits.depth)
    request = numbers.parse_inputs(text) or parse(text, nonfinite)
    parameters = _parameters(request, "the request")
    if sequence := [key for key, value in parameters.items() if key.startswith("sequence_") and value]:
        raise Unsupported(f"parameter {sequence[0]}: models with state are not served")
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise InvalidInput(f"id: {kind_of(identity)}, wanted a string")
    blob = memoryview(body)[len(body) if json_length is None else json_length :]
    return InferRequest(
        id=identity,
        tensors=_tensors(request, blob, limits, nonfinite),
        outputs=_wanted_outputs(request, parameters, signature),
        batched=signature.batched,
        timeout_s=_whole(parameters, "timeout") / 1e6 or None,  # microseconds on the wire
        priority=_whole(parameters, "priority"),
    )


def _raw_request(blob: memoryview, signature: Signature) -> InferRequest:
    """The body is the only input, one row of it; all outputs come back binary."""
    if len(signature.inputs) != 1:
        raise InvalidInput(f"a raw request is for models with one input; this one takes {len(signature.inputs)}")
    [spec] = signature.inputs
    shape = _raw_shape(spec, len(blob), signature.batched)
    if not blob and spec.datatype != "BYTES" and 0 in shape:
        raise InvalidInput("a raw request is the bytes of the input; the body has none")
    if spec.datatype == "BYTES":
        if prod(shape) != 1:
            raise InvalidInput(f"a raw request holds one text; {spec.name} takes {list(spec.shape)}")
        tensor: Tensor = np.array([text_of(spec.name, 0, blob)], object).reshape(shape)
    else:
        tensor = read_tensor(spec.name, blob, spec.datatype, shape)
    return InferRequest(None, {spec.name: tensor}, tuple(WantedOutput(o.name, binary=True) for o in signature.outputs))


def _raw_shape(spec: TensorSpec, size: int, batched: bool) -> list[int]:
    """The shape with one row, and its one free axis as long as the bytes make it."""
    shape = [1 if batched and axis == 0 else length for axis, length in enumerate(spec.shape)]
    free = [axis for axis, length in enumerate(shape) if length == -1]
    if len(free) > 1:
        raise InvalidInput(f"a raw request cannot tell the shape of {spec.name}: {list(spec.shape)} has free axes")
    if free:
        fixed = abs(int(np.prod(shape)))
        elements = 1 if spec.datatype == "BYTES" else size // DTYPES[spec.datatype].itemsize
        shape[free[0]] = elements // fixed if fixed else 0
    return shape


def _tensors(request: dict[str, Any], blob: memoryview, limits: BodyLimits, nonfinite: NonFinite) -> Tensors:
    """blob: the bytes behind the JSON."""
    tensors: dict[str, Tensor] = {}
    entries = _objects(request, "inputs")
    if len(entries) > limits.inputs:
        raise InvalidInput(f"inputs: {len(entries)} of them, wanted at most {limits.inputs}")
    for place, entry in enumerate(entries):
        name = _name(entry, f"inputs[{place}]")
        if name in tensors:
            raise InvalidInput(f"input {name} is given twice")
        size = _blob_size(entry, name)
        if size is None:
            tensors[name] = _json_tensor(name, entry, nonfinite)
            continue
        if size > len(blob):
            raise InvalidInput(f"{name}: binary_data_size {size}, the body has {len(blob)} more bytes")
        tensors[name] = read_tensor(name, blob[:size], *_datatype_and_shape(name, entry))
        blob = blob[size:]
    if blob:
        raise InvalidInput(f"{len(blob)} bytes follow the last tensor, wanted none")
    check_elements(tensors, limits.elements)
    return tensors


def _blob_size(entry: dict[str, Any], name: str) -> int | None:
    """The bytes that an input takes behind the JSON, None for one with `data`; the KServe SDK sends data: null too."""
    parameters = _parameters(entry, name)
    if "binary_data_size" not in parameters:
        return None
    if entry.get("data") is not None:
        raise InvalidInput(f"{name}: both data and binary_data_size, wanted one of them")
    return _whole(parameters, "binary_data_size")


def _json_tensor(name: str, entry: dict[str, Any], nonfinite: NonFinite) -> Tensor:
    datatype, shape = _datatype_and_shape(name, entry)
    if "data" not in entry:
        raise InvalidInput(f"{name}: no data")
    data = entry["data"]
    if isinstance(data, np.ndarray):
        if data.shape in ((count_of(name, shape),), tuple(shape)):
            return data.reshape(shape)
        data = data.tolist()
    return to_array(name, flatten(name, data, shape), datatype, nonfinite).reshape(shape)


def _datatype_and_shape(name: str, entry: dict[str, Any]) -> tuple[str, list[int]]:
    datatype, shape = entry.get("datatype"), entry.get("shape")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise InvalidInput(f"{name}: datatype {datatype!r}, wanted one of {', '.join(DTYPES)}")
    sizes: list[Any] = list(map(_count, shape)) if isinstance(shape, list) else [None]
    if None in sizes:
        raise InvalidInput(f"{name}: shape {shape!r}, wanted a list of integers that are 0 or more")
    return datatype, sizes


def _wanted_outputs(
    request: dict[str, Any], parameters: dict[str, Any], signature: Signature
) -> tuple[WantedOutput, ...]:
    binary = _flag(parameters, "binary_data_output", False)
    known = [spec.name for spec in signature.outputs]
    if request.get("outputs") in (None, []):
        return tuple(WantedOutput(name, binary) for name in known)
    wanted: dict[str, WantedOutput] = {}
    for place, entry in enumerate(_objects(request, "outputs")):
        name = _name(entry, f"outputs[{place}]")
        if name not in known or name in wanted:
            raise InvalidInput(f"outputs[{place}]: {name!r}, wanted one of {listed(known)}, each once")
        own = _parameters(entry, name)
        wanted[name] = WantedOutput(name, _flag(own, "binary_data", binary), _whole(own, "classification"))
    return tuple(wanted.values())


def _objects(request: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = request.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput(f"{key}: {kind_of(entries) if key in request else 'missing'}, wanted a list of objects")
    return entries


def _name(entry: dict[str, Any], where: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str):
        raise InvalidInput(f"{where}.name: {kind_of(name)}, wanted a string")
    return name


def _parameters(entry: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f"{where}: parameters are {kind_of(parameters)}, wanted an object")
    for key, value in parameters.items():
        if isinstance(value, dict | list) or value is None:
            raise InvalidInput(f"{where}: parameter {key} is {kind_of(value)}, wanted a string, a number or a boolean")
        if key.startswith("triton_"):
            raise InvalidInput(f"{where}: parameter {key}: names that begin with triton_ are reserved")
        if key.startswith("shared_memory_"):
            raise Unsupported(f"{where}: parameter {key}: tensors in shared memory are not served")
    return parameters


def _whole(parameters: dict[str, Any], key: str) -> int:
    """A parameter that counts something; 0 if it is absent."""
    value = parameters.get(key, 0)
    count = _count(value)
    if count is None:
        raise InvalidInput(f"parameter {key}: {value!r}, wanted an integer from 0 to {MOST}")
    return count


def _count(value: Any) -> int | None:
    """An integer from 0 to MOST, or 2.0 for 2, as JSON does not tell them apart; None for anything else."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST else None


def _flag(parameters: dict[str, Any], key: str, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise InvalidInput(f"parameter {key}: {value!r}, wanted true or false")
    return value


def encode(
    name: str,
    version: int,
    request: InferRequest,
    outputs: Tensors,
    labels: dict[str, Any],
    nonfinite: NonFinite = "token",
) -> Answer:
    """An inference response, flat data in JSON and binary tensors behind it, outputs in the order asked for.

    labels: output -> the names of its classes, for the classification extension.
    """
    answer: dict[str, Any] = {"model_name": name, "model_version": str(version)}
    if request.id is not None:
        answer["id"] = request.id
    answer["outputs"] = written = []
    blobs: list[bytes | memoryview] = []
    for wanted in request.outputs:
        tensor = outputs[wanted.name]
        if wanted.classes:
            tensor = _classes(tensor, wanted.classes, labels.get(wanted.name, ()), request.batched)
        if not wanted.binary:
            written.append(_in_json(wanted.name, tensor))
            continue
        blobs.append(write_tensor(tensor))
        written.append(_described(wanted.name, tensor) | {"parameters": {"binary_data_size": len(blobs[-1])}})
    if not blobs:
        return Answer(dump(answer, nonfinite))
    head = orjson.dumps(answer) if len(blobs) == len(written) else dump(answer, nonfinite)
    return Answer(b"".join([head, *blobs]), len(head))


def _classes(tensor: Tensor, count: int, labels: tuple[str, ...], batched: bool) -> Tensor:
    """(rows, ...) -> (rows, count) of "value:index" or "value:index:label", the largest first, NaN last.

    A tensor with one axis or none is one row, unless its axis counts rows.
    """
    if tensor.dtype.kind not in "iuf":
        raise InvalidInput(f"parameter classification: wanted an output of numbers, not {datatype_of(tensor)}")
    has_rows = tensor.ndim > 1 or (batched and tensor.ndim == 1)
    rows = tensor.reshape(tensor.shape[0], prod(tensor.shape[1:])) if has_rows else tensor.reshape(1, -1)
    falling = np.negative(rows) if rows.dtype.kind == "f" else np.invert(rows)  # which no integer overflows
    best = np.argsort(falling, axis=1, kind="stable")[:, :count]
    texts = [[_class(row[place], place, labels) for place in places] for row, places in zip(rows, best, strict=True)]
    shaped = np.array(texts, object).reshape(best.shape)
    return shaped if has_rows else shaped[0]


def _class(value: np.generic, place: int, labels: tuple[str, ...]) -> str:
    told = f"{value:f}" if value.dtype.kind == "f" else str(value)
    return f"{told}:{place}:{labels[place]}" if place < len(labels) else f"{told}:{place}"


def _in_json(name: str, tensor: Tensor) -> dict[str, Any]:
    flat = tensor.ravel()
    return _described(name, tensor) | {"data": flat.tolist() if tensor.dtype == object else flat}


def _described(name: str, tensor: Tensor) -> dict[str, Any]:
    return {"name": name, "datatype": datatype_of(tensor), "shape": list(tensor.shape)}


def example(feed: Tensors) -> dict[str, Any]:
    """A request body for these tensors."""
    return {"inputs": [_in_json(name, tensor) for name, tensor in feed.items()]}


def metadata(name: str, versions: list[int], signature: Signature) -> dict[str, Any]:
    """The model metadata response."""
    return {
        "name": name,
        "versions": [str(version) for version in versions],
        "platform": "onnx_onnxv1",
        "inputs": [
            *(_declared(spec) for spec in signature.inputs),
            *(_declared(spec) | {"parameters": {"optional": True}} for spec in signature.optional),
        ],
        "outputs": [_declared(spec) for spec in signature.outputs],
    }


def _declared(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
