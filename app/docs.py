"""The pages that a browser opens and the OpenAPI document behind them; every asset is served from here."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from app.compression import chosen
from app.inference.model import Model
from app.openapi import Policy, document

STATIC = Path(__file__).parent / "static"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from anywhere else; both viewers write style attributes, and Redoc's search runs in a worker of its own."""

OPTIONS = orjson.OPT_SERIALIZE_NUMPY

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Document:
    """The OpenAPI document of one moment. tag: of its content, for If-None-Match."""

    generation: int
    body: bytes
    zipped: bytes
    tag: str

    def answer(self, request: Request) -> Response:
        """The document as a response: 304 to a caller who has it, compressed to one who takes it so."""
        headers = {"etag": self.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if _has(request.headers.get("if-none-match", ""), self.tag):
            return Response(status_code=304, headers=headers)
        if chosen(request.headers.get("accept-encoding", "")) != "gzip":
            return Response(self.body, headers=headers, media_type="application/json")
        return Response(self.zipped, headers={**headers, "content-encoding": "gzip"}, media_type="application/json")


def _has(if_none_match: str, tag: str) -> bool:
    """Source: RFC 9110, section 13.1.2; the comparison is the weak one."""
    tags = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return tags == ["*"] or tag.removeprefix("W/") in tags


def _written(app: FastAPI, models: list[Model], generation: int, policy: Policy) -> Document:
    schema = document(app, models, policy)
    components = {kind: _in_pieces(named) for kind, named in schema["components"].items()}
    body = orjson.dumps({**schema, "paths": _in_pieces(schema["paths"]), "components": components})
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Document(generation, body, gzip.compress(body, mtime=0), tag)


def _in_pieces(values: dict[str, Any]) -> dict[str, orjson.Fragment]:
    """Each value as JSON of its own: to write megabytes in one go would keep the event loop's thread waiting."""
    return {name: orjson.Fragment(orjson.dumps(value, option=OPTIONS)) for name, value in values.items()}


class Documents:
    """The OpenAPI document of an app, written anew only when a model has come or gone.

    Written in a thread: it takes about a millisecond a model.
    """

    def __init__(self, app: FastAPI, policy: Policy) -> None:
        self._app, self._policy = app, policy
        self._writing = asyncio.Lock()
        self._latest: Document | None = None

    async def latest(self) -> Document:
        """What describes the models that serve now."""
        models = self._app.state.repository
        async with self._writing:
            if self._latest is None or self._latest.generation != models.generation:
                self._latest = await asyncio.to_thread(
                    _written, self._app, models.models(), models.generation, self._policy
                )
            return self._latest


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """One typed operation per loaded model and version."""
    documents: Documents = request.app.state.documents
    return (await documents.latest()).answer(request)


@router.get("/docs")
async def swagger() -> Response:
    """Swagger UI: try the models."""
    return _page("swagger.html")


@router.get("/redoc")
async def redoc() -> Response:
    """Redoc: read the reference."""
    return _page("redoc.html")


class Assets(StaticFiles):
    """Files that a browser asks for anew on every visit, so that a new release is not mixed with what it has kept."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["cache-control"] = "no-cache"
        return answer


def _page(name: str) -> Response:
    return FileResponse(STATIC / name, headers={"content-security-policy": POLICY})


def mount(app: FastAPI, policy: Policy) -> None:
    """Adds the pages, their assets and the document to the app."""
    app.state.documents = Documents(app, policy)
    app.include_router(router)
    app.mount("/static", Assets(directory=STATIC), name="static")
