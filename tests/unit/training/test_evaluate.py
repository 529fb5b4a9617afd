"""The verdict, the bounds and the baselines."""

import numpy as np
import pytest
import torch

from app.manifest import Metric
from training.baselines import (
    class_shares,
    logistic_regression,
    logistic_regression_of_mixed,
    random_forest,
    ridge_regression,
)
from training.datasets.dataset import Rows
from training.errors import NotAccepted
from training.evaluate import Look, advantage, check, evaluate, verdict
from training.metrics import ACCURACY, R2, RMSE, Measure, cost_per_1000

GOOD = Metric(name="accuracy", model=0.97, baseline=0.96, higher_is_better=True)
LOW = Metric(name="rmse", model=5.0, baseline=6.0, higher_is_better=False)


def test_metrics_within_their_bounds_are_accepted() -> None:
    check([GOOD, LOW], {"accuracy": 0.97, "rmse": 5.0})


def test_every_metric_outside_its_bound_is_named_with_what_was_wanted() -> None:
    with pytest.raises(NotAccepted, match=r"accuracy 0.97, wanted 0.99 or more; rmse 5, wanted 4 or less"):
        check([GOOD, LOW], {"accuracy": 0.99, "rmse": 4})


def test_a_metric_that_is_not_a_number_is_never_accepted() -> None:
    with pytest.raises(NotAccepted):
        check([Metric(name="accuracy", model=float("nan"), baseline=0.9, higher_is_better=True)], {"accuracy": 0.1})


@pytest.mark.parametrize(
    ("interval", "words"),
    [((0.01, 0.02), "better than the baseline"), ((-0.1, 0.1), "a tie"), ((-0.2, -0.1), "prefer the baseline")],
)
def test_the_verdict_follows_from_the_interval(interval: tuple[float, float], words: str) -> None:
    assert words in verdict(GOOD, interval, "logistic regression", 100)


def test_a_handful_of_rows_gets_no_verdict() -> None:
    assert verdict(GOOD, (1, 2), "logistic regression", 4).endswith("4 rows are too few to tell more")


def test_the_advantage_is_positive_for_the_better_one_whichever_way_the_measure_counts() -> None:
    targets = np.arange(50.0)
    ours, theirs = targets + 1, targets[::-1]

    assert advantage(R2, Look(ours, theirs, targets, ""))[0] > 0
    assert advantage(RMSE, Look(ours, theirs, targets, ""))[0] > 0
    assert advantage(RMSE, Look(theirs, ours, targets, ""))[1] < 0


def test_rows_that_are_one_piece_of_evidence_tell_less() -> None:
    random = np.random.default_rng(1)
    targets = np.repeat(random.normal(size=40), 25)
    ours, theirs = targets + np.repeat(random.normal(size=40), 25), targets + np.repeat(random.normal(size=40), 25)

    alone = advantage(RMSE, Look(ours, theirs, targets, ""))
    together = advantage(RMSE, Look(ours, theirs, targets, "", blocks=np.arange(1000) // 25))

    assert together[1] - together[0] > 3 * (alone[1] - alone[0])
    assert verdict(LOW, (1, 2), "guessing", 1000, 40).endswith("over 1000 rows in 40 blocks: +1 to +2)")
    assert verdict(LOW, (1, 2), "guessing", 1000, 4).endswith("1000 rows in 4 blocks are too few to tell more")


def test_baselines_learn_what_is_linear() -> None:
    features = torch.linspace(-3, 3, 60).unsqueeze(1)
    classes = Rows({"features": features}, (features[:, 0] > 0).long())
    values = Rows({"features": features}, 2 * features[:, 0] + 1)

    assert ACCURACY.of(logistic_regression(classes, classes).predict(classes), classes.targets.numpy()) == 1.0
    assert R2.of(ridge_regression(values, values).predict(values), values.targets.numpy()) > 0.999


def test_a_forest_learns_what_is_not_linear() -> None:
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).repeat(20, 1)
    rows = Rows({"features": corners}, (corners[:, 0] != corners[:, 1]).long())

    assert ACCURACY.of(random_forest(rows, rows).predict(rows), rows.targets.numpy()) == 1.0
    assert ACCURACY.of(logistic_regression(rows, rows).predict(rows), rows.targets.numpy()) < 0.8


def test_the_class_shares_are_those_of_the_training_rows() -> None:
    train = Rows({"features": torch.zeros(4, 1)}, torch.tensor([0, 1, 1, 1]))

    np.testing.assert_array_equal(class_shares(train, train).predict(train), [[0.25, 0.75]] * 4)


def test_each_group_has_the_first_metric_of_its_own_rows_and_an_interval_only_where_they_are_many() -> None:
    targets = np.arange(100) % 2.0
    ours, theirs = np.eye(2)[targets.astype(int)], np.tile([0.6, 0.4], (100, 1))
    ours[:10] = ours[:10, ::-1]
    groups = {"early": np.arange(100) < 20, "late": np.arange(100) >= 20}

    found = evaluate(Look(ours, theirs, targets, "guessing", groups=groups), [ACCURACY])

    early, late = found.slices
    assert (early.group, early.rows, early.model, early.baseline, early.interval) == ("early", 20, 0.5, 0.5, None)
    assert (late.group, late.rows, late.model, late.baseline, late.interval) == ("late", 80, 1.0, 0.5, (1.0, 1.0))


def test_what_is_decided_is_measured_at_each_ones_own_threshold() -> None:
    targets = np.array([0.0, 0.0, 1.0, 1.0])
    given = np.array([[0.9, 0.1], [0.7, 0.3], [0.7, 0.3], [0.2, 0.8]])
    cost = Measure("cost", False, lambda p, y: cost_per_1000(p, y, miss=10, false_alarm=1), decided=True)

    [likelier] = evaluate(Look(given, given, targets, ""), [cost]).metrics
    [chosen] = evaluate(Look(given, given, targets, "", (0.3, 0.05)), [cost]).metrics

    assert (likelier.model, likelier.baseline) == (2500, 2500)
    assert (chosen.model, chosen.baseline) == (250, 500)


def test_the_mixed_baseline_learns_from_numbers_from_their_absence_and_from_categories() -> None:
    generator = torch.Generator().manual_seed(0)
    numbers, categories = torch.randn(300, 2, generator=generator), torch.arange(300).unsqueeze(1) % 3
    numbers[::4, 1] = torch.nan
    for classes in (numbers[:, 0] > 0, numbers[:, 1].isnan(), categories[:, 0] == 1):
        rows = Rows({"numbers": numbers, "categories": categories}, classes.long())
        assert ACCURACY.of(logistic_regression_of_mixed(rows, rows).predict(rows), rows.targets.numpy()) > 0.98
