"""Triton's extensions of the Open Inference Protocol for those who run models: their repository, configuration and
statistics.

Source: triton-inference-server/server, docs/protocol/extension_model_repository.md, extension_model_configuration.md
and extension_statistics.md.
"""

from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from app.bodies import read_body
from app.errors import Forbidden, InvalidInput, Unsupported
from app.inference.model import Model
from app.inference.signature import TensorSpec
from app.layout import State
from app.manifest import ModelConfig, VersionPolicy, explain
from app.metrics import Metrics, Statistics
from app.orders import Order, Orders
from app.protocols.answers import AllStatistics, Configuration, IndexEntry
from app.protocols.elements import check_depth, kind_of, parse
from app.web import find_model, repository

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])

TYPES = {"BYTES": "TYPE_STRING"}
"""Datatypes whose name in a configuration is not TYPE_ and the protocol's."""


def _body(properties: dict[str, Any]) -> dict[str, Any]:
    """A JSON body, which may be left out, for the OpenAPI document."""
    schema = {"type": "object", "properties": properties}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


STAGES = {"compute_input": "input", "compute_infer": "infer", "compute_output": "output"}
"""Triton's name of a stage -> ours."""


@router.post(
    "/repository/index",
    summary="Which models are there, and in which state?",
    response_model=list[IndexEntry],
    response_model_exclude_unset=True,
    openapi_extra=_body({"ready": {"type": "boolean", "description": "Those that serve only."}}),
)
async def index(request: Request) -> list[dict[str, str]]:
    """Every version with its state and, where it does not serve, why; `{"ready": true}` asks for those that serve."""
    asked = await _asked(request)
    ready = asked.get("ready", False)
    if not isinstance(ready, bool):
        raise InvalidInput(f"ready: {kind_of(ready)}, wanted true or false")
    return [
        {
            "name": one.name,
            **({"version": str(one.version)} if one.version else {}),
            "state": one.state,
            "reason": one.reason,
        }
        for one in await repository(request).index()
        if one.state is State.READY or not ready
    ]


@router.post(
    "/repository/models/{name}/load",
    summary="Serve what a model's folder holds now",
    response_class=Response,
    responses={403: {}, 501: {}},
    openapi_extra=_body(
        {
            "parameters": {
                "type": "object",
                "properties": {
                    "config": {
                        "type": ["string", "null"],
                        "description": "JSON in the place of config.yaml, with the same keys.",
                        "contentMediaType": "application/json",
                    }
                },
            }
        }
    ),
)
async def load(request: Request, name: str) -> Response:
    """200 once every version that config.yaml names serves; 400 with the reasons, and the old versions go on serving.

    `{"parameters": {"config": "<JSON text>"}}` takes the place of config.yaml, with the same keys.
    """
    _check_control(request)
    parameters = _parameters(await _asked(request))
    if files := [key for key in parameters if key.startswith("file:")]:
        raise Unsupported(f"parameter {files[0]}: models come from the repository's folder, not from a request")
    config = parameters.get("config")
    await _orders(request).give(Order("load", name, None if config is None else _config(config)))
    return Response()


@router.post(
    "/repository/models/{name}/unload",
    summary="Take a model out of service",
    response_class=Response,
    responses={403: {}},
    openapi_extra=_body({"parameters": {"type": "object"}}),
)
async def unload(request: Request, name: str) -> Response:
    """200 once all that the model had accepted is answered."""
    _check_control(request)
    _parameters(await _asked(request))
    await _orders(request).give(Order("unload", name))
    return Response()


def _orders(request: Request) -> Orders:
    found: Orders = request.app.state.orders
    return found


def _check_control(request: Request) -> None:
    """Raises Forbidden where control is off, or where another site's page sent the request."""
    if not request.app.state.repository_control:
        raise Forbidden("models are not loaded and unloaded over HTTP here; HEADRACE_REPOSITORY_CONTROL=true allows it")
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("models are not loaded and unloaded by pages of other sites")


async def _asked(request: Request) -> dict[str, Any]:
    """The body, which may be left out."""
    body = await read_body(request)
    check_depth(body, request.app.state.body_limits.depth)
    return parse(body, "error") if body.strip() else {}


def _parameters(asked: dict[str, Any]) -> dict[str, Any]:
    parameters = asked.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidInput(f"parameters: {kind_of(parameters)}, wanted an object")
    return parameters


def _config(text: Any) -> ModelConfig:
    if not isinstance(text, str):
        raise InvalidInput(f"parameter config: {kind_of(text)}, wanted a text with the JSON of a config.yaml")
    try:
        return ModelConfig.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput(f"parameter config: {explain(error)}") from error


@router.get(
    "/models/{name}/config",
    summary="How is a model served?",
    response_model=Configuration,
    response_model_exclude_unset=True,
)
@router.get(
    "/models/{name}/versions/{version}/config",
    summary="How is a model version served?",
    response_model=Configuration,
    response_model_exclude_unset=True,
)
async def config(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """The model's configuration with Triton's names and units; `dims` are without the batch axis."""
    model = find_model(request, "v2", name, version)
    return _configuration(model, repository(request).config(name, model.version))


def _configuration(model: Model, config: ModelConfig) -> dict[str, Any]:
    signature, batching = model.signature, config.batching if model.signature.batched else False
    skipped, delay_us = (1, round(batching.queue_delay_ms * 1000)) if batching else (0, 0)
    return {
        "name": model.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": _version_policy(config),
        "max_batch_size": model.limits.max_rows or 0,
        "input": [
            *(_configured(spec, skipped) for spec in signature.inputs),
            *(_configured(spec, 0) | {"optional": True} for spec in signature.optional),
        ],
        "output": [_configured(spec, skipped) for spec in signature.outputs],
        "instance_group": [
            {
                "name": model.name,
                "kind": "KIND_GPU" if model.nodes.get("CUDAExecutionProvider") else "KIND_CPU",
                "count": model.share.instances,
            }
        ],
        **({"dynamic_batching": {"max_queue_delay_microseconds": delay_us}} if batching else {}),
        "default_model_filename": "model.onnx",
        "parameters": {f"{provider} nodes": {"string_value": str(count)} for provider, count in model.nodes.items()},
    }


def _version_policy(config: ModelConfig) -> dict[str, Any]:
    if isinstance(config.versions, VersionPolicy):
        return {"latest": {"num_versions": config.versions.latest}}
    return {"all": {}} if config.versions == "all" else {"specific": {"versions": list(config.versions)}}


def _configured(spec: TensorSpec, skipped: int) -> dict[str, Any]:
    return {
        "name": spec.name,
        "data_type": TYPES.get(spec.datatype, f"TYPE_{spec.datatype}"),
        "dims": list(spec.shape[skipped:]),
    }


@router.get("/models/stats", summary="What have the models done?", response_model=AllStatistics)
async def all_statistics(request: Request) -> dict[str, Any]:
    """The statistics of every version that serves, since the service started."""
    return await _statistics(request, repository(request).models())


@router.get("/models/{name}/stats", summary="What has a model done?", response_model=AllStatistics)
@router.get(
    "/models/{name}/versions/{version}/stats", summary="What has a model version done?", response_model=AllStatistics
)
async def statistics(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Counts and nanoseconds since the service started, over all workers.

    `inference_count` counts rows and `execution_count` runs: their ratio is the mean batch size.
    """
    found = find_model(request, "v2", name, version)
    models = repository(request).serving(name) if version is None else [found]
    return await _statistics(request, models)


async def _statistics(request: Request, models: list[Model]) -> dict[str, Any]:
    metrics: Metrics = request.app.state.metrics
    known = await metrics.statistics()
    return {"model_stats": [_told(model, known[model.name, model.version]) for model in models]}


def _told(model: Model, done: Statistics) -> dict[str, Any]:
    answered = done.requests["success"][0]
    return {
        "name": model.name,
        "version": str(model.version),
        "last_inference": round(done.last_inference_s * 1000),
        "inference_count": done.rows,
        "execution_count": done.runs,
        "inference_stats": {
            **{outcome: _series(count, seconds) for outcome, (count, seconds) in done.requests.items()},
            "queue": _series(answered, done.stages["queue"]),
            **{name: _series(answered, done.stages[stage]) for name, stage in STAGES.items()},
            **dict.fromkeys(("cache_hit", "cache_miss"), _series(0, 0)),
        },
        "response_stats": {},
        "batch_stats": [
            {"batch_size": rows} | {name: _series(spent["count"], spent[stage]) for name, stage in STAGES.items()}
            for rows, spent in sorted(done.batches.items())
        ],
        "memory_usage": [],
    }


def _series(count: float, seconds: float) -> dict[str, int]:
    return {"count": int(count), "ns": round(seconds * 1e9)}
