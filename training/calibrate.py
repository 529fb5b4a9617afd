"""Probabilities that mean what they say, and decisions that cost least; fitted on rows that were not learnt."""

import math

import numpy as np
import torch

from training.datasets.dataset import Rows
from training.metrics import Array
from training.networks.served import Served

TEMPERATURES = torch.exp(torch.linspace(math.log(0.25), math.log(8.0), 141))
"""An eighth of an octave and finer than what a few hundred rows can tell."""

EXPECTED = 0.5
"""Standard deviation of a temperature's logarithm before any row is seen. Where a hundred rows are all judged rightly,
the likeliest temperature is the lowest there is, and one mistake then costs dear; thousands of rows overrule it."""


@torch.no_grad()
def fit_temperature(served: Served, validation: Rows) -> None:
    """Gives the temperature that is most probable by the cross-entropy of the whole ensemble and by EXPECTED.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017; over a grid, since one number is looked for.
    """
    served.eval()
    losses = []
    for temperature in TEMPERATURES:
        served.temperature.copy_(temperature)
        given = served.outputs(dict(validation.inputs))[torch.arange(len(validation)), validation.targets]
        loss = -given.clamp_min(torch.finfo(given.dtype).tiny).log().sum()
        losses.append((loss + temperature.log() ** 2 / (2 * EXPECTED**2)).item())
    served.temperature.copy_(TEMPERATURES[int(np.argmin(losses))])


def break_even(_: Array, __: Array, *, miss: float, false_alarm: float) -> float:
    """The probability at which both answers are expected to cost the same. It takes calibrated probabilities and no
    rows, so it is the better one where rows of the second class are few, as chance has no say in it.

    miss, false_alarm: as in `cheapest_threshold`. Source: Elkan, The Foundations of Cost-Sensitive Learning, 2001.
    """
    return false_alarm / (false_alarm + miss)


def cheapest_threshold(probabilities: Array, classes: Array, *, miss: float, false_alarm: float) -> float:
    """The least costly probability of the second class to answer it from, among those that the rows have.

    miss: what a row of the second class costs that is not found; false_alarm: one of the first that is.
    """
    given, positive = probabilities[:, 1].astype(np.float64), classes == 1
    order = np.argsort(-given, kind="stable")
    costs = miss * (positive.sum() - np.cumsum(positive[order])) + false_alarm * np.cumsum(~positive[order])
    last_of_its_value = np.append(np.diff(given[order]) != 0, True)
    best = np.flatnonzero(last_of_its_value)[np.argmin(costs[last_of_its_value])]
    following = given[order][best + 1] if best + 1 < len(given) else 0.0
    nothing = miss * positive.sum()
    return 1.0 if costs[best] > nothing else float((given[order][best] + following) / 2)
