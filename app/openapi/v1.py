"""V1 in the document: a model's predict call, its instances and its predictions."""

from typing import Any

from app.inference.model import Model
from app.inference.signature import DTYPES, Signature, TensorSpec
from app.manifest import Feature, Manifest, OutputTensor
from app.openapi.names import enum
from app.openapi.operation import Call
from app.openapi.schemas import Components, Schema, array, greatest, least, nested, obj, received, sent
from app.protocols import v1_codec

ROWS = """Row by row: `{"instances": [...]}` to `{"predictions": [...]}`, one prediction for each instance, in order.
Column by column, `{"inputs": {...}}` to `{"outputs": {...}}`, works too."""


def speaks_rows(signature: Signature) -> bool:
    """V1 puts one instance in each row, so every tensor needs a first axis that can be a row's."""
    specs = (*signature.inputs, *signature.outputs)
    return bool(signature.inputs) and all(spec.shape and spec.shape[0] in (-1, 1) for spec in specs)


def predict(model: Model, components: Components) -> Call:
    """The predict call of a model whose signature speaks rows."""
    manifest, signature = model.manifest, model.signature
    instance = _instance(manifest, signature) if manifest else _raw_instance(signature)
    prediction = _prediction(manifest) if manifest else _raw_prediction(signature)
    instance = components.add(model, "Instance", instance)
    prediction = components.add(model, "Prediction", prediction)
    single = {"maxItems": 1} if any(spec.shape[0] == 1 for spec in signature.inputs) else {}
    request = obj({"instances": array(instance, minItems=1, **single)})
    answer = obj({"predictions": array(prediction)})
    return Call(
        verb="predict",
        path="/v1/models/{model}:predict",
        summary=f"Predict: {manifest.task}" if manifest else "Predict",
        description=ROWS,
        request=components.add(model, "PredictRequest", request),
        answers={"application/json": components.add(model, "PredictResponse", answer)},
        example=_example(model),
        statuses=(400, 404, 413, 415, 429, 500, 503, 504),
    )


def _example(model: Model) -> Any:
    return {"instances": v1_codec.example(model.example, model.manifest)} if model.example else None


def _instance(manifest: Manifest, signature: Signature) -> Schema:
    datatypes = {spec.name: spec.datatype for spec in signature.inputs}
    return obj(
        {feature.name: _feature(feature, datatypes[one.tensor]) for one in manifest.inputs for feature in one.features},
        additionalProperties=False,
    )


def _feature(feature: Feature, datatype: str) -> Schema:
    """datatype: of the tensor that the feature goes into, whose range bounds a side that the manifest leaves open."""
    kinds = {"number": "number", "integer": "integer", "category": "string", "text": "string"}
    schema: Schema = {"type": kinds[feature.kind]}
    if feature.kind in ("number", "integer") and DTYPES[datatype].kind in "iuf":
        if DTYPES[datatype].kind != "f":
            schema["type"] = "integer"
        exact = schema["type"] == "integer"
        schema |= least(datatype, exact) if feature.minimum is None else {"minimum": feature.minimum}
        schema |= greatest(datatype, exact) if feature.maximum is None else {"maximum": feature.maximum}
    if feature.categories:
        schema |= enum(feature.categories)
    unit = f" [{feature.unit}]" if feature.unit else ""
    described = {"description": f"{feature.description}{unit}".strip(), "examples": [feature.example]}
    return {**nested(schema, feature.shape), **described}


def _prediction(manifest: Manifest) -> Schema:
    properties: Schema = {}
    for output in manifest.outputs:
        properties |= _output_fields(output)
    return obj(properties)


def _output_fields(output: OutputTensor) -> Schema:
    if output.kind == "value":
        unit = f" [{output.unit}]" if output.unit else ""
        return {output.name: {"type": "number", "description": f"{output.description}{unit}".strip()}}
    return {
        "label": {"type": "string", **enum(output.labels), "description": output.description},
        "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": "Of this label."},
    }


def _raw_instance(signature: Signature) -> Schema:
    if len(signature.inputs) == 1:
        return _row(signature.inputs[0], sent(signature.inputs[0].datatype))
    return obj({spec.name: _row(spec, sent(spec.datatype)) for spec in signature.inputs}, additionalProperties=False)


def _raw_prediction(signature: Signature) -> Schema:
    """Of the outputs' declared shapes only the number of axes: sizes that a graph declares may be wrong."""
    rows = {spec.name: _row(_free(spec), received(spec.datatype)) for spec in signature.outputs}
    return next(iter(rows.values())) if len(rows) == 1 else obj(rows)


def _free(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.name, spec.datatype, (None,) * len(spec.dims))


def _row(spec: TensorSpec, element: Schema) -> Schema:
    """One row of a tensor as nested lists."""
    return {**nested(element, spec.shape[1:]), "description": f"{spec.datatype} {list(spec.shape[1:])}"}
