"""The brief's example, word for word: a 1-2-1 network of sigmoids that should learn four points.

Expect: that it does not. Cross-entropy .6513 (.620 to .651 over 5 seeds), p = .578, .501, .452, .433, a step from
guessing (.6931), and two of four points right with every seed; 2 s on one core.
The brief prints .96, .05, .84, .10. Of 500 seeds tried, none got all four right in these 1000 steps.
"""

from functools import partial

from torch.nn.functional import binary_cross_entropy

from training.baselines import class_shares
from training.datasets import four_points
from training.fit import Steps
from training.metrics import ACCURACY, CROSS_ENTROPY, LARGEST_ERROR
from training.networks.served import both_classes
from training.networks.two_sigmoids import TwoSigmoids
from training.recipe import Recipe

recipe = Recipe(
    title="Quick start, as written",
    task="binary classification",
    description="The brief's first example with the brief's own numbers: is x one of 1 and 3?",
    intended_use="To see what the brief's configuration does. Not for use.",
    limits="It does not learn the four points.",
    dataset=four_points.load,
    network=partial(TwoSigmoids, hidden=2, standardise=False),
    steps=Steps(
        loss=binary_cross_entropy,
        epochs=1000,
        batch_size=4,
        learning_rate=0.001,
        patience=1000,
    ),
    seed=42,
    head=both_classes,
    measures=(CROSS_ENTROPY, ACCURACY, LARGEST_ERROR),
    baseline=class_shares,
    accept={},
    withheld="it does not learn the four points; `quickstart` is the configuration that does",
)
