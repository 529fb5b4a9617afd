"""V1 in the document: a model's predict call, its instances and its predictions."""

from typing import Any

from app.feature import Feature
from app.inference.model import Model
from app.inference.signature import DTYPES, Signature, TensorSpec
from app.manifest import Manifest, OutputTensor
from app.openapi.names import enum
from app.openapi.operation import Call
from app.openapi.schemas import Components, Schema, array, greatest, least, nested, obj, received, ref, sent
from app.protocols import b64, v1_codec
from app.protocols.elements import NonFinite

ROWS = """Row by row: `{"instances": [...]}` to `{"predictions": [...]}`, one prediction for each instance, in order.
Column by column, `{"inputs": {...}}` to `{"outputs": {...}}`, works too, and a text may be `{"b64": "<its bytes>"}`."""


def _file(media: str) -> Schema:
    data = {"type": "string", "contentEncoding": "base64", "description": f"{media}, as base64."}
    return obj({"b64": data}, additionalProperties=False)


SHARED = {"ImageFile": _file("A PNG, JPEG or WebP image"), "SoundFile": _file("A WAV, FLAC, OGG or MP3 sound")}
"""Schemas that all models use."""


def predict(model: Model, components: Components, nonfinite: NonFinite) -> Call:
    """The predict call of a model whose signature speaks rows. nonfinite: how NaN and infinity are written."""
    manifest = model.manifest
    request = obj(
        {"instances": instances(model, components, nonfinite), **_parameters(manifest)}, required=["instances"]
    )
    answer = obj({"predictions": array(prediction(model, components, nonfinite))})
    return Call(
        verb="predict",
        path="/v1/models/{model}:predict",
        summary=f"Predict: {manifest.task}" if manifest else "Predict",
        description=ROWS,
        request=components.add(model, "PredictRequest", request),
        answers={"application/json": components.add(model, "PredictResponse", answer)},
        example=example(model),
        statuses=(400, 404, 413, 415, 429, 500, 503, 504),
    )


def instances(model: Model, components: Components, nonfinite: NonFinite) -> Schema:
    """The rows that a call takes."""
    manifest, signature = model.manifest, model.signature
    instance = _instance(manifest, signature) if manifest else _raw_instance(signature, nonfinite)
    single = {"maxItems": 1} if any(spec.shape[0] == 1 for spec in signature.inputs) else {}
    return array(components.add(model, "Instance", instance), minItems=1, **single)


def prediction(model: Model, components: Components, nonfinite: NonFinite) -> Schema:
    """What is said of a row."""
    manifest = model.manifest
    said = _prediction(manifest, nonfinite) if manifest else _raw_prediction(model.signature, nonfinite)
    return components.add(model, "Prediction", said)


def example(model: Model) -> Any:
    """A body that gives real predictions, None if none is known."""
    return {"instances": v1_codec.example(model.example, model.manifest)} if model.example else None


def _parameters(manifest: Manifest | None) -> Schema:
    if manifest is None or all(output.kind != "probabilities" for output in manifest.outputs):
        return {}
    asked = {"type": "boolean", "default": False, "description": "Answer the probability of every label."}
    return {"parameters": obj({"probabilities": asked}, required=[], additionalProperties=False)}


def _instance(manifest: Manifest, signature: Signature) -> Schema:
    datatypes = {spec.name: spec.datatype for spec in signature.inputs}
    tensors = [(feature, datatypes[one.tensor]) for one in manifest.inputs for feature in one.features]
    return obj(
        {feature.name: _feature(feature, datatype) for feature, datatype in tensors},
        required=[feature.name for feature, _ in tensors if feature.missing == "refuse" or feature.shape],
        additionalProperties=False,
    )


def _feature(feature: Feature, datatype: str) -> Schema:
    """datatype: of the tensor that the feature goes into, whose range bounds a side that the manifest leaves open."""
    schema = nested(_element(feature, datatype), feature.shape)
    if feature.kind == "audio" or feature.may_be_shorter:
        schema["minItems"] = 1
    if feature.kind in ("image", "audio"):
        schema = {"oneOf": [ref("ImageFile" if feature.kind == "image" else "SoundFile"), schema]}
    unit = f" [{feature.unit}]" if feature.unit else ""
    # JSON Schema has no bounds for dates.
    told = f" ({feature.wanted})" if feature.kind == "date" else ""
    return {**schema, "description": f"{feature.description}{unit}{told}".strip(), "examples": [feature.example]}


def _element(feature: Feature, datatype: str) -> Schema:
    strings = dict.fromkeys(("category", "text", "date"), "string")
    kind = {"integer": "integer", **strings}.get(feature.kind, "number")
    schema: Schema = {"format": "date"} if feature.kind == "date" else {}
    if feature.kind == "audio":
        schema |= {"minimum": -1, "maximum": 1}
    elif kind != "string" and DTYPES[datatype].kind in "iuf":
        if DTYPES[datatype].kind != "f":
            kind = "integer"
        exact = kind == "integer"
        schema |= least(datatype, exact) if feature.minimum is None else {"minimum": feature.minimum}
        schema |= greatest(datatype, exact) if feature.maximum is None else {"maximum": feature.maximum}
    if feature.categories:
        schema |= enum(feature.categories)
    if feature.missing == "refuse":
        return {"type": kind, **schema}
    if "enum" in schema:
        return {"type": [kind, "null"], **schema, "enum": [*schema["enum"], None]}
    return {"type": [kind, "null"], **schema}


def _prediction(manifest: Manifest, nonfinite: NonFinite) -> Schema:
    properties: Schema = {}
    for output in manifest.outputs:
        properties |= _output_fields(output, nonfinite)
    return obj(properties, required=[name for name in properties if name != "probabilities"])


def _output_fields(output: OutputTensor, nonfinite: NonFinite) -> Schema:
    if output.kind == "value":
        unit = f" [{output.unit}]" if output.unit else ""
        return {output.name: {**received("FP32", nonfinite), "description": f"{output.description}{unit}".strip()}}
    if output.kind == "ranking":
        places = array({"type": "string", **enum(output.labels)}, minItems=1)
        return {output.name: {**places, "description": f"{output.description}, the best first".removeprefix(", ")}}
    share: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    every = obj({}, additionalProperties=share, minProperties=len(output.labels), maxProperties=len(output.labels))
    told = "Label -> probability, of every label; where parameters ask for it."
    return {
        "label": {"type": "string", **enum(output.labels), "description": output.description},
        "probability": {**share, "description": "Of this label."},
        "probabilities": {**every, "description": told},
    }


def _raw_instance(signature: Signature, nonfinite: NonFinite) -> Schema:
    if len(signature.inputs) == 1:
        return _row(signature.inputs[0], sent(signature.inputs[0].datatype, nonfinite))
    return obj(
        {spec.name: _row(spec, sent(spec.datatype, nonfinite)) for spec in signature.inputs}, additionalProperties=False
    )


def _raw_prediction(signature: Signature, nonfinite: NonFinite) -> Schema:
    """Of the outputs' declared shapes only the number of axes: sizes that a graph declares may be wrong."""
    rows = {spec.name: _row(_free(spec), _received(spec, nonfinite)) for spec in signature.outputs}
    return next(iter(rows.values())) if len(rows) == 1 else obj(rows)


def _received(spec: TensorSpec, nonfinite: NonFinite) -> Schema:
    """Texts of an output whose name asks for it are objects, as in TensorFlow Serving."""
    if spec.datatype == "BYTES" and spec.name.endswith(b64.SUFFIX):
        return obj({"b64": {"type": "string", "contentEncoding": "base64"}})
    return received(spec.datatype, nonfinite)


def _free(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.name, spec.datatype, (None,) * len(spec.dims))


def _row(spec: TensorSpec, element: Schema) -> Schema:
    """One row of a tensor as nested lists."""
    return {**nested(element, spec.shape[1:]), "description": f"{spec.datatype} {list(spec.shape[1:])}"}
