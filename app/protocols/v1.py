"""V1: the protocol that people write by hand, with named and typed features where a manifest gives them."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from app.errors import OutsideDomain
from app.inference.model import Model
from app.protocols import v1_codec
from app.web import body_response, decoded, encoded, find_model, read_body, repository, unless_gone

router = APIRouter(prefix="/v1", tags=["V1"])


@router.get("/models", summary="Which models serve?")
async def models(request: Request) -> dict[str, list[str]]:
    """The names of all models that answer now."""
    return {"models": sorted({model.name for model in repository(request).models()})}


@router.get("/models/{name}:predict", include_in_schema=False)
@router.get("/models/{name}/versions/{version}:predict", include_in_schema=False)
@router.get("/models/{name}/labels/{version}:predict", include_in_schema=False)
async def predict_without_a_body() -> Response:
    """What curl sends without -d."""
    raise HTTPException(405, headers={"allow": "POST"})


@router.get("/models/{name}", summary="Does a model answer?")
async def model_ready(request: Request, name: str) -> dict[str, Any]:
    """Readiness as KServe tells it, with the state of each version as TensorFlow Serving tells it."""
    model = find_model(request, "v1", name)
    states = [
        {
            "version": str(version.number),
            "state": "AVAILABLE" if version.model else "END" if version.reason else "LOADING",
            "status": {"error_code": "UNKNOWN" if version.reason else "OK", "error_message": version.reason},
        }
        for version in repository(request).versions()
        if version.name == name
    ]
    return {"name": model.name, "ready": True, "model_version_status": states}


@router.post("/models/{name}:predict", include_in_schema=False)
@router.post("/models/{name}/versions/{version}:predict", include_in_schema=False)
@router.post("/models/{name}/labels/{version}:predict", include_in_schema=False)
async def predict(request: Request, name: str, version: str | None = None) -> Response:
    """Predictions; openapi.py documents it once for each model."""
    model = find_model(request, "v1", name, version)
    body = await read_body(request)
    return await body_response(request, await unless_gone(request, _predict(model, body)), {}, "application/json")


async def _predict(model: Model, body: bytes) -> bytes:
    with model.request():
        asked = await decoded(body, lambda: v1_codec.decode(body, model.signature, model.manifest))
        try:
            outputs = await model.infer(asked.tensors)
        except OutsideDomain as error:
            if model.manifest is None:
                raise
            raise v1_codec.outside(error.violations, model.manifest) from error
        return await encoded(outputs, lambda: v1_codec.encode(outputs, asked, model.manifest))
