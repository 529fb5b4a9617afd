"""A multilayer perceptron for tables: standardised columns, hidden layers with ReLU and dropout."""

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from training.networks.scaling import Standardise, Unstandardise


class Classifier(nn.Module):
    """features (rows, columns) -> logits (rows, classes)."""

    def __init__(
        self, inputs: Mapping[str, Tensor], targets: Tensor, *, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        features, classes = inputs["features"], int(targets.max()) + 1
        self.scale = Standardise.fitted(features)
        self.layers = perceptron((features.shape[1], *hidden, classes), dropout)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.scale(features))  # (rows, classes)
        return logits


class Regressor(nn.Module):
    """features (rows, columns) -> value in the target's own unit (rows,)."""

    def __init__(
        self, inputs: Mapping[str, Tensor], targets: Tensor, *, hidden: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        features = inputs["features"]
        self.scale = Standardise.fitted(features)
        self.layers = perceptron((features.shape[1], *hidden, 1), dropout)
        self.unscale = Unstandardise.fitted(targets)

    def forward(self, features: Tensor) -> Tensor:
        value: Tensor = self.unscale(self.layers(self.scale(features)).squeeze(1))  # (rows,)
        return value


def perceptron(widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Linear layers of these widths; ReLU and dropout between them, nothing after the last."""
    layers: list[nn.Module] = []
    for incoming, outgoing in pairwise(widths):
        layers += [nn.Linear(incoming, outgoing), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])
