"""What is exported: the trained networks, and behind them what turns their output into the answers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Head = Callable[[Tensor], Tensor]

Split = Callable[[Tensor], tuple[Tensor, ...]]
"""The outputs of all answers together -> those of each."""


class Served(nn.Module):
    """Named inputs -> the mean of head(member(inputs)) over the members of an ensemble, split into its answers.

    calibrated: the members' logits are divided by a temperature, which is fitted on rows that they have not learnt.
    """

    temperature: Tensor

    def __init__(self, members: Sequence[nn.Module], head: Head, split: Split, *, calibrated: bool = False) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.head, self.split, self.calibrated = head, split, calibrated
        if calibrated:
            self.register_buffer("temperature", torch.ones(()))

    def outputs(self, inputs: dict[str, Tensor]) -> Tensor:
        """All answers together, as they are measured."""
        each = [self._answer(member(**inputs)) for member in self.members]
        return each[0] if len(each) == 1 else torch.stack(each).mean(dim=0)

    def _answer(self, output: Tensor) -> Tensor:
        return self.head(output / self.temperature if self.calibrated else output)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return self.split(self.outputs(inputs))


def as_it_is(output: Tensor) -> Tensor:
    return output


def softmax(logits: Tensor) -> Tensor:
    """(rows, classes) -> probabilities (rows, classes)."""
    return torch.softmax(logits, dim=1)


def both_classes(second: Tensor) -> Tensor:
    """The second class's probability (rows,) -> probabilities (rows, 2)."""
    return torch.stack([1 - second, second], dim=1)
