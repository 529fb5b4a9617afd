"""The one process that mirrors for all workers: its looks, its end, its replacement.

A process of its own, since the libraries of the stores are large, run Python all the while and may hang: what is served
knows nothing of it.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Literal

import structlog

from app import logs
from app.remote.backoff import wait_s
from app.remote.cache import Ask, Cache

if TYPE_CHECKING:
    from app.remote.mirror import Look, Mirror

TICK_S = 0.1

SETTLE_S = 2.0
"""Between two looks that find whether an upload is over, at the start and where nothing says how often to look."""

FIRST_LOOKS = 3
"""After which the service starts without what keeps changing, or failing."""

ASK_ROUNDS = 30
"""Looks at one model until it is taken for one that keeps changing."""

RETRY_S = 30.0
"""Between looks that try again what could not be fetched, where nothing says how often to look."""

STALL_S = 120.0
"""Without a byte from the store, after which the process is replaced; a library's own time-outs are far below."""

RESTART_S = 5.0

log = structlog.get_logger("headrace.mirror")


@dataclass(frozen=True)
class Task:
    """What to mirror where. poll_s: how often to look; 0 for once, and when a worker asks."""

    address: str
    cache: Cache
    poll_s: float
    log_format: Literal["auto", "json", "console"]


class Looks:
    """Look after look, at everything when it is time and at one model when a worker asks."""

    def __init__(self, task: Task, heard: Callable[[], None]) -> None:
        self._address, self._cache, self._poll_s, self._heard = task.address, task.cache, task.poll_s, heard
        self._mirror: Mirror | None = None
        self._state = task.cache.state()
        self._due = 0.0
        self._looks = self._failures = 0

    def run(self) -> None:
        """For ever. Raises OSError if the cache cannot be used at all."""
        with self._cache.alone(self._heard):
            while True:
                try:
                    if monotonic() >= self._due:
                        self.look()
                    for ask in self._cache.asked():
                        self._cache.tell_answer(ask, self._answer(ask))
                except OSError as error:
                    self._fail(f"the mirror's folder: {error.strerror}")
                    sleep(SETTLE_S)
                self._heard()
                sleep(TICK_S)

    def look(self) -> None:
        """At everything."""
        from app.remote.store import StoreFailed  # with the libraries of fsspec

        try:
            look = self._opened().look()
        except StoreFailed as error:
            self._fail(str(error))
            return
        self._looks += 1
        self._take(look, {})
        settled = not (look.pending or look.failed) or self._looks >= FIRST_LOOKS
        self._tell(
            failed="",
            looked_at=time(),
            filled=self._state.filled or (settled and any(self._cache.models.iterdir())),
            changes=self._state.changes + bool(look.shown or look.removed),
        )
        if self._failures:
            log.info("store_read_again", store=self._address, failures=self._failures)
        self._failures = 0
        wait = self._poll_s or (RETRY_S if look.failed else inf)
        if look.pending and not (self._state.filled and self._poll_s):
            wait = min(SETTLE_S, wait)
        self._due = monotonic() + wait

    def _fail(self, reason: str) -> None:
        """The store, or the folder, is tried again later."""
        again_s = wait_s(self._failures)
        self._failures += 1
        self._due = monotonic() + again_s
        told = {"failures": self._failures, "again_s": round(again_s, 1)}
        log.error("store_failed", store=self._address, reason=reason, **told)
        self._state = self._state.model_copy(update={"failed": reason})
        with suppress(OSError):  # the disk may be what fails
            self._tell()

    def _opened(self) -> "Mirror":
        """Raises StoreFailed."""
        from app.remote.mirror import Mirror
        from app.remote.store import Store

        if self._mirror is None:
            self._mirror = Mirror(Store(self._address, self._heard), self._cache, self._heard)
        return self._mirror

    def _answer(self, ask: Ask) -> str:
        """What is wrong with the store's versions of a model, after all of them that could be have been brought."""
        from app.remote.store import StoreFailed

        for _ in range(ASK_ROUNDS):
            try:
                look = self._opened().look(ask.model)
            except StoreFailed as error:
                return f"the models' store: {error}"
            others = {place: why for place, why in self._state.incomplete.items() if not _is_of(place, ask.model)}
            self._take(look, others)
            self._tell()
            if not look.pending:
                return "; ".join(f"{place}: {why}" for place, why in look.incomplete.items())
            sleep(min(self._poll_s or SETTLE_S, SETTLE_S))
        return "the models' store: its files keep changing"

    def _take(self, look: "Look", others: dict[str, str]) -> None:
        """Into the log and the state. others: versions that this look did not look at."""
        if look.shown or look.removed:
            log.info("mirrored", shown=look.shown, removed=look.removed)
        for place, why in look.incomplete.items():
            if self._state.incomplete.get(place) != why:
                log.error("version_not_taken", version=place, reason=why)
        self._state = self._state.model_copy(update={"incomplete": {**others, **look.incomplete}})

    def _tell(self, **changes: object) -> None:
        self._state = self._state.model_copy(update=changes)
        self._cache.tell(self._state)


def _is_of(place: str, model: str) -> bool:
    return place.partition("/")[0] == model


def run(task: Task, keeper: Connection) -> None:
    """What the process does, until it is ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all; the parent ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logs.configure(task.log_format)
    logging.getLogger().setLevel(logging.WARNING)  # the libraries tell of every key that they find
    logging.getLogger("headrace").setLevel(logging.INFO)
    last = 0.0

    def heard() -> None:
        nonlocal last
        if monotonic() - last > 1:
            last = monotonic()
            keeper.send(None)

    Looks(task, heard).run()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


@contextmanager
def mirroring(task: Task) -> Iterator[None]:
    """A process that mirrors, replaced when it ends or hangs."""
    stopping = threading.Event()
    keeper = threading.Thread(target=_keep, args=(task, stopping))
    keeper.start()
    try:
        yield
    finally:
        stopping.set()
        keeper.join()


def _keep(task: Task, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            told = _kept(task, stopping)
        except OSError as error:
            told = f"its mirror cannot be started: {error.strerror}"
        if not stopping.is_set():
            log.error("mirror_replaced", store=task.address, reason=told, again_s=RESTART_S)
            with suppress(OSError):
                task.cache.tell(task.cache.state().model_copy(update={"failed": told}))
            stopping.wait(RESTART_S)


def _kept(task: Task, stopping: threading.Event) -> str:
    """One process, from its start to its end; what the store is told to have failed by. Raises OSError."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    with here:
        process = spawn.Process(target=run, args=(task, there), daemon=True)
        with there:
            process.start()
        hangs = watch(here, stopping)
        process.kill() if hangs else process.terminate()
        process.join()
    return "it gives no sign of life" if hangs else f"its mirror ended with {process.exitcode}"


def watch(here: Connection, stopping: threading.Event) -> bool:
    """Until the process ends or there is a stop: False; until nothing has been heard for too long: True."""
    heard = monotonic()
    with suppress(EOFError, OSError):
        while not stopping.is_set():
            if here.poll(0.2):
                here.recv()
                heard = monotonic()
            elif monotonic() - heard > STALL_S:
                return True
    return False


@contextmanager
def fetched(address: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """All that a store holds now, in a folder that goes again; and what was not taken of it, with the reasons.

    Raises OSError if nothing can be had.
    """
    from app.remote.mirror import Mirror  # as above
    from app.remote.store import Store, StoreFailed

    with TemporaryDirectory(prefix="headrace-check-") as folder:
        cache = Cache(Path(folder))
        cache.prepare()
        try:
            mirror = Mirror(Store(address, _nothing), cache, _nothing)
            look = mirror.look()
            for _ in range(ASK_ROUNDS):
                if look.pending:
                    sleep(SETTLE_S)
                    look = mirror.look()
        except StoreFailed as error:
            raise OSError(f"{address}: {error}") from error
        yield cache.models, look.incomplete


def _nothing() -> None:
    """Nobody listens."""
