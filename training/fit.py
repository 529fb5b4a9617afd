"""The loop: AdamW, one pass over the shuffled training rows an epoch, early stopping on the validation loss.

AdamW without weight decay is Adam; with it, the decay is the L2 penalty kept apart from Adam's step sizes.

A fit that is killed goes on where it was: its state, chance among it, is kept beside it now and then, and an unbroken
fit of the same seed ends with the same weights.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from time import monotonic

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from training.datasets.dataset import Rows
from training.errors import Diverged
from training.privacy import Privacy, Private

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> mean over the rows."""

Augment = Callable[[Rows, Generator], Rows]
"""A batch -> the same batch, seen differently; every draw from the generator."""


Schedule = Callable[[torch.optim.Optimizer, int], torch.optim.lr_scheduler.LRScheduler]
"""(optimiser, steps of the whole fit) -> the learning rate step by step."""

ROWS_AT_ONCE = 1024

KEPT_EVERY_S = 0.5
"""Seconds between two states of a fit on disk: a state takes a few milliseconds."""


@dataclass(frozen=True)
class Epoch:
    """score: the metric that is shown beside the losses, on the validation rows."""

    train_loss: float
    validation_loss: float
    score: float


@dataclass(frozen=True)
class History:
    """best_epoch: the one whose weights were kept, counted from 1. epsilon: of the privacy of the training rows."""

    epochs: tuple[Epoch, ...]
    best_epoch: int
    epsilon: float | None = None


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How a network is fitted.

    loss:         of a batch.
    epochs:       at most.
    weight_decay: AdamW's, the L2 penalty.
    l1:           times the sum of the absolute weights, biases left out, on top of the loss.
    patience:     epochs without a lower validation loss before it stops.
    privacy:      of the training rows; None learns from them as they are.
    """

    loss: Loss
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    weight_decay: float = 0.0
    l1: float = 0.0
    schedule: Schedule | None = None
    augment: Augment | None = None
    privacy: Privacy | None = None


def fit(
    network: nn.Module,
    train: Rows,
    validation: Rows,
    steps: Steps,
    *,
    score: Callable[[], float],
    seed: int,
    state: Path | None = None,
) -> History:
    """Trains the network in place and leaves it with the weights of its best epoch.

    score: the network's validation metric as it stands.
    seed:  of the shuffling and the augmentation.
    state: where a fit is kept that may be killed; one that lies there already goes on.
    Raises Diverged if the validation loss was never a number.
    """
    fitting = _Fitting(network, steps, len(train), seed)
    if state is not None and state.is_file():
        fitting.load(state)
    kept = monotonic()
    # disable=None: no bar where nobody watches. leave=None: below the bar of several fits it goes when it is full.
    with tqdm(
        total=steps.epochs, initial=len(fitting.epochs), desc="fit", unit="epoch", disable=None, leave=None
    ) as progress:
        while not fitting.over:
            train_loss = fitting.learn(train)
            fitting.add(Epoch(train_loss, _loss_of(network, validation, steps.loss), score()))
            progress.update()
            if state is not None and (fitting.over or monotonic() - kept > KEPT_EVERY_S):
                fitting.save(state)
                kept = monotonic()
    if fitting.best_epoch == 0:
        raise Diverged(
            f"the validation loss was never a number in {len(fitting.epochs)} epochs; try a lower learning rate"
        )
    network.load_state_dict(fitting.best_weights)
    return History(tuple(fitting.epochs), fitting.best_epoch, fitting.epsilon)


class _Fitting:
    """A fit between two epochs."""

    def __init__(self, network: nn.Module, steps: Steps, rows: int, seed: int) -> None:
        self._network, self._learning, self._steps, self._rows = network, network, steps, rows
        self._optimiser: torch.optim.Optimizer = torch.optim.AdamW(
            network.parameters(), lr=steps.learning_rate, weight_decay=steps.weight_decay
        )
        self._private = None
        if steps.privacy is not None:
            self._private = Private(
                network, self._optimiser, steps.privacy, rows=rows, batch=steps.batch_size, epochs=steps.epochs
            )
            self._learning, self._optimiser = self._private.network, self._private.optimiser
        batches = -(-rows // steps.batch_size)
        self._schedule = steps.schedule(self._optimiser, batches * steps.epochs) if steps.schedule else None
        self._generator = Generator().manual_seed(seed)
        self.epochs: list[Epoch] = []
        self.best_epoch, self.best_weights = 0, network.state_dict()

    @property
    def over(self) -> bool:
        """All epochs are done, or too many without a better one."""
        done = len(self.epochs)
        return done >= self._steps.epochs or (done > 0 and done - self.best_epoch >= self._steps.patience)

    def learn(self, train: Rows) -> float:
        """One step a batch; the mean loss over the rows, each as it was before its step."""
        _train(self._learning)
        total, seen = 0.0, 0
        for index in self._batches():
            batch = train.take(index)
            if self._steps.augment is not None:
                batch = self._steps.augment(batch, self._generator)
            self._optimiser.zero_grad()
            value = self._steps.loss(self._learning(**batch.inputs), batch.targets)
            whole = value + self._penalty() if self._steps.l1 else value
            self._private.backward(whole) if self._private else whole.backward()
            self._optimiser.step()
            if self._schedule is not None:
                self._schedule.step()
            total, seen = total + value.item() * len(batch), seen + len(batch)
        return total / seen

    def _batches(self) -> Sequence[Tensor]:
        """The rows of each batch of an epoch."""
        if self._private is not None:
            return self._private.batches(self._generator)
        order: Tensor = torch.randperm(self._rows, generator=self._generator)
        parts: tuple[Tensor, ...] = order.split(self._steps.batch_size)
        return parts

    @property
    def epsilon(self) -> float | None:
        """Of the privacy of the training rows, after the epochs so far."""
        return self._private.spent(len(self.epochs)) if self._private else None

    def _penalty(self) -> Tensor:
        weights = [weight.abs().sum() for weight in self._network.parameters() if weight.ndim > 1]
        return self._steps.l1 * torch.stack(weights).sum()

    def add(self, epoch: Epoch) -> None:
        """One more is over."""
        lowest = self.epochs[self.best_epoch - 1].validation_loss if self.best_epoch else math.inf
        self.epochs.append(epoch)
        if epoch.validation_loss < lowest:
            self.best_epoch, self.best_weights = len(self.epochs), copy.deepcopy(self._network.state_dict())

    def save(self, file: Path) -> None:
        """All that the next epoch depends on, at once or not at all."""
        state = {
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict() if self._schedule else None,
            "generator": self._generator.get_state(),
            "chance": torch.get_rng_state(),
            "epochs": [astuple(epoch) for epoch in self.epochs],
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }
        hidden = file.with_name(f".{file.name}")
        torch.save(state, hidden)
        hidden.replace(file)

    def load(self, file: Path) -> None:
        state = torch.load(file, weights_only=True)
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._schedule is not None:
            self._schedule.load_state_dict(state["schedule"])
        self._generator.set_state(state["generator"])
        torch.set_rng_state(state["chance"])
        self.epochs = [Epoch(*epoch) for epoch in state["epochs"]]
        self.best_epoch, self.best_weights = state["best_epoch"], state["best_weights"]


def _train(network: nn.Module) -> None:
    """As PyTorch's, but that layers whose weights are frozen answer as they will: their running means stay too."""
    network.train()
    for layer in network.modules():
        weights = list(layer.parameters(recurse=False))
        if weights and not any(one.requires_grad for one in weights):
            layer.eval()


@torch.no_grad()
def _loss_of(network: nn.Module, rows: Rows, loss: Loss) -> float:
    """Over all rows, so many at a time that a large network's activations fit."""
    network.eval()
    outputs = [network(**rows.take(index).inputs) for index in torch.arange(len(rows)).split(ROWS_AT_ONCE)]
    return loss(torch.cat(outputs), rows.targets).item()
