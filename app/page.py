"""The page for people at `/`: its HTML, and what it shows of all models at one glance.

Figures are totals since the start; the page turns the difference between two looks into rates and percentiles.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, Response
from prometheus_client import Metric

from app import __version__
from app.bodies import body_response, dumped, json_response
from app.errors import ModelNotFound
from app.inference.drift import FEWEST_ROWS
from app.layout import Entry, Version
from app.manifest import PAGE
from app.metrics import Metrics
from app.web import find_model, repository

HTML = Path(__file__).parent / "static" / "page" / "index.html"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html"
)
"""Nothing from anywhere else, nothing inline; lit-html alone may turn a text into elements."""

REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""A report comes from a model's folder: it may show pictures and nothing else."""

FRESH_S = 1.0
"""Looks within this time share one reading of the metrics, however many pages are open."""

FRESH_READINGS = 20
"""As do looks within so many times what a reading takes: 300 models take a fifth of a second, so every 4 s."""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def root(request: Request) -> Response:
    """The page for a browser, a sign of life for a client."""
    headers = {"vary": "accept"}
    if "text/html" not in request.headers.get("accept", ""):
        return json_response({"status": "alive"}, headers=headers)
    headers |= {
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
    return FileResponse(HTML, headers=headers)


@router.get("/page/overview")
async def overview(request: Request) -> Response:
    """Every model with its versions and figures, those that did not load with their reason."""
    models, figures = repository(request), await request.app.state.figures.latest()
    waiting = models.waiting()
    body = {
        "service": {
            "version": __version__,
            "repository_control": request.app.state.repository_control,
            "ready": not waiting,
            "waiting": waiting,
        },
        "models": [_described(entry, figures.get(entry.name, Live())) for entry in models.entries()],
    }
    return await body_response(request, dumped(body), {"cache-control": "no-store"}, "application/json")


@router.get("/page/models/{name}/versions/{version}/report")
async def report(request: Request, name: str, version: str) -> Response:
    """What the training of a version wrote for people. Raises ModelNotFound where it wrote nothing."""
    model = find_model(request, "v1", name, version)
    file = repository(request).report(name, model.version)
    if file is None:
        raise ModelNotFound(f"model {name} version {model.version} has no {PAGE}")
    headers = {"content-security-policy": REPORT_POLICY, "referrer-policy": "no-referrer", "cache-control": "no-cache"}
    return FileResponse(file, headers=headers, media_type="text/html")


@router.get("/page/models/{name}/versions/{version}/drift")
async def drift(request: Request, name: str, version: str) -> Response:
    """What this worker saw and answered in the last hour beside the training's.

    compares: what of it the manifest has something to compare with, features or answers.
    """
    watched = find_model(request, "v1", name, version).drift
    told = await asyncio.to_thread(watched.told) if watched else []
    body = {
        "fewest_rows": FEWEST_ROWS,
        "compares": sorted(watched.kinds) if watched else [],
        "drift": [asdict(one) for one in told],
    }
    return await body_response(request, dumped(body), {"cache-control": "no-store"}, "application/json")


@dataclass
class Live:
    """One model's totals since the start, over all workers.

    failures: requests answered with a status of 400 or above.
    latency:  upper bound in seconds (infinity for the last) -> requests answered within it.
    """

    queue_rows: float = 0
    requests: float = 0
    failures: float = 0
    queue_seconds: float = 0
    runs: float = 0
    rows: float = 0
    compute_seconds: float = 0
    latency: defaultdict[float, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, sample: str, labels: dict[str, str], value: float) -> None:
        """Takes in one sample of a series, by its name."""
        match sample:
            case "headrace_queue_rows":
                self.queue_rows += value
            case "headrace_requests_total":
                self.requests += value
                self.failures += value if int(labels["status"]) >= 400 else 0
            case "headrace_queue_seconds_sum":
                self.queue_seconds += value
            case "headrace_batch_rows_sum":
                self.rows += value
            case "headrace_batch_rows_count":
                self.runs += value
            case "headrace_compute_seconds_sum":
                self.compute_seconds += value
            case "headrace_request_seconds_bucket":
                self.latency[float(labels["le"])] += value

    def told(self) -> dict[str, Any]:
        """As the page reads it; JSON has no infinity."""
        latency = [[None if bound == inf else bound, count] for bound, count in sorted(self.latency.items())]
        return {**vars(self), "latency": latency}


class Figures:
    """The totals of every model, read from the metrics now and then."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reading = asyncio.Lock()
        self._fresh_until = -inf
        self._totals: dict[str, Live] = {}

    async def latest(self) -> dict[str, Live]:
        """Model name -> its totals. Read in a thread, so that the event loop turns on."""
        async with self._reading:
            if (started := monotonic()) >= self._fresh_until:
                self._totals = await asyncio.to_thread(totals, await self._metrics.collect())
                ended = monotonic()
                self._fresh_until = ended + max(FRESH_S, FRESH_READINGS * (ended - started))
            return self._totals


def totals(collected: Iterable[Metric]) -> dict[str, Live]:
    """Every model's totals, summed over whatever other labels a series has."""
    found: dict[str, Live] = defaultdict(Live)
    for series in collected:
        for sample in series.samples:
            if model := sample.labels.get("model"):
                found[model].add(sample.name, sample.labels, sample.value)
    return dict(found)


def _described(entry: Entry, live: Live) -> dict[str, Any]:
    default = entry.serving[-1] if entry.serving else None
    manifest = default.model.manifest if default and default.model else None
    return {
        "name": entry.name,
        "title": manifest.title if manifest else "",
        "task": manifest.task if manifest else "",
        "reason": entry.reason,
        "versions": [_version(version, entry, version is default) for version in entry.versions.values()],
        "live": live.told(),
    }


def _version(version: Version, entry: Entry, default: bool) -> dict[str, Any]:
    model = version.model
    return {
        "version": version.number,
        "state": version.state,
        "reason": version.reason,
        "labels": entry.labels_of(version.number),
        "default": default,
        "batched": bool(model and model.signature.batched),
        "providers": list(model.nodes) if model else [],
        "missing_providers": model.missing_providers if model else [],
    }


def mount(app: FastAPI) -> None:
    """Adds the page and what it reads to the app."""
    app.state.figures = Figures(app.state.metrics)
    app.include_router(router)
