"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28 pixels, ten kinds of 7,000 each.

Debian has the files as their makers published them, with their division into 60,000 and 10,000.
"""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.fetched import debian

SOURCE = "Debian dataset-fashion-mnist 0.0~git20200523.55506a9-1; Zalando Research, 2017"
LICENCE = "MIT"
PACKAGE = ("dataset-fashion-mnist", "0.0~git20200523.55506a9-1")
FOLDER = "usr/share/datasets/fashion-mnist/"
SHA256 = "1ca2a7bf3627b402bb8b4f0e8df3bebd6f84f5e1e6c3ee7682dcca80d270924e"

LABELS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

Pictures = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""(rows, 28, 28), 0 for the background to 255; and (rows,), each one's place in LABELS."""


def raw() -> tuple[Pictures, Pictures]:
    """The 60,000 to train with and the 10,000 to test with. Raises DataNotFetched."""
    folder = debian(*PACKAGE, FOLDER, SHA256)
    train, test = (
        (_idx(folder / f"{part}-images-idx3-ubyte.gz"), _idx(folder / f"{part}-labels-idx1-ubyte.gz"))
        for part in ("train", "t10k")
    )
    return train, test


def _idx(file: Path) -> NDArray[np.uint8]:
    """IDX: two zero bytes, 8 for bytes, the number of axes; each axis's length in four bytes; then the values."""
    content = bytearray(gzip.decompress(file.read_bytes()))  # whose arrays can be written to, as torch wants them
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
