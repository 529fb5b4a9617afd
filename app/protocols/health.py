"""Is it alive, is it ready, how is it doing: probes and metrics."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import State

from app.bodies import json_response
from app.metrics import Metrics
from app.protocols.answers import Liveness, Readiness, Unreadiness
from app.web import repository

router = APIRouter(tags=["health"])


@router.get("/health/live", summary="Does the process answer?")
async def live() -> Liveness:
    """200 whenever the event loop turns."""
    return Liveness(live=True)


@router.get(
    "/health/ready",
    summary="May traffic be sent here?",
    response_model=Readiness,
    responses={503: {"model": Unreadiness, "description": "Not yet, or not any more."}},
)
async def ready(request: Request) -> Response:
    """200 when every required model is loaded and warm; 503 with the reason of each that is not.

    Models whose config.yaml names execution providers stand under `providers`, with the number of their nodes on each;
    those that run without one of them also under `missing_providers`. `store` says why the store that models come from
    cannot be read now.
    """
    return readiness(request, {"ready": True})


def readiness(request: Request, body: dict[str, Any]) -> Response:
    """body with 200 when the service may take traffic, 503 and why not otherwise."""
    if why := unready(request.app.state):
        return json_response({**dict.fromkeys(body, False), "error": f"not ready: {why}"}, 503)
    models, source = repository(request), request.app.state.source
    if places := models.places():
        body = {**body, "providers": places}
    if missing := models.missing_providers():
        body = {**body, "missing_providers": missing}
    if source and source.state.failed:
        body = {**body, "store": source.state.failed}
    return json_response(body)


def unready(state: State) -> str:
    """Why the service may take no traffic; empty if it may. state: the app's."""
    if state.stop.begun:
        return "the service stops"
    if state.source and (why := state.source.waiting()):
        return str(why)
    return "; ".join(f"{name}: {reason}" for name, reason in state.repository.waiting().items())


@router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Prometheus's text format, summed over all workers."""
    found: Metrics = request.app.state.metrics
    return Response(await found.exposition(), media_type=CONTENT_TYPE_LATEST)
