"""The whole document: what is the same for every model, then a section for each model that serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fastapi import FastAPI

from app.inference.model import Model
from app.openapi import v1, v1_explain, v2
from app.openapi.card import card
from app.openapi.fixed import fixed
from app.openapi.names import Names
from app.openapi.operation import Call
from app.openapi.schemas import Components, Schema
from app.protocols.elements import NonFinite
from app.protocols.v1_explanations import why_not

KEYS: dict[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


@dataclass(frozen=True)
class Policy:
    """What the service's settings change in the document.

    guarded:   a key is wanted of every call but health probes.
    nonfinite: how tensors in JSON write NaN and infinity.
    """

    guarded: bool = False
    nonfinite: NonFinite = "token"


def document(app: FastAPI, models: Sequence[Model], policy: Policy) -> Schema:
    """OpenAPI 3.1 for the models, which come by name and version."""
    schema = fixed(app, models[0].name if models else "", policy.guarded)
    schema["components"]["schemas"] |= v1.SHARED | v2.SHARED
    schema["components"]["parameters"] = v2.PARAMETERS
    components, ids = Components(schema["components"]["schemas"]), Names()
    service = _tags(schema)
    sections = []
    for name, group in groupby(models, key=lambda model: model.name):
        newest_first = list(group)[::-1]
        sections.append({"name": name, "description": card(newest_first[0], [m.version for m in newest_first[::-1]])})
        schema["paths"] |= _section(newest_first, components, ids, policy)
    names = [section["name"] for section in sections]
    service = [tag for tag in service if tag not in names]
    schema["tags"] = [*sections, *({"name": tag} for tag in service)]
    groups = {"Models": names, "Service": service}
    schema["x-tagGroups"] = [{"name": group, "tags": tags} for group, tags in groups.items() if tags]
    if policy.guarded:
        schema["components"]["securitySchemes"] = KEYS
        schema["security"] = [{scheme: []} for scheme in KEYS]
    return schema


def _section(versions: Sequence[Model], components: Components, ids: Names, policy: Policy) -> Schema:
    """The operations of a model: of the version that answers by default, then of every version by its number."""
    paths: Schema = {}
    calls = [_calls(model, components, policy) for model in versions]
    for call in calls[0]:
        paths |= call.at(versions[0], None, ids, policy.guarded)
    for model, its_calls in zip(versions, calls, strict=True):
        for call in its_calls:
            paths |= call.at(model, model.version, ids, policy.guarded)
    return paths


def _calls(model: Model, components: Components, policy: Policy) -> list[Call]:
    by_rows = [v1.predict(model, components, policy.nonfinite)] if model.signature.speaks_rows else []
    if not why_not(model.signature, model.manifest):
        by_rows.append(v1_explain.explain(model, components, policy.nonfinite))
    return [*by_rows, v2.infer(model, components, policy.nonfinite)]


def _tags(schema: Schema) -> list[str]:
    """Tags of FastAPI's own operations, in order."""
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    return list(dict.fromkeys(tag for operation in operations for tag in operation.get("tags", [])))
