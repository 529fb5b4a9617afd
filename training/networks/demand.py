"""Next week's demand out of the last weeks': in units of the article's own mean, so that all articles are one kind."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from training.networks.perceptron import perceptron
from training.networks.quantiles import at_level, ordered

SEASONS = 2
"""Waves a year that the calendar is told in: one and two."""


class DemandQuantiles(nn.Module):
    """sales (rows, weeks) in pieces, week (rows, 1) of the year, service_level (rows, 1) -> (rows, quantiles + 1): the
    rising quantiles of `levels` in pieces, and the one of the service level."""

    def __init__(
        self,
        inputs: Mapping[str, Tensor],
        _: Tensor,
        *,
        levels: tuple[float, ...],
        hidden: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.levels = levels
        weeks = inputs["sales"].shape[1]
        self.layers = perceptron((weeks + 2 * SEASONS + 2, *hidden, len(levels)), dropout)

    def forward(self, sales: Tensor, week: Tensor, service_level: Tensor) -> Tensor:
        mean = sales.mean(dim=1, keepdim=True)  # (rows, 1)
        scale = mean + 1
        empty = (sales == 0).float().mean(dim=1, keepdim=True)
        # (rows, weeks + 2 * SEASONS + 2)
        told = torch.cat([(sales / scale).log1p(), _season(week), mean.log1p() / 5, empty], dim=1)
        steps = self.layers(told)  # (rows, quantiles)
        rising = ordered(torch.cat([softplus(steps[:, :1]), steps[:, 1:]], dim=1)) * scale
        return torch.cat([rising, at_level(rising, self.levels, service_level).unsqueeze(1)], dim=1)


def _season(week: Tensor) -> Tensor:
    """(rows, 1) from 1 to 53 -> (rows, 2 * SEASONS), the same at both ends of the year."""
    angles = [2 * math.pi * wave * week / 52.18 for wave in range(1, SEASONS + 1)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)
