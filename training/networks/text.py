"""A network for texts of different lengths whose words have been numbered: a weighted bag beside convolutions."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class TextNet(nn.Module):
    """words and shapes (rows, length) of numbers, 0 behind the last word -> logits (rows, classes).

    The sum of the words' embeddings, weighted as in TF-IDF, beside the largest answers of convolutions over neighbours
    (Kim, 2014). What lies behind the last word counts nowhere, so a row's answer depends on its own words alone.

    width, channels: of an embedding, and of the convolutions over each of these numbers of neighbours.
    """

    weights: Tensor

    def __init__(
        self,
        inputs: Mapping[str, Tensor],
        targets: Tensor,
        *,
        width: int,
        channels: int,
        kernels: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        words, shapes = int(inputs["words"].max()) + 1, int(inputs["shapes"].max()) + 1
        self.register_buffer("weights", inverse_document_frequency(inputs["words"], words))
        self.words = nn.Embedding(words, width, padding_idx=0)
        self.shapes = nn.Embedding(shapes, width, padding_idx=0)
        for embedding in (self.words, self.shapes):
            nn.init.normal_(embedding.weight, std=0.1)
        self.convolutions = nn.ModuleList([nn.Conv1d(width, channels, size, padding=size // 2) for size in kernels])
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * width + channels * len(kernels), int(targets.max()) + 1)

    def forward(self, words: Tensor, shapes: Tensor) -> Tensor:
        there = (words > 0).to(torch.float32)  # (rows, length)
        named = self.words(words)  # (rows, length, width)
        looking = (named + self.shapes(shapes)) * there.unsqueeze(2)  # (rows, length, width)
        bag = (named * self._share(words, there).unsqueeze(2)).sum(dim=1)  # (rows, width)
        mean = looking.sum(dim=1) / there.sum(dim=1, keepdim=True).clamp_min(1)  # (rows, width)
        turned = self.dropout(looking).transpose(1, 2)  # (rows, width, length)
        found = [(torch.relu(one(turned)) * there.unsqueeze(1)).amax(dim=2) for one in self.convolutions]
        logits: Tensor = self.output(self.dropout(torch.cat([bag, mean, *found], dim=1)))  # (rows, classes)
        return logits

    def _share(self, words: Tensor, there: Tensor) -> Tensor:
        """(rows, length) -> the weight of each word, those of the same word together 1 + ln(count) times its inverse
        document frequency, as parts of a vector of length 1 over all words."""
        counts = torch.zeros(len(words), len(self.weights)).scatter_add(1, words, there).gather(1, words)
        given = (1 + counts.clamp_min(1).log()) * self.weights[words]  # (rows, length)
        length = (given.square() * there / counts.clamp_min(1)).sum(dim=1, keepdim=True).sqrt()  # (rows, 1)
        return there * given / counts.clamp_min(1) / length.clamp_min(1e-6)


def inverse_document_frequency(words: Tensor, size: int) -> Tensor:
    """1 + ln((1 + rows) / (1 + rows with the word)), as scikit-learn has it; 0 for the padding."""
    rows = torch.zeros(size)
    for row in words:
        rows[row.unique()] += 1
    weights = 1 + ((1 + len(words)) / (1 + rows)).log()
    weights[0] = 0
    return weights
