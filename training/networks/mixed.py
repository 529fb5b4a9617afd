"""A perceptron for tables of numbers and categories, some of them missing; all preparation is part of the graph."""

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from training.networks.perceptron import perceptron
from training.networks.scaling import Standardise


class FillMissing(nn.Module):
    """(rows, columns), NaN for missing -> (rows, columns + flagged), the column's median where nothing was.

    The columns behind are 1 where a value was missing, for those columns in which some were.
    """

    median: Tensor
    flagged: Tensor

    def __init__(self, median: Tensor, flagged: Tensor) -> None:
        super().__init__()
        self.register_buffer("median", median)
        self.register_buffer("flagged", flagged)

    @classmethod
    def fitted(cls, numbers: Tensor, *, indicators: bool) -> Self:
        some = numbers.isnan().any(dim=0) & indicators
        return cls(numbers.nanmedian(dim=0).values, some.nonzero().squeeze(1))

    def forward(self, numbers: Tensor) -> Tensor:
        missing = numbers.isnan()
        filled = torch.where(missing, self.median, numbers)  # (rows, columns)
        return torch.cat([filled, missing.index_select(1, self.flagged).float()], dim=1)


class OneHot(nn.Module):
    """Places of categories (rows, columns) -> (rows, sum of sizes), a 1 for each; a place that is none has no 1."""

    places: Tensor
    column: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("places", torch.cat([torch.arange(size) for size in sizes]))
        self.register_buffer("column", torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)))

    def forward(self, categories: Tensor) -> Tensor:
        return (categories.index_select(1, self.column) == self.places).float()


class MixedClassifier(nn.Module):
    """numbers (rows, columns) with NaN for missing, categories (rows, columns) as places -> logits (rows, classes).

    sizes:      how many categories each column has.
    indicators: tell the layers which numbers were missing.
    """

    def __init__(
        self,
        inputs: Mapping[str, Tensor],
        targets: Tensor,
        *,
        sizes: tuple[int, ...],
        hidden: tuple[int, ...],
        dropout: float,
        indicators: bool = True,
    ) -> None:
        super().__init__()
        numbers = inputs["numbers"]
        self.fill = FillMissing.fitted(numbers, indicators=indicators)
        filled = self.fill(numbers)
        self.scale = Standardise.fitted(filled)
        self.one_hot = OneHot(sizes)
        width, classes = filled.shape[1] + sum(sizes), int(targets.max()) + 1
        self.layers = perceptron((width, *hidden, classes), dropout)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        scaled = torch.asinh(self.scale(self.fill(numbers)))  # (rows, columns + flagged); few are very large
        logits: Tensor = self.layers(torch.cat([scaled, self.one_hot(categories)], dim=1))  # (rows, classes)
        return logits
