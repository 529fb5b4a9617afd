"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28 pixels, ten kinds of 7,000 each.

Debian has the files as their makers published them, with their division into 60,000 and 10,000.
"""

import gzip
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from training.datasets.dataset import SPLIT_SEED, Column, Dataset, Rows, Target, fingerprint
from training.datasets.fetched import debian

SOURCE = "Debian dataset-fashion-mnist 0.0~git20200523.55506a9-1; Zalando Research, 2017"
LICENCE = "MIT"
PACKAGE = ("dataset-fashion-mnist", "0.0~git20200523.55506a9-1")
FOLDER = "usr/share/datasets/fashion-mnist/"
SHA256 = "1ca2a7bf3627b402bb8b4f0e8df3bebd6f84f5e1e6c3ee7682dcca80d270924e"

LABELS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

VALIDATION_ROWS = 5_000
TRAIN_ROWS = 60_000 - VALIDATION_ROWS

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


def load(train_rows: int = TRAIN_ROWS) -> Dataset:
    """train_rows: the first so many of those that are left beside validation; their order is chance. Raises
    DataNotFetched."""
    (pictures, labels), (test_pictures, test_labels) = raw()
    train, validation = train_test_split(
        np.arange(len(labels)), test_size=VALIDATION_ROWS, random_state=SPLIT_SEED, stratify=labels
    )
    return Dataset(
        name="Fashion-MNIST",
        source=SOURCE,
        licence=LICENCE,
        sha256=fingerprint(pictures, labels, test_pictures, test_labels),
        columns={
            "image": (
                Column(
                    "image",
                    "Rows of grey values, 0 for the ground to 255; as a file: one garment that fills the picture, on "
                    "plain black or white",
                    kind="image",
                    shape=(28, 28),
                    layout="HW",
                    minimum=0,
                    maximum=255,
                ),
            )
        },
        target=Target("garment", "The kind of garment", labels=LABELS),
        split=f"the makers' 10,000 for test; of their 60,000, {VALIDATION_ROWS:,} for validation, stratified by "
        f"garment and fixed by seed {SPLIT_SEED}, and {train_rows:,} for training",
        train=_rows(pictures, labels, train[:train_rows]),
        validation=_rows(pictures, labels, np.sort(validation)),
        test=_rows(test_pictures, test_labels, np.arange(len(test_labels))),
    )


def _rows(pictures: NDArray[np.uint8], labels: NDArray[np.uint8], places: NDArray[np.int64]) -> Rows:
    images, classes = pictures[places].astype(np.float32), labels[places].astype(np.int64)
    return Rows({"image": torch.from_numpy(images)}, torch.from_numpy(classes))


def _idx(file: Path) -> NDArray[np.uint8]:
    """IDX: two zero bytes, 8 for bytes, the number of axes; each axis's length in four bytes; then the values."""
    content = bytearray(gzip.decompress(file.read_bytes()))  # whose arrays can be written to, as torch wants them
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
