"""A run's curves as the manifest keeps them: few enough points to draw, none of what was decided by them left out."""

from math import isfinite

import numpy as np

from app.manifest import Curves
from training.fit import History
from training.publish import six_digits

MOST_EPOCHS = 200


def curves(history: History, measure: str) -> Curves:
    """measure: the name of the score. Epochs whose figures are no numbers are left out."""
    chosen = [
        (number, epoch)
        for number in _thinned(len(history.epochs), history.best_epoch)
        if isfinite((epoch := history.epochs[number - 1]).train_loss + epoch.validation_loss + epoch.score)
    ]
    return Curves(
        measure=measure,
        epochs=tuple(number for number, _ in chosen),
        train_loss=tuple(six_digits(epoch.train_loss) for _, epoch in chosen),
        validation_loss=tuple(six_digits(epoch.validation_loss) for _, epoch in chosen),
        score=tuple(six_digits(epoch.score) for _, epoch in chosen),
    )


def _thinned(epochs: int, best: int) -> list[int]:
    """At most MOST_EPOCHS of 1 to epochs, evenly, the first, the last and the best among them."""
    if epochs <= MOST_EPOCHS:
        return list(range(1, epochs + 1))
    evenly = np.linspace(1, epochs, MOST_EPOCHS - 1).round().astype(int).tolist()
    return sorted({*evenly, best})
