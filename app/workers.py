"""One serving process, or several under a supervisor, each with a listening socket of its own.

Sockets of their own (SO_REUSEPORT) let the kernel spread connections evenly; a shared one does not, and keeps taking
connections while its workers stop.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
from prometheus_client.multiprocess import mark_process_dead

from app import logs
from app.parser import HttpProtocol
from app.settings import Settings

BACKLOG = 2048

log = structlog.get_logger("headrace.workers")


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status. Raises OSError if the address cannot be had."""
    logs.configure(settings.log_format)
    if settings.workers == 1:
        return serve_here(settings, listen(settings.host, settings.port, shared=False))
    return Supervisor(settings).run()


def listen(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound TCP socket; `shared` lets other processes of the same user bind the same port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def serve_here(settings: Settings, bound: socket.socket) -> int:
    """Serve in this process on a bound socket."""
    from app.main import create_app  # the supervisor runs no model, so it does not import onnxruntime

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)  # uvicorn puts its own in place, and raises the signal again when it has stopped
    host, port = bound.getsockname()[:2]
    log.info("listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")
    config = uvicorn.Config(
        create_app(settings),
        http=HttpProtocol,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        backlog=BACKLOG,
        timeout_graceful_shutdown=settings.stop_timeout_s,
    )
    uvicorn.Server(config).run(sockets=[bound])
    return 0


def _exit(_: int, __: FrameType | None) -> None:
    """A stop that was asked for is no failure."""
    sys.exit(0)


def run_worker(settings: Settings, port: int) -> None:
    """What a worker process does."""
    threading.Thread(target=_stop_with_supervisor, daemon=True).start()
    logs.configure(settings.log_format)
    serve_here(settings, listen(settings.host, port, shared=True))


def _stop_with_supervisor() -> None:
    """A supervisor that was killed cannot stop its workers; they would keep the port from the next one."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)


class Supervisor:
    """Keeps `settings.workers` processes serving: starts them, replaces one that was killed, stops them all."""

    def __init__(self, settings: Settings) -> None:
        listen(settings.host, settings.port, shared=False).close()  # fails when another program has the port
        self._settings = settings
        self._reserved = listen(settings.host, settings.port, shared=True)
        self._port = self._reserved.getsockname()[1]
        self._metrics = Path(tempfile.mkdtemp(prefix="headrace-metrics-"))
        self._workers: list[SpawnProcess] = []
        self._signals = 0

    def run(self) -> int:
        """Until a signal: 0. Until a worker fails by itself, which the next one would do too: 1."""
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._metrics)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            self._workers = [self._start() for _ in range(self._settings.workers)]
            return self._watch()
        finally:
            self._stop()
            shutil.rmtree(self._metrics, ignore_errors=True)
            self._reserved.close()

    def _start(self) -> SpawnProcess:
        worker = multiprocessing.get_context("spawn").Process(target=run_worker, args=(self._settings, self._port))
        worker.start()
        log.info("worker_started", worker=worker.pid)
        return worker

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals += 1
        log.info("stopping", signal=signal.Signals(number).name)

    def _watch(self) -> int:
        while not self._signals:
            wait([worker.sentinel for worker in self._workers], timeout=0.5)
            for place, worker in enumerate(self._workers):
                if worker.exitcode is None or self._signals:
                    continue
                if worker.exitcode > 0:
                    log.error("worker_gave_up", worker=worker.pid, status=worker.exitcode)
                    return 1
                log.error("worker_ended", worker=worker.pid, status=worker.exitcode)
                mark_process_dead(worker.pid, str(self._metrics))  # type: ignore[no-untyped-call]
                self._workers[place] = self._start()
        return 0

    def _stop(self) -> None:
        """Ask every worker to finish; end those that have not when the time is over, or at a second signal."""
        for worker in self._workers:
            if worker.is_alive():
                worker.terminate()
        end = time.monotonic() + self._settings.stop_timeout_s + 5
        while time.monotonic() < end and self._signals < 2 and any(worker.is_alive() for worker in self._workers):
            wait([worker.sentinel for worker in self._workers if worker.is_alive()], timeout=0.5)
        for worker in self._workers:
            if worker.is_alive():
                worker.kill()
            worker.join()
