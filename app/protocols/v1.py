"""V1: the protocol that people write by hand, with named and typed features where a manifest gives them."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.bodies import (
    body_response,
    compressed_response,
    decoded,
    dumped,
    encoded,
    json_response,
    read_body,
    unless_gone,
)
from app.errors import ModelNotReady, OutsideDomain
from app.inference.model import Model
from app.protocols import v1_codec, v1_metadata, v1_predictions
from app.protocols.allowance import BodyLimits
from app.protocols.answers import ModelDescription, ModelNames, ModelStatus, ModelUnready
from app.protocols.elements import NonFinite
from app.refusals import refused
from app.web import admitted, find_model, repository, version_number

router = APIRouter(prefix="/v1", tags=["V1"])

UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": ModelUnready, "description": "There is none to answer."}}


@router.get("/models", summary="Which models serve?")
async def models(request: Request) -> ModelNames:
    """The names of all models that answer now."""
    return ModelNames(models=sorted({model.name for model in repository(request).models()}))


@router.get("/models/{name:model}", summary="Does a model answer?", response_model=ModelStatus, responses=UNREADY)
@router.get(
    "/models/{name}/versions/{version:model}",
    summary="Does a model version answer?",
    response_model=ModelStatus,
    responses=UNREADY,
)
@router.get(
    "/models/{name}/labels/{version:model}",
    summary="Does the version behind a label answer?",
    response_model=ModelStatus,
    responses=UNREADY,
)
async def status(request: Request, name: str, version: str | None = None) -> Response:
    """Readiness as KServe tells it, with the state of each version as TensorFlow Serving tells it; 503 with the same
    beside the error when there is none to answer."""
    try:
        find_model(request, "v1", name, version)
    except ModelNotReady as error:
        return refused(request, error, name=name, ready=False, model_version_status=_states(request, name, version))
    return json_response({"name": name, "ready": True, "model_version_status": _states(request, name, version)})


def _states(request: Request, name: str, version: str | None) -> list[dict[str, Any]]:
    """Of the version that a path names, or of all."""
    models = repository(request)
    number = None if version is None else version_number(models, name, version)
    return [
        {
            "version": str(one.number),
            "state": "AVAILABLE" if one.model else "END" if one.reason else "LOADING",
            "status": {"error_code": "UNKNOWN" if one.reason else "OK", "error_message": one.reason},
        }
        for one in models.versions()
        if one.name == name and number in (None, one.number)
    ]


@router.get(
    "/models/{name}/metadata", summary="What is a model, and how is it called?", response_model=ModelDescription
)
@router.get(
    "/models/{name}/versions/{version}/metadata",
    summary="What is a model version, and how is it called?",
    response_model=ModelDescription,
)
@router.get(
    "/models/{name}/labels/{version}/metadata",
    summary="What is a labelled version, and how is it called?",
    response_model=ModelDescription,
)
async def metadata(request: Request, name: str, version: str | None = None) -> Response:
    """How the version serves, its tensors, its manifest (null where it has none) and a body for each protocol that
    gives a real prediction (null where none is known)."""
    model = find_model(request, "v1", name, version)
    models = repository(request)
    report = models.report(name, model.version) is not None
    body = v1_metadata.metadata(model, models.labels_of(name, model.version), report)
    return await body_response(request, dumped(body), {}, "application/json")


@router.post("/models/{name}:predict", include_in_schema=False)
@router.post("/models/{name}/versions/{version}:predict", include_in_schema=False)
@router.post("/models/{name}/labels/{version}:predict", include_in_schema=False)
async def predict(request: Request, name: str, version: str | None = None) -> Response:
    """Predictions; the document has it once for each model."""
    model = find_model(request, "v1", name, version)
    with admitted(request, model):
        body = await read_body(request)
        state = request.app.state
        accepted = request.headers.get("accept-encoding", "")
        return await unless_gone(request, answer(model, body, state.body_limits, state.nonfinite, accepted))


async def answer(model: Model, body: bytes, limits: BodyLimits, nonfinite: NonFinite, accepted: str) -> Response:
    """The predictions that a body asks for. accepted: what Accept-Encoding says. Raises what its steps raise."""
    predicted = await _predict(model, body, limits, nonfinite)
    return await compressed_response(predicted, {}, "application/json", accepted)


async def _predict(model: Model, body: bytes, limits: BodyLimits, nonfinite: NonFinite) -> bytes:
    with model.request():
        asked = await decoded(
            body,
            lambda: v1_codec.decode(body, model.signature, model.manifest, limits, nonfinite),
            slow=v1_codec.takes_files(model.manifest) and v1_codec.names_file(body),
        )
        try:
            outputs = await model.infer(asked.tensors)
        except OutsideDomain as error:
            if model.manifest is None:
                raise
            raise v1_codec.outside(error.violations, model.manifest, asked) from error
        return await encoded(outputs, lambda: v1_predictions.encode(outputs, asked, model.manifest, nonfinite))
