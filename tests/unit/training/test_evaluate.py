"""The verdict, the bounds and the baselines."""

import numpy as np
import pytest
import torch

from app.manifest import Metric
from training.baselines import class_shares, logistic_regression, ridge_regression
from training.datasets.dataset import Rows
from training.errors import NotAccepted
from training.evaluate import Look, advantage, check, verdict
from training.metrics import ACCURACY, R2, RMSE

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


def test_baselines_learn_what_is_linear() -> None:
    features = torch.linspace(-3, 3, 60).unsqueeze(1)
    classes = Rows({"features": features}, (features[:, 0] > 0).long())
    values = Rows({"features": features}, 2 * features[:, 0] + 1)

    assert ACCURACY.of(logistic_regression(classes, classes).predict(classes), classes.targets.numpy()) == 1.0
    assert R2.of(ridge_regression(values, values).predict(values), values.targets.numpy()) > 0.999


def test_the_class_shares_are_those_of_the_training_rows() -> None:
    train = Rows({"features": torch.zeros(4, 1)}, torch.tensor([0, 1, 1, 1]))

    np.testing.assert_array_equal(class_shares(train, train).predict(train), [[0.25, 0.75]] * 4)
