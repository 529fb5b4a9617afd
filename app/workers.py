"""Several serving processes under a supervisor, each with a listening socket of its own; or one without.

Sockets of their own (SO_REUSEPORT) let the kernel spread connections evenly; a shared one does not, and keeps taking
connections while its workers stop. The supervisor keeps each socket open too: what the kernel has accepted for a worker
that dies would be reset otherwise, and goes to the others.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

import structlog
from prometheus_client.multiprocess import mark_process_dead

from app import logs
from app.errors import ServingError
from app.orders import Alive, Connections, Message, Order
from app.remote.address import is_remote
from app.remote.cache import opened
from app.remote.process import Task, mirroring
from app.server import serve_here
from app.settings import Settings
from app.sockets import give_up, listen

MOST_EARLY_ENDS = 3
"""So many workers in a row that ended before they were warm: the next one would too."""

START_S = 60.0
"""Of silence before a worker's first word: on a busy machine imports alone take many times their two seconds."""

LAST_S = 10.0
"""What a worker may take to stop beside the draining and the answers: 5 s to close its models, and the rest."""

log = structlog.get_logger("headrace.workers")


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status. Raises OSError if the address cannot be had."""
    logs.configure(settings.log_format)
    if not is_remote(settings.models):
        return _serve(settings)
    cache = opened(settings.mirror, settings.models)
    with mirroring(Task(settings.models, cache, settings.poll_s, settings.log_format)):
        return _serve(settings)


def _serve(settings: Settings) -> int:
    if settings.workers == 1:
        return serve_here(settings, listen(settings.host, settings.port, shared=False))
    return Supervisor(settings).run()


def run_worker(settings: Settings, bound: socket.socket, supervisor: Connection, orders: Sequence[Order]) -> None:
    """What a worker process does."""
    threading.Thread(target=_stop_with_supervisor, daemon=True).start()
    logs.configure(settings.log_format)
    serve_here(settings, bound, supervisor, orders)


def _stop_with_supervisor() -> None:
    """A supervisor that was killed cannot stop its workers; they would keep the port from the next one."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)


@dataclass(eq=False)
class _Worker:
    """A process, this end of the pipe to it, and its listening socket.

    heard:  when it last said that its event loop turns; at first, START_S after it was started.
    warm:   it has loaded its models.
    """

    process: SpawnProcess
    pipe: Connection
    bound: socket.socket
    heard: float
    warm: bool = False

    def send(self, message: Message | Connections) -> None:
        """To a worker that has just died, nothing: its end is seen elsewhere."""
        with suppress(OSError):
            self.pipe.send(message)

    def stop(self) -> None:
        """It takes no new connections, answers those it has, and ends."""
        self.bound.close()
        self.process.terminate()


@dataclass
class _UnderWay:
    """An order that not all workers have carried out yet. number: the asking worker's own."""

    asked_by: _Worker
    number: int
    order: Order
    waiting_for: list[_Worker]
    error: ServingError | RuntimeError | None = None


class Supervisor:
    """Keeps `settings.workers` processes serving: starts them, replaces one that was killed, stops them all; and passes
    the orders of any of them on to all."""

    def __init__(self, settings: Settings) -> None:
        listen(settings.host, settings.port, shared=False).close()  # fails when another program has the port
        self._settings = settings
        self._reserved = listen(settings.host, settings.port, shared=True)
        self._port = self._reserved.getsockname()[1]
        self._metrics = Path(tempfile.mkdtemp(prefix="headrace-metrics-"))
        self._workers: list[_Worker] = []
        self._orders: dict[str, Order] = {}
        self._under_way: dict[int, _UnderWay] = {}
        self._numbers = count()
        self._signals = self._early_ends = 0

    def run(self) -> int:
        """Until a signal: 0, or 1 after a second one. Until a worker fails by itself, which the next one would do
        too: 1."""
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._metrics)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            self._workers = [self._start() for _ in range(self._settings.workers)]
            status = self._watch()
        finally:
            self._stop()
            shutil.rmtree(self._metrics, ignore_errors=True)
            self._reserved.close()
        return 1 if self._signals > 1 else status

    def _start(self) -> _Worker:
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        bound = listen(self._settings.host, self._port, shared=True)
        process = spawn.Process(target=run_worker, args=(self._settings, bound, there, [*self._orders.values()]))
        process.start()
        there.close()
        log.info("worker_started", worker=process.pid)
        worker = _Worker(process, here, bound, time.monotonic() + START_S)
        for number, under_way in self._under_way.items():
            self._pass_on(number, under_way, worker)
        return worker

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals += 1
        log.info("stopping", signal=signal.Signals(number).name)
        for worker in self._workers:
            worker.stop() if self._signals == 1 else worker.process.kill()

    def _watch(self) -> int:
        while not self._signals:
            self._listen()
            self._end_silent()
            for place, worker in enumerate(self._workers):
                status = worker.process.exitcode
                if status is None or self._signals:
                    continue
                self._early_ends = 0 if worker.warm else self._early_ends + 1
                if status > 0 or self._early_ends >= MOST_EARLY_ENDS:
                    log.error("worker_gave_up", worker=worker.process.pid, status=status)
                    return 1
                log.error("worker_ended", worker=worker.process.pid, status=status)
                mark_process_dead(worker.process.pid, str(self._metrics))  # type: ignore[no-untyped-call]
                self._forget(worker)
                self._workers[place] = self._start()
                self._hand_on(give_up(worker.bound))
        return 0

    def _hand_on(self, accepted: list[socket.socket]) -> None:
        """To the warm workers, in turn; to the new one, which takes them once it is warm, where there are none."""
        takers = [worker for worker in self._workers if worker.warm] or self._workers
        for place, worker in enumerate(takers):
            if share := accepted[place :: len(takers)]:
                worker.send(Connections(share))
        for connection in accepted:
            connection.close()

    def _end_silent(self) -> None:
        """A worker whose event loop does not turn answers nobody."""
        for worker in self._workers:
            silent_s = time.monotonic() - worker.heard
            if worker.process.exitcode is None and silent_s > self._settings.worker_timeout_s:
                log.error("worker_hangs", worker=worker.process.pid, silent_s=round(silent_s, 1))
                worker.process.kill()
                worker.process.join()

    def _listen(self) -> None:
        """Wait until a worker says something or ends, for half a second at most."""
        alive = [worker for worker in self._workers if worker.process.is_alive()]
        ready = wait([end for worker in alive for end in (worker.process.sentinel, worker.pipe)], timeout=0.5)
        for worker in alive:
            if worker.pipe in ready:
                self._hear(worker)

    def _hear(self, worker: _Worker) -> None:
        try:
            message: Message | Alive = worker.pipe.recv()
        except (EOFError, OSError):
            return  # it has ended
        if isinstance(message, Alive):
            worker.heard, worker.warm = time.monotonic(), message.warm
        elif message.kind == "ask":
            number, under_way = next(self._numbers), _UnderWay(worker, message.number, message.order, [])
            self._under_way[number] = under_way
            for one in self._workers:
                self._pass_on(number, under_way, one)
        else:
            self._tick_off(message.number, worker, message.error)

    @staticmethod
    def _pass_on(number: int, under_way: _UnderWay, worker: _Worker) -> None:
        under_way.waiting_for.append(worker)
        worker.send(Message("carry out", number, under_way.order))

    def _tick_off(self, number: int, worker: _Worker, error: ServingError | RuntimeError | None = None) -> None:
        """One worker has carried out an order, or never will; after the last of them the one that asked is told."""
        under_way = self._under_way[number]
        under_way.waiting_for.remove(worker)
        under_way.error = under_way.error or error
        if not under_way.waiting_for:
            del self._under_way[number]
            if not under_way.error:
                self._orders[under_way.order.model] = under_way.order
            under_way.asked_by.send(Message("done", under_way.number, under_way.order, under_way.error))

    def _forget(self, worker: _Worker) -> None:
        worker.pipe.close()
        for number, under_way in [*self._under_way.items()]:
            if worker in under_way.waiting_for:
                self._tick_off(number, worker)

    def _stop(self) -> None:
        """Ask every worker to finish; end those that have not when the time is over, or at a second signal."""
        processes = [worker.process for worker in self._workers]
        for worker in self._workers:
            worker.stop()
        end = time.monotonic() + self._settings.drain_s + self._settings.stop_timeout_s + LAST_S
        while time.monotonic() < end and self._signals < 2 and any(process.is_alive() for process in processes):
            self._listen()
            for worker in self._workers:
                if not worker.process.is_alive():
                    self._forget(worker)  # it carries out no order any more, and others wait for its word
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()
