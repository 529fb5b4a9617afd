"""Diabetes progression: 442 patients, ten measurements, and how far the disease had gone a year later.

It comes inside scikit-learn; here in its own units, not as the standardised columns of the published paper.
"""

import numpy as np
import torch
from sklearn.datasets import load_diabetes

from training.datasets.dataset import Column, Dataset, Rows, Target, divide, fingerprint, split_in_words

COLUMNS = (
    Column("age", "Age", "years", minimum=0, maximum=120),
    Column("sex", "Sex as the source codes it; it does not say which is which", "", "integer", minimum=1, maximum=2),
    Column("body_mass_index", "Weight / height squared", "kg/m²", minimum=10, maximum=100),
    Column("blood_pressure", "Mean arterial pressure", "mmHg", minimum=20, maximum=250),
    Column("total_cholesterol", "Total serum cholesterol", "mg/dl", minimum=20, maximum=1000),
    Column("ldl", "Low-density lipoproteins", "mg/dl", minimum=0, maximum=800),
    Column("hdl", "High-density lipoproteins", "mg/dl", minimum=1, maximum=200),
    Column("cholesterol_ratio", "Total cholesterol / HDL", "", minimum=1, maximum=50),
    Column("log_triglycerides", "Natural logarithm of the serum triglycerides, possibly", "", minimum=0, maximum=10),
    Column("glucose", "Blood sugar", "mg/dl", minimum=20, maximum=1000),
)


def load() -> Dataset:
    raw = load_diabetes(scaled=False)
    features, targets = raw.data.astype(np.float32), raw.target.astype(np.float32)
    rows = Rows({"features": torch.from_numpy(features)}, torch.from_numpy(targets))
    quartile = np.digitize(targets, np.quantile(targets, (0.25, 0.5, 0.75)))
    train, validation, test = divide(rows, quartile)
    return Dataset(
        name="Diabetes progression (Efron, Hastie, Johnstone, Tibshirani 2004)",
        source="scikit-learn, sklearn.datasets.load_diabetes(scaled=False); Least Angle Regression, 2004",
        licence="shipped in scikit-learn under BSD-3-Clause; the source states no licence of its own",
        sha256=fingerprint(features, targets),
        columns={"features": COLUMNS},
        target=Target("progression", "Disease progression one year after the measurements; the source's own scale"),
        split=split_in_words("quartile of the target"),
        train=train,
        validation=validation,
        test=test,
    )
