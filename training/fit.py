"""The loop: AdamW, one pass over the shuffled training rows an epoch, early stopping on the validation loss.

AdamW without weight decay is Adam; with it, the decay is the L2 penalty kept apart from Adam's step sizes.

A fit that is killed goes on where it was: its state, chance among it, is kept beside it now and then, and an unbroken
fit of the same seed ends with the same weights. Several processes may fit one network, see `processes`.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from time import monotonic
from typing import Any, NoReturn

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from training.datasets.dataset import Rows
from training.errors import Diverged, NotTogether
from training.privacy import Privacy, Private
from training.processes import ALONE, Processes

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

    @property
    def best(self) -> Epoch:
        """The last one where none was kept."""
        return self.epochs[self.best_epoch - 1]


Watch = Callable[[History], None]
"""Told of a fit after each epoch; what it raises ends the fit."""


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
    watch: Watch | None = None,
    processes: Processes = ALONE,
) -> History:
    """Trains the network in place and leaves it with the weights of its best epoch.

    score: the network's validation metric as it stands.
    seed:  of the shuffling and the augmentation.
    state: where a fit is kept that may be killed; one that lies there already goes on. A damaged one does not count.
    watch: told after each epoch.
    processes: that make the fit together, each with the same arguments; state and score are those of the first.
    Raises Diverged if the validation loss was never a number.
    """
    fitting = _Fitting(network, steps, len(train), seed, processes)
    saved = processes.agreed(read(state) if state is not None and state.is_file() else None)
    if saved is not None:
        fitting.go_on(saved)
    kept = monotonic()
    with _progress(steps.epochs, len(fitting.epochs), processes) as progress:
        while not fitting.over:
            train_loss = fitting.learn(train)
            measured = (_loss_of(network, validation, steps.loss), score()) if processes.is_first else None
            fitting.add(Epoch(train_loss, *processes.agreed(measured)))
            progress.update()
            if watch is not None:
                watch(fitting.history)
            if state is not None and (fitting.over or monotonic() - kept > KEPT_EVERY_S):
                fitting.save(state)
                kept = monotonic()
    if fitting.best_epoch == 0:
        raise Diverged(
            f"the validation loss was never a number in {len(fitting.epochs)} epochs; try a lower learning rate"
        )
    network.load_state_dict(fitting.best_weights)
    return fitting.history


def _progress(epochs: int, done: int, processes: Processes) -> "tqdm[NoReturn]":
    # None: no bar where nobody watches. leave=None: below the bar of several fits it goes when it is full.
    hidden = None if processes.is_first else True
    return tqdm(total=epochs, initial=done, desc="fit", unit="epoch", disable=hidden, leave=None)


class _Fitting:
    """A fit between two epochs."""

    def __init__(self, network: nn.Module, steps: Steps, rows: int, seed: int, processes: Processes) -> None:
        if steps.privacy is not None and processes.count > 1:
            raise NotTogether(
                "a private fit is made by one process: the noise and the accounting are those of whole batches; "
                "start it without torchrun"
            )
        self._processes = processes
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
            total, seen = total + self._step(batch) * len(batch), seen + len(batch)
        return self._processes.add_up(total) / seen

    def _step(self, batch: Rows) -> float:
        """On the loss of a batch; what this process's rows add to it."""
        part = self._processes.part(len(batch))
        mine = part.of(batch)
        self._optimiser.zero_grad()
        with part.within_whole():
            value = self._steps.loss(self._learning(**mine.inputs), mine.targets)
        whole = value + self._penalty() if self._steps.l1 else value
        self._private.backward(whole) if self._private else whole.backward(whole.new_tensor(part.share))
        self._processes.add_up_gradients(self._network.parameters())
        self._optimiser.step()
        if self._schedule is not None:
            self._schedule.step()
        return part.share * value.item()

    def _batches(self) -> Sequence[Tensor]:
        """The rows of each batch of an epoch."""
        if self._private is not None:
            return self._private.batches(self._generator)
        order: Tensor = torch.randperm(self._rows, generator=self._generator)
        parts: tuple[Tensor, ...] = order.split(self._steps.batch_size)
        return parts

    @property
    def history(self) -> History:
        """So far."""
        epsilon = self._private.spent(len(self.epochs)) if self._private else None
        return History(tuple(self.epochs), self.best_epoch, epsilon)

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

    def go_on(self, state: Mapping[str, Any]) -> None:
        """From what `save` has kept."""
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


def read(file: Path) -> dict[str, Any] | None:
    """What torch has saved; None where it cannot be read, as a file that was half written."""
    try:
        saved: dict[str, Any] = torch.load(BytesIO(file.read_bytes()), weights_only=True)
    except (RuntimeError, ValueError, EOFError, UnpicklingError):
        return None
    return saved


@torch.no_grad()
def _loss_of(network: nn.Module, rows: Rows, loss: Loss) -> float:
    """Over all rows, so many at a time that a large network's activations fit."""
    network.eval()
    outputs = [network(**rows.take(index).inputs) for index in torch.arange(len(rows)).split(ROWS_AT_ONCE)]
    return loss(torch.cat(outputs), rows.targets).item()
