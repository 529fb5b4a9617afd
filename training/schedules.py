"""Learning rates that change from step to step; each takes the optimiser and the steps of the whole fit."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LRScheduler, OneCycleLR


def one_cycle(optimiser: Optimizer, steps: int, *, peak: float) -> LRScheduler:
    """Up to `peak` times the learning rate in three tenths of the steps, then down to nearly nothing.

    Source: Smith & Topin, Super-Convergence, 2018.
    """
    [group] = optimiser.param_groups
    return OneCycleLR(optimiser, max_lr=peak * group["lr"], total_steps=steps)


def cosine(optimiser: Optimizer, steps: int) -> LRScheduler:
    """Down to nothing along half a cosine. Source: Loshchilov & Hutter, SGDR, 2017."""
    return CosineAnnealingLR(optimiser, steps)


def rising(optimiser: Optimizer, steps: int, *, factor: float) -> LRScheduler:
    """Up to `factor` times the learning rate, each step by the same ratio."""
    return ExponentialLR(optimiser, factor ** (1 / max(1, steps - 1)))
