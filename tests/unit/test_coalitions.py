"""Shapley values: they add up, they are fair, and what is drawn comes to what is exact."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.inference.coalitions import AllCoalitions, Floats, Present, Walks, coalitions

Game = Callable[[Present], Any]
"""(rows, parts) -> (rows,)"""

WEIGHTS = np.random.default_rng(1).normal(size=8)
PAIRS = np.random.default_rng(2).normal(size=(8, 8))


def linear(present: Present) -> Any:
    return present @ WEIGHTS[: present.shape[1]] + 3


def quadratic(present: Present) -> Any:
    parts = present.shape[1]
    met = np.einsum("ri,ij,rj->r", present, PAIRS[:parts, :parts], present)
    return met + linear(present)


def curved(present: Present) -> Any:
    return 1 / (1 + np.exp(-3 * linear(present))) + np.prod(1 + present * 0.3, axis=1)


GAMES = (linear, quadratic, curved)


def shares(every: AllCoalitions | Walks, game: Game, together: int = 5) -> Floats:
    """The rows are made some at a time, as a model would run them."""
    starts = range(0, every.rows, together)
    values = [game(every.present(start, min(start + together, every.rows))) for start in starts]
    none, all_of_them = np.zeros((1, every.parts), np.bool_), np.ones((1, every.parts), np.bool_)
    return every.attributions(game(none)[0], np.concatenate([np.zeros(0), *values]), game(all_of_them)[0])


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("every", [AllCoalitions(1), AllCoalitions(2), AllCoalitions(7), Walks(2, 1), Walks(8, 3)])
def test_the_shares_add_up_to_what_the_whole_input_gives_less_the_empty_one(
    every: AllCoalitions | Walks, game: Game
) -> None:
    none, all_of_them = np.zeros((1, every.parts), np.bool_), np.ones((1, every.parts), np.bool_)
    assert shares(every, game).sum() == pytest.approx(game(all_of_them)[0] - game(none)[0], abs=1e-12)


@pytest.mark.parametrize("every", [AllCoalitions(8), Walks(8, 1), Walks(8, 20)])
def test_of_a_linear_model_each_part_has_its_own_term(every: AllCoalitions | Walks) -> None:
    assert shares(every, linear) == pytest.approx(WEIGHTS, abs=1e-12)


@pytest.mark.parametrize("every", [AllCoalitions(8), Walks(8, 1)])
def test_what_two_parts_do_together_is_halved_between_them_and_one_order_with_its_reverse_tells_it(
    every: AllCoalitions | Walks,
) -> None:
    expected = WEIGHTS + (PAIRS.sum(axis=0) + PAIRS.sum(axis=1)) / 2
    assert shares(every, quadratic) == pytest.approx(expected, abs=1e-12)


def test_parts_that_do_the_same_have_the_same_share_and_one_that_does_nothing_has_none() -> None:
    found = shares(AllCoalitions(4), lambda present: (present[:, 0] | present[:, 1]) * 6.0 + present[:, 2])
    assert found == pytest.approx([3, 3, 1, 0], abs=1e-12)


def test_the_more_orders_are_drawn_the_nearer_they_come_to_all_coalitions() -> None:
    exact = shares(AllCoalitions(8), curved)
    errors = [float(np.abs(shares(Walks(8, samples), curved) - exact).max()) for samples in (2, 2000)]
    assert errors[1] < min(0.01, errors[0] / 5)


def test_the_same_input_has_the_same_orders() -> None:
    first, second = Walks(20, 5).present(0, 190), Walks(20, 5).present(0, 190)
    assert np.array_equal(first, second)
    assert np.array_equal(Walks(20, 5).present(40, 50), first[40:50])


def test_a_walk_adds_one_part_a_row_and_its_reverse_the_others() -> None:
    walks = Walks(5, 3)
    present = walks.present(0, walks.rows).reshape(6, 4, 5)
    assert (present.sum(axis=2) == [1, 2, 3, 4]).all()
    assert (present[:, 1:] >= present[:, :-1]).all()
    assert np.array_equal(present[3:], ~present[:3, ::-1])


def test_few_parts_are_weighed_exactly_and_more_as_far_as_rows_reach() -> None:
    assert [type(coalitions(parts, None)) for parts in (0, 1, 8, 10, 12)] == [AllCoalitions] * 4 + [Walks]
    assert coalitions(8, 1) == AllCoalitions(8)
    assert coalitions(10, 1) == Walks(10, 1)
    assert coalitions(10, 100) == AllCoalitions(10)
    assert [coalitions(parts, None).rows for parts in (0, 1, 2, 30, 5000)] == [0, 0, 2, 2030, 9998]
    assert coalitions(30, 7).rows == 7 * 2 * 29


def test_nothing_is_said_of_values_that_are_not_finite() -> None:
    with_infinity = AllCoalitions(2).attributions(np.inf, np.array([np.inf, 1.0]), 2.0)
    assert not np.isfinite(with_infinity).all()
