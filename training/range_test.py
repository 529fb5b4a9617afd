"""A learning-rate range test: one sweep with the rate rising exponentially tells which rates learn and which diverge.

Source: Smith, Cyclical Learning Rates for Training Neural Networks, 2017.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor, nn

from training.datasets.dataset import Rows
from training.errors import Diverged
from training.fit import Steps, fit
from training.report import BLUE, GREY, ORANGE
from training.schedules import rising

LOWEST, HIGHEST = 1e-5, 1.0
FEWEST_STEPS = 300
"""A pass over the rows is repeated until there are as many."""
LOST = 4.0
"""The sweep is over once the loss is as many times its lowest, or no number."""


@dataclass(frozen=True)
class Sweep:
    """Step by step: the learning rate, the loss of the batch, and its mean over some steps before and after.

    suggested: the rate at which the mean falls fastest. lowest: the rate at which it is lowest.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    suggested: float
    lowest: float

    def words(self, used: float) -> str:
        """used: the recipe's own rate."""
        end = f"no longer falls beyond {self.lowest:.1e}" if self.lowest < self.rates[-1] else "falls up to the highest"
        return (
            f"The loss falls fastest at {self.suggested:.1e} and {end}. Suggested: {self.suggested:.1e}; "
            f"the recipe has {used:.1e}."
        )


def sweep(network: nn.Module, train: Rows, steps: Steps, seed: int) -> Sweep:
    """The network is trained in place, and is of no use afterwards."""
    losses: list[float] = []

    def recorded(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = steps.loss(outputs, targets)
        if torch.is_grad_enabled():
            losses.append(loss.item())
        return loss

    epochs = -(-FEWEST_STEPS // -(-len(train) // steps.batch_size))
    rise = partial(rising, factor=HIGHEST / LOWEST)
    swept = replace(steps, loss=recorded, epochs=epochs, patience=epochs, learning_rate=LOWEST, schedule=rise)
    with suppress(Diverged):
        fit(network, train, train.take(torch.arange(1)), swept, score=lambda: 0.0, seed=seed)
    return read(np.geomspace(LOWEST, HIGHEST, len(losses)), np.array(losses))


def read(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> Sweep:
    """Both as long as the sweep; what follows its end is left out."""
    window = max(3, len(losses) // 15)
    smooth = _mean_around(losses, window)
    over = ~np.isfinite(smooth) | (smooth > LOST * np.minimum.accumulate(np.where(np.isfinite(smooth), smooth, np.inf)))
    end = int(np.argmax(over)) if over.any() else len(smooth)
    rates, losses, smooth = rates[:end], losses[:end], smooth[:end]
    lowest = int(np.argmin(smooth))
    slopes = _mean_around(np.gradient(smooth, np.log(rates)), window)
    fastest = int(np.argmin(slopes[: lowest + 1]))
    return Sweep(
        tuple(rates.tolist()),
        tuple(losses.tolist()),
        tuple(smooth.tolist()),
        float(rates[fastest]),
        float(rates[lowest]),
    )


def save(found: Sweep, title: str, used: float, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "range.json").write_bytes(TypeAdapter(dict[str, object]).dump_json(asdict(found), indent=2) + b"\n")
    draw(found, title, used, folder / "range.png")


def draw(found: Sweep, title: str, used: float, path: Path) -> None:
    """The loss over the rate, with the suggested rate and the recipe's own marked."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, ".", color=GREY, alpha=0.4, markersize=4, label="a batch")
    axes.plot(found.rates, found.smooth, color=BLUE, label="mean around it")
    axes.axvline(found.suggested, color=ORANGE, label=f"falls fastest: {found.suggested:.1e}")
    axes.axvline(used, color=GREY, linestyle=":", label=f"the recipe's: {used:.1e}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.1 * np.quantile(found.losses, 0.98))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title(title, loc="left", weight="bold")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=120)


def _mean_around(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Over as many neighbours, fewer at the ends."""
    kernel = np.ones(window)
    with np.errstate(invalid="ignore"):
        total = np.convolve(values, kernel, "same")
    mean: NDArray[np.float64] = total / np.convolve(np.ones(len(values)), kernel, "same")
    return mean
