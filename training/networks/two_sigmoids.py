"""The smallest network worth the name: one number in, a hidden layer, one probability out, a sigmoid after each."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from training.networks.scaling import Standardise


class TwoSigmoids(nn.Module):
    """features (rows, columns) -> probability of class 1 (rows,)."""

    def __init__(self, inputs: Mapping[str, Tensor], _: Tensor, *, hidden: int, standardise: bool) -> None:
        super().__init__()
        features = inputs["features"]
        self.scale = Standardise.fitted(features) if standardise else nn.Identity()
        self.hidden = nn.Linear(features.shape[1], hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.hidden(self.scale(features)))  # (rows, hidden)
        return torch.sigmoid(self.output(hidden)).squeeze(1)  # (rows,)
