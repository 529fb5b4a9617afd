"""A search over sizes and penalties within a time: the network whose validation loss is lowest is the one to train.

Trials come in an order that the seed fixes; how many there are, the clock decides, unless a number was asked for. None
is broken off by the median: fits that stop early are short, and more of them were no better (training/EXPERIMENTS.md).
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState
from torch import nn

from training import reproducible, study
from training.datasets.dataset import Dataset
from training.errors import Diverged
from training.fit import History, Steps, Watch, fit

EPOCHS = 200
"""At most."""

FEWEST_EPOCHS, FEWEST_STEPS = 3, 1000
"""However short the time is: less would not be a network that has learnt. A thousand steps take a second or two."""

PATIENCE = 16

TRIALS_AT_LEAST = 4
"""For which the time is to be enough: a network that is slow gets fewer epochs."""

MEASURED_BATCHES = 20
"""Of an epoch, that its length is judged by."""


@dataclass(frozen=True)
class Choice:
    """What is searched. width and depth: of the hidden layers. bins: see `TableNetwork`."""

    width: int = 64
    depth: int = 1
    dropout: float = 0.2
    bins: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.1

    @property
    def hidden(self) -> tuple[int, ...]:
        return (self.width,) * self.depth

    def words(self) -> str:
        layers = f"{self.depth} x {self.width}" if self.depth else "none"
        rest = f"dropout {self.dropout:.2f}, bins {self.bins}"
        return f"hidden {layers}, {rest}, learning rate {self.learning_rate:.1e}, decay {self.weight_decay:.1e}"


@dataclass(frozen=True)
class Trial:
    """loss: the lowest on validation; infinite for one that broke off or gave no number."""

    number: int
    choice: Choice
    loss: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Search:
    """All trials in their order, and the steps that the best of them took."""

    trials: tuple[Trial, ...]
    steps: Steps

    @property
    def best(self) -> Trial:
        return min(self.trials, key=lambda trial: trial.loss)


def search(
    dataset: Dataset,
    network: Callable[[Choice], nn.Module],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    seconds: float,
    trials: int | None,
    seed: int,
) -> Search:
    """network: a new one. seconds: after which none is begun and none goes on, but the first is always fitted.
    trials: at most. Raises Diverged where no trial gave a number.
    """
    steps = Steps(
        loss=loss,
        epochs=EPOCHS,
        batch_size=_batch_size(len(dataset.train)),
        learning_rate=Choice.learning_rate,
        patience=PATIENCE,
    )
    steps = replace(steps, epochs=_epochs(dataset, network, steps, seconds / TRIALS_AT_LEAST, seed))

    def tried(trial: optuna.Trial, watch: Watch) -> History:
        """As a recipe of these values would be trained."""
        choice = _suggest(trial)
        reproducible.start(seed)
        made = network(choice)
        rows = dataset.train, dataset.validation
        return fit(made, *rows, with_choice(steps, choice), score=lambda: 0.0, seed=seed, watch=watch)

    found = study.begin(higher_is_better=False, warm_up=EPOCHS)
    found.enqueue_trial(asdict(Choice()))
    study.search(found, tried, lambda epoch: epoch.validation_loss, seconds=seconds, trials=trials, seed=seed)
    if not study.whole(found):
        raise Diverged("no network of the search gave a number for its validation loss")
    best = Choice(**study.whole(found)[0].params)
    return Search(tuple(map(_trial, found.trials)), with_choice(steps, best))


def with_choice(steps: Steps, choice: Choice) -> Steps:
    return replace(steps, learning_rate=choice.learning_rate, weight_decay=choice.weight_decay)


def _trial(one: FrozenTrial) -> Trial:
    loss = one.value if one.state == TrialState.COMPLETE and one.value is not None else math.inf
    seconds = one.duration.total_seconds() if one.duration else 0.0
    return Trial(one.number + 1, Choice(**one.params), loss, one.user_attrs[study.EPOCHS], seconds)


def _suggest(trial: optuna.Trial) -> Choice:
    return Choice(
        width=trial.suggest_categorical("width", [16, 32, 64, 128, 256]),
        depth=trial.suggest_int("depth", 0, 3),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        bins=trial.suggest_categorical("bins", [0, 8, 24]),
        learning_rate=trial.suggest_float("learning_rate", 3e-4, 2e-2, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-4, 2.0, log=True),
    )


def _batch_size(rows: int) -> int:
    """About a hundred steps an epoch, of 32 rows at least and 2048 at most."""
    return 1 << min(11, max(5, math.ceil(math.log2(rows / 100))))


def _epochs(dataset: Dataset, network: Callable[[Choice], nn.Module], steps: Steps, seconds: float, seed: int) -> int:
    """As many as the time is enough for, by what some batches of one took."""
    rows = min(len(dataset.train), MEASURED_BATCHES * steps.batch_size)
    some = dataset.train.take(torch.arange(rows))
    reproducible.start(seed)
    one = replace(steps, epochs=1)
    fit(network(Choice()), some, some, one, score=lambda: 0.0, seed=seed)  # the first takes longer than the next
    started = time.perf_counter()
    fit(network(Choice()), some, some, one, score=lambda: 0.0, seed=seed)
    epoch = (time.perf_counter() - started) * len(dataset.train) / rows
    fewest = max(FEWEST_EPOCHS, FEWEST_STEPS * steps.batch_size // len(dataset.train))
    return int(min(EPOCHS, max(fewest, seconds / epoch)))
