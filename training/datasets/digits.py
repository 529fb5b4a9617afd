"""Optical recognition of handwritten digits: 1797 grey images of 8 x 8 pixels. It comes inside scikit-learn."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from training.datasets.dataset import Column, Dataset, Rows, Target, divide, fingerprint, split_in_words


def load() -> Dataset:
    raw = load_digits()
    images, targets = raw.images.astype(np.float32), raw.target.astype(np.int64)
    rows = Rows({"image": torch.from_numpy(images)}, torch.from_numpy(targets))
    train, validation, test = divide(rows, targets)
    return Dataset(
        name="Optical Recognition of Handwritten Digits (test part)",
        source="scikit-learn, sklearn.datasets.load_digits; UCI Machine Learning Repository, 1998",
        licence="CC BY 4.0",
        sha256=fingerprint(images, targets),
        columns={
            "image": (
                Column(
                    "image",
                    "Rows of grey values, 0 for paper to 16 for ink; as a file: white ink on black paper",
                    kind="image",
                    shape=(8, 8),
                    layout="HW",
                    minimum=0,
                    maximum=16,
                ),
            )
        },
        target=Target("digit", "The digit that was written", labels=tuple("0123456789")),
        split=split_in_words("digit") + "; the source names no writers, so one may be in more than one part",
        train=train,
        validation=validation,
        test=test,
    )
