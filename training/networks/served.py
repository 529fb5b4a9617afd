"""What is exported: the trained network, and behind it what turns its output into the answer."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Head = Callable[[Tensor], Tensor]


class Served(nn.Module):
    """Named inputs -> head(network(inputs))."""

    def __init__(self, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.head(self.network(**inputs))


def as_it_is(output: Tensor) -> Tensor:
    return output


def softmax(logits: Tensor) -> Tensor:
    """(rows, classes) -> probabilities (rows, classes)."""
    return torch.softmax(logits, dim=1)


def both_classes(second: Tensor) -> Tensor:
    """The second class's probability (rows,) -> probabilities (rows, 2)."""
    return torch.stack([1 - second, second], dim=1)
