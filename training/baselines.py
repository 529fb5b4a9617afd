"""The simple models that a network has to be worth more than; what they can choose, they choose on validation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from training.datasets.dataset import Rows
from training.metrics import Array, cross_entropy, rmse

STRENGTHS = tuple(10.0**power for power in range(-4, 5))
"""Of the L2 penalty; validation chooses."""

TREES = 40
"""Of a forest: more give little and take their time."""


@dataclass(frozen=True)
class Baseline:
    """predict: rows -> outputs of the same shape as the network's."""

    description: str
    predict: Callable[[Rows], Array]


def class_shares(train: Rows, _: Rows) -> Baseline:
    """Answers every row with the shares of the classes among the training rows."""
    shares = np.bincount(train.targets.numpy().astype(int)) / len(train)
    return Baseline("the class shares for every row", lambda rows: np.tile(shares, (len(rows), 1)))


def logistic_regression(train: Rows, validation: Rows) -> Baseline:
    """On standardised columns; the penalty with the lowest validation cross-entropy."""
    return _logistic_regression(train, validation, StandardScaler)


def logistic_regression_of_mixed(train: Rows, validation: Rows) -> Baseline:
    """On standardised numbers, the median and a sign where one is missing, and one-hot categories, which are the
    inputs of whole numbers; the penalty as above."""
    is_number = np.concatenate(
        [np.full(tensor.flatten(1).shape[1], tensor.is_floating_point()) for tensor in train.inputs.values()]
    )
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore")
    columns = ((numbers, np.flatnonzero(is_number)), (categories, np.flatnonzero(~is_number)))
    return _logistic_regression(train, validation, lambda: make_column_transformer(*columns))


def _logistic_regression(train: Rows, validation: Rows, prepare: Callable[[], Any]) -> Baseline:
    def fitted(strength: float) -> Baseline:
        model = make_pipeline(prepare(), LogisticRegression(C=1 / strength, max_iter=10_000))
        model.fit(table(train), train.targets.numpy())
        return Baseline(f"logistic regression (L2 {strength:g})", lambda rows: model.predict_proba(table(rows)))

    targets = validation.targets.numpy()
    return min(map(fitted, STRENGTHS), key=lambda baseline: cross_entropy(baseline.predict(validation), targets))


def random_forest(train: Rows, _: Rows) -> Baseline:
    """TREES trees on the columns as they are, no leaf of a single row."""
    model = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=0)
    model.fit(table(train), train.targets.numpy())
    return Baseline(f"random forest ({TREES} trees)", lambda rows: model.predict_proba(table(rows)))


def ridge_regression(train: Rows, validation: Rows) -> Baseline:
    """On standardised columns; the penalty with the lowest validation error."""

    def fitted(strength: float) -> Baseline:
        model = make_pipeline(StandardScaler(), Ridge(alpha=strength))
        model.fit(table(train), train.targets.numpy())
        return Baseline(f"ridge regression (L2 {strength:g})", lambda rows: model.predict(table(rows)))

    targets = validation.targets.numpy()
    return min(map(fitted, STRENGTHS), key=lambda baseline: rmse(baseline.predict(validation), targets))


def table(rows: Rows) -> Array:
    """All inputs as one table (rows, columns); an image is a row of pixels."""
    return np.concatenate([tensor.flatten(1).numpy() for tensor in rows.inputs.values()], axis=1)
