"""Open Inference Protocol v2 bodies: JSON to tensors and back; pure functions, no web framework.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import InvalidInput, Unsupported
from app.inference.signature import DTYPES, Signature, Tensor, Tensors, TensorSpec, datatype_of, listed
from app.protocols.elements import dump, flatten, kind_of, parse, to_array

UNSUPPORTED = {"binary_data_output", "binary_data", "binary_data_size", "classification", "sequence_id"}
"""Parameters that change what an answer means; until they are honoured, they are refused and not ignored."""


@dataclass(frozen=True)
class InferRequest:
    """A decoded request.

    outputs:   the names asked for, in order; empty for all.
    timeout_s: the caller's own deadline, None for the model's.
    """

    id: str | None
    tensors: Tensors
    outputs: tuple[str, ...]
    timeout_s: float | None = None


def decode(body: bytes, signature: Signature) -> InferRequest:
    """An inference request. Raises InvalidInput, Unsupported."""
    request = parse(body)
    _refuse_unsupported(request, "the request")
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise InvalidInput(f"id: {kind_of(identity)}, wanted a string")
    tensors: dict[str, Tensor] = {}
    for place, entry in enumerate(_objects(request, "inputs")):
        name = _name(entry, f"inputs[{place}]")
        if name in tensors:
            raise InvalidInput(f"input {name} is given twice")
        tensors[name] = _tensor(name, entry)
    return InferRequest(identity, tensors, _asked(request, signature), _timeout_s(request))


def _timeout_s(request: dict[str, Any]) -> float | None:
    """The parameter `timeout`, microseconds on the wire; 0 asks for none."""
    microseconds = (request.get("parameters") or {}).get("timeout", 0)
    if type(microseconds) is not int or microseconds < 0:
        raise InvalidInput(f"parameter timeout: {microseconds!r}, wanted microseconds as an integer from 0")
    return microseconds / 1e6 or None


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


def _tensor(name: str, entry: dict[str, Any]) -> Tensor:
    _refuse_unsupported(entry, name)
    datatype, shape = entry.get("datatype"), entry.get("shape")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise InvalidInput(f"{name}: datatype {datatype!r}, wanted one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidInput(f"{name}: shape {shape!r}, wanted a list of integers that are 0 or more")
    if "data" not in entry:
        raise InvalidInput(f"{name}: no data")
    try:
        return to_array(name, flatten(name, entry["data"], shape), datatype).reshape(shape)
    except ValueError as error:  # more axes, or larger ones, than an array can have
        raise InvalidInput(f"{name}: shape {shape}: {error}") from error


def _asked(request: dict[str, Any], signature: Signature) -> tuple[str, ...]:
    if not request.get("outputs"):
        return ()
    known = [spec.name for spec in signature.outputs]
    asked = []
    for place, entry in enumerate(_objects(request, "outputs")):
        _refuse_unsupported(entry, f"outputs[{place}]")
        name = _name(entry, f"outputs[{place}]")
        if name not in known or name in asked:
            raise InvalidInput(f"outputs[{place}]: {name!r}, wanted one of {listed(known)}, each once")
        asked.append(name)
    return tuple(asked)


def _refuse_unsupported(entry: dict[str, Any], where: str) -> None:
    parameters = entry.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f"{where}: parameters are {kind_of(parameters)}, wanted an object")
    for key, value in parameters.items():
        if isinstance(value, dict | list) or value is None:
            raise InvalidInput(f"{where}: parameter {key} is {kind_of(value)}, wanted a string, a number or a boolean")
        if key in UNSUPPORTED and value is not False:
            raise Unsupported(f"{where}: parameter {key} is not supported")


def encode(name: str, version: int, request: InferRequest, outputs: Tensors) -> bytes:
    """An inference response with flat data, outputs in the order asked for."""
    answer: dict[str, Any] = {"model_name": name, "model_version": str(version)}
    if request.id is not None:
        answer["id"] = request.id
    answer["outputs"] = [_written(output, outputs[output]) for output in request.outputs or outputs]
    return dump(answer)


def _written(name: str, tensor: Tensor) -> dict[str, Any]:
    flat = np.ascontiguousarray(tensor).reshape(-1)
    return {
        "name": name,
        "datatype": datatype_of(tensor),
        "shape": list(tensor.shape),
        "data": flat.tolist() if tensor.dtype == object else flat,
    }


def example(feed: Tensors) -> dict[str, Any]:
    """A request body for these tensors."""
    return {"inputs": [_written(name, tensor) for name, tensor in feed.items()]}


def metadata(name: str, versions: list[int], signature: Signature) -> dict[str, Any]:
    """The model metadata response."""
    return {
        "name": name,
        "versions": [str(version) for version in versions],
        "platform": "onnx_onnxv1",
        "inputs": [_described(spec) for spec in signature.inputs],
        "outputs": [_described(spec) for spec in signature.outputs],
    }


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
