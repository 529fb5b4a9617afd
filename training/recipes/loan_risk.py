"""Loan risk: will a loan be in arrears? From what is known when somebody asks for it; 5 % are.

Expect: PR-AUC .093 (.091 to .093 over 5 seeds; guessing has .052), AUC .668 (.666 to .668), 19 % of the bad loans
among the riskiest tenth; 15 s on one core. Logistic regression has .087, .671 and 20 %: a tie. At the costs in the
card the decisions cost 554 thousand dollars for 1,000 applications (550 to 554), logistic regression's 551, and
granting every loan 533. In 5-fold cross-validation, done twice over the other rows: PR-AUC .123 +- .009, AUC .688 +-
.030, cost 533 and 536 for granting all; logistic regression .119, .689 and 535, gradient boosting .102 and .667.
Source: a perceptron on numbers and one-hot categories; width, dropout and penalty by that cross-validation. Class
weights did not rank better and spoilt the probabilities; thresholds chosen on validation cost more than the one that
follows from the costs. training/EXPERIMENTS.md has the figures.
Data: Lending Club, 2016, without the lender's own verdict: with its interest rate and grade logistic regression has
.163 and .753 in cross-validation.
"""

from functools import partial

import numpy as np
from torch.nn.functional import cross_entropy

from training.baselines import logistic_regression_of_mixed
from training.calibrate import break_even
from training.datasets import lending_club
from training.evaluate import predict
from training.fit import Steps
from training.metrics import (
    AUC,
    BRIER,
    CALIBRATION_ERROR,
    PR_AUC,
    Array,
    Measure,
    accuracy,
    cost_per_1000,
    decide,
    recall_in_review,
)
from training.networks.mixed import MixedClassifier
from training.networks.served import softmax
from training.recipe import Recipe, Trained
from training.report import markdown

LOAN, RATE = 15.7, 0.125
"""The mean loan in thousands of dollars, and the mean interest of a year, of columns `funded_amnt` and `int_rate`."""

LOST = 0.65
"""Share of a loan in arrears that is lost: assumed, since the data do not tell what came back."""

MISS, FALSE_ALARM = LOST * LOAN, RATE * LOAN


def card(ours: Trained) -> str:
    """What decisions cost, whom they are about, and what the network was not told."""
    test = ours.dataset.test
    given, bad = predict(ours.served, test), test.targets.numpy()
    refused = decide(given, ours.threshold)
    return "\n\n".join(
        [
            "## What a decision costs",
            f"A loan that is granted and goes bad is taken to cost {LOST:.0%} of it, an assumption. One that is "
            f"refused and would have been paid back costs a year's interest, {RATE:.1%}, as the outcome is that of "
            f"about the first year. The mean loan is ${LOAN:.1f}k. So `bad` is answered from a probability of "
            f"{ours.threshold:.3f} on, where both are expected to cost the same. In thousands of dollars for 1,000 "
            "applications, with other assumptions beside:",
            _costs(given, bad),
            f"Accuracy is no measure here: {accuracy(refused, bad):.3f} with these decisions, "
            f"{(bad == 0).mean():.3f} for granting every loan.",
            "## By group",
            "A calibrated model expects of every group what happens in it. A group with more arrears is refused more "
            "often; that is not by itself fair or unfair. The data tell nothing of home ownership, age, sex or origin. "
            "The network is not told the state, from which the region is.",
            _by_group(ours, given, refused, bad),
            "## What it is not told",
            "The interest rate and the grade (`int_rate`, `sub_grade`): the lender's own judgement, which comes after "
            "the application. With them logistic regression has an AUC of .75 and a PR-AUC of .16 instead of .69 and "
            ".12 in cross-validation. The state (`addr_state`): it told nothing (AUC .694 with and without), and where "
            "people live stands for who they are.",
        ]
    )


def _costs(given: Array, bad: Array) -> str:
    lines: list[tuple[str, ...]] = [
        ("lost of a bad loan", "`bad` from", "refused", "of bad loans refused", "cost", "cost of granting all")
    ]
    for lost in (0.45, LOST, 0.85):
        costs = {"miss": lost * LOAN, "false_alarm": FALSE_ALARM}
        threshold = break_even(given, bad, **costs)
        refused, nobody = decide(given, threshold), decide(given, 2.0)
        lines.append(
            (
                f"{lost:.0%}",
                f"{threshold:.3f}",
                f"{refused[:, 1].mean():.1%}",
                f"{refused[bad == 1, 1].mean():.1%}",
                f"{cost_per_1000(refused, bad, **costs):.0f}",
                f"{cost_per_1000(nobody, bad, **costs):.0f}",
            )
        )
    return markdown(lines)


def _by_group(ours: Trained, given: Array, refused: Array, bad: Array) -> str:
    lines: list[tuple[str, ...]] = [("group", "rows", "expected in arrears", "in arrears", "refused")]
    for group, rows in ours.dataset.groups.items():
        shares = (given[rows, 1].mean(), bad[rows].mean(), refused[rows, 1].mean())
        lines.append((group, str(np.count_nonzero(rows)), *(f"{share:.1%}" for share in shares)))
    return markdown(lines)


recipe = Recipe(
    title="Loan risk: paid back or in arrears",
    task="binary classification",
    description="The probability that a loan will be in arrears, from what is known when somebody asks for it.",
    intended_use="Teaching and testing: a table of numbers and categories with a rare outcome, and decisions by what "
    "they cost. Never for a decision about a person.",
    limits="9,857 loans that one American lender granted in early 2016. Those it refused are not among them, and what "
    "became of the loans is known for about a year only. It ranks better than chance (AUC near 0.67), no better than "
    "logistic regression; at the costs that are assumed, its refusals saved nothing on the held-out rows.",
    dataset=lending_club.load,
    network=partial(MixedClassifier, sizes=lending_club.SIZES, hidden=(32,), dropout=0.5),
    steps=Steps(
        loss=cross_entropy,
        epochs=100,
        batch_size=128,
        learning_rate=1e-3,
        weight_decay=1.0,
        patience=10,
    ),
    members=5,
    head=softmax,
    calibrate=True,
    threshold=partial(break_even, miss=MISS, false_alarm=FALSE_ALARM),
    measures=(
        PR_AUC,
        AUC,
        BRIER,
        CALIBRATION_ERROR,
        Measure("recall_in_10_percent_review", True, partial(recall_in_review, share=0.1)),
        Measure("cost_per_1000_kusd", False, partial(cost_per_1000, miss=MISS, false_alarm=FALSE_ALARM), decided=True),
    ),
    baseline=logistic_regression_of_mixed,
    accept={"pr_auc": 0.08, "auc": 0.64},
    card=card,
)
