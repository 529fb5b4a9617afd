"""A run's curves in the manifest."""

import math

import pytest
from pydantic import ValidationError

from app.manifest import Curves
from training.curves import MOST_EPOCHS, curves
from training.fit import Epoch, History


def history(epochs: int, best: int) -> History:
    return History(tuple(Epoch(1 / n, 2 / n, n / 3) for n in range(1, epochs + 1)), best)


def test_a_short_run_is_kept_whole_in_six_digits() -> None:
    kept = curves(history(3, 2), "accuracy")
    assert (kept.measure, kept.epochs) == ("accuracy", (1, 2, 3))
    assert kept.train_loss == (1, 0.5, 0.333333)
    assert kept.validation_loss == (2, 1, 0.666667)
    assert kept.score == (0.333333, 0.666667, 1)


@pytest.mark.parametrize("epochs", [MOST_EPOCHS, MOST_EPOCHS + 1, 1000, 12_345])
@pytest.mark.parametrize("best", [1, 2, 137, MOST_EPOCHS])
def test_a_long_run_is_thinned_to_its_ends_and_its_best_epoch_among_others(epochs: int, best: int) -> None:
    kept = curves(history(epochs, best), "r2").epochs
    assert len(kept) <= MOST_EPOCHS
    assert {1, best, epochs} <= set(kept)
    assert list(kept) == sorted(set(kept))


def test_an_epoch_without_a_number_is_left_out() -> None:
    epochs = (Epoch(math.nan, 1, 1), Epoch(1, 2, 3), Epoch(1, 2, math.inf))
    assert curves(History(epochs, 2), "r2").epochs == (2,)


def test_curves_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValidationError, match="wanted one of each for every epoch"):
        Curves(measure="r2", epochs=(1, 2), train_loss=(1, 2), validation_loss=(1, 2), score=(1,))
