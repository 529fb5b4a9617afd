"""A typed operation: one call of one model, at the path without a version and at its version's own."""

from dataclasses import dataclass
from typing import Any

from app.inference.model import Model
from app.openapi import errors
from app.openapi.names import Names, snake
from app.openapi.schemas import Schema


@dataclass(frozen=True)
class Call:
    """A call of a model, whatever the version in its path.

    path:        with `{model}` where the model's name stands, and its version if one is asked for.
    request:     the JSON body's schema; answers: content type -> schema.
    more:        further content types of the body; parameters: headers.
    example:     a body that gives a prediction, None if none is known.
    statuses:    of the errors it may end in.
    """

    verb: str
    path: str
    summary: str
    description: str
    request: Schema
    answers: dict[str, Schema]
    example: Any
    statuses: tuple[int, ...]
    more: dict[str, Schema] | None = None
    parameters: tuple[Schema, ...] = ()
    headers: Schema | None = None

    def at(self, model: Model, version: int | None, ids: Names, guarded: bool) -> Schema:
        """Path -> operation; for the version that answers by default if none is given."""
        path = self.path.replace("{model}", model.name if version is None else f"{model.name}/versions/{version}")
        note = "" if version is None else f" version {version}"
        content: Schema = {"schema": self.request}
        if self.example is not None:
            content["examples"] = {"real": {"summary": "An input that gives a real prediction", "value": self.example}}
        further = {kind: {"schema": schema} for kind, schema in (self.more or {}).items()}
        statuses = (*self.statuses, *(401, 403) * guarded)
        operation: Schema = {
            "tags": [model.name],
            "summary": f"{self.summary}{',' if note else ''}{note}",
            "description": self.description,
            "operationId": ids.claim(f"{self.verb}_{snake(model.name + note)}", f"{model.name}{note}"),
            **({"parameters": list(self.parameters)} if self.parameters else {}),
            "requestBody": {"required": True, "content": {"application/json": content, **further}},
            "responses": {
                "200": {
                    "description": "The answer.",
                    **({"headers": self.headers} if self.headers else {}),
                    "content": {kind: {"schema": schema} for kind, schema in self.answers.items()},
                },
                **errors.responses(*statuses),
            },
        }
        return {path: {"post": operation}}
