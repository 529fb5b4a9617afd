"""What a network for a table has to be worth more than: a linear model and gradient boosting, the better on validation.

Both see what the network sees: gaps, dates taken apart, categories, words.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from training.baselines import Baseline
from training.datasets.dataset import Rows
from training.metrics import Array, cross_entropy, rmse
from training.networks.table import calendar
from training.tables.dataset import CATEGORIES, NUMBERS
from training.tables.words import WORDS

STRENGTHS = (1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
"""Of the L2 penalty; validation chooses."""

MOST_STEPS = 300
"""Of a logistic regression."""

MOST_ROUNDS = 300
MOST_WORK = 60_000_000
"""Rows times trees: more or less what a minute is enough for. Of several classes each has its tree in every round."""

FEWEST_ROUNDS = 20

PATIENCE = 15

WORTH_THREADS = 20_000
"""Rows. Boosting on a hundred took twelve times as long with two threads on two busy cores as with one."""

COMMON_WORDS = 300
"""That trees see."""

MOST_BINS = 255
"""Categories that a tree may tell apart."""


@dataclass(frozen=True)
class Fitted:
    """A baseline and its loss on the validation rows: cross-entropy, or the root of the mean squared error."""

    baseline: Baseline
    loss: float


def fit_baselines(
    train: Rows, validation: Rows, *, dates: Sequence[int], vocabulary: int, classes: int
) -> list[Fitted]:
    """The better first. dates: the columns of numbers that hold days. classes: 0 for a number."""
    view = _View(dates, vocabulary)
    with threadpool_limits(None if len(train) >= WORTH_THREADS else 1):
        found = [_linear(view, train, validation, classes), _boosting(view, train, validation, classes)]
    return sorted(found, key=lambda one: one.loss)


@dataclass(frozen=True)
class _View:
    """Rows as scikit-learn takes them."""

    dates: Sequence[int]
    vocabulary: int

    def numbers(self, rows: Rows) -> Array:
        """(rows, columns), NaN where one is missing; months and weekdays behind."""
        if NUMBERS not in rows.inputs:
            return np.zeros((len(rows), 0), np.float32)
        numbers = rows.inputs[NUMBERS]
        parts = [numbers]
        if self.dates:
            parts.append(calendar(numbers[:, list(self.dates)].nan_to_num(0.0)).flatten(1))
        return torch.cat(parts, dim=1).numpy()

    def categories(self, rows: Rows) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        empty = torch.zeros((len(rows), 0), dtype=torch.int64)
        found: np.ndarray[tuple[int, int], np.dtype[np.int64]] = rows.inputs.get(CATEGORIES, empty).numpy()
        return found

    def words(self, rows: Rows) -> csr_matrix:
        """(rows, columns times vocabulary): which words each text has."""
        if WORDS not in rows.inputs:
            return csr_matrix((len(rows), 0), dtype=np.float32)
        numbers = rows.inputs[WORDS].numpy()  # (rows, columns, places)
        row, column, _ = np.nonzero(numbers)
        place = column * self.vocabulary + numbers[numbers > 0]
        shape = (len(rows), numbers.shape[1] * self.vocabulary)
        counts = csr_matrix((np.ones(len(row), np.float32), (row, place)), shape=shape)
        counts.data[:] = 1  # a word that comes twice is there
        return counts


def _linear(view: _View, train: Rows, validation: Rows, classes: int) -> Fitted:
    scale = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    encode = OneHotEncoder(handle_unknown="ignore")
    if view.numbers(train).shape[1]:
        scale.fit(view.numbers(train))
    if view.categories(train).shape[1]:
        encode.fit(view.categories(train))

    def table(rows: Rows) -> csr_matrix:
        numbers, categories = view.numbers(rows), view.categories(rows)
        parts = [csr_matrix(scale.transform(numbers).astype(np.float32))] if numbers.shape[1] else []
        parts += [encode.transform(categories)] if categories.shape[1] else []
        return hstack([*parts, view.words(rows)]).tocsr()

    inputs, known, targets = table(train), table(validation), validation.targets.numpy()

    def fitted(strength: float) -> Fitted:
        if classes:
            model = LogisticRegression(C=1 / strength, max_iter=MOST_STEPS).fit(inputs, train.targets.numpy())
            loss = cross_entropy(model.predict_proba(known), targets)
            told = Baseline(f"logistic regression (L2 {strength:g})", lambda rows: model.predict_proba(table(rows)))
        else:
            model = Ridge(alpha=strength).fit(inputs, train.targets.numpy())
            loss = rmse(model.predict(known), targets)
            told = Baseline(f"ridge regression (L2 {strength:g})", lambda rows: model.predict(table(rows)))
        return Fitted(told, loss)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it has after MOST_STEPS counts
        return min(map(fitted, STRENGTHS), key=lambda one: one.loss)


def _boosting(view: _View, train: Rows, validation: Rows, classes: int) -> Fitted:
    """Trees are added until validation gains no more."""
    common = np.asarray(view.words(train).sum(axis=0)).ravel().argsort(kind="stable")[::-1][:COMMON_WORDS]

    def table(rows: Rows) -> Array:
        words = view.words(rows)[:, common].toarray()
        return np.concatenate([view.numbers(rows), view.categories(rows), words], axis=1).astype(np.float32)

    inputs, known = table(train), table(validation)
    first = view.numbers(train).shape[1]
    named = np.zeros(inputs.shape[1], bool)
    named[first : first + view.categories(train).shape[1]] = True
    named &= inputs.max(axis=0, initial=0) < MOST_BINS
    rounds = np.clip(MOST_WORK / len(train) / (classes if classes > 2 else 1), FEWEST_ROUNDS, MOST_ROUNDS)
    method = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    model = method(
        max_iter=int(rounds),
        learning_rate=0.1,
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        categorical_features=named if named.any() else None,
        random_state=0,
    )
    targets = validation.targets.numpy()
    model.fit(inputs, train.targets.numpy(), X_val=known, y_val=targets)
    given = model.predict_proba if classes else model.predict
    loss = cross_entropy(given(known), targets) if classes else rmse(given(known), targets)
    return Fitted(Baseline(f"gradient boosting ({model.n_iter_} rounds)", lambda rows: given(table(rows))), loss)
