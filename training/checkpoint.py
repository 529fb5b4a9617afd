"""A trained network on disk: its weights, and what they were trained with.

Loaded with `weights_only`, so that a checkpoint is data and never code.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.errors import RunNotFound
from training.fit import Epoch, History, read

FILE = "checkpoint.pt"


@dataclass(frozen=True)
class Checkpoint:
    """weights: of what is served. history: of the first member. threshold: None for the likelier label. settings: of
    the recipe and its data, at the time. seconds: that training took."""

    weights: Mapping[str, Tensor]
    history: History
    seed: int
    settings: Mapping[str, object]
    seconds: float
    threshold: float | None = None


def save(checkpoint: Checkpoint, folder: Path) -> None:
    history = checkpoint.history
    torch.save(
        {
            "weights": dict(checkpoint.weights),
            "epochs": [astuple(epoch) for epoch in history.epochs],
            "best_epoch": history.best_epoch,
            "epsilon": history.epsilon,
            "seed": checkpoint.seed,
            "settings": dict(checkpoint.settings),
            "seconds": checkpoint.seconds,
            "threshold": checkpoint.threshold,
        },
        folder / FILE,
    )


def load(folder: Path) -> Checkpoint:
    """Raises RunNotFound if the folder holds none that can be read."""
    if not (folder / FILE).is_file():
        raise RunNotFound(f"{folder} holds no {FILE}; `fit` makes one")
    saved = read(folder / FILE)
    if saved is None:
        raise RunNotFound(f"{folder / FILE} is damaged or no checkpoint; `fit` makes another")
    history = History(tuple(Epoch(*epoch) for epoch in saved["epochs"]), saved["best_epoch"], saved["epsilon"])
    told = (saved[key] for key in ("seed", "settings", "seconds", "threshold"))
    return Checkpoint(saved["weights"], history, *told)
