"""The OpenAPI document: one typed operation for each loaded model, version and protocol, each with an example that
gives a real prediction.

The generic inference routes are left out of FastAPI's own document; their typed twins are written here from the
manifest, or from the signature where a model has none.
"""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.feature import Feature
from app.inference.model import Model
from app.inference.signature import DTYPES, Signature, TensorSpec
from app.manifest import Manifest, OutputTensor
from app.protocols import v1_codec, v2_codec
from app.repository import Repository

Schema = dict[str, Any]

ERRORS = {
    "400": "The body is not what the model takes; the sentence says what was wanted.",
    "401": "A key is wanted, and none or an unknown one was sent.",
    "404": "No such model or version.",
    "413": "The body, or what it decodes to, is over the limit.",
    "415": "A body in a type or an encoding that is not read.",
    "429": "The model's queue is full; Retry-After says when to try again.",
    "503": "The model is not ready.",
    "504": "No answer within the deadline.",
}

ABOUT = """Trained networks over HTTP. Each model below has a section of its own: what it is for, how good it is, and
calls that work as they stand: open one and press **Execute**."""


def document(app: FastAPI, repository: Repository) -> Schema:
    """OpenAPI 3.1 for what is loaded now."""
    schema = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
    schema.setdefault("components", {}).setdefault("schemas", {})["Error"] = {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string", "description": "What is wrong and what would be right."}},
    }
    models = repository.models()
    newest = {model.name: model.version for model in models}
    tags = []
    for model in models:
        if model.version == newest[model.name]:
            tags.append({"name": model.name, "description": card(model)})
            schema["paths"] |= _operations(model, "")
        schema["paths"] |= _operations(model, f"/versions/{model.version}")
    schema["tags"] = [*tags, *({"name": tag} for tag in _used_tags(schema) if tag not in newest)]
    return schema


def _used_tags(schema: Schema) -> list[str]:
    """Tags of FastAPI's own operations, in order."""
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    return list(dict.fromkeys(tag for operation in operations for tag in operation.get("tags", [])))


def _operations(model: Model, version: str) -> Schema:
    base = f"/models/{model.name}{version}"
    by_rows = {f"/v1{base}:predict": {"post": _predict(model, version)}} if model.signature.speaks_rows else {}
    return by_rows | {f"/v2{base}/infer": {"post": _infer(model, version)}}


def _predict(model: Model, version: str) -> Schema:
    manifest = model.manifest
    instance = _instance(manifest) if manifest else _raw_instance(model.signature)
    prediction = _prediction(manifest) if manifest else {"description": "One output, or an object of outputs."}
    body: Schema = {
        "type": "object",
        "required": ["instances"],
        "properties": {"instances": _array(instance, minItems=1)},
    }
    if manifest and any(output.kind == "probabilities" for output in manifest.outputs):
        asked = {"type": "boolean", "default": False, "description": "Answer the probability of every label."}
        body["properties"]["parameters"] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {"probabilities": asked},
        }
    answer = {"type": "object", "required": ["predictions"], "properties": {"predictions": _array(prediction)}}
    title = f"Predict: {manifest.task}" if manifest else "Predict"
    example = {"instances": v1_codec.example(model.example, manifest)} if model.example else None
    return _operation(model, "predict", version, f"{title}{_version_note(version)}", body, answer, example)


def _infer(model: Model, version: str) -> Schema:
    inputs = [_tensor_schema(spec) for spec in model.signature.inputs]
    body = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "description": "Comes back in the answer."},
            "inputs": _array({"oneOf": inputs} if len(inputs) > 1 else inputs[0] if inputs else {}),
            "outputs": _array({"type": "object", "required": ["name"], "properties": {"name": _output_names(model)}}),
        },
    }
    outputs = [_tensor_schema(spec) for spec in model.signature.outputs]
    answer = {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": _array({"oneOf": outputs} if len(outputs) > 1 else outputs[0]),
        },
    }
    example = v2_codec.example(model.example) if model.example else None
    title = f"Tensors by the Open Inference Protocol{_version_note(version)}"
    return _operation(model, "infer", version, title, body, answer, example)


def _operation(
    model: Model, verb: str, version: str, summary: str, body: Schema, answer: Schema, example: Any
) -> Schema:
    content: Schema = {"schema": body}
    if example is not None:
        content["examples"] = {"real": {"summary": "An input that gives a real prediction", "value": example}}
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {
        "tags": [model.name],
        "summary": summary,
        "operationId": re.sub(r"\W+", "_", f"{verb}_{model.name}{version}"),
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "200": {"description": "The prediction.", "content": {"application/json": {"schema": answer}}},
            **{status: {"description": text, **error} for status, text in ERRORS.items()},
        },
    }


def _version_note(version: str) -> str:
    return f" (version {version.rsplit('/', 1)[1]})" if version else ""


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _instance(manifest: Manifest) -> Schema:
    features = manifest.features
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [feature.name for feature in features if feature.missing == "refuse" or feature.shape],
        "properties": {feature.name: _feature(feature) for feature in features},
    }


def _feature(feature: Feature) -> Schema:
    kinds = {"integer": "integer", "category": "string", "text": "string"}
    kind = kinds.get(feature.kind, "number")
    schema: Schema = {"type": kind if feature.missing == "refuse" else [kind, "null"]}
    if feature.kind == "audio":
        schema |= {"minimum": -1, "maximum": 1}
    if feature.minimum is not None:
        schema["minimum"] = feature.minimum
    if feature.maximum is not None:
        schema["maximum"] = feature.maximum
    if feature.categories:
        schema["enum"] = [*feature.categories, *([] if feature.missing == "refuse" else [None])]
    for size in reversed(feature.shape):
        schema = _array(schema, minItems=1 if feature.kind == "audio" else size, maxItems=size)
    if feature.kind in ("image", "audio"):
        schema = {"oneOf": [_file(feature), schema]}
    unit = f" [{feature.unit}]" if feature.unit else ""
    return {**schema, "description": f"{feature.description}{unit}".strip(), "examples": [feature.example]}


def _file(feature: Feature) -> Schema:
    """An image or a sound as the bytes of a file."""
    media = "A PNG, JPEG or WebP image" if feature.kind == "image" else "A WAV, FLAC, OGG or MP3 sound"
    data = {"type": "string", "contentEncoding": "base64", "description": f"{media}, as base64."}
    return {"type": "object", "required": ["b64"], "additionalProperties": False, "properties": {"b64": data}}


def _prediction(manifest: Manifest) -> Schema:
    properties: Schema = {}
    for output in manifest.outputs:
        properties |= _output_fields(output)
    required = [name for name in properties if name != "probabilities"]
    return {"type": "object", "required": required, "properties": properties}


def _output_fields(output: OutputTensor) -> Schema:
    if output.kind == "value":
        unit = f" [{output.unit}]" if output.unit else ""
        return {output.name: {"type": "number", "description": f"{output.description}{unit}".strip()}}
    return {
        "label": {"type": "string", "enum": list(output.labels), "description": output.description},
        "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": "Of this label."},
        "probabilities": {
            "type": "object",
            "description": "Of every label; where parameters ask for it.",
            "properties": {label: {"type": "number", "minimum": 0, "maximum": 1} for label in output.labels},
        },
    }


def _raw_instance(signature: Signature) -> Schema:
    if len(signature.inputs) == 1:
        return _nested(signature.inputs[0])
    names = [spec.name for spec in signature.inputs]
    return {"type": "object", "required": names, "properties": {s.name: _nested(s) for s in signature.inputs}}


def _nested(spec: TensorSpec) -> Schema:
    """One row of a tensor as nested lists."""
    schema = _element(spec)
    for size in reversed(spec.shape[1:]):
        schema = _array(schema, **({"minItems": size, "maxItems": size} if size >= 0 else {}))
    return {**schema, "description": f"{spec.datatype} {list(spec.shape[1:])}"}


def _element(spec: TensorSpec) -> Schema:
    kind = DTYPES[spec.datatype].kind
    return {"type": {"b": "boolean", "O": "string", "f": "number"}.get(kind, "integer")}


def _tensor_schema(spec: TensorSpec) -> Schema:
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": spec.name},
            "shape": _array({"type": "integer", "minimum": 0}, description=f"{list(spec.shape)}; -1 is free"),
            "datatype": {"const": spec.datatype},
            "data": {"type": "array", "items": {}, "description": "Row by row, flat or nested to the shape."},
        },
    }


def _output_names(model: Model) -> Schema:
    return {"enum": [spec.name for spec in model.signature.outputs]}


def card(model: Model) -> str:
    """What a reader should know of a model, in Markdown."""
    manifest = model.manifest
    if manifest is None:
        return f"Version {model.version}, a graph without a manifest. {_batching_note(model)}"
    metrics = "\n".join(f"| {m.name} | {m.model:.4g} | {m.baseline:.4g} |" for m in manifest.evaluation.metrics)
    return f"""**{manifest.title}.** {manifest.description}

*Use:* {manifest.intended_use} *Limits:* {manifest.limits}

| held-out metric | this network | {manifest.evaluation.baseline} |
| --- | --- | --- |
{metrics}

{manifest.evaluation.verdict}.

*Data:* {manifest.data.name}, {manifest.data.licence}; {manifest.data.split}.

Version {model.version}. {_batching_note(model)}

{manifest.card}""".strip()


def _batching_note(model: Model) -> str:
    return f"{'Batched' if model.signature.batched else 'Not batched'}: {model.batching}."
