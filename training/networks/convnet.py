"""A small convolutional network for small grey images: blocks that each halve the picture, then one layer."""

from collections.abc import Mapping
from itertools import pairwise, starmap

from torch import Tensor, nn

from training.networks.scaling import light_on_dark


class ConvNet(nn.Module):
    """image (rows, height, width) of 0 to `brightest` -> logits (rows, classes).

    channels:      of the first block; each further one has twice as many.
    either_ground: a picture on a bright ground is turned round first.
    """

    def __init__(
        self,
        inputs: Mapping[str, Tensor],
        targets: Tensor,
        *,
        brightest: float,
        channels: int,
        dropout: float,
        blocks: int = 2,
        either_ground: bool = False,
    ) -> None:
        super().__init__()
        _, height, width = inputs["image"].shape
        self.brightest, self.either_ground = brightest, either_ground
        widths = [channels * 2**place for place in range(blocks)]
        self.blocks = nn.Sequential(
            *starmap(_block, pairwise((1, *widths))),  # (rows, widths[-1], height / 2**blocks, width / 2**blocks)
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        left = (height >> blocks) * (width >> blocks)
        self.output = nn.Linear(widths[-1] * left, int(targets.max()) + 1)

    def forward(self, image: Tensor) -> Tensor:
        grey = image / self.brightest
        turned = light_on_dark(grey) if self.either_ground else grey
        logits: Tensor = self.output(self.blocks(turned.unsqueeze(1)))  # (rows, classes)
        return logits


def _block(incoming: int, outgoing: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(incoming, outgoing, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outgoing),
        nn.ReLU(),
        nn.Conv2d(outgoing, outgoing, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outgoing),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
