"""Figures of merit, each a plain function of outputs and targets.

Classifiers are measured on probabilities (rows, classes), regressors on values (rows,), forecasts on their quantiles
(rows, quantiles), rankings on the scores of all items (rows, items).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Measure:
    """of: (outputs, targets) -> the figure. decided: of the labels that are answered, as probabilities of 0 and 1.

    each: where the figure is a mean over rows, what each of them gives, (rows,).
    """

    name: str
    higher_is_better: bool
    of: Callable[[Array, Array], float]
    decided: bool = False
    each: Callable[[Array, Array], Array] | None = None

    def at(self, threshold: float | None, outputs: Array, targets: Array) -> float:
        """The figure where labels are answered from this threshold on; None for the likelier label."""
        return self.of(decide(outputs, threshold) if self.decided else outputs, targets)


def decide(probabilities: Array, threshold: float | None) -> Array:
    """The label that is answered, with probability 1, of two; the second from the threshold on, None as of 0.5."""
    second = probabilities[:, 1] >= threshold if threshold is not None else probabilities.argmax(axis=1) == 1
    return np.stack([~second, second], axis=1).astype(float)


def accuracy(probabilities: Array, classes: Array) -> float:
    return float((probabilities.argmax(axis=1) == classes).mean())


def cross_entropy(probabilities: Array, classes: Array) -> float:
    """Mean of -ln of the probability given to the true class; a flat 0 counts as the smallest float32."""
    given = probabilities[np.arange(len(classes)), classes.astype(int)]
    return float(-np.log(np.maximum(given, np.finfo(np.float32).tiny)).mean())


def auc(probabilities: Array, classes: Array) -> float:
    """Share of the pairs of a row of each class that the second class's probability puts in order, a tie being half of
    one; two classes only, NaN where one of them has no row or a probability is NaN."""
    rows, hits = _by_probability(probabilities, classes)
    misses = rows - hits
    pairs = hits.sum() * misses.sum()
    if pairs == 0 or np.isnan(probabilities).any():
        return math.nan
    return float((misses * (hits.cumsum() - hits / 2)).sum() / pairs)


def pr_auc(probabilities: Array, classes: Array) -> float:
    """Area under precision over recall of the second class, as average precision; two classes only. Where that class is
    rare, guessing gives its share of the rows, and the ROC's area hides how many false alarms come with a hit."""
    rows, hits = _by_probability(probabilities, classes)
    return float((hits * hits.cumsum() / rows.cumsum()).sum() / max(1, hits.sum()))


def _by_probability(probabilities: Array, classes: Array) -> tuple[Array, Array]:
    """All rows and those of the second class at each of its probabilities, the highest first.

    scikit-learn finds the same, and checks what it is given for so long that a thousand bootstrap samples take seconds.
    """
    distinct, places = np.unique(-probabilities[:, 1], return_inverse=True)
    every, second = np.ones(len(classes)), (classes == 1).astype(float)
    rows, hits = (np.bincount(places, weights, len(distinct)).astype(float) for weights in (every, second))
    return rows, hits


def brier(probabilities: Array, classes: Array) -> float:
    """Mean squared distance of the second class's probability from 0 or 1."""
    return float(((probabilities[:, 1] - classes) ** 2).mean())


def calibration_error(probabilities: Array, classes: Array, bins: int = 10) -> float:
    """Expected calibration error: how far the probability of the likelier class is from its share of hits, over equal
    bins of probability, each as heavy as its rows. Source: Guo et al., 2017, section 2."""
    given, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == classes
    places = np.minimum((given * bins).astype(int), bins - 1)
    filled = np.unique(places)
    return float(sum(abs((given - hits)[places == one].sum()) for one in filled) / len(given))


def recall_in_review(probabilities: Array, classes: Array, *, share: float) -> float:
    """Share of the second class's rows among the rows that look most like it, where so many are reviewed."""
    reviewed = np.argsort(-probabilities[:, 1], kind="stable")[: max(1, round(share * len(classes)))]
    return float((classes[reviewed] == 1).sum() / max(1, (classes == 1).sum()))


def cost_per_1000(probabilities: Array, classes: Array, *, miss: float, false_alarm: float) -> float:
    """What the likelier labels cost, over 1,000 rows: misses of the second class, and false alarms of it."""
    found = probabilities.argmax(axis=1) == 1
    return float(1000 * (miss * (~found & (classes == 1)) + false_alarm * (found & (classes == 0))).mean())


def pinball(quantiles: Array, targets: Array, *, levels: tuple[float, ...]) -> float:
    """Mean over the levels of the loss that each quantile minimises. targets: (rows,), or their first column."""
    values = _values(targets)
    short = values[:, None] - quantiles[:, : len(levels)]
    return float(np.maximum(np.array(levels) * short, (np.array(levels) - 1) * short).mean())


def coverage(quantiles: Array, targets: Array) -> float:
    """Share of the rows whose value lies between the first and the last quantile."""
    values = _values(targets)
    return float(((quantiles[:, 0] <= values) & (values <= quantiles[:, -1])).mean())


def coverage_error(quantiles: Array, targets: Array, *, levels: tuple[float, ...]) -> float:
    """How far the coverage is from what the levels promise. quantiles: (rows, columns), the levels' first."""
    return abs(coverage(quantiles[:, : len(levels)], targets) - (levels[-1] - levels[0]))


def mase(quantiles: Array, targets: Array, *, middle: int) -> float:
    """Mean absolute error of one quantile, each row's in units of its own scale: the error of the naive forecast on its
    training days. targets: (rows, 2), value and scale. Source: Hyndman & Koehler, 2006."""
    return float((np.abs(quantiles[:, middle] - targets[:, 0]) / targets[:, 1]).mean())


def wape(quantiles: Array, targets: Array, *, middle: int) -> float:
    """Sum of the absolute errors of one quantile over the sum of the values."""
    values = _values(targets)
    return float(np.abs(quantiles[:, middle] - values).sum() / np.abs(values).sum())


def hit_rate(scores: Array, items: Array, *, k: int) -> float:
    """Share of the rows whose item is among the k highest scores."""
    return float(hits(scores, items, k=k).mean())


def hits(scores: Array, items: Array, *, k: int) -> Array:
    """1 for each row whose item is among the k highest scores, else 0."""
    return (_ranks(scores, items) < k).astype(np.float64)


def ndcg(scores: Array, items: Array, *, k: int) -> float:
    """Mean of 1 / log2(rank + 2) of the one wanted item, ranks from 0; 0 beyond the first k."""
    return float(gains(scores, items, k=k).mean())


def gains(scores: Array, items: Array, *, k: int) -> Array:
    """What `ndcg` is the mean of."""
    ranks = _ranks(scores, items)
    return np.where(ranks < k, 1 / np.log2(ranks + 2), 0)


def _ranks(scores: Array, items: Array) -> NDArray[np.int64]:
    """How many items have a higher score than the wanted one, or the same and an earlier place."""
    places = items.astype(int)
    wanted = scores[np.arange(len(places)), places][:, None]
    earlier = np.arange(scores.shape[1]) < places[:, None]
    ranks: NDArray[np.int64] = ((scores > wanted) | ((scores == wanted) & earlier)).sum(axis=1)
    return ranks


def _values(targets: Array) -> Array:
    return targets if targets.ndim == 1 else targets[:, 0]


def recall(probabilities: Array, classes: Array, *, of: int) -> float:
    """Share of the rows of class `of` that are found."""
    return float((probabilities.argmax(axis=1)[classes == of] == of).mean())


def largest_error(probabilities: Array, classes: Array) -> float:
    """Of the second class's probability, against 0 or 1."""
    return float(np.abs(probabilities[:, 1] - classes).max())


def r2(values: Array, targets: Array) -> float:
    """Share of the variance that is explained."""
    return float(1 - ((targets - values) ** 2).sum() / ((targets - targets.mean()) ** 2).sum())


def r2_of_logs(quantiles: Array, targets: Array, *, middle: int) -> float:
    """Share of the logarithms' variance that one quantile's explain. targets: (rows,), above 0."""
    return r2(np.log(quantiles[:, middle]), np.log(targets))


def rmse(values: Array, targets: Array) -> float:
    return float(np.sqrt(((targets - values) ** 2).mean()))


def mae(values: Array, targets: Array) -> float:
    return float(np.abs(targets - values).mean())


ACCURACY = Measure("accuracy", True, accuracy)
CROSS_ENTROPY = Measure("cross_entropy", False, cross_entropy)
AUC = Measure("auc", True, auc)
LARGEST_ERROR = Measure("largest_error", False, largest_error)
PR_AUC = Measure("pr_auc", True, pr_auc)
BRIER = Measure("brier", False, brier)
CALIBRATION_ERROR = Measure("calibration_error", False, calibration_error)
R2 = Measure("r2", True, r2)
RMSE = Measure("rmse", False, rmse)
MAE = Measure("mae", False, mae)


def hit_rate_at(k: int) -> Measure:
    return Measure(f"hit_rate_at_{k}", True, partial(hit_rate, k=k), each=partial(hits, k=k))


def ndcg_at(k: int) -> Measure:
    return Measure(f"ndcg_at_{k}", True, partial(ndcg, k=k), each=partial(gains, k=k))


def recall_of(label: str, number: int) -> Measure:
    return Measure(f"{label}_recall", True, partial(recall, of=number))
