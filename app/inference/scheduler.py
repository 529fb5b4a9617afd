"""One queue per model: the only module that waits for a batch, and decides where it runs.

The oldest request runs as soon as an instance is free, with all that fit beside it; what arrives meanwhile is the
next batch. So a batch costs no waiting: an idle model runs at once, a busy one fills up by itself. A queue delay, if
one is set, holds an idle instance back until the batch is full or the oldest request has waited that long.

A batch whose run was measured to be too short to be worth the way to a thread runs on the event loop, one a turn;
every other one in a thread, each free thread taking its share of what waits.

A run that nobody waits for any more is abandoned: its instance is wanted by others.

All methods belong to the event loop's thread; only `_work` runs elsewhere.
"""

import asyncio
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

from app.errors import DeadlineExceeded, QueueFull
from app.inference import batch
from app.inference.batch import Rows
from app.inference.pace import Pace
from app.inference.runs import Abandonable, Computed, Entry, Outcome, See, Stacked, compute, outcome_of, stack
from app.inference.signature import Tensors
from app.inference.timing import CURRENT, Timing, tell_run
from app.tally import ModelTally

AHEAD_S = 2e-3
"""A run up to here is short beside the way of its batch to a thread."""

STACKED_HERE_BYTES = 2**20
"""Up to here a batch for a thread is put together on the event loop: a copy of a millisecond at most, where the thread
would wait for the interpreter's lock twice."""

LEARNT = 0.2
"""The share of a new run in what is known of how long runs take."""

PRUDENCE = 0.7
"""Of the deadline, for what waits before a request and for its own run: on a busy machine runs take longer."""

NICE = 10
"""Of threads with long runs: a ninth of an ordinary thread's share where both want the same core."""

DEFAULT_PRIORITY = 100
"""Of a request that names none: there is room before it and behind it."""

BEHIND_ALL = 2**64
"""Behind whatever a caller can name. Such requests share runs with nobody else, may take half of the queue, and count
for no other request as rows that wait: so they make others wait for a run that has begun, and for nothing more."""


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


class _Batch(NamedTuple):
    """Entries that run together in a thread."""

    entries: Sequence[Entry]
    run: Abandonable


def _give_way() -> None:
    """This thread, whose runs are long, steps aside where the event loop wants its core: four networks at once on two
    cores, a small one's p99 was 70 ms, and 14 so. On Linux a thread has a priority of its own."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _is_empty(tensors: Tensors) -> bool:
    """Without elements there are no rows to put together: such a request runs whole and alone."""
    return any(tensor.size == 0 for tensor in tensors.values())


class Scheduler:
    """Batches the requests of one model.

    run:   tensors -> tensors, blocking; for runs on the event loop.
    begin: makes the same for one batch in a thread; used in up to `limits.instances` threads at once.
    pace:  how long runs take.
    see:   are shown every run that answered callers, explanations' aside.
    """

    def __init__(
        self,
        run: Callable[[Tensors], Tensors],
        begin: Callable[[], Abandonable],
        limits: Limits,
        pace: Pace,
        tally: ModelTally,
        name: str,
        see: Sequence[See] = (),
    ) -> None:
        self._run, self._begin = run, begin
        self._limits, self._pace, self._tally, self._name, self._see = limits, pace, tally, name, see
        long = pace.expected_s(1) > AHEAD_S
        self._pool = ThreadPoolExecutor(
            limits.instances, thread_name_prefix=f"run-{name}", initializer=_give_way if long else None
        )
        self._queue: deque[Entry] = deque()
        self._queue_rows, self._rows_behind = 0, 0
        self._running: list[_Batch] = []
        self._wake: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf
        self._idle = asyncio.Event()
        self._idle.set()
        self._seconds_per_row, self._drag = 0.0, 1.0

    async def submit(
        self, tensors: Tensors, rows: int, deadline_s: float | None = None, priority: int = 0, *, alone: bool = False
    ) -> Tensors:
        """The outputs for these rows, whatever the runs they travelled in.

        priority: 1 is the most urgent, larger numbers wait behind smaller ones; 0 counts as DEFAULT_PRIORITY. See
                  BEHIND_ALL.
        alone:    in one run, whole and without company.

        Raises QueueFull at once, DeadlineExceeded after the deadline (the model's, or a nearer one of the request),
        and what the run raises. Cancelling the caller takes its rows out of the queue.
        """
        rows = max(rows, 1)  # without rows a request still takes a place
        self._admit(rows, priority)
        loop = asyncio.get_running_loop()
        limit = min(deadline_s or math.inf, self._limits.deadline_s)
        if alone or self._limits.max_rows is None or _is_empty(tensors):
            pieces = [(tensors, rows, batch.whole_kind(tensors), True)]
        else:
            cut = batch.cut(tensors, rows, self._limits.max_rows)
            pieces = [(piece, count, batch.kind(piece), False) for piece, count in cut]
        answers = [loop.create_future() for _ in pieces]
        timing = CURRENT.get(None) or Timing()
        entries = [
            self._enqueue(*piece, _resolve(answer), limit, priority, timing)
            for piece, answer in zip(pieces, answers, strict=True)
        ]
        if self._wake is None or self._is_full():
            self._wake_in(0)
        try:
            parts = [await answers[0]] if len(answers) == 1 else await asyncio.gather(*answers)
            return batch.stack([part.tensors() for part in parts])
        finally:
            for entry, answer in zip(entries, answers, strict=True):
                answer.cancel()
                self.leave(entry)

    def enter(
        self, tensors: Tensors, rows: int, kind: Hashable, done: Callable[[Rows | Exception], None], timing: Timing
    ) -> Entry:
        """Queue a request of at most `max_rows` rows, of the default priority and deadline. Raises QueueFull.

        Whoever calls it calls `dispatch` too, once all that arrived in this turn of the loop has entered.
        """
        self._admit(rows, 0)
        return self._enqueue(tensors, rows, kind, False, done, self._limits.deadline_s, 0, timing)

    def run_now(
        self, pieces: Sequence[Tensors], rows: Sequence[int], kind: Hashable, timings: Sequence[Timing]
    ) -> Sequence[Rows] | None:
        """The outputs of requests that came in one turn of the loop, if they are next and their run is short: then it
        is made at once. None if they have to enter the queue, which also finds out which of them makes a run fail.

        pieces: the requests' tensors, stacked already or not. rows, timings: of each request.
        """
        if self._queue or len(self._running) >= self._limits.instances or self._limits.queue_delay_s:
            return None
        if not self._pace.is_short(kind, rows[0]) or sum(rows) > self._room_here():
            return None
        started = perf_counter()
        try:
            outcome = outcome_of(self._run, stack(pieces), rows, alone=False)
        except Exception:  # noqa: BLE001 - whatever it is, it comes again in the queue
            return None
        self._tally.start([0.0] * len(rows), "full" if outcome.rows == self._limits.max_rows else "free")
        self._tally.inline(perf_counter() - started)
        for timing in timings:
            timing.arrived = timing.taken = started
        tell_run(timings, outcome.rows, outcome.began, outcome.infer_s)
        for see in self._see:
            see(outcome, rows, timings)
        self._measure(outcome, here=True)
        return outcome.results

    def leave(self, entry: Entry) -> None:
        """The caller has its answer, or has gone; a request that still waits gives up its place, and a run that is for
        nobody else is abandoned."""
        entry.over = True
        if entry.queued:
            self._queue.remove(entry)
            self._unqueue(entry)
            self._rest_if_idle()
            return
        for entries, run in self._running:
            if entry in entries and all(one.over for one in entries):
                run.abandon()

    async def drained(self) -> None:
        """Once nothing waits and nothing runs."""
        await self._idle.wait()

    async def close(self) -> None:
        """Finish what was accepted, then end the threads."""
        await self.drained()
        if self._timer:
            self._timer.cancel()
        await asyncio.to_thread(self._pool.shutdown)

    def refusal(self, rows: int = 1, priority: int = 0, ahead: int = 0) -> QueueFull | None:
        """Why a request of so many rows is not taken now: too many wait already, or for so long that its deadline would
        pass. None if it is taken.

        ahead: rows that have come before it and have not entered the queue yet.
        """
        waiting, most, limits = self._queue_rows - self._rows_behind + ahead, self._limits.max_queue_rows, self._limits
        if priority == BEHIND_ALL:
            waiting, most = self._queue_rows + ahead, most // 2
        too_many = waiting + rows > most
        if not waiting or not (too_many or waiting > (limits.max_rows or 1)):
            return None
        wait_s, run_s = self._wait_s(waiting)
        if too_many:
            told, reason = f"at most {most} may", "queue_rows"
        elif wait_s + 2 * run_s > PRUDENCE * limits.deadline_s:  # what runs now comes before, its own run after
            told = f"for {wait_s:.0f} s, too long for the deadline of {limits.deadline_s:g} s"
            reason = "queue_wait"
        else:
            return None
        return QueueFull(f"model {self._name} is busy: {waiting} rows wait, {told}", wait_s, reason)

    def _wait_s(self, waiting: int) -> tuple[float, float]:
        """For so many rows to be computed, in the largest batches that they make, and for one of those."""
        rows = min(waiting, self._limits.max_rows or 1)
        run_s = self._pace.expected_s(rows) * self._drag
        if not math.isfinite(run_s):
            run_s = rows * self._seconds_per_row
        return math.ceil(waiting / rows) * run_s / self._limits.instances, run_s

    def _admit(self, rows: int, priority: int) -> None:
        if refusal := self.refusal(rows, priority):
            raise refusal

    def _enqueue(
        self,
        tensors: Tensors,
        rows: int,
        kind: Hashable,
        alone: bool,
        done: Callable[[Rows | Exception], None],
        deadline_s: float,
        priority: int,
        timing: Timing,
    ) -> Entry:
        now = perf_counter()
        timing.enter(now)
        rank = priority or DEFAULT_PRIORITY
        entry = Entry(tensors, rows, kind, alone, rank, now, now + deadline_s, done, timing)
        place = len(self._queue)
        while place and self._queue[place - 1].priority > rank:
            place -= 1
        self._queue.insert(place, entry)
        self._count(rows, rank)
        self._idle.clear()
        if entry.due < self._timer_due:
            self._arm(entry.due, now)
        return entry

    def _count(self, rows: int, rank: int) -> None:
        self._queue_rows += rows
        if rank == BEHIND_ALL:
            self._rows_behind += rows
        self._tally.queue(self._queue_rows)

    def _arm(self, due: float, now: float) -> None:
        """One timer for the nearest deadline of all: a timer for each request costs it a microsecond or two."""
        if self._timer:
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(due - now, self._expire)

    def _expire(self) -> None:
        """Answer those whose deadline has passed; what still waits of them leaves the queue."""
        now = perf_counter()
        running = (entries for entries, _ in self._running)
        known = [entry for entries in (self._queue, *running) for entry in entries if not entry.over]
        for entry in known:
            if entry.due <= now:
                self.leave(entry)
                entry.done(DeadlineExceeded(f"no answer from {self._name} within {entry.due - entry.arrived:g} s"))
        self._timer, self._timer_due = None, math.inf
        if left := [entry.due for entry in known if not entry.over]:
            self._arm(min(left), now)

    def _unqueue(self, entry: Entry) -> None:
        entry.queued = False
        self._count(-entry.rows, entry.priority)

    def _rest_if_idle(self) -> None:
        if not self._queue and not self._running:
            self._idle.set()

    def _wake_in(self, seconds: float) -> None:
        """Dispatch once, after this turn of the loop at the earliest, so that all that arrived in it go together."""
        if self._wake is not None:
            self._wake.cancel()
        loop = asyncio.get_running_loop()
        self._wake = loop.call_later(seconds, self.dispatch) if seconds else loop.call_soon(self.dispatch)

    def dispatch(self) -> None:
        """Start as many runs as there are free instances and ripe batches; on the event loop one at most."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        while self._queue and len(self._running) < self._limits.instances + self._ahead():
            if pause := self._pause():
                self._wake_in(pause)
                return
            if len(self._running) < self._limits.instances and self._is_short():
                self._run_here()
                return
            self._run_in_thread()
        self._rest_if_idle()

    def _ahead(self) -> int:
        """A short batch is made ready before a thread is free for it: the way over the event loop and back left the
        threads idle for a third of the time."""
        first = self._queue[0]
        if first.priority == BEHIND_ALL:
            return 0
        return int(self._pace.knows(first.kind) and self._pace.expected_s(first.rows) <= AHEAD_S)

    def _is_full(self) -> bool:
        return self._limits.max_rows is None or self._queue_rows >= self._limits.max_rows

    def _pause(self) -> float:
        """Seconds that the oldest request may still wait for company; 0 when its batch is to run now."""
        if not self._limits.queue_delay_s or self._is_full():
            return 0.0
        oldest = min(entry.arrived for entry in self._queue)  # with priorities, not always the one in front
        return max(0.0, oldest + self._limits.queue_delay_s - perf_counter())

    def _is_short(self) -> bool:
        """Whether the first in the queue is not worth a thread."""
        return self._pace.is_short(self._queue[0].kind, self._queue[0].rows)

    def _room_here(self) -> int:
        """Rows of a run on the event loop, at most."""
        return min(self._limits.max_rows or 1, self._pace.bearable_rows)

    def _run_here(self) -> None:
        taken, started = self._take(self._room_here()), perf_counter()
        runs = compute(self._run, taken)
        self._tally.inline(perf_counter() - started)
        if self._queue:
            self._wake_in(0)
        self._deliver(runs, here=True)
        self._rest_if_idle()

    def _run_in_thread(self) -> None:
        """A free thread takes its share of what waits."""
        free = max(1, self._limits.instances - len(self._running))
        room = min(self._limits.max_rows or 1, math.ceil(self._queue_rows / free))
        taken = _Batch(self._take(room), self._begin())
        self._running.append(taken)
        size = sum([tensor.nbytes for entry in taken.entries for tensor in entry.tensors.values()])
        stacked = stack([entry.tensors for entry in taken.entries]) if size <= STACKED_HERE_BYTES else None
        self._pool.submit(self._work, taken, stacked, asyncio.get_running_loop())

    def _work(self, taken: _Batch, stacked: Stacked | None, loop: asyncio.AbstractEventLoop) -> None:
        """What a thread does."""
        loop.call_soon_threadsafe(self._finish, taken, compute(taken.run, taken.entries, stacked))

    def _finish(self, taken: _Batch, runs: Sequence[Computed]) -> None:
        self._running.remove(taken)
        if self._queue:
            self.dispatch()
        self._deliver(runs, here=False)
        self._rest_if_idle()

    def _take(self, room: int) -> list[Entry]:
        """The first in the queue and all that fit beside it in `room` rows; the order of the others stays."""
        first = self._queue.popleft()
        behind = first.priority == BEHIND_ALL
        taken, passed_over, room = [first], [], room - first.rows
        while self._queue and room > 0 and not first.alone:
            if self._queue[0].priority == BEHIND_ALL and not behind:
                break
            entry = self._queue.popleft()
            if entry.kind == first.kind and entry.rows <= room and not entry.alone:
                taken.append(entry)
                room -= entry.rows
            else:
                passed_over.append(entry)
        self._queue.extendleft(reversed(passed_over))
        now = perf_counter()
        for entry in taken:
            entry.queued = False
            entry.timing.take(now)
        self._count(-sum(entry.rows for entry in taken), first.priority)
        self._tally.start([now - entry.arrived for entry in taken], self._released(first, room))
        return taken

    def _released(self, first: Entry, room: int) -> str:
        """Why a batch began: see RELEASES. room: that it left."""
        if first.alone or self._limits.max_rows is None:
            return "whole"
        if room <= 0:
            return "full"
        return "delay" if self._limits.queue_delay_s else "free"

    def _deliver(self, runs: Sequence[Computed], *, here: bool) -> None:
        for entries, outcome in runs:
            results: Sequence[Rows | Exception]
            if isinstance(outcome, Exception):
                results = [outcome] * len(entries)
            else:
                self._measure(outcome, here=here)
                timings = [entry.timing for entry in entries]
                tell_run(timings, outcome.rows, outcome.began, outcome.infer_s)
                if self._see and entries[0].priority != BEHIND_ALL:
                    rows = [entry.rows for entry in entries]
                    for see in self._see:
                        see(outcome, rows, timings)
                results = outcome.results
            for entry, result in zip(entries, results, strict=True):
                if not entry.over:
                    entry.over = True
                    entry.done(result)

    def _measure(self, outcome: Outcome, *, here: bool) -> None:
        """here: run on the event loop."""
        rows, results, input_s, infer_s, output_s, _, _ = outcome
        self._tally.run(rows, len(results), input_s, infer_s, output_s)
        if not here:
            self._pace.fade()
        else:
            self._pace.learn(rows, infer_s)
        taken_s, expected_s = input_s + infer_s, self._pace.expected_s(rows)
        self._seconds_per_row += LEARNT * (taken_s / rows - self._seconds_per_row)
        if math.isfinite(expected_s):
            self._drag += LEARNT * (taken_s / expected_s - self._drag)


def _resolve(answer: asyncio.Future[Rows]) -> Callable[[Rows | Exception], None]:
    """Ends a future with what a run gave."""

    def done(result: Rows | Exception) -> None:
        if answer.done():  # cancelled in this very turn of the loop: its caller has had no time to leave
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    return done
