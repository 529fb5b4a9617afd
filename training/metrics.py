"""Figures of merit, each a plain function of outputs and targets.

Classifiers are measured on probabilities (rows, classes), regressors on values (rows,).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Measure:
    """of: (outputs, targets) -> the figure."""

    name: str
    higher_is_better: bool
    of: Callable[[Array, Array], float]


def accuracy(probabilities: Array, classes: Array) -> float:
    return float((probabilities.argmax(axis=1) == classes).mean())


def cross_entropy(probabilities: Array, classes: Array) -> float:
    """Mean of -ln of the probability given to the true class; a flat 0 counts as the smallest float32."""
    given = probabilities[np.arange(len(classes)), classes.astype(int)]
    return float(-np.log(np.maximum(given, np.finfo(np.float32).tiny)).mean())


def auc(probabilities: Array, classes: Array) -> float:
    """Two classes only."""
    return float(roc_auc_score(classes, probabilities[:, 1]))


def recall(probabilities: Array, classes: Array, *, of: int) -> float:
    """Share of the rows of class `of` that are found."""
    return float((probabilities.argmax(axis=1)[classes == of] == of).mean())


def largest_error(probabilities: Array, classes: Array) -> float:
    """Of the second class's probability, against 0 or 1."""
    return float(np.abs(probabilities[:, 1] - classes).max())


def r2(values: Array, targets: Array) -> float:
    """Share of the variance that is explained."""
    return float(1 - ((targets - values) ** 2).sum() / ((targets - targets.mean()) ** 2).sum())


def rmse(values: Array, targets: Array) -> float:
    return float(np.sqrt(((targets - values) ** 2).mean()))


def mae(values: Array, targets: Array) -> float:
    return float(np.abs(targets - values).mean())


ACCURACY = Measure("accuracy", True, accuracy)
CROSS_ENTROPY = Measure("cross_entropy", False, cross_entropy)
AUC = Measure("auc", True, auc)
LARGEST_ERROR = Measure("largest_error", False, largest_error)
R2 = Measure("r2", True, r2)
RMSE = Measure("rmse", False, rmse)
MAE = Measure("mae", False, mae)


def recall_of(label: str, number: int) -> Measure:
    return Measure(f"{label}_recall", True, partial(recall, of=number))
