"""One queue per model: the only module that waits for a batch and runs it off the event loop.

The oldest request runs as soon as an instance is free, with all that fit beside it; what arrives meanwhile is the
next batch. So a batch costs no waiting: an idle model runs at once, a busy one fills up by itself. A queue delay, if
one is set, holds an idle instance back until the batch is full or the oldest request has waited that long.

All methods belong to the event loop's thread; only `_compute` runs elsewhere.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

from app.errors import DeadlineExceeded, QueueFull
from app.inference import batch
from app.inference.signature import Tensors
from app.metrics import STAGES, ModelMetrics

DEFAULT_PRIORITY = 100
"""Of a request that names none: there is room before it and behind it."""


@dataclass(frozen=True)
class Limits:
    """How requests share runs.

    max_rows:       rows of one run; None runs every request by itself, whole.
    queue_delay_s:  how long an idle instance waits for company.
    max_queue_rows: rows that may wait; a request that finds the queue empty is always let in.
    deadline_s:     from arrival to answer.
    instances:      runs at one time.
    """

    max_rows: int | None
    queue_delay_s: float
    max_queue_rows: int
    deadline_s: float
    instances: int


@dataclass(eq=False)
class _Waiting:
    """A request, or a piece of one, on its way through the queue.

    kind:  equal for those that may share a run; None runs alone.
    spent: seconds by stage, once it has been through them.
    """

    tensors: Tensors
    rows: int
    kind: Hashable | None
    priority: int
    arrived: float
    answer: asyncio.Future[Tensors]
    timer: asyncio.TimerHandle = field(init=False)
    queued: bool = True
    spent: dict[str, float] = field(default_factory=dict)


def _is_empty(tensors: Tensors) -> bool:
    """Without elements there are no rows to put together: such a request runs whole and alone."""
    return any(tensor.size == 0 for tensor in tensors.values())


class Scheduler:
    """Batches the requests of one model.

    run: tensors -> tensors, blocking and thread-safe; called from up to `limits.instances` threads.
    """

    def __init__(self, run: Callable[[Tensors], Tensors], limits: Limits, metrics: ModelMetrics, name: str) -> None:
        self._run, self._limits, self._metrics, self._name = run, limits, metrics, name
        self._pool = ThreadPoolExecutor(limits.instances, thread_name_prefix=f"run-{name}")
        self._queue: deque[_Waiting] = deque()
        self._queue_rows = 0
        self._running = 0
        self._wake: asyncio.Handle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._seconds_per_row = 0.0

    async def submit(
        self, tensors: Tensors, rows: int, deadline_s: float | None = None, priority: int = 0, *, alone: bool = False
    ) -> Tensors:
        """The outputs for these rows, whatever the runs they travelled in.

        priority: 1 is the most urgent, larger numbers wait behind smaller ones; 0 counts as DEFAULT_PRIORITY.
        alone:    in one run, whole and without company.

        Raises QueueFull at once, DeadlineExceeded after the deadline (the model's, or a nearer one of the request),
        and what the run raises. Cancelling the caller takes its rows out of the queue.
        """
        rows = max(rows, 1)  # without rows a request still takes a place
        self._admit(rows)
        limit = min(deadline_s or math.inf, self._limits.deadline_s)
        rank = priority or DEFAULT_PRIORITY
        if alone or self._limits.max_rows is None or _is_empty(tensors):
            pieces = [self._enqueue(tensors, rows, None, limit, rank)]
        else:
            cut = batch.cut(tensors, rows, self._limits.max_rows)
            pieces = [self._enqueue(piece, count, batch.kind(piece), limit, rank) for piece, count in cut]
        try:
            answers = (
                [await pieces[0].answer] if len(pieces) == 1 else await asyncio.gather(*(p.answer for p in pieces))
            )
            self._metrics.stages({stage: sum(p.spent[stage] for p in pieces) for stage in STAGES})
            return batch.stack(answers)
        finally:
            for piece in pieces:
                self._leave(piece)

    async def drained(self) -> None:
        """Once nothing waits and nothing runs."""
        await self._idle.wait()

    async def close(self) -> None:
        """Finish what was accepted, then end the threads."""
        await self.drained()
        await asyncio.to_thread(self._pool.shutdown)

    def _admit(self, rows: int) -> None:
        if self._queue_rows and self._queue_rows + rows > self._limits.max_queue_rows:
            wait = self._queue_rows * self._seconds_per_row / self._limits.instances
            raise QueueFull(
                f"model {self._name} is busy: {self._queue_rows} rows wait, at most {self._limits.max_queue_rows} may",
                retry_after_s=wait,
            )

    def _enqueue(
        self, tensors: Tensors, rows: int, kind: Hashable | None, deadline_s: float, priority: int
    ) -> _Waiting:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(tensors, rows, kind, priority, perf_counter(), loop.create_future())
        waiting.timer = loop.call_later(deadline_s, self._expire, waiting, deadline_s)
        place = len(self._queue)
        while place and self._queue[place - 1].priority > priority:
            place -= 1
        self._queue.insert(place, waiting)
        self._count(rows)
        self._idle.clear()
        if self._wake is None or self._is_full():
            self._wake_in(0)
        return waiting

    def _count(self, rows: int) -> None:
        self._queue_rows += rows
        self._metrics.queue_rows.inc(rows)

    def _expire(self, waiting: _Waiting, deadline_s: float) -> None:
        if not waiting.answer.done():
            waiting.answer.set_exception(DeadlineExceeded(f"no answer from {self._name} within {deadline_s:g} s"))

    def _leave(self, waiting: _Waiting) -> None:
        """The caller has its answer, or has gone; a request that still waits gives up its place."""
        waiting.timer.cancel()
        waiting.answer.cancel()
        if waiting.queued:
            self._queue.remove(waiting)
            self._unqueue(waiting)
            self._rest_if_idle()

    def _unqueue(self, waiting: _Waiting) -> None:
        waiting.queued = False
        self._count(-waiting.rows)

    def _rest_if_idle(self) -> None:
        if not self._queue and not self._running:
            self._idle.set()

    def _wake_in(self, seconds: float) -> None:
        """Dispatch once, after this turn of the loop at the earliest, so that all that arrived in it go together."""
        if self._wake is not None:
            self._wake.cancel()
        loop = asyncio.get_running_loop()
        self._wake = loop.call_later(seconds, self._dispatch) if seconds else loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Start as many runs as there are free instances and ripe batches."""
        self._wake = None
        while self._queue and self._running < self._limits.instances:
            if pause := self._pause():
                self._wake_in(pause)
                return
            if taken := self._take():
                self._start(taken)
        self._rest_if_idle()  # all that waited may have expired

    def _is_full(self) -> bool:
        return self._limits.max_rows is None or self._queue_rows >= self._limits.max_rows

    def _pause(self) -> float:
        """Seconds that the oldest request may still wait for company; 0 when its batch is to run now."""
        if not self._limits.queue_delay_s or self._is_full():
            return 0.0
        oldest = min(waiting.arrived for waiting in self._queue)  # an urgent one in front may have come later
        return max(0.0, oldest + self._limits.queue_delay_s - perf_counter())

    def _take(self) -> list[_Waiting]:
        """The oldest request and all that fit beside it, out of the queue; the order of the others stays."""
        taken: list[_Waiting] = []
        passed_over: list[_Waiting] = []
        room = self._limits.max_rows or 0
        while self._queue and (room > 0 or not taken):
            waiting = self._queue.popleft()
            if waiting.answer.done():
                self._unqueue(waiting)
            elif not taken or (waiting.kind == taken[0].kind and waiting.rows <= room):
                taken.append(waiting)
                self._unqueue(waiting)
                room = 0 if waiting.kind is None else room - waiting.rows
            else:
                passed_over.append(waiting)
        self._queue.extendleft(reversed(passed_over))
        return taken

    def _start(self, taken: list[_Waiting]) -> None:
        now = perf_counter()
        for waiting in taken:
            waiting.spent["queue"] = now - waiting.arrived
            self._metrics.queue_seconds.observe(waiting.spent["queue"])
        self._running += 1
        run = asyncio.get_running_loop().run_in_executor(self._pool, self._compute, taken)
        run.add_done_callback(lambda done: self._finish(taken, done.result()))

    def _compute(self, taken: Sequence[_Waiting]) -> list[Tensors | Exception]:
        """One result, or the reason there is none, per request. A batch that fails is tried again in halves, so that
        only the request that makes it fail goes without an answer."""
        rows = [waiting.rows for waiting in taken]
        started = perf_counter()
        try:
            stacked = batch.stack([waiting.tensors for waiting in taken])
            ready = perf_counter()
            outputs = self._run(stacked)
            computed = perf_counter()
            results: list[Tensors | Exception] = [outputs] if taken[0].kind is None else [*batch.split(outputs, rows)]
        except Exception as error:  # noqa: BLE001 - whatever it is must reach its caller, who would wait for ever
            if len(taken) == 1:
                return [error]
            half = len(taken) // 2
            return self._compute(taken[:half]) + self._compute(taken[half:])
        spent = {"input": ready - started, "infer": computed - ready, "output": perf_counter() - computed}
        for waiting in taken:
            waiting.spent |= spent
        self._measure(sum(rows), spent)
        return results

    def _measure(self, rows: int, spent: dict[str, float]) -> None:
        self._metrics.run(rows, spent)
        self._seconds_per_row += 0.2 * (sum(spent.values()) / max(rows, 1) - self._seconds_per_row)

    def _finish(self, taken: list[_Waiting], results: list[Tensors | Exception]) -> None:
        self._running -= 1
        for waiting, result in zip(taken, results, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(result, Exception):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)
        if self._queue:
            self._dispatch()
        self._rest_if_idle()
