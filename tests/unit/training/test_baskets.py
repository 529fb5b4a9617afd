"""Baskets: rows out of invoices, the network that ranks, and the simple rankings beside it."""

import numpy as np
import pandas as pd
import pytest
import torch

from training.datasets.baskets import MOST, draw
from training.datasets.dataset import Rows
from training.metrics import hit_rate
from training.networks.basket import BELOW, BasketNet, bought_together
from training.ranking_baselines import best_ranking, item_knn, popularity

RANDOM = np.random.default_rng(0)


def invoices(*sizes: int) -> pd.DataFrame:
    rows = [(str(at), number) for at, size in enumerate(sizes) for number in range(1, size + 1)]
    return pd.DataFrame(rows, columns=["invoice", "number"])


@pytest.fixture(scope="module")
def pairs() -> Rows:
    """Article 2 goes with 1, 4 with 3 and so on; 61 with none."""
    first = torch.from_numpy(RANDOM.integers(0, 30, 2000)) * 2 + 1
    basket = torch.zeros(2000, 3, dtype=torch.int64)
    basket[:, 0] = first
    basket[::4, 1] = 61
    return Rows({"basket": basket}, first + 1)


def test_a_row_holds_articles_of_one_invoice_and_another_of_it() -> None:
    rows = draw(invoices(2, 5, 60), 3, np.random.default_rng(1))
    baskets, nexts = rows.inputs["basket"], rows.targets
    assert baskets.shape == (9, MOST)
    for row, (basket, wanted) in enumerate(zip(baskets.tolist(), nexts.tolist(), strict=True)):
        articles = [one for one in basket if one]
        assert basket == articles + [0] * (MOST - len(articles))
        assert len({*articles, wanted}) == len(articles) + 1
        assert 1 <= len(articles) <= min(MOST, (2, 5, 60)[row // 3] - 1)
        assert max(*articles, wanted) <= (2, 5, 60)[row // 3]


def test_the_same_chance_draws_the_same_rows() -> None:
    one, other = (draw(invoices(5, 9), 4, np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(one.inputs["basket"], other.inputs["basket"])
    assert torch.equal(one.targets, other.targets)


def test_pairs_are_counted_without_what_is_not_there() -> None:
    counts = bought_together(torch.tensor([[1, 2, 0], [2, 3, 1]]), 4)
    assert counts.tolist() == [[0, 0, 0, 0], [0, 2, 2, 1], [0, 2, 2, 1], [0, 1, 1, 1]]


def test_the_network_ranks_what_goes_with_a_basket_and_never_what_is_in_it(pairs: Rows) -> None:
    network = BasketNet(pairs.inputs, pairs.targets, neighbours=4, penalty=1.0)
    scores = network(torch.tensor([[1, 0, 0], [3, 61, 0], [2, 0, 0]]))
    assert scores.argmax(dim=1).tolist() == [2, 4, 1]
    assert (scores[[0, 1, 1, 2], [1, 3, 61, 2]] == BELOW).all()
    assert (scores[:, 0] == BELOW).all()


def test_a_basket_is_ranked_alone_as_in_company_and_in_any_order(pairs: Rows) -> None:
    network = BasketNet(pairs.inputs, pairs.targets, neighbours=4, penalty=1.0)
    baskets = torch.tensor([[1, 3, 5], [7, 0, 0], [5, 3, 1]])
    together = network(baskets)
    torch.testing.assert_close(together[0], together[2])
    for row in range(3):
        torch.testing.assert_close(network(baskets[row : row + 1])[0], together[row])


def test_of_the_simple_rankings_the_better_is_the_baseline(pairs: Rows) -> None:
    simple, neighbours = popularity(pairs, pairs), item_knn(pairs, pairs)
    targets = pairs.targets.numpy()
    assert hit_rate(neighbours.predict(pairs), targets, k=1) == 1
    assert hit_rate(simple.predict(pairs), targets, k=1) < 0.5
    assert best_ranking(pairs, pairs).description == neighbours.description
