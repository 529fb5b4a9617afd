"""Scaling as layers, so that the exported graph takes and gives values in the data's own units."""

from typing import Self

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """(rows, columns) -> the same with mean 0 and standard deviation 1 over the rows it was fitted on."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    @classmethod
    def fitted(cls, values: Tensor) -> Self:
        """A column that never changes is only shifted."""
        deviation = values.std(dim=0, correction=0)
        return cls(values.mean(dim=0), torch.where(deviation > 0, deviation, 1.0))

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.deviation


class Unstandardise(Standardise):
    """The way back: mean 0 and standard deviation 1 -> the units it was fitted on."""

    def forward(self, values: Tensor) -> Tensor:
        return values * self.deviation + self.mean


def light_on_dark(grey: Tensor) -> Tensor:
    """(rows, height, width) of 0 to 1 -> the same, turned round where the mean of the border is above a half.

    So ink on paper, or a garment photographed on white, is as the light on dark that was learnt from.
    """
    border = torch.cat([grey[:, 0], grey[:, -1], grey[:, 1:-1, 0], grey[:, 1:-1, -1]], dim=1)  # (rows, pixels)
    return torch.where(border.mean(dim=1)[:, None, None] > 0.5, 1 - grey, grey)
