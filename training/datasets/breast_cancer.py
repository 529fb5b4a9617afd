"""Wisconsin Diagnostic Breast Cancer: 569 fine-needle aspirates, 30 measurements of the cell nuclei in each image.

It comes inside scikit-learn. The source states no unit for lengths and areas (they are those of the digitised image),
so none is claimed here.
"""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer

from training.datasets.dataset import Column, Dataset, Rows, Target, divide, fingerprint, split_in_words

MEASURES = {
    "radius": ("distance from the centre to the outline", 100),
    "texture": ("standard deviation of the grey values", 100),
    "perimeter": ("length of the outline", 600),
    "area": ("area inside the outline", 20_000),
    "smoothness": ("local variation of the radius", 1),
    "compactness": ("perimeter squared / area - 1", 5),
    "concavity": ("severity of the outline's concave parts", 5),
    "concave_points": ("share of the outline that is concave", 1),
    "symmetry": ("difference between the two halves", 2),
    "fractal_dimension": ("roughness of the outline: coastline approximation - 1", 1),
}
"""Measurement -> (what it is, the most that is accepted); none can be negative."""

STATISTICS = {
    "mean_{}": "mean over the nuclei",
    "{}_error": "standard error over the nuclei",
    "worst_{}": "mean of the three largest",
}


def load() -> Dataset:
    raw = load_breast_cancer()
    features, targets = raw.data.astype(np.float32), raw.target.astype(np.int64)
    rows = Rows({"features": torch.from_numpy(features)}, torch.from_numpy(targets))
    train, validation, test = divide(rows, targets)
    return Dataset(
        name="Breast Cancer Wisconsin (Diagnostic)",
        source="scikit-learn, sklearn.datasets.load_breast_cancer; UCI Machine Learning Repository, 1995",
        licence="CC BY 4.0",
        sha256=fingerprint(features, targets),
        columns={"features": _columns()},
        target=Target("diagnosis", "Diagnosis of the aspirated mass", labels=tuple(map(str, raw.target_names))),
        split=split_in_words("diagnosis"),
        train=train,
        validation=validation,
        test=test,
    )


def _columns() -> tuple[Column, ...]:
    return tuple(
        Column(
            pattern.format(measure),
            f"{measure.replace('_', ' ').capitalize()}: {what}; {statistic}",
            "",
            "number",
            minimum=0,
            maximum=most,
        )
        for pattern, statistic in STATISTICS.items()
        for measure, (what, most) in MEASURES.items()
    )
