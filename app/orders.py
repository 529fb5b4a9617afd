"""Orders to load and unload models reach every worker, whichever of them a caller meets; and what else a supervisor and
its workers tell each other.

A worker passes an order to the supervisor, which passes it to all workers, waits for their word and answers. A worker
that takes the place of a dead one starts with the orders given so far. One worker alone carries out its own. Where
models come from a store, the worker that is asked for a load first has the model mirrored.

The supervisor reads these messages too, so nothing here imports onnxruntime.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Literal

import structlog

from app.errors import ModelLoadFailed, ModelNotFound, ModelNotReady, ServingError
from app.manifest import ModelConfig

if TYPE_CHECKING:
    from app.remote.source import Source
    from app.repository import Repository

log = structlog.get_logger("headrace.orders")


@dataclass(frozen=True)
class Order:
    """config: of a load, in place of the folder's config.yaml."""

    verb: Literal["load", "unload"]
    model: str
    config: ModelConfig | None = None


@dataclass(frozen=True)
class Message:
    """Between a worker and the supervisor, either way.

    number: tells orders that are under way apart. error: why the order was not carried out, or not everywhere; a
    RuntimeError stands for a bug, which is in the log of its worker.
    """

    kind: Literal["ask", "carry out", "done"]
    number: int
    order: Order
    error: ServingError | RuntimeError | None = None


@dataclass(frozen=True)
class Alive:
    """From a worker to the supervisor: its event loop turns. warm: its models are loaded."""

    warm: bool


@dataclass(frozen=True)
class Connections:
    """From the supervisor to a worker: it is to serve these, which waited for a worker that has died."""

    accepted: list[socket.socket]


ALIVE_INTERVAL_S = 1.0


class Orders:
    """What one worker gives and takes. supervisor: None for a worker that is alone. source: None for a plain folder.

    serve:  what to do with connections that come from the supervisor; to be set by whoever serves.
    """

    serve: Callable[[list[socket.socket]], None]

    def __init__(self, repository: "Repository", supervisor: Connection | None, source: "Source | None" = None) -> None:
        self._repository, self._supervisor, self._source = repository, supervisor, source
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._warm = False

    async def give(self, order: Order) -> None:
        """Once every worker has carried it out. Raises what any of them stumbled over.

        A load is carried out even where the store does not give all that it may have by now; ModelNotReady says so.
        """
        wrong = await self._source.look(order.model) if self._source and order.verb == "load" else ""
        try:
            await self._give(order)
        except (ModelLoadFailed, ModelNotFound) as error:
            raise type(error)(f"{error}; {wrong}" if wrong else str(error)) from error
        if wrong:
            raise ModelNotReady(f"model {order.model} serves what was mirrored before; {wrong}", loading=True)

    async def _give(self, order: Order) -> None:
        if self._supervisor is None:
            await self.carry_out(order)
            return
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._supervisor.send(Message("ask", number, order))
        await self._asked[number]

    async def carry_out(self, order: Order) -> None:
        """On this worker alone."""
        if order.verb == "load":
            await self._repository.load_model(order.model, order.config)
        else:
            await self._repository.unload_model(order.model)

    def listen(self) -> None:
        """The models are loaded: from now on take the supervisor's messages, which have waited."""
        self._warm = True
        if self._supervisor is not None:
            asyncio.get_running_loop().add_reader(self._supervisor.fileno(), self._receive)

    async def tell_alive(self) -> None:
        """Again and again, for ever, as long as there is somebody to tell."""
        while self._supervisor is not None:
            with suppress(OSError):  # the supervisor is gone, and this worker goes too
                self._supervisor.send(Alive(self._warm))
            await asyncio.sleep(ALIVE_INTERVAL_S)

    def _receive(self) -> None:
        assert self._supervisor is not None
        try:
            message: Message | Connections = self._supervisor.recv()
        except (EOFError, OSError):  # the supervisor is gone, and this worker goes too
            asyncio.get_running_loop().remove_reader(self._supervisor.fileno())
            return
        if isinstance(message, Connections):
            self.serve(message.accepted)
            return
        if message.kind == "done":
            asked = self._asked.pop(message.number)
            if not asked.done():
                asked.set_exception(message.error) if message.error else asked.set_result(None)
            return
        task = asyncio.create_task(self._obey(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, message: Message) -> None:
        error: ServingError | RuntimeError | None = None
        try:
            await self.carry_out(message.order)
        except ServingError as stumbled:
            error = stumbled
        except Exception:  # whoever asked waits for a word from every worker
            log.exception("order_failed", verb=message.order.verb, model=message.order.model)
            error = RuntimeError("a worker could not carry out the order; its log has the reason")
        assert self._supervisor is not None
        self._supervisor.send(Message("done", message.number, message.order, error))
