"""A small Vision Transformer: a picture becomes patches, and attention weighs every patch for every other one.

Source: Dosovitskiy et al., An Image is Worth 16x16 Words, 2021. Three small convolutions make the patches, which
overlap (Xiao et al., Early Convolutions Help Transformers See Better, 2021), and their mean has the class token's place
(Zhai et al., Scaling Vision Transformers, 2022).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from training.networks.scaling import light_on_dark

SIDE = 8
"""Pixels from one patch to the next."""


class VisionTransformer(nn.Module):
    """image (rows, height, width) of 0 to `brightest`, on either ground -> logits (rows, classes).

    width: of what is known of a patch, one for every 8 x 8 pixels.
    """

    def __init__(
        self,
        inputs: Mapping[str, Tensor],
        targets: Tensor,
        *,
        brightest: float,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        _, height, across = inputs["image"].shape
        self.brightest = brightest
        self.patches = nn.Sequential(
            *_halved(1, width // 4),  # (rows, width / 4, height / 2, width / 2)
            *_halved(width // 4, width // 2),  # (rows, width / 2, height / 4, width / 4)
            nn.Conv2d(width // 2, width, kernel_size=3, stride=2, padding=1),
        )
        places = -(-height // SIDE) * -(-across // SIDE)
        self.places = nn.Parameter(0.02 * torch.randn(places, width))
        self.layers = nn.Sequential(*(_Layer(width, heads, dropout) for _ in range(layers)), nn.LayerNorm(width))
        self.output = nn.Linear(width, int(targets.max()) + 1)

    def forward(self, image: Tensor) -> Tensor:
        grey = light_on_dark(image / self.brightest).unsqueeze(1)  # (rows, 1, height, width)
        patches = self.patches(grey).flatten(2).transpose(1, 2) + self.places  # (rows, places, width)
        logits: Tensor = self.output(self.layers(patches).mean(dim=1))  # (rows, classes)
        return logits


def _halved(incoming: int, outgoing: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(incoming, outgoing, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outgoing),
        nn.GELU(),
    )


class _Layer(nn.Module):
    """(rows, places, width) -> the same, each place told of the others, then thought over by itself."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = _Attention(width, heads)
        self.alone = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor) -> Tensor:
        told = places + self.dropout(self.attention(self.first(places)))
        thought: Tensor = told + self.dropout(self.alone(self.second(told)))
        return thought


class _Attention(nn.Module):
    """(rows, places, width) -> the same, each place a mean of all, weighed by `heads` sets of queries and keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.asked = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)

    def forward(self, places: Tensor) -> Tensor:
        asked = self.asked(places).unflatten(2, (3, self.heads, -1))  # (rows, places, 3, heads, width / heads)
        queries, keys, values = asked.permute(2, 0, 3, 1, 4).unbind()  # (rows, heads, places, width / heads)
        weighed = scaled_dot_product_attention(queries, keys, values)
        joined: Tensor = self.joined(weighed.transpose(1, 2).flatten(2))  # (rows, places, width)
        return joined
