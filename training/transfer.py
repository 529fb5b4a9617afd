"""What pre-training is worth, with few labels and with all: from scratch, with a frozen body, and with all fine-tuned.

Measured on the validation rows, which also tell when to stop, in every way alike. Few labels are repeated within an
epoch: what they lack is variety, not steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from training.datasets.dataset import Dataset
from training.metrics import Measure
from training.report import markdown

LABELS = (100, 500)
"""Beside all there are."""

SEEDS = (1, 2, 3)

EPOCH_ROWS = 500
"""Few labels are repeated to so many rows."""

Way = Callable[[Dataset, int], float]
"""(data set, seed) -> the figure of a network that was trained on it."""


def compare(dataset: Dataset, ways: Mapping[str, Way], measure: Measure) -> str:
    """Markdown: a line for each number of labels, mean and standard deviation over SEEDS of every way."""
    lines: list[tuple[str, ...]] = [(f"labels, {measure.name}", *ways)]
    counts = [count for count in LABELS if count < len(dataset.train)]
    with tqdm(total=(len(counts) + 1) * len(ways) * len(SEEDS), desc="transfer", unit="fit", disable=None) as progress:
        for count in (*counts, len(dataset.train)):
            figures = []
            for way in ways.values():
                each = []
                for seed in SEEDS:
                    each.append(way(with_labels(dataset, count, seed), seed))
                    progress.update()
                figures.append(f"{np.mean(each):.4f} ± {np.std(each, ddof=1):.4f}")
            lines.append((f"{count:,}", *figures))
    return markdown(lines)


def with_labels(dataset: Dataset, count: int, seed: int) -> Dataset:
    """The data set with so many of its training rows, stratified by class, each as often as an epoch has room."""
    targets = dataset.train.targets.numpy()
    if count == len(targets):
        return dataset
    some, _ = train_test_split(np.arange(len(targets)), train_size=count, random_state=seed, stratify=targets)
    places = torch.from_numpy(np.sort(some)).repeat(-(-EPOCH_ROWS // count))
    return replace(dataset, train=dataset.train.take(places))
