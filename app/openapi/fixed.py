"""The routes that are the same for every model: FastAPI's document, with what its routes do not say of themselves."""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.gate import OPEN_PATHS
from app.layout import NAME
from app.openapi import errors
from app.openapi.names import snake
from app.openapi.schemas import Schema

ABOUT = """Trained networks over HTTP. Each model below has a section of its own: what it is for, how good it is, and
calls that work as they stand: open one and press **Execute**.

Every error is `{"error": "<what is wrong and what would be right>"}`, a 4xx where the caller can mend it:

%s

A request id in `X-Request-ID`, the caller's own or one of ours, comes back in every answer and is in the server's log.
Bodies and answers may be compressed (gzip, deflate). Numbers that are not finite are the tokens `NaN`, `Infinity` and
`-Infinity`, as Triton and TensorFlow Serving write them, where the operator has set nothing else; an answer without
them is plain JSON."""


def fixed(app: FastAPI, example: str, guarded: bool) -> Schema:
    """The document without any model's own operations.

    example: the name of a model that answers, if there is one.
    guarded: a key is wanted.
    """
    schema = get_openapi(title=app.title, version=app.version, description=ABOUT % errors.table(), routes=app.routes)
    schemas = schema.get("components", {}).get("schemas", {})
    kept = {
        name: _plain(one) for name, one in schemas.items() if name not in ("HTTPValidationError", "ValidationError")
    }
    schema["components"] = {"schemas": {"Error": errors.ERROR, **kept}, "responses": errors.components()}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            operations[method] = _completed(path, method, operation, example, guarded)
    return schema


def _completed(path: str, method: str, operation: Schema, example: str, guarded: bool) -> Schema:
    is_open = bool(OPEN_PATHS.fullmatch(path))
    possible = {401, 403} if guarded and not is_open else set()
    possible |= {404, 503} if "{name}" in path else set()
    possible |= {400, 413, 415} if "requestBody" in operation else set()
    told = {status: _plain(answer) for status, answer in operation["responses"].items() if status != "422"}
    named = {status for status, answer in told.items() if status != "200" and "content" not in answer}
    possible |= set(map(int, named))
    told["200"]["description"] = "The answer."
    responses = errors.responses(*possible) | {status: told[status] for status in told.keys() - named}
    parameters = [_parameter(one, example) for one in operation.get("parameters", ())]
    return {
        **operation,
        "operationId": _operation_id(path, method),
        **({"parameters": parameters} if parameters else {}),
        "responses": dict(sorted(responses.items())),
        **({"security": []} if guarded and is_open else {}),
    }


def _operation_id(path: str, method: str) -> str:
    """`get_v2_model_version_ready` for GET /v2/models/{name}/versions/{version}/ready."""
    return snake(f"{method} {re.sub(r's/{[a-z]+}', '', path)}")


def _parameter(parameter: Schema, example: str) -> Schema:
    """What a name in a path may be."""
    described = {
        "name": ("A model's name.", f"^{NAME.pattern}$", example),
        "version": ("A version's number, or a label of its model.", "^[A-Za-z0-9][A-Za-z0-9._-]*$", "1"),
    }
    if parameter["in"] != "path" or parameter["name"] not in described:
        return {**parameter, "schema": _plain(parameter["schema"])}
    description, pattern, value = described[parameter["name"]]
    schema = {"type": "string", "pattern": pattern}
    return {**parameter, "description": description, "schema": schema, **({"example": value} if value else {})}


def _plain(schema: Any) -> Any:
    """A schema of pydantic's without the titles, which repeat the names, and the defaults, which no answer needs."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _plain(one) for name, one in value.items()} if key == "properties" else _plain(value)
        for key, value in schema.items()
        if key not in ("title", "default")
    }
