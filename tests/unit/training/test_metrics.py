"""Figures of merit, against what can be worked out by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

from training.answers import Answer, split_into
from training.calibrate import break_even, cheapest_threshold, fit_temperature
from training.datasets.dataset import Rows
from training.metrics import (
    auc,
    brier,
    calibration_error,
    cost_per_1000,
    coverage,
    cross_entropy,
    decide,
    hit_rate,
    mase,
    ndcg,
    pinball,
    pr_auc,
    recall_in_review,
    wape,
)
from training.networks.served import Served, softmax

CLASSES = np.array([0, 0, 0, 1, 0, 0, 0, 0, 0, 1])

SECOND = np.array([0.1, 0.2, 0.3, 0.9, 0.05, 0.05, 0.6, 0.1, 0.1, 0.2])

PROBABILITIES = np.stack([1 - SECOND, SECOND], axis=1)


def test_rare_classes_are_measured_by_what_their_highest_rows_hold() -> None:
    assert pr_auc(PROBABILITIES, CLASSES) == pytest.approx((1 / 1 + 2 / 5) / 2)  # found first, and fourth with a tie
    assert recall_in_review(PROBABILITIES, CLASSES, share=0.1) == 0.5
    assert recall_in_review(PROBABILITIES, CLASSES, share=0.5) == 1.0
    assert brier(PROBABILITIES, CLASSES) == pytest.approx(((SECOND - CLASSES) ** 2).mean())


@pytest.mark.parametrize("digits", [1, 2, 9], ids=["many ties", "some ties", "no ties"])
def test_areas_under_curves_are_those_of_scikit_learn(digits: int) -> None:
    random = np.random.default_rng(digits)
    classes = (random.random(200) < 0.2).astype(int)
    second = (0.6 * random.random(200) + 0.4 * classes * random.random(200)).round(digits)
    probabilities = np.stack([1 - second, second], axis=1)
    assert auc(probabilities, classes) == pytest.approx(roc_auc_score(classes, second), abs=1e-12)
    assert pr_auc(probabilities, classes) == pytest.approx(average_precision_score(classes, second), abs=1e-12)


def test_an_area_tells_nothing_of_one_class_or_of_what_is_not_a_number() -> None:
    assert math.isnan(auc(PROBABILITIES, np.zeros(10, int))) and math.isnan(auc(PROBABILITIES, np.ones(10, int)))
    assert math.isnan(auc(np.full((10, 2), np.nan), CLASSES))
    assert pr_auc(PROBABILITIES, np.zeros(10, int)) == 0


def test_calibration_error_is_the_distance_of_probabilities_from_shares_of_hits() -> None:
    probabilities = np.array([[0.25, 0.75]] * 4)
    assert calibration_error(probabilities, np.array([1, 1, 1, 0])) == pytest.approx(0)
    assert calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.5)
    assert calibration_error(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 0])) == 0


def test_a_decision_is_the_second_label_from_the_threshold_on_or_the_likelier() -> None:
    assert decide(PROBABILITIES, 0.2)[:, 1].tolist() == [0, 1, 1, 1, 0, 0, 1, 0, 0, 1]
    assert decide(PROBABILITIES, None)[:, 1].tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 0, 0]
    assert (decide(PROBABILITIES, 0.2).sum(axis=1) == 1).all()


def test_decisions_cost_what_is_missed_and_what_is_alarmed_for_nothing() -> None:
    # One of the two rows of the second class is found, and one of the first taken for it.
    assert cost_per_1000(PROBABILITIES, CLASSES, miss=7, false_alarm=2) == pytest.approx(1000 * (7 + 2) / 10)


QUANTILES = np.array([[1.0, 2.0, 4.0], [0.0, 1.0, 2.0]])

VALUES = np.array([[3.0, 2.0], [3.0, 4.0]])


def test_forecasts_are_measured_on_their_quantiles() -> None:
    assert coverage(QUANTILES, VALUES) == 0.5
    assert mase(QUANTILES, VALUES, middle=1) == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert wape(QUANTILES, VALUES, middle=1) == pytest.approx(3 / 6)
    losses = [0.1 * (2 + 3) / 2, 0.5 * (1 + 2) / 2, (0.1 * 1 + 0.9 * 1) / 2]
    assert pinball(QUANTILES, VALUES, levels=(0.1, 0.5, 0.9)) == pytest.approx(np.mean(losses))


def test_rankings_are_measured_by_where_the_wanted_item_stands_ties_in_order() -> None:
    scores, items = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0]]), np.array([2, 1])
    assert hit_rate(scores, items, k=1) == 0
    assert hit_rate(scores, items, k=2) == 1
    assert ndcg(scores, items, k=2) == pytest.approx(1 / np.log2(3))
    assert ndcg(scores, items, k=1) == 0


@pytest.mark.parametrize(
    ("miss", "false_alarm", "wanted"),
    [(10.0, 1.0, (0.1, 0.2)), (1.0, 1.0, (0.6, 0.9)), (1.0, 1e9, (0.6, 0.9)), (0.0, 1.0, (0.6, 0.9))],
)
def test_the_threshold_is_the_cheapest(miss: float, false_alarm: float, wanted: tuple[float, float]) -> None:
    threshold = cheapest_threshold(PROBABILITIES, CLASSES, miss=miss, false_alarm=false_alarm)
    assert wanted[0] < threshold <= wanted[1]

    def cost(at: float) -> float:
        found = at <= SECOND
        return float(miss * (CLASSES[~found] == 1).sum() + false_alarm * (CLASSES[found] == 0).sum())

    assert cost(threshold) == min(map(cost, [*SECOND, 1.0]))


def test_at_the_break_even_both_answers_are_expected_to_cost_the_same() -> None:
    threshold = break_even(PROBABILITIES, CLASSES, miss=9.0, false_alarm=1.0)
    assert threshold == pytest.approx(0.1)
    assert threshold * 9.0 == pytest.approx((1 - threshold) * 1.0)


class Sure(nn.Module):
    """Logits that are three times too sure."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.zeros(len(x)), 3 * x[:, 0]], dim=1)


def test_a_temperature_takes_back_what_a_network_is_too_sure_of() -> None:
    x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    targets = torch.bernoulli(torch.sigmoid(x[:, 0]), generator=torch.Generator().manual_seed(1)).long()
    rows, split = Rows({"x": x}, targets), split_into((Answer("probabilities", "probabilities", "y", ""),))
    served = Served([Sure()], softmax, split, calibrated=True)
    before = cross_entropy(served.outputs({"x": x}).numpy(), targets.numpy())
    fit_temperature(served, rows)
    assert served.temperature.item() == pytest.approx(3, rel=0.15)
    assert cross_entropy(served.outputs({"x": x}).numpy(), targets.numpy()) < before


def test_a_few_rows_that_are_all_judged_rightly_make_no_network_surer_than_it_may_be() -> None:
    x = torch.tensor([[-1.0], [1.0]]).repeat(20, 1)
    split = split_into((Answer("probabilities", "probabilities", "y", ""),))
    served = Served([Sure()], softmax, split, calibrated=True)
    fit_temperature(served, Rows({"x": x}, (x[:, 0] > 0).long()))
    assert 0.5 < served.temperature.item() < 1


def test_an_ensemble_answers_with_the_mean_of_its_members_split_as_its_answers_are() -> None:
    def member(factor: float) -> nn.Module:
        layer = nn.Linear(1, 2, bias=False)
        layer.weight.data = torch.tensor([[factor], [2 * factor]])
        return layer

    answers = [Answer(name, "value", name, "") for name in ("low", "high")]

    class Named(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.inner(x)
            return output

    served = Served([Named(member(1.0)), Named(member(3.0))], lambda output: output, split_into(answers))
    low, high = served({"x": torch.tensor([[1.0], [2.0]])})
    assert low.tolist() == [2, 4]
    assert high.tolist() == [4, 8]


def test_a_ranking_is_the_places_of_the_largest_scores() -> None:
    split = split_into((Answer("ranking", "ranking", "next", "", labels=("a", "b", "c"), top=2),))
    [places] = split(torch.tensor([[0.1, 0.7, 0.2], [3.0, 2.0, 1.0]]))
    assert places.tolist() == [[1, 2], [0, 1]]
