"""What follows from how long runs take."""

import numpy as np
import pytest

from app.errors import InvalidInput
from app.inference import batch
from app.inference.pace import HOP_S, MOST_ROWS, Pace, measure
from app.inference.signature import Tensors

ONE = {"x": np.zeros((1, 3), np.float32)}


def pace(**seconds: float) -> Pace:
    return Pace({int(rows[1:]): taken for rows, taken in seconds.items()}, batch.kind(ONE))


def test_the_largest_batch_is_the_smallest_that_nearly_has_the_best_rate() -> None:
    assert pace(r1=0.1, r2=0.1, r4=0.11, r8=0.22, r16=0.44).best_rows == 4
    assert pace(r1=0.1, r2=0.2, r4=0.4).best_rows == 1
    assert pace(r1=0.1, r2=0.1, r4=0.5).best_rows == 2


def test_a_slow_model_that_could_not_be_measured_further_makes_batches_all_the_same() -> None:
    assert pace(r1=2.0).best_rows == 8
    assert pace(r1=0.1, r2=0.1).best_rows == 8
    assert pace(r1=0.1, r2=0.2).best_rows == 1


def test_a_batch_that_nobody_notices_is_not_too_large() -> None:
    assert pace(r1=1e-5, r2=2e-5, r4=1e-1 * HOP_S, r8=9e-4, r16=0.1).best_rows == 8


def test_nothing_is_known_of_a_model_that_could_not_be_run() -> None:
    unknown = Pace({}, None)
    assert unknown.best_rows == MOST_ROWS
    assert not unknown.knows(None)


def test_more_rows_than_were_measured_may_take_any_time() -> None:
    found = pace(r1=0.1, r2=0.15, r4=0.2)
    assert [found.expected_s(rows) for rows in (1, 2, 3, 4, 5)] == [0.1, 0.15, 0.2, 0.2, np.inf]


def test_the_rows_that_fit_into_a_time_lie_between_those_measured() -> None:
    found = pace(r1=0.1, r2=0.15, r4=0.2)
    assert [found.rows_within(seconds) for seconds in (0.05, 0.1, 0.16, 0.2, 0.31, 9.0)] == [1, 1, 2, 4, 6, 16]


def test_runs_that_are_slower_than_at_load_are_expected_to_stay_so_for_a_while() -> None:
    found = pace(r1=0.1)
    for _ in range(100):
        found.learn(1, 0.3)
    assert found.expected_s(1) == pytest.approx(0.3, rel=0.05)
    for _ in range(100):
        found.learn(1, 0.05)
    assert found.expected_s(1) == pytest.approx(0.1, rel=0.05)


def test_what_was_learnt_on_the_event_loop_fades_while_runs_are_made_in_threads() -> None:
    found = pace(r1=1e-4)
    kind = batch.kind(ONE)
    found.learn(1, 1e-3)
    found.learn(1, 1e-3)
    assert not found.is_short(kind, 1)
    for _ in range(20):
        found.fade()
    assert found.is_short(kind, 1)


def test_only_what_was_run_is_known() -> None:
    found = measure(lambda feed: feed, ONE, batched=True, steady=True)
    assert found.knows(batch.kind({"x": np.zeros((7, 3), np.float32)}))
    assert not found.knows(batch.kind({"x": np.zeros((1, 4), np.float32)}))
    alone = measure(lambda feed: feed, ONE, batched=False, steady=True)
    assert alone.knows(batch.whole_kind(ONE))
    assert not alone.knows(batch.whole_kind({"x": np.zeros((2, 3), np.float32)}))


def test_sizes_that_a_graph_refuses_or_that_answer_too_much_are_not_made() -> None:
    def refuses(feed: Tensors) -> Tensors:
        if len(feed["x"]) > 16:
            raise InvalidInput("too many rows")
        return feed

    assert measure(refuses, ONE, batched=True, steady=True).best_rows == 16
    large = np.zeros((1, 2**21), np.float32)  # 8 MiB a row
    grows = measure(lambda feed: {"y": np.broadcast_to(large, (len(feed["x"]), 2**21))}, ONE, batched=True, steady=True)
    assert grows.expected_s(4) < np.inf
    assert grows.expected_s(16) == np.inf


def test_measuring_goes_on_in_steps_up_to_the_largest_batch() -> None:
    seen = set()

    def run(feed: Tensors) -> Tensors:
        seen.add(len(feed["x"]))
        return feed

    measure(run, ONE, batched=True, steady=True)
    assert seen == {1, 4, 16, 64, 256, 1024}
    seen.clear()
    measure(run, ONE, batched=False, steady=True)
    assert seen == {1}


def test_no_run_is_short_where_values_decide_how_long_it_takes() -> None:
    assert measure(lambda feed: feed, ONE, batched=True, steady=True).is_short(batch.kind(ONE), 1)
    assert not measure(lambda feed: feed, ONE, batched=True, steady=False).is_short(batch.kind(ONE), 1)
