"""A small convolutional network for small grey images: two blocks that each halve the picture, then one layer."""

from collections.abc import Mapping

from torch import Tensor, nn


class ConvNet(nn.Module):
    """image (rows, height, width) of 0 to `brightest` -> logits (rows, classes)."""

    def __init__(
        self, inputs: Mapping[str, Tensor], targets: Tensor, *, brightest: float, channels: int, dropout: float
    ) -> None:
        super().__init__()
        _, height, width = inputs["image"].shape
        self.brightest = brightest
        self.blocks = nn.Sequential(
            _block(1, channels),  # (rows, channels, height / 2, width / 2)
            _block(channels, 2 * channels),  # (rows, 2 * channels, height / 4, width / 4)
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.output = nn.Linear(2 * channels * (height // 4) * (width // 4), int(targets.max()) + 1)

    def forward(self, image: Tensor) -> Tensor:
        grey = (image / self.brightest).unsqueeze(1)  # (rows, 1, height, width)
        logits: Tensor = self.output(self.blocks(grey))  # (rows, classes)
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
