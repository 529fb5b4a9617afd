"""Quantiles as the end of a network: they cannot cross, and any level between two of them can be asked for."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus


def ordered(steps: Tensor) -> Tensor:
    """(rows, quantiles) of any numbers -> rising ones: the first as it is, and upwards from it by softplus."""
    return torch.cat([steps[:, :1], softplus(steps[:, 1:])], dim=1).cumsum(dim=1)


def at_level(quantiles: Tensor, levels: Sequence[float], wanted: Tensor) -> Tensor:
    """The quantile of each row's own level, on the straight line between its neighbours; the outermost beyond them.

    quantiles: (rows, levels), rising; wanted: (rows, 1) -> (rows,).
    """
    low, high = wanted.new_tensor(levels[:-1]), wanted.new_tensor(levels[1:])
    share = ((wanted - low) / (high - low)).clamp(0, 1)  # (rows, levels - 1): of each step that is climbed
    return quantiles[:, 0] + (share * quantiles.diff(dim=1)).sum(dim=1)
