"""One serving process: its socket, uvicorn over it, and how it stops.

At the first signal the service is no longer ready, and still serves for `drain_s`: load balancers need a while to look
elsewhere. Then it takes no new connections, and each of those it has ends with its next answer. What has not been
answered after `stop_timeout_s` is given up. A second signal ends the process at once.
"""

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

import structlog
import uvicorn

from app.heap import collect_and_freeze, keep_large_blocks_apart
from app.orders import Order
from app.parser import HttpProtocol, WireLimits
from app.settings import Settings
from app.sockets import give_up

if TYPE_CHECKING:
    from app.main import Service

BACKLOG = 2048

SPARE_FILES = 1024
"""Open files of a process beside its connections: models, pipes, libraries."""

log = structlog.get_logger("headrace.server")


class Server(uvicorn.Server):
    """uvicorn's, stopping as said above.

    supervised: signals come from the supervisor, which ends a worker that takes too long; a Ctrl-C that reaches all
    processes of a terminal is the supervisor's, and so is a second signal.
    """

    def __init__(self, config: uvicorn.Config, service: "Service", drain_s: float, *, supervised: bool) -> None:
        super().__init__(config)
        self._stop, self._drain_s, self._supervised = service.stop, drain_s, supervised
        self._metrics = service.metrics
        self._drained_at = 0.0
        self._waiting: list[socket.socket] = []
        self._adopting: set[asyncio.Task[None]] = set()
        service.orders.serve = self._adopt

    def serve_on(self, bound: socket.socket) -> None:
        """Until a stop is over."""
        self._waiting.append(bound.dup())
        self.run(sockets=[bound])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the names are uvicorn's)
        """On SIGTERM and SIGINT."""
        if self._supervised and (sig == signal.SIGINT or self.should_exit):
            return
        if self.should_exit:
            os._exit(1)
        log.info("stopping", signal=signal.Signals(sig).name, drain_s=self._drain_s)
        self._stop.begun = self.should_exit = True
        self._drained_at = monotonic() + self._drain_s

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second. True ends the serving."""
        if counter % 10 == 0:
            self._sweep()
        return await super().on_tick(counter) and monotonic() >= self._drained_at

    def _sweep(self) -> None:
        """Connections that take too long end, in a stop too."""
        now, open_now = asyncio.get_running_loop().time(), [*self.server_state.connections]
        for connection in open_now:
            assert isinstance(connection, HttpProtocol)
            connection.sweep(now)
        self._metrics.connections.set(len(open_now))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends with the connections, or with the time for it."""
        for server in self.servers:
            server.close()
        for listening in self._waiting:
            await self._take(await asyncio.to_thread(give_up, listening))
        await super().shutdown(sockets)
        if self._stop.runs_left:
            log.error("runs_left", told="a run would not end; it goes with the process")
            sys.stdout.flush()
            os._exit(0)

    def _adopt(self, accepted: list[socket.socket]) -> None:
        task = asyncio.create_task(self._take(accepted))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _take(self, accepted: list[socket.socket]) -> None:
        await asyncio.gather(*map(self._take_one, accepted))

    async def _take_one(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # its caller has left; of a TLS handshake: it failed or took too long
            await loop.connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def serve_here(
    settings: Settings, bound: socket.socket, supervisor: Connection | None = None, orders: Sequence[Order] = ()
) -> int:
    """Serve in this process on a bound socket; its exit status. orders: given before it started, to others."""
    signal.signal(signal.SIGTERM, _exit)  # from here until the server puts its own in place
    signal.signal(signal.SIGINT, signal.SIG_IGN if supervisor else _exit)
    keep_large_blocks_apart()
    gc.disable()  # what is imported stays: the collector would look at it again and again, for 6 % of the time
    from app.main import create_app  # the supervisor runs no model, so it does not import onnxruntime

    gc.enable()
    host, port = bound.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    log.info("listening", url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    service = create_app(settings, supervisor, orders, collect_and_freeze)
    _allow_files(settings.max_connections + SPARE_FILES)
    Server(configured(service, settings), service, settings.drain_s, supervised=supervisor is not None).serve_on(bound)
    return 0


def _allow_files(wanted: int) -> None:
    """The soft limit of open files is often 1,024, which is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def configured(service: "Service", settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the app."""
    from app.connection import LaneProtocol  # as above

    limits = WireLimits(
        connections=settings.max_connections,
        url_bytes=settings.max_url_bytes,
        head_bytes=settings.max_head_bytes,
        head_s=settings.head_timeout_s,
        body_s=settings.body_timeout_s,
        answer_s=settings.answer_timeout_s,
        rest_s=settings.keep_alive_s,
    )
    refused = service.metrics.refuse_connection
    protocol: Callable[..., HttpProtocol] = partial(HttpProtocol, limits=limits, refused=refused)
    if service.lane is not None:
        protocol = partial(LaneProtocol, lane=service.lane, limits=limits, refused=refused)
    return uvicorn.Config(
        service.app,
        http=protocol,  # type: ignore[arg-type] # a class is wanted, and what makes one is enough
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        headers=[("x-content-type-options", "nosniff")],
        lifespan="on",
        backlog=BACKLOG,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=settings.stop_timeout_s,
    )


def _exit(_: int, __: FrameType | None) -> None:
    """A stop that was asked for is no failure."""
    sys.exit(0)
