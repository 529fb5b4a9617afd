"""The loop: AdamW, one pass over the shuffled training rows an epoch, early stopping on the validation loss.

AdamW without weight decay is Adam; with it, the decay is the L2 penalty kept apart from Adam's step sizes.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from training.datasets.dataset import Rows
from training.errors import Diverged

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> mean over the rows."""

Augment = Callable[[Rows, Generator], Rows]
"""A batch -> the same batch, seen differently; every draw from the generator."""


@dataclass(frozen=True)
class Epoch:
    """score: the metric that is shown beside the losses, on the validation rows."""

    train_loss: float
    validation_loss: float
    score: float


@dataclass(frozen=True)
class History:
    """best_epoch: the one whose weights were kept, counted from 1."""

    epochs: tuple[Epoch, ...]
    best_epoch: int


def fit(
    network: nn.Module,
    train: Rows,
    validation: Rows,
    *,
    loss: Loss,
    score: Callable[[], float],
    augment: Augment | None,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    patience: int,
    seed: int,
) -> History:
    """Trains the network in place and leaves it with the weights of its best epoch.

    score:    the network's validation metric as it stands.
    patience: epochs without a lower validation loss before it stops.
    seed:     of the shuffling and the augmentation.
    Raises Diverged if the validation loss was never a number.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    generator = Generator().manual_seed(seed)
    history: list[Epoch] = []
    best_loss, best_epoch, best_weights = math.inf, 0, network.state_dict()
    # disable=None: no bar where nobody watches.
    for epoch in tqdm(range(1, epochs + 1), desc="fit", unit="epoch", disable=None):
        train_loss = _learn(network, _batches(train, batch_size, generator, augment), loss, optimiser)
        history.append(Epoch(train_loss, _loss_of(network, validation, loss), score()))
        if history[-1].validation_loss < best_loss:
            best_loss, best_epoch = history[-1].validation_loss, epoch
            best_weights = copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= patience:
            break
    if best_epoch == 0:
        raise Diverged(f"the validation loss was never a number in {len(history)} epochs; try a lower learning rate")
    network.load_state_dict(best_weights)
    return History(tuple(history), best_epoch)


def _batches(rows: Rows, size: int, generator: Generator, augment: Augment | None) -> Iterator[Rows]:
    for index in torch.randperm(len(rows), generator=generator).split(size):
        batch = rows.take(index)
        yield augment(batch, generator) if augment else batch


def _learn(network: nn.Module, batches: Iterator[Rows], loss: Loss, optimiser: torch.optim.Optimizer) -> float:
    """One step a batch; the mean loss over the rows, each as it was before its step."""
    network.train()
    total, seen = 0.0, 0
    for batch in batches:
        optimiser.zero_grad()
        value = loss(network(**batch.inputs), batch.targets)
        value.backward()
        optimiser.step()
        total, seen = total + value.item() * len(batch), seen + len(batch)
    return total / seen


@torch.no_grad()
def _loss_of(network: nn.Module, rows: Rows, loss: Loss) -> float:
    network.eval()
    return loss(network(**rows.inputs), rows.targets).item()
