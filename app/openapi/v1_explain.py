"""V1 in the document: a model's explain call, and what an explanation says of each of its inputs."""

import re

from app.feature import Feature
from app.inference.model import Model
from app.inference.parts import SLICES
from app.manifest import Manifest
from app.openapi import v1
from app.openapi.names import enum
from app.openapi.operation import Call
from app.openapi.schemas import Components, Schema, array, nested, obj, received
from app.protocols.elements import NonFinite
from app.protocols.v1_explanations import targets

WHY = """What each input adds to the prediction: `{"instances": [...]}` to `{"explanations": [...]}`, one for each
instance, in order. Attributions are Shapley values, so they add up to `value` less `base`, which is what the model says
where nothing is left of the instance: %s. They tell of the model, not of the world.

Up to 8 inputs, or cells, slices, words, are weighed exactly, more by as many drawn orders as `samples` says. The rows
that this takes wait behind all predictions."""

WITH_MANIFEST = """every number is the median of the training rows, every category the most frequent one, an image
black, a sound silent, a text empty"""

WITHOUT_MANIFEST = "all numbers are 0"


def explain(model: Model, components: Components, nonfinite: NonFinite) -> Call:
    """The explain call of a model that can be explained."""
    manifest = model.manifest
    number = received("FP32", nonfinite)
    explanation = obj(
        {
            "explains": {"type": "string", "description": "What the numbers are, such as `probability of elm`."},
            "prediction": v1.prediction(model, components, nonfinite),
            "base": {**number, "description": "With every input absent."},
            "value": {**number, "description": "Of the instance."},
            "attributions": _attributions(manifest, number) if manifest else _raw_attributions(model, number),
        }
    )
    explanation = components.add(model, "Explanation", explanation)
    instances = v1.instances(model, components, nonfinite)
    request = obj({"instances": instances, "parameters": _parameters(model)}, required=["instances"])
    answer = obj({"explanations": array(explanation)})
    return Call(
        verb="explain",
        path="/v1/models/{model}:explain",
        summary=f"Explain: {manifest.task}" if manifest else "Explain",
        description=WHY % (WITH_MANIFEST if manifest else WITHOUT_MANIFEST),
        request=components.add(model, "ExplainRequest", request),
        answers={"application/json": components.add(model, "ExplainResponse", answer)},
        example=v1.example(model),
        statuses=(400, 404, 413, 415, 429, 500, 503, 504),
    )


def _parameters(model: Model) -> Schema:
    known = [*targets(model.signature, model.manifest)]
    output: Schema = {"type": "string", **enum(known), "description": "What is explained; left out, the first of them."}
    if model.manifest is None:
        told = (
            "An output and an element of its row; the largest if none is named, of the first output if all is left out."
        )
        names = "|".join(map(re.escape, known))
        output = {"type": "string", "pattern": rf"^({names})(\[[0-9]+\])*$", "description": told}
    samples = {"type": "integer", "minimum": 1, "description": "Orders to draw; each takes 2 rows an input."}
    return obj({"output": output, "samples": samples}, required=[], additionalProperties=False)


def _attributions(manifest: Manifest, number: Schema) -> Schema:
    return obj({feature.name: _attribution(feature, number) for feature in manifest.features})


def _attribution(feature: Feature, number: Schema) -> Schema:
    if feature.kind == "text" and not feature.shape:
        pair = array({"anyOf": [{"type": "string"}, number]}, minItems=2, maxItems=2)
        return array(pair, description="Each word with what it adds.")
    if feature.kind == "audio":
        slices = min(SLICES, *feature.shape)
        return array(number, minItems=slices, maxItems=slices, description="Of each slice, one after the other.")
    if feature.kind == "image":
        height, width, _ = feature.image_size
        return {**nested(number, (height, width)), "description": "Of each pixel; those of a cell divide its share."}
    return nested(number, feature.shape)


def _raw_attributions(model: Model, number: Schema) -> Schema:
    return obj({spec.name: nested(number, spec.shape[1:]) for spec in model.signature.inputs})
