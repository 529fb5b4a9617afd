"""When batches form, on plain functions as runs: who travels with whom, who is refused, who leaves."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from app.errors import DeadlineExceeded, InferenceFailed, InvalidInput, QueueFull
from app.inference import batch
from app.inference import scheduler as scheduler_module
from app.inference.pace import Pace
from app.inference.scheduler import BEHIND_ALL, Limits, Scheduler
from app.inference.signature import Tensors
from app.inference.timing import Timing
from app.metrics import Metrics
from app.tally import ModelTally

UNMEASURED = Pace({}, None)


class Run:
    """Doubles its rows, and stops before it does while `gate` is closed. Remembers the rows of each run."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Semaphore(0)
        self.abandoned = threading.Event()
        self.batches: list[list[float]] = []

    def __call__(self, tensors: Tensors) -> Tensors:
        self.batches.append(tensors["x"].reshape(len(tensors["x"]), -1)[:, 0].tolist())
        self.started.release()
        assert self.gate.wait(timeout=10)
        if np.isnan(np.asarray(tensors["x"], np.float64)).any():
            raise InferenceFailed("not a number")
        return {"y": np.multiply(tensors["x"], 2)}


class Begun:
    """What a thread calls. A `Run` remembers that it was abandoned."""

    def __init__(self, run: Callable[[Tensors], Tensors]) -> None:
        self._run = run

    def __call__(self, tensors: Tensors) -> Tensors:
        return self._run(tensors)

    def abandon(self) -> None:
        assert isinstance(self._run, Run)
        self._run.abandoned.set()
        self._run.gate.set()


def scheduler_of(run: Callable[[Tensors], Tensors], wanted: Limits, pace: Pace = UNMEASURED) -> Scheduler:
    return Scheduler(run, lambda: Begun(run), wanted, pace, ModelTally(Metrics(), "m", 1), "m")


def rows(*values: float, width: int = 1) -> Tensors:
    return {"x": np.repeat(np.array(values, np.float32)[:, None], width, axis=1)}


def limits(**changes: Any) -> Limits:
    usual: dict[str, Any] = {
        "max_rows": 4,
        "queue_delay_s": 0.0,
        "max_queue_rows": 100,
        "deadline_s": 10.0,
        "instances": 1,
    }
    return Limits(**usual | changes)


def play(
    run: Callable[[Tensors], Tensors],
    wanted: Limits,
    scene: Callable[[Scheduler], Coroutine[None, None, None]],
    pace: Pace = UNMEASURED,
) -> None:
    """Run a scene on a scheduler and close it."""

    async def main() -> None:
        scheduler = scheduler_of(run, wanted, pace)
        try:
            await scene(scheduler)
        finally:
            await scheduler.close()

    asyncio.run(main())


async def occupy(scheduler: Scheduler, run: Run, width: int = 1) -> "asyncio.Task[Tensors]":
    """A request that is being computed and stays so until the gate opens."""
    run.gate.clear()
    task = asyncio.create_task(scheduler.submit(rows(0, width=width), 1))
    await asyncio.to_thread(run.started.acquire)
    return task


async def queued(scheduler: Scheduler, tensors: Tensors, deadline_s: float | None = None) -> "asyncio.Task[Tensors]":
    """A request that has entered the queue."""
    task = asyncio.create_task(scheduler.submit(tensors, len(tensors["x"]), deadline_s))
    await asyncio.sleep(0)
    return task


def test_an_idle_model_runs_a_request_at_once_and_alone() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        assert (await scheduler.submit(rows(3), 1))["y"].tolist() == [[6]]

    play(run, limits(), scene)
    assert run.batches == [[3]]


def test_requests_of_one_turn_of_the_loop_travel_together_and_each_gets_its_own_rows() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        answers = await asyncio.gather(*(scheduler.submit(rows(i, i + 0.5), 2) for i in range(2)))
        assert [answer["y"].ravel().tolist() for answer in answers] == [[0, 1], [2, 3]]

    play(run, limits(), scene)
    assert run.batches == [[0, 0.5, 1, 1.5]]


def test_what_arrives_during_a_run_forms_the_next_batch_up_to_the_largest_size() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        others = [await queued(scheduler, rows(i)) for i in range(1, 6)]
        run.gate.set()
        await asyncio.gather(first, *others)

    play(run, limits(), scene)
    assert run.batches == [[0], [1, 2, 3, 4], [5]]


def test_a_batch_of_short_runs_is_made_ready_before_a_thread_is_free_for_it() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        others = [await queued(scheduler, rows(i)) for i in range(1, 4)]
        run.gate.set()
        await asyncio.gather(first, *others)

    play(run, limits(), scene, Pace({1: 1e-3, 4: 2e-3}, batch.kind(rows(0))))
    assert run.batches == [[0], [1], [2, 3]]


def test_a_request_that_is_short_runs_on_the_event_loop_and_all_that_waits_with_it() -> None:
    threads = []

    def run(tensors: Tensors) -> Tensors:
        threads.append((threading.current_thread(), len(tensors["x"])))
        return {"y": np.multiply(tensors["x"], 2)}

    async def scene(scheduler: Scheduler) -> None:
        answers = await asyncio.gather(*(scheduler.submit(rows(i), 1) for i in range(6)))
        assert [answer["y"].item() for answer in answers] == [0, 2, 4, 6, 8, 10]

    play(run, limits(), scene, Pace({1: 1e-5, 4: 2e-5}, batch.kind(rows(0))))
    assert threads == [(threading.current_thread(), 4), (threading.current_thread(), 2)]


def test_free_threads_share_what_waits() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        await asyncio.gather(*(scheduler.submit(rows(i), 1) for i in range(4)))

    play(run, limits(instances=2), scene)
    assert sorted(run.batches) == [[0, 1], [2, 3]]


def test_rows_of_another_width_wait_for_a_run_of_their_own() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        others = [await queued(scheduler, rows(i, width=1 + i % 2)) for i in range(1, 5)]
        run.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [answer["y"].shape for answer in answers[1:]] == [(1, 2), (1, 1), (1, 2), (1, 1)]

    play(run, limits(), scene)
    assert run.batches == [[0], [1, 3], [2, 4]]


def test_a_request_larger_than_the_largest_batch_is_cut_and_put_together_again() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        answer = await scheduler.submit(rows(*range(10)), 10)
        assert answer["y"].ravel().tolist() == [2 * i for i in range(10)]

    play(run, limits(), scene)
    assert [len(batch) for batch in run.batches] == [4, 4, 2]


def test_a_model_that_is_not_batched_runs_every_request_whole_and_alone() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        await asyncio.gather(*(scheduler.submit(rows(*range(6)), 1) for _ in range(3)))

    play(run, limits(max_rows=None), scene)
    assert [len(batch) for batch in run.batches] == [6, 6, 6]


def test_a_full_queue_refuses_with_a_time_to_come_back_and_loses_nothing() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        others = [await queued(scheduler, rows(i)) for i in range(1, 4)]
        with pytest.raises(QueueFull, match="3 rows wait, at most 3 may") as refused:
            await scheduler.submit(rows(9), 1)
        assert refused.value.retry_after_s >= 0
        run.gate.set()
        assert len(await asyncio.gather(first, *others)) == 4

    play(run, limits(max_queue_rows=3), scene)


def test_a_request_that_could_not_be_answered_before_its_deadline_is_refused_at_once() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        others = [await queued(scheduler, rows(value)) for value in range(1, 5)]
        assert scheduler.refusal() is None  # 4 rows are one run of 6 s
        others.append(await queued(scheduler, rows(5)))
        refusal = scheduler.refusal()
        assert refusal is not None
        assert str(refusal) == "model m is busy: 5 rows wait, for 12 s, too long for the deadline of 10 s"
        assert refusal.retry_after_s == 12
        with pytest.raises(QueueFull):
            await scheduler.submit(rows(6), 1)
        run.gate.set()
        await asyncio.gather(first, *others)
        assert scheduler.refusal() is None

    play(run, limits(max_rows=4), scene, Pace({1: 3.0, 4: 6.0}, batch.kind(rows(0))))


def test_a_cancelled_caller_leaves_the_queue_before_it_is_computed_and_its_neighbours_unharmed() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        gone, stays = await queued(scheduler, rows(1)), await queued(scheduler, rows(2))
        gone.cancel()
        await asyncio.wait([gone])
        run.gate.set()
        assert (await stays)["y"].tolist() == [[4]]
        await first

    play(run, limits(), scene)
    assert run.batches == [[0], [2]]


def test_a_caller_that_is_cancelled_in_the_turn_of_its_run_takes_no_answer_from_its_neighbours() -> None:
    async def scene(scheduler: Scheduler) -> None:
        gone, neighbour = (asyncio.create_task(scheduler.submit(rows(i), 1)) for i in (1, 2))
        await asyncio.sleep(0)  # both are queued, and the run comes next
        gone.cancel()
        assert (await asyncio.wait_for(neighbour, 10))["y"].item() == 4
        with pytest.raises(asyncio.CancelledError):
            await gone

    play(Run(), limits(), scene, Pace({1: 1e-5, 4: 1e-5}, batch.kind(rows(0))))


def test_no_more_runs_than_instances_at_one_time_though_one_is_short() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run, width=2)
        short = await queued(scheduler, rows(1))
        await asyncio.sleep(0.01)
        assert run.batches == [[0]]
        run.gate.set()
        await asyncio.gather(first, short)

    play(run, limits(), scene, Pace({1: 1e-5, 4: 1e-5}, batch.kind(rows(0))))


def test_a_cancelled_caller_makes_room_in_the_queue() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        gone = await queued(scheduler, rows(1))
        gone.cancel()
        await asyncio.wait([gone])
        stays = await queued(scheduler, rows(2))
        run.gate.set()
        await asyncio.gather(first, stays)

    play(run, limits(max_queue_rows=1), scene)
    assert run.batches == [[0], [2]]


def test_a_deadline_answers_while_the_run_before_it_goes_on_and_drops_the_rows() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s"):
            await (await queued(scheduler, rows(1), deadline_s=0.01))
        run.gate.set()
        await first

    play(run, limits(), scene)
    assert run.batches == [[0]]


def test_a_run_is_abandoned_once_the_last_of_its_callers_has_gone() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        run.gate.clear()
        one, other = (asyncio.create_task(scheduler.submit(rows(value), 1)) for value in (1, 2))
        await asyncio.to_thread(run.started.acquire)  # both are being computed
        one.cancel()
        await asyncio.sleep(0)
        assert not run.abandoned.is_set()
        other.cancel()
        await asyncio.sleep(0)
        assert run.abandoned.is_set()
        assert (await scheduler.submit(rows(3), 1))["y"].tolist() == [[6]]

    play(run, limits(), scene)
    assert run.batches == [[1, 2], [3]]


def test_a_run_that_outlives_the_deadline_is_abandoned() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        run.gate.clear()
        with pytest.raises(DeadlineExceeded):
            await scheduler.submit(rows(1), 1, deadline_s=0.05)
        assert run.abandoned.is_set()

    play(run, limits(), scene)


def test_requests_of_one_turn_run_at_once_if_their_run_is_short_and_nothing_waits() -> None:
    run = Run()
    kind = batch.kind(rows(1))

    async def scene(scheduler: Scheduler) -> None:
        timings = [Timing(), Timing()]
        results = scheduler.run_now([rows(1), rows(2, 3)], [1, 2], kind, timings)
        assert results is not None
        assert [result.tensors()["y"].ravel().tolist() for result in results] == [[2], [4, 6]]
        assert all(0 < timing.arrived == timing.taken <= timing.began < timing.ended for timing in timings)
        assert scheduler.run_now([rows(*range(5))], [5], kind, []) is None  # more than the largest batch
        assert scheduler.run_now([rows(1, width=2)], [1], batch.kind(rows(1, width=2)), []) is None  # never measured
        assert scheduler.run_now([rows(float("nan"))], [1], kind, []) is None  # fails, so that the queue may look at it
        waiting = await queued(scheduler, rows(4))
        assert scheduler.run_now([rows(5)], [1], kind, []) is None  # it would overtake
        await waiting

    play(run, limits(), scene, Pace({1: 1e-6, 4: 1e-6}, kind))
    assert run.batches[0] == [1, 2, 3]
    assert run.batches[-1] == [4]


def test_a_batch_made_ready_leaves_out_a_caller_that_has_gone_meanwhile() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        one, other = [await queued(scheduler, rows(value)) for value in (1, 2)]
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.sleep(0)
        run.gate.set()
        await asyncio.gather(first, other)

    play(run, limits(), scene, Pace({1: 1e-3, 4: 2e-3}, batch.kind(rows(0))))
    assert run.batches == [[0], [2]]


def test_a_row_that_makes_a_batch_fail_fails_alone() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        values = [1, float("nan"), 3, 4]
        answers = await asyncio.gather(*(scheduler.submit(rows(v), 1) for v in values), return_exceptions=True)
        assert isinstance(answers[1], InferenceFailed)
        assert [a["y"].item() for a in answers if not isinstance(a, BaseException)] == [2, 6, 8]

    play(run, limits(), scene)


@pytest.mark.parametrize("error", [InvalidInput("bad"), ZeroDivisionError("a bug")])
def test_whatever_a_run_raises_reaches_its_caller_and_the_next_request_is_served(error: Exception) -> None:
    failures = [error]

    def run(tensors: Tensors) -> Tensors:
        if failures:
            raise failures.pop()
        return {"y": tensors["x"]}

    async def scene(scheduler: Scheduler) -> None:
        with pytest.raises(type(error)):
            await scheduler.submit(rows(1), 1)
        assert (await scheduler.submit(rows(1), 1))["y"].item() == 1

    play(run, limits(), scene)


def test_a_queue_delay_waits_for_company_and_no_longer_than_a_full_batch() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await queued(scheduler, rows(1))
        await asyncio.sleep(0.01)
        others = [await queued(scheduler, rows(i)) for i in (2, 3, 4)]
        await asyncio.wait_for(asyncio.gather(first, *others), timeout=10)

    play(run, limits(queue_delay_s=60.0), scene)
    assert run.batches == [[1, 2, 3, 4]]


def test_a_queue_delay_ends_though_no_company_comes() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        await asyncio.wait_for(scheduler.submit(rows(1), 1), timeout=10)

    play(run, limits(queue_delay_s=0.01), scene)
    assert run.batches == [[1]]


def test_an_urgent_request_that_comes_later_does_not_make_the_oldest_wait_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run()
    now = 0.0
    monkeypatch.setattr(scheduler_module, "perf_counter", lambda: now)

    async def scene(scheduler: Scheduler) -> None:
        nonlocal now
        oldest = await queued(scheduler, rows(1))
        now = 0.04
        urgent = asyncio.create_task(scheduler.submit(rows(2), 1, priority=1))
        await asyncio.sleep(0)
        now = 0.05
        await asyncio.wait_for(asyncio.gather(oldest, urgent), timeout=10)

    play(run, limits(queue_delay_s=0.05), scene)
    assert run.batches == [[2, 1]]


def test_an_urgent_request_goes_ahead_and_one_that_can_wait_goes_last() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        others = []
        for value, priority in ((1, 0), (2, 200), (3, 1), (4, 0)):
            others.append(asyncio.create_task(scheduler.submit(rows(value), 1, priority=priority)))
            await asyncio.sleep(0)
        run.gate.set()
        await asyncio.gather(first, *others)

    play(run, limits(max_rows=1), scene)
    assert run.batches == [[0], [3], [1], [4], [2]]


async def behind(scheduler: Scheduler, tensors: Tensors) -> "asyncio.Task[Tensors]":
    """A request behind all others that has entered the queue."""
    task = asyncio.create_task(scheduler.submit(tensors, len(tensors["x"]), priority=BEHIND_ALL))
    await asyncio.sleep(0)
    return task


def test_what_is_behind_all_others_runs_last_and_in_nobody_elses_run() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        others = [await behind(scheduler, rows(1)), await behind(scheduler, rows(2))]
        last_of_all = asyncio.create_task(scheduler.submit(rows(3), 1, priority=2**64 - 1))
        others += [await queued(scheduler, rows(4)), last_of_all]
        run.gate.set()
        await asyncio.gather(first, *others)

    play(run, limits(), scene)
    assert run.batches == [[0], [4, 3], [1, 2]]


def test_what_is_behind_all_others_takes_half_of_the_queue_and_none_of_theirs() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        others = [await behind(scheduler, rows(1)), await behind(scheduler, rows(2))]
        with pytest.raises(QueueFull, match="2 rows wait, at most 2 may"):
            await scheduler.submit(rows(9), 1, priority=BEHIND_ALL)
        others += [await queued(scheduler, rows(value)) for value in range(3, 7)]
        with pytest.raises(QueueFull, match="4 rows wait, at most 4 may"):
            await scheduler.submit(rows(9), 1)
        others[0].cancel()
        await asyncio.sleep(0)
        run.gate.set()
        await asyncio.gather(first, *others[1:])
        others = [await behind(scheduler, rows(7, 8, 9)), await queued(scheduler, rows(1, 2, 3, 4))]
        await asyncio.gather(*others)

    play(run, limits(max_queue_rows=4), scene)


def test_a_short_batch_is_not_made_ready_where_a_better_one_may_come() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first = await occupy(scheduler, run)
        last = await behind(scheduler, rows(1))
        await asyncio.sleep(0.01)
        better = await queued(scheduler, rows(2))
        run.gate.set()
        await asyncio.gather(first, last, better)

    play(run, limits(max_rows=1), scene, Pace({1: 1e-3}, batch.kind(rows(0))))
    assert run.batches == [[0], [2], [1]]


def test_two_instances_compute_at_one_time() -> None:
    run = Run()

    async def scene(scheduler: Scheduler) -> None:
        first, second = await occupy(scheduler, run), await occupy(scheduler, run)
        run.gate.set()
        await asyncio.gather(first, second)

    play(run, limits(instances=2), scene)
    assert len(run.batches) == 2


def test_closing_answers_what_was_accepted() -> None:
    run = Run()
    answers: list[Tensors] = []

    async def main() -> None:
        scheduler = scheduler_of(run, limits())
        first = await occupy(scheduler, run)
        waiting = await queued(scheduler, rows(5))
        closing = asyncio.create_task(scheduler.close())
        run.gate.set()
        await closing
        answers.extend([await first, await waiting])

    asyncio.run(main())
    assert [answer["y"].item() for answer in answers] == [0, 10]


def test_closing_does_not_wait_for_requests_that_expired() -> None:
    run = Run()

    async def main() -> None:
        scheduler = scheduler_of(run, limits())
        with pytest.raises(DeadlineExceeded):
            await scheduler.submit(rows(1), 1, deadline_s=1e-9)
        await asyncio.wait_for(scheduler.close(), timeout=10)

    asyncio.run(main())


@pytest.mark.parametrize("shape", [(0, 1), (10**7, 0)])
def test_a_request_without_elements_runs_whole_and_counts_in_the_queue(shape: tuple[int, ...]) -> None:
    shapes: list[tuple[int, ...]] = []
    gate = threading.Event()
    started = threading.Semaphore(0)

    def run(tensors: Tensors) -> Tensors:
        shapes.append(tensors["x"].shape)
        started.release()
        assert gate.wait(timeout=10)
        return {"y": tensors["x"]}

    async def scene(scheduler: Scheduler) -> None:
        empty = {"x": np.zeros(shape, np.float32)}
        first = asyncio.create_task(scheduler.submit(empty, shape[0]))
        await asyncio.to_thread(started.acquire)
        second = asyncio.create_task(scheduler.submit(empty, shape[0]))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await scheduler.submit(empty, shape[0])
        gate.set()
        assert (await first)["y"].shape == (await second)["y"].shape == shape

    play(run, limits(max_queue_rows=1), scene)
    assert shapes == [shape, shape]


def test_an_output_without_a_row_for_each_row_is_an_error_and_not_a_mixed_up_answer() -> None:
    async def scene(scheduler: Scheduler) -> None:
        answers = await asyncio.gather(*(scheduler.submit(rows(i), 1) for i in range(2)), return_exceptions=True)
        assert all(isinstance(answer, InferenceFailed) for answer in answers)

    play(lambda _: {"y": np.zeros(7, np.float32)}, limits(), scene)
