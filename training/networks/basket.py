"""A network for sets of articles: what is in a basket -> how well every article goes with it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

BELOW = -1e4
"""The score of what is not to be ranked: below all others, and finite."""

ROWS_AT_ONCE = 16_384

UNRELIABLE = 10
"""Baskets that are added to those of any pair, so that a pair seen once is not the likest of all."""


class BasketNet(nn.Module):
    """basket (rows, places) of numbers of articles, 0 where there is none -> scores (rows, articles).

    A linear autoencoder: each article of the basket speaks for its neighbours, and what it says is added up. The weight
    of a pair has a closed form over the training rows: what a ridge regression of every article on all others gives
    (Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019), and how alike the two are. Steps of gradient
    descent learn how much a basket of so many articles says at all, which makes probabilities of the scores and leaves
    their order. What is in the basket already, and number 0, are not ranked.

    neighbours: of each article, those with the largest weights.
    penalty:    of the ridge regression, in baskets.
    """

    neighbours: Tensor
    weights: Tensor

    def __init__(self, inputs: Mapping[str, Tensor], targets: Tensor, *, neighbours: int, penalty: float) -> None:
        super().__init__()
        basket = inputs["basket"]
        articles, sizes = int(max(basket.max(), targets.max())) + 1, basket.shape[1] + 1
        counts = bought_together(torch.cat([basket, targets.unsqueeze(1)], dim=1), articles)
        pairs = sum((one / one.std() for one in (ridge(counts, penalty), likeness(counts))), torch.zeros(()))
        near = pairs.topk(neighbours, dim=1)  # (articles, neighbours)
        self.register_buffer("neighbours", near.indices.to(torch.int32))
        self.register_buffer("weights", near.values.to(torch.float32))
        self.strength = nn.Parameter(torch.full((sizes,), 0.1))

    def forward(self, basket: Tensor) -> Tensor:
        there = (basket > 0).to(torch.float32)  # (rows, places)
        strength = self.strength[there.sum(dim=1).long()]  # (rows,)
        said = self.weights[basket] * (there * strength.unsqueeze(1)).unsqueeze(2)  # (rows, places, neighbours)
        nobody = torch.zeros(len(basket), len(self.weights))  # (rows, articles)
        scores = nobody.scatter_add(1, self.neighbours[basket].flatten(1).long(), said.flatten(1))
        taken = nobody.scatter(1, basket, 1.0)
        return torch.where((taken > 0) | (torch.arange(len(self.weights)) == 0), BELOW, scores)


def bought_together(baskets: Tensor, articles: int) -> Tensor:
    """(articles, articles) of float64: how many baskets have both, none of number 0. baskets: (rows, places)."""
    pairs = torch.zeros(articles * articles, dtype=torch.int64)
    for part in baskets.split(ROWS_AT_ONCE):
        both = part.unsqueeze(2) * articles + part.unsqueeze(1)  # (rows, places, places)
        pairs += torch.bincount(both.flatten(), minlength=len(pairs))
    counts = pairs.reshape(articles, articles).to(torch.float64)
    counts[0], counts[:, 0] = 0, 0
    return counts


def ridge(counts: Tensor, penalty: float) -> Tensor:
    """The weights with which all other articles say best whether one is in the basket; none for itself."""
    inverse = torch.linalg.inv(counts + penalty * torch.eye(len(counts), dtype=counts.dtype))
    weights: Tensor = -inverse / inverse.diagonal()
    return weights.fill_diagonal_(0)


def likeness(counts: Tensor, unreliable: float = UNRELIABLE) -> Tensor:
    """How many baskets have both, over the geometric mean of how many have each and a few more; 0 with itself."""
    own = counts.diagonal()
    return (counts / ((own.unsqueeze(0) * own.unsqueeze(1)).sqrt() + unreliable)).fill_diagonal_(0)
