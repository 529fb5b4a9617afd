"""One worker's side of an order: it carries out what comes through the pipe, and always says how that ended."""

import asyncio
from multiprocessing import Pipe
from pathlib import Path

import pytest

from app.errors import ModelNotFound
from app.inference.memory import Room
from app.manifest import ModelConfig
from app.metrics import Metrics
from app.orders import Message, Order, Orders
from app.repository import LoadLimits, Repository


class Stumbling(Repository):
    """Carries no order out. error: why not."""

    def __init__(self, folder: Path, error: Exception) -> None:
        super().__init__(folder, Metrics(), LoadLimits(cores=1, timeout_s=60, room=Room(0, 1)))
        self.error = error

    async def load_model(self, name: str, config: ModelConfig | None = None) -> None:  # noqa: ARG002
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModelNotFound("no model"), ModelNotFound("no model")),
        (ZeroDivisionError("a bug"), RuntimeError("a worker could not carry out the order; its log has the reason")),
    ],
)
def test_whatever_goes_wrong_with_an_order_is_told(tmp_path: Path, error: Exception, told: Exception) -> None:
    here, there = Pipe()

    async def worker() -> Message:
        Orders(Stumbling(tmp_path, error), there).listen()
        here.send(Message("carry out", 7, Order("load", "m")))
        assert await asyncio.to_thread(here.poll, 10), "no word of the order"
        answer: Message = here.recv()
        return answer

    answer = asyncio.run(worker())
    assert (answer.kind, answer.number) == ("done", 7)
    assert (type(answer.error), str(answer.error)) == (type(told), str(told))
