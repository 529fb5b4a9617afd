"""The pages that a browser opens and the OpenAPI document behind them; every asset is served from here."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from app.openapi import document
from app.web import json_response

STATIC = Path(__file__).parent / "static"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from anywhere else; both viewers write style attributes, and Redoc's search runs in a worker of its own."""

router = APIRouter(include_in_schema=False)


class Documents:
    """The OpenAPI document of an app, written anew only when a model has come or gone."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._generation = -1
        self._answer = Response()

    def answer(self) -> Response:
        """The document as a response."""
        models = self._app.state.repository
        if models.generation != self._generation:
            self._generation, self._answer = models.generation, json_response(document(self._app, models))
        return self._answer


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """One typed operation per loaded model and version."""
    documents: Documents = request.app.state.documents
    return documents.answer()


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
        answer.headers.update({"cache-control": "no-cache", "x-content-type-options": "nosniff"})
        return answer


def _page(name: str) -> Response:
    return FileResponse(STATIC / name, headers={"content-security-policy": POLICY, "x-content-type-options": "nosniff"})


def mount(app: FastAPI) -> None:
    """Adds the pages, their assets and the document to the app."""
    app.state.documents = Documents(app)
    app.include_router(router)
    app.mount("/static", Assets(directory=STATIC), name="static")
