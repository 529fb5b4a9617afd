"""Sequences read step by step, and what makes one series like another."""

from torch import Tensor, nn


class Recurrent(nn.Module):
    """A gated recurrent unit. steps (rows, time, features), state (rows, size) -> the state after them (rows, size).

    The state is all that it remembers: given back with the steps that follow, it goes on where it was.
    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.unit = nn.GRU(features, size, batch_first=True)

    def forward(self, steps: Tensor, state: Tensor | None = None) -> Tensor:
        _, last = self.unit(steps, None if state is None else state.unsqueeze(0))
        after: Tensor = last.squeeze(0)
        return after
