"""The service, built and wired from settings and closed again."""

import asyncio
import platform
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app import __version__, docs, page
from app.admission import Admission
from app.certificate import expiry_of
from app.errors import ServingError
from app.gate import Gate, InFlight
from app.heap import collect
from app.inference.drift import Drift, Second
from app.inference.memory import Room
from app.inference.pace import STALL_S
from app.inference.session import VERSION, available_providers
from app.inference.threads import cores
from app.keys import Keys
from app.lane import Lane
from app.metrics import Metrics
from app.openapi import Policy
from app.orders import Order, Orders
from app.prediction_log import PredictionLog
from app.protocols import ROUTERS, health
from app.protocols.allowance import BodyLimits
from app.protocols.v2 import HEADER_LENGTH
from app.refusals import install_error_answers
from app.remote.address import is_remote
from app.remote.cache import opened as opened_cache
from app.remote.source import Source
from app.repository import LoadLimits, Repository
from app.settings import Settings
from app.web import Edge, Record, Stop

FIGURES_INTERVAL_S = 1

KEYS_INTERVAL_S = 1

LOOP_INTERVAL_S = 0.1

DRIFT_INTERVAL_S, TOLD_EVERY = 1.0, 10
"""What was seen is counted so often, and told to Prometheus one time in ten."""

FILL_S = 20.0
"""For the store to give the first models, before workers say that it does not."""

CLOSE_S = 5.0
"""For models to end their last runs once all callers are answered or given up."""

log = structlog.get_logger("headrace")


class Service(NamedTuple):
    """The ASGI application, the lane that takes ordinary predictions before they come to it, what both know of a stop,
    and the figures of all."""

    app: ASGIApp
    lane: Lane | None
    stop: Stop
    metrics: Metrics
    orders: Orders


def create_app(
    settings: Settings,
    supervisor: Connection | None = None,
    orders: Sequence[Order] = (),
    settle: Callable[[], None] = collect,
    *,
    warm_first: bool = False,
) -> Service:
    """What one worker serves. Models load once its lifespan starts; until then it is alive, not ready.

    supervisor: of several workers, to whom orders are passed on. orders: given to the others before this one started.
    settle: the process's memory, once models have come or gone. warm_first: as one of several workers does, it takes no
    traffic before its models are loaded, since others answer meanwhile.
    """
    stop, in_flight, traces = Stop(), InFlight(settings.max_in_flight), None
    if settings.traced:
        from app.tracing import Traces  # nothing is to be paid for it where there are none

        traces = Traces()
    metrics = Metrics()
    keys = Keys(settings.api_key.get_secret_value(), settings.keys_file, 1 / settings.workers)
    metrics.inline_bound.set(STALL_S)
    available = cores()
    share = max(1, available // settings.workers)
    metrics.cores.set(share)
    metrics.build_info.labels(__version__, VERSION, platform.python_version()).set(1)
    if settings.tls_certificate:
        metrics.certificate_expiry.set(expiry_of(settings.tls_certificate, settings.tls_key))
    opened = {"/metrics": settings.open_metrics, "/openapi.json": settings.open_docs}
    gate = Gate(keys, settings.max_body_bytes, [path for path in opened if opened[path]], settings.hosts)
    room = Room(settings.load_memory_bytes, settings.workers)
    folder, source = _models(settings, metrics)
    predictions, see_of = None, None
    if settings.prediction_log:
        predictions = PredictionLog(
            settings.prediction_log, settings.prediction_log_share, settings.prediction_log_bytes, metrics
        )
        see_of = predictions.of
    repository = Repository(folder, metrics, LoadLimits(share, settings.load_timeout_s, room), see_of, settle)
    given, admission = Orders(repository, supervisor, source), Admission(repository, gate)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        log.info(
            "starting",
            headrace=__version__,
            onnxruntime=VERSION,
            providers=available_providers(),
            models=str(settings.models),
            cores=available,
            workers=settings.workers,
            threads_for_runs=share,
        )
        works = (
            _load(repository, source, given, orders),
            _keep_figures(app),
            given.tell_alive(),
            _keep_keys(keys, admission, metrics),
            _watch_loop(metrics),
            _watch_drift(repository, metrics),
        )
        tasks = [asyncio.create_task(work) for work in works]
        if predictions:
            tasks.append(asyncio.create_task(predictions.keep_written()))
        if source:
            tasks += [asyncio.create_task(w) for w in (source.keep_current(), _follow(repository, source, tasks[0]))]
        elif settings.poll_s:
            tasks.append(asyncio.create_task(_poll(repository, tasks[0], settings.poll_s)))
        if settings.workers > 1 or warm_first:
            await (_warm(tasks[0], source) if source else tasks[0])
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        try:
            await asyncio.wait_for(repository.close(), CLOSE_S)
        except TimeoutError:
            stop.runs_left = True
        if traces:
            await asyncio.to_thread(traces.close)
        log.info("stopped")

    app = FastAPI(
        title="Headrace",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.repository, app.state.metrics, app.state.orders = repository, metrics, given
    app.state.source = source
    app.state.max_body_bytes, app.state.nonfinite = settings.max_body_bytes, settings.nonfinite
    app.state.stop, app.state.in_flight = stop, in_flight
    app.state.max_explain_rows = settings.max_explain_rows
    app.state.repository_control = settings.repository_control
    limits = app.state.body_limits = BodyLimits(
        settings.max_image_pixels,
        settings.max_audio_samples,
        settings.max_json_depth,
        settings.max_inputs,
        settings.max_tensor_elements,
    )
    install_error_answers(app)
    for router in ROUTERS:
        app.include_router(router)
    page.mount(app)
    docs.mount(app, Policy(guarded=keys.wanted, nonfinite=settings.nonfinite))
    record = Record(metrics, settings.log_requests, traces)
    lane = None
    if settings.fast_lane:
        lane = Lane(admission, record, in_flight, settings.nonfinite, limits)
    return Service(_with_cors(Edge(app, gate, record), settings.cors_origins), lane, stop, metrics, given)


def _models(settings: Settings, metrics: Metrics) -> tuple[Path, Source | None]:
    """The folder of models, and where it is mirrored from, if it is. Raises OSError, ValueError."""
    if not is_remote(settings.models):
        return Path(settings.models), None
    cache = opened_cache(settings.mirror, settings.models)
    return cache.models, Source(settings.models, cache, metrics)


async def _warm(loading: asyncio.Task[None], source: Source) -> None:
    """Until the models are loaded; or, where the store gives none for so long that none of the workers has any, until
    somebody has to say why."""
    with suppress(TimeoutError):
        await asyncio.wait_for(source.filled(), FILL_S)
    if source.state.filled:
        await loading


async def _load(repository: Repository, source: Source | None, given: Orders, orders: Sequence[Order]) -> None:
    if source:
        await source.filled()
    await repository.load()
    if source:
        source.taken = True
    for order in orders:
        with suppress(ServingError):  # it is in the log and in the index
            await given.carry_out(order)
    given.listen()
    waiting = repository.waiting()
    log.info("ready" if not waiting else "not_ready", models=len(repository.models()), waiting=waiting)


async def _follow(repository: Repository, source: Source, loaded: asyncio.Task[None]) -> None:
    """Serve what the mirror shows."""
    await source.filled()
    seen = source.state.changes
    await asyncio.wait([loaded])
    while True:
        seen = await source.changed(seen)
        for _ in range(2):  # the second look finds what the first did: what is shown is whole
            await repository.poll()


async def _poll(repository: Repository, loaded: asyncio.Task[None], interval_s: float) -> None:
    await asyncio.wait([loaded])
    while True:
        await asyncio.sleep(interval_s)
        try:
            await repository.poll()
        except OSError as error:  # the folder itself cannot be read
            log.error("poll_failed", reason=error.strerror)


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Pages of these origins may call; outside the gate, since a browser asks first, and without the key."""
    if not origins:
        return app
    exposed = ("x-request-id", "retry-after", "server-timing", HEADER_LENGTH)
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=("*",), expose_headers=exposed
    )


async def _keep_keys(keys: Keys, admission: Admission, metrics: Metrics) -> None:
    """As their file has them; a head that was let in is looked at again."""
    metrics.tell_keys(keys.expiries)
    while True:
        await asyncio.sleep(KEYS_INTERVAL_S)
        if keys.changed():
            admission.forget()
            metrics.tell_keys(keys.expiries)


async def _watch_drift(repository: Repository, metrics: Metrics) -> None:
    """What the models see and answer, counted in a thread once a second and told now and then."""
    while True:
        for _ in range(TOLD_EVERY):
            await asyncio.sleep(DRIFT_INTERVAL_S)
            watched = [model.drift for model in repository.models() if model.drift]
            seen = [(drift, second) for drift in watched if (second := drift.take())]
            if seen:
                await asyncio.to_thread(_count, seen)
        models = [(model.name, model.version, model.drift) for model in repository.models() if model.drift]
        await asyncio.to_thread(_tell_drift, models, metrics)


def _count(seen: Sequence[tuple[Drift, Second]]) -> None:
    for drift, second in seen:
        drift.count(second)


def _tell_drift(models: Sequence[tuple[str, int, Drift]], metrics: Metrics) -> None:
    metrics.tell_drift(
        {(name, version, one.name, one.kind): one.figures for name, version, drift in models for one in drift.told()}
    )


async def _watch_loop(metrics: Metrics) -> None:
    """How late this loop comes to what is due."""
    while True:
        due = perf_counter() + LOOP_INTERVAL_S
        await asyncio.sleep(LOOP_INTERVAL_S)
        metrics.loop_stall_seconds.observe(max(0.0, perf_counter() - due))


async def _keep_figures(app: FastAPI) -> None:
    """Up to date for a scrape that reaches another worker."""
    metrics: Metrics = app.state.metrics
    while True:
        metrics.ready.set(not health.unready(app.state))
        metrics.in_flight.set(app.state.in_flight.count)
        metrics.flush()
        metrics.measure_process()
        await asyncio.sleep(FIGURES_INTERVAL_S)
