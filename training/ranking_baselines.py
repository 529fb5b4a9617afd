"""Simple ways to rank what may come next; what they can choose, they choose on validation."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from training.baselines import Baseline
from training.datasets.dataset import Rows
from training.metrics import Array, hit_rate
from training.networks.basket import bought_together, likeness

RECENT = (1.0, 0.3, 0.1, 0.05)
"""Shares of the training rows, which stand in the order of time."""

UNRELIABLE = (1.0, 10.0, 30.0)

K = 10


def popularity(train: Rows, validation: Rows) -> Baseline:
    """What was wanted most in the latest training rows, whatever is in the basket."""
    articles = _articles(train)

    def of(share: float) -> Baseline:
        latest = train.targets[-round(share * len(train)) :]
        wanted = torch.bincount(latest, minlength=articles).to(torch.float32)
        name = f"popularity in the last {share:.0%} of the training rows"
        return Baseline(name, lambda rows: _ranked(wanted.expand(len(rows), -1), rows))

    return max(map(of, RECENT), key=partial(_hits, validation))


def item_knn(train: Rows, validation: Rows) -> Baseline:
    """Articles that were bought with those of the basket, by the cosine of their columns of baskets."""
    articles = _articles(train)
    counts = bought_together(torch.cat([train.inputs["basket"], train.targets.unsqueeze(1)], dim=1), articles)

    def of(unreliable: float) -> Baseline:
        pairs = likeness(counts, unreliable).to(torch.float32)
        return Baseline(f"item-kNN (cosine, shrunk by {unreliable:g})", lambda rows: _ranked(_said(pairs, rows), rows))

    return max(map(of, UNRELIABLE), key=partial(_hits, validation))


def best_ranking(train: Rows, validation: Rows) -> Baseline:
    """The better one of the two on validation."""
    return max((make(train, validation) for make in (popularity, item_knn)), key=partial(_hits, validation))


def _articles(train: Rows) -> int:
    return int(max(train.inputs["basket"].max(), train.targets.max())) + 1


def _said(pairs: Tensor, rows: Rows) -> Tensor:
    """(rows, articles): what all articles of each basket say together."""
    basket = rows.inputs["basket"]
    inside = torch.zeros(len(rows), len(pairs)).scatter(1, basket, 1.0)
    inside[:, 0] = 0
    return inside @ pairs


def _ranked(scores: Tensor, rows: Rows) -> Array:
    """What is in the basket, and number 0, below all others."""
    below = scores.scatter(1, rows.inputs["basket"], -torch.inf)
    below[:, 0] = -torch.inf
    ranked: Array = below.numpy().astype(np.float32)
    return ranked


def _hits(validation: Rows, baseline: Baseline) -> float:
    return hit_rate(baseline.predict(validation), validation.targets.numpy(), k=K)
