"""Loan risk.

Expect:
"""

from functools import partial

from torch.nn.functional import cross_entropy

from training.baselines import logistic_regression_of_mixed
from training.calibrate import cheapest_threshold
from training.datasets import lending_club
from training.fit import Steps
from training.metrics import AUC, BRIER, CALIBRATION_ERROR, PR_AUC, Measure, cost_per_1000, recall_in_review
from training.networks.mixed import MixedClassifier
from training.networks.served import softmax
from training.recipe import Recipe

LOAN, RATE, LOST = 15.7, 0.125, 0.65
MISS, FALSE_ALARM = LOST * LOAN, RATE * LOAN

recipe = Recipe(
    title="Loan risk: paid back or in arrears",
    task="binary classification",
    description="x",
    intended_use="x",
    limits="x",
    dataset=lending_club.load,
    network=partial(MixedClassifier, sizes=lending_club.SIZES, hidden=(32, 16), dropout=0.3),
    steps=Steps(
        loss=cross_entropy,
        epochs=100,
        batch_size=128,
        learning_rate=1e-3,
        weight_decay=1.0,
        patience=10,
    ),
    members=1,
    head=softmax,
    calibrate=True,
    threshold=partial(cheapest_threshold, miss=MISS, false_alarm=FALSE_ALARM),
    measures=(
        PR_AUC,
        AUC,
        BRIER,
        CALIBRATION_ERROR,
        Measure("recall_in_review", True, partial(recall_in_review, share=0.1)),
        Measure("cost_per_1000", False, partial(cost_per_1000, miss=MISS, false_alarm=FALSE_ALARM), decided=True),
    ),
    baseline=logistic_regression_of_mixed,
    accept={"auc": 0.65, "pr_auc": 0.08},
)
