"""V2 in the document: a model's infer call and its tensors.

JSON Schema cannot say that `data` fills `shape`; a body that breaks this is a 400 all the same.
"""

from app.inference.model import Model
from app.inference.signature import TensorSpec
from app.openapi.names import enum
from app.openapi.operation import Call
from app.openapi.schemas import Components, Schema, array, nested, obj, optional, received, ref, sent
from app.protocols import v2_codec
from app.protocols.elements import NonFinite

TENSORS = """Tensors by the [Open Inference Protocol v2](https://github.com/kserve/open-inference-protocol): `data` are
row by row, flat or nested to `shape`, and must fill it exactly."""

BINARY = """Bytes of JSON in front of binary tensors. With this header the body is that JSON, whose inputs have the
parameter `binary_data_size` in place of `data`, and behind it their bytes: little-endian, row by row, without padding.
0 is a body of nothing but the only input's bytes. An answer has the header when an output was asked for in binary."""

LENGTH = "Inference-Header-Content-Length"

MOST_ELEMENTS_SHOWN = 256
"""Of a body that is shown as an example; one of 8,000 took /redoc half a minute."""

LONG_BODY = "A whole body that gives a prediction is long: `example_v2` of `GET /v1/models/{m}/metadata`."

LARGEST = 2**64 - 1

COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST}

PARAMETER: Schema = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
"""No lists, objects or nulls."""


def parameters(known: Schema) -> Schema:
    """The protocol's open map, with those keys that mean something here."""
    return obj(known, required=[], additionalProperties=PARAMETER)


SHARED: dict[str, Schema] = {
    "InferParameters": parameters(
        {
            "binary_data_output": {"type": "boolean", "description": "All outputs in binary."},
            "timeout": {**COUNT, "description": "The caller's own deadline, in microseconds; 0 is the model's."},
            "priority": {**COUNT, "description": "1 goes first; 0 is the default."},
        }
    ),
    "TensorParameters": parameters({}),
    "OutputParameters": parameters(
        {
            "binary_data": {"type": "boolean", "description": "This output in binary, or not."},
            "classification": {**COUNT, "description": "So many of the largest values with their places and labels."},
        }
    ),
    "Classification": obj(
        {
            "name": {"type": "string"},
            "datatype": {"const": "BYTES"},
            "shape": array({"type": "integer", "minimum": 0}),
            "data": array({"type": "string"}, description="`value:place` or `value:place:label`, the largest first."),
        },
        description="An output that was asked for with the parameter `classification`.",
    ),
}
"""Schemas that all models use; a name ends in no role that a model's own components have."""


JSON_LENGTH: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
"""As many digits as are read."""

PARAMETERS: dict[str, Schema] = {
    "JsonLength": {"name": LENGTH, "in": "header", "required": False, "description": BINARY, "schema": JSON_LENGTH}
}


def infer(model: Model, components: Components, nonfinite: NonFinite) -> Call:
    """The infer call of a model. nonfinite: how NaN and infinity are written."""
    inputs, outputs = model.signature.inputs, model.signature.outputs
    takes = (*inputs, *model.signature.optional)
    asked = [components.add(model, "Input", _input(spec, nonfinite), of=spec.name) for spec in takes]
    given = [components.add(model, "Output", _output(spec, nonfinite), of=spec.name) for spec in outputs]
    wanted = obj(
        {
            "name": {"type": "string", **enum(spec.name for spec in outputs)},
            "parameters": optional(ref("OutputParameters")),
        },
        required=["name"],
    )
    request = obj(
        {
            "id": {"type": ["string", "null"], "description": "Comes back in the answer."},
            "parameters": optional(ref("InferParameters")),
            "inputs": array(_one_of(asked), minItems=len(inputs), maxItems=len(takes)),
            "outputs": {
                **optional(array(components.add(model, "RequestedOutput", wanted), maxItems=len(outputs))),
                "description": "Which outputs, each once, in which order; none means all.",
            },
        },
        required=["inputs"],
    )
    answer = obj(
        {
            "model_name": {"const": model.name},
            "model_version": {"type": "string"},
            "id": {"type": "string", "description": "As it was sent."},
            "outputs": array({"anyOf": [*given, ref("Classification")]}),
        },
        required=["model_name", "model_version", "outputs"],
    )
    binary: Schema = {"type": "string", "format": "binary"}
    example = _example(model)
    return Call(
        verb="infer",
        path="/v2/models/{model}/infer",
        summary="Infer, by tensors",
        description=f"{TENSORS}\n\n{LONG_BODY}" if model.example and example is None else TENSORS,
        request=components.add(model, "InferRequest", request),
        answers={
            "application/json": components.add(model, "InferResponse", answer),
            "application/octet-stream": binary,
        },
        example=example,
        statuses=(400, 404, 413, 415, 429, 500, 501, 503, 504),
        more={"application/octet-stream": binary},
        parameters=(ref("JsonLength", "parameters"),),
        headers={LENGTH: {"description": "Bytes of JSON in front of binary tensors.", "schema": JSON_LENGTH}},
    )


def _example(model: Model) -> Schema | None:
    """A body that gives a real prediction; None for one that would fill pages with numbers, as a picture's would."""
    if model.example is None or sum(tensor.size for tensor in model.example.values()) > MOST_ELEMENTS_SHOWN:
        return None
    return v2_codec.example(model.example)


def _one_of(tensors: list[Schema]) -> Schema:
    return tensors[0] if len(tensors) == 1 else {"anyOf": tensors} if tensors else {}


def _input(spec: TensorSpec, nonfinite: NonFinite) -> Schema:
    element = sent(spec.datatype, nonfinite)
    flat, whole = array(element), nested(element, spec.shape)
    forms = [whole, flat] if len(spec.shape) != 1 else [flat]
    data: Schema = forms[0] if len(forms) == 1 else {"anyOf": [flat, whole]}
    return obj(
        {
            "name": {"const": spec.name},
            "shape": _shape(spec),
            "datatype": {"const": spec.datatype},
            "data": {**data, "description": "Row by row, flat or nested to the shape."},
            "parameters": optional(ref("TensorParameters")),
        },
        required=["name", "shape", "datatype", "data"],
    )


def _output(spec: TensorSpec, nonfinite: NonFinite) -> Schema:
    return obj(
        {
            "name": {"const": spec.name},
            "shape": {**array({"type": "integer", "minimum": 0}), "description": _told(spec)},
            "datatype": {"const": spec.datatype},
            "data": array(received(spec.datatype, nonfinite), description="Row by row, flat."),
        }
    )


def _shape(spec: TensorSpec) -> Schema:
    axes = len(spec.shape)
    return array({"type": "integer", "minimum": 0}, minItems=axes, maxItems=axes, description=_told(spec))


def _told(spec: TensorSpec) -> str:
    return f"{list(spec.shape)}; -1 is free."
