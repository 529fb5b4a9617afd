"""Open Inference Protocol v2: server, model and inference routes."""

import re
from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app import __version__
from app.bodies import compressed_response, decoded, encoded, json_response, read_aligned_body, unless_gone
from app.errors import InvalidInput
from app.inference.model import Model
from app.protocols import v2_codec
from app.protocols.allowance import BodyLimits
from app.protocols.answers import (
    Liveness,
    ModelMetadata,
    ModelNames,
    ModelReadiness,
    Readiness,
    Server,
    Unreadiness,
)
from app.protocols.binary import Answer
from app.protocols.elements import NonFinite
from app.protocols.health import readiness
from app.web import admitted, find_model, repository

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "schedule_policy",
    "model_repository",
    "model_repository(unload_dependents)",
    "model_configuration",
    "statistics",
]

HEADER_LENGTH = "Inference-Header-Content-Length"

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])


@router.get("", summary="What server is this?")
async def server() -> Server:
    """Name, version and the protocol's extensions that are served."""
    return Server(name="headrace", version=__version__, extensions=EXTENSIONS)


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Liveness:
    """As /health/live."""
    return Liveness(live=True)


@router.get(
    "/health/ready",
    summary="May traffic be sent here?",
    response_model=Readiness,
    responses={503: {"model": Unreadiness, "description": "Not yet, or not any more."}},
)
async def ready(request: Request) -> Response:
    """As /health/ready."""
    return readiness(request, {"ready": True, "live": True})


@router.get("/models", summary="Which models serve?")
async def models(request: Request) -> ModelNames:
    """The names of all models that answer now."""
    return ModelNames(models=sorted({model.name for model in repository(request).models()}))


@router.get("/models/{name}", summary="What does a model take and give?", response_model=ModelMetadata)
@router.get(
    "/models/{name}/versions/{version}",
    summary="What does a model version take and give?",
    response_model=ModelMetadata,
)
async def metadata(request: Request, name: str, version: str | None = None) -> Response:
    """The model's versions, inputs and outputs with datatype and shape; -1 is a free axis."""
    model = find_model(request, "v2", name, version)
    versions = [other.version for other in repository(request).serving(name)]
    return json_response(v2_codec.metadata(name, versions, model.signature))


@router.get("/models/{name}/ready", summary="Does a model answer?")
@router.get("/models/{name}/versions/{version}/ready", summary="Does a model version answer?")
async def model_ready(request: Request, name: str, version: str | None = None) -> ModelReadiness:
    """200 when it does, 503 with the reason when it is known and does not."""
    find_model(request, "v2", name, version)
    return ModelReadiness(name=name, ready=True)


@router.post("/models/{name}/infer", include_in_schema=False)
@router.post("/models/{name}/versions/{version}/infer", include_in_schema=False)
async def infer(request: Request, name: str, version: str | None = None) -> Response:
    """A prediction; the document has it once for each model."""
    model = find_model(request, "v2", name, version)
    with admitted(request, model):
        lengths = request.headers.getlist(HEADER_LENGTH)
        json_length = json_length_of(lengths, request.headers.get("content-type", ""))
        body = await read_aligned_body(request, json_length or 0)
        accepted = request.headers.get("accept-encoding", "")
        state = request.app.state
        answering = answer(model, body, json_length, state.body_limits, state.nonfinite, accepted)
        return await unless_gone(request, answering)


async def answer(
    model: Model, body: memoryview, json_length: int | None, limits: BodyLimits, nonfinite: NonFinite, accepted: str
) -> Response:
    """The prediction that a body asks for. accepted: what Accept-Encoding says. Raises what its steps raise."""
    inferred = await _infer(model, body, json_length, limits, nonfinite)
    return await answered(inferred, accepted)


async def answered(answer: Answer, accepted: str) -> Response:
    """An answer, compressed if the caller accepts that and it pays."""
    if answer.json_length is None:
        return await compressed_response(answer.body, {}, "application/json", accepted)
    headers = {HEADER_LENGTH: str(answer.json_length)}
    return await compressed_response(answer.body, headers, "application/octet-stream", accepted)


def json_length_of(lengths: Sequence[str], content_type: str) -> int | None:
    """Bytes of JSON in front of binary tensors, 0 for a raw request, None without the header. Raises InvalidInput.

    lengths: what each Inference-Header-Content-Length says.
    """
    if not lengths:
        return None
    sent = ", ".join(dict.fromkeys(lengths))
    if not re.fullmatch(r"[0-9]{1,18}", sent):
        raise InvalidInput(f"{HEADER_LENGTH}: {sent!r}, wanted a number of bytes")
    if int(sent) == 0 and content_type.partition(";")[0].strip() == "application/json":
        raise InvalidInput(f"{HEADER_LENGTH}: 0 says that the body has no JSON, Content-Type that it is JSON")
    return int(sent)


async def _infer(
    model: Model, body: memoryview, json_length: int | None, limits: BodyLimits, nonfinite: NonFinite
) -> Answer:
    with model.request():
        asked = await decoded(body, lambda: v2_codec.decode(body, json_length, model.signature, limits, nonfinite))
        outputs = await model.infer(asked.tensors, asked.timeout_s, asked.priority)
        return await encoded(
            outputs, lambda: v2_codec.encode(model.name, model.version, asked, outputs, model.labels, nonfinite)
        )
