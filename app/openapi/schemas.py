"""JSON Schemas: the small pieces, and the components that the models' own schemas become."""

from typing import Any

import numpy as np

from app.inference.domain import exact_integers
from app.inference.model import Model
from app.inference.signature import DTYPES
from app.openapi.names import Names, pascal
from app.protocols.elements import TEXTS, NonFinite

Schema = dict[str, Any]


class Components:
    """components/schemas under construction. Versions of a model share each schema that is equal in all of them."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        self.schemas = schemas
        self._names = Names(schemas)
        self._first: dict[tuple[str, str, str], str] = {}

    def add(self, model: Model, role: str, schema: Schema, of: str = "") -> Schema:
        """A reference to the schema, which is named by its model, its role and, in full, what it is the role of."""
        key = (model.name, role, of)
        name = self._first.get(key)
        if name is None or self.schemas[name] != schema:
            version = f"Version{model.version}" if name else ""
            wanted = f"{pascal(model.name)}{version}{role}{pascal(of) if of else ''}"
            name = self._names.claim(wanted, f"{model.name}/{model.version}/{role}/{of}")
            self.schemas[name] = schema
            self._first.setdefault(key, name)
        return ref(name)


def ref(name: str, kind: str = "schemas") -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def array(items: Schema, **more: Any) -> Schema:
    """A list of items."""
    return {"type": "array", "items": items, **more}


def obj(properties: Schema, *, required: list[str] | None = None, **more: Any) -> Schema:
    """An object; every property is required unless `required` names some."""
    return {
        "type": "object",
        "required": list(properties) if required is None else required,
        "properties": properties,
        **more,
    }


def optional(schema: Schema) -> Schema:
    """The schema or null, which many clients send for what they leave out."""
    return {"anyOf": [schema, {"type": "null"}]}


def nested(items: Schema, shape: tuple[int, ...]) -> Schema:
    """Lists within lists; -1 is an axis of any length."""
    for size in reversed(shape):
        items = array(items, **({"minItems": size, "maxItems": size} if size >= 0 else {}))
    return items


def sent(datatype: str, nonfinite: NonFinite = "token") -> Schema:
    """One element as a caller may send it."""
    kind = DTYPES[datatype].kind
    if kind == "b":
        return {"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": 1}]}
    if kind == "O":
        return {"type": "string"}
    number = {"type": "number" if kind == "f" else "integer", **least(datatype), **greatest(datatype)}
    return _or_not_finite(number, nonfinite) if kind == "f" else number


def received(datatype: str, nonfinite: NonFinite = "token") -> Schema:
    """One element as the service answers it."""
    element = {"type": {"b": "boolean", "O": "string", "f": "number"}.get(DTYPES[datatype].kind, "integer")}
    return _or_not_finite(element, nonfinite) if element["type"] == "number" else element


def _or_not_finite(number: Schema, nonfinite: NonFinite) -> Schema:
    """What else may stand for a number. The tokens are not JSON, so no schema can tell of them."""
    if nonfinite == "string":
        return {"anyOf": [number, {"type": "string", "enum": list(TEXTS)}]}
    return {**number, "type": ["number", "null"]} if nonfinite == "null" else number


def least(datatype: str, exact: bool = False) -> Schema:
    """The lower bound of a datatype's numbers, or of the integers that it holds exactly."""
    dtype = DTYPES[datatype]
    if dtype.kind != "f":
        return {"minimum": int(np.iinfo(dtype).min)}  # type: ignore[type-var]
    if exact:
        return {"minimum": -exact_integers(dtype)}
    return {"exclusiveMinimum": -_overflow(datatype)} if datatype != "FP64" else {}


def greatest(datatype: str, exact: bool = False) -> Schema:
    """The upper bound of a datatype's numbers, or of the integers that it holds exactly."""
    dtype = DTYPES[datatype]
    if dtype.kind != "f":
        return {"maximum": int(np.iinfo(dtype).max)}  # type: ignore[type-var]
    if exact:
        return {"maximum": exact_integers(dtype)}
    return {"exclusiveMaximum": _overflow(datatype)} if datatype != "FP64" else {}


def _overflow(datatype: str) -> float:
    """The least number that is rounded to infinity: half a step above the greatest finite one."""
    limits = np.finfo(DTYPES[datatype])  # type: ignore[type-var]
    return float(limits.max) + 2.0 ** (limits.maxexp - limits.nmant - 2)
