"""Demand of an article in the week to come, and how much to order. Pinball loss of seven quantiles.

Expect: MASE .728 (the same over 3 seeds), WAPE .564 (.563 to .564), pinball loss 12.8; 37 to 58 s on one core.
Exponential smoothing has .782, .603 and 13.5: better beyond chance, by .05 to .06 of MASE. An order at a service level
of 90 % is enough in 89 % of weeks, with a quarter less left over than smoothing's. Low to high holds .70 where .80 is
meant, and .84 in whole pieces.
Source: a perceptron over twelve weeks and the calendar, in units of the article's own mean; beside a GRU, which did as
well and took three times as long, chosen on validation.
Data: Online Retail II, weekly.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from training.answers import Answer
from training.baselines import Baseline
from training.datasets import online_retail
from training.datasets.dataset import Rows
from training.evaluate import predict
from training.fit import Steps
from training.forecasts import exponential_smoothing
from training.losses import scaled_pinball
from training.metrics import Measure, coverage, coverage_error, mase, pinball, wape
from training.networks.demand import DemandQuantiles
from training.recipe import Recipe, Trained
from training.schedules import cosine

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Learnt: the last two are what orders of high service are made of."""

ANSWERED = LEVELS[:5]
MIDDLE = ANSWERED.index(0.5)

SERVICE_LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99)


def smoothing(train: Rows, validation: Rows, *, share: float) -> Baseline:
    """Exponential smoothing, with the same answers."""
    whole = exponential_smoothing(train, validation, levels=LEVELS, share=share)
    return replace(whole, predict=lambda rows: answered(torch.from_numpy(whole.predict(rows))).numpy())


def answered(output: Tensor) -> Tensor:
    """The quantiles that are answered, and the order, (rows, 6)."""
    return torch.cat([output[:, : len(ANSWERED)], output[:, len(LEVELS) :]], dim=1)


def card(ours: Trained) -> str:
    """What an order at each service level would have come to, on the test split, in the network's and smoothing's."""
    dataset = ours.dataset
    simple = recipe.baseline(dataset.train, dataset.validation)
    test, sold = dataset.test, dataset.test.targets[:, 0].numpy()
    lines = []
    for level in SERVICE_LEVELS:
        asked = at_service(test, level)
        orders = [predict(ours.served, asked)[:, -1], simple.predict(asked)[:, -1]]
        enough = [(order >= sold).mean() for order in orders]
        left = [(order - sold).clip(min=0).sum() / sold.sum() for order in orders]
        lines.append(f"| {level:.0%} | {enough[0]:.1%} | {left[0]:.2f} | {enough[1]:.1%} | {left[1]:.2f} |")
    band = predict(ours.served, test)[:, : len(ANSWERED)]
    whole = np.concatenate([np.floor(band[:, :1]), band[:, 1:]], axis=1)
    return "\n".join(
        [
            "## What an order would have come to",
            "",
            "Share of the weeks in which it was enough, and pieces left over for each piece sold.",
            "",
            "| service level | enough | left over | smoothing: enough | smoothing: left over |",
            "| --- | --- | --- | --- | --- |",
            *lines,
            "",
            f"Low to high held {coverage(band, test.targets.numpy()):.1%} of the weeks, where "
            f"{ANSWERED[-1] - ANSWERED[0]:.0%} is meant, and {coverage(whole, test.targets.numpy()):.1%} with low "
            "rounded down to whole pieces: a week without any sale lies below a low of half a piece.",
            "",
            f"The sum of all medians is {band[:, MIDDLE].sum() / sold.sum():.0%} of what was sold: demand has a long "
            "tail, and its median lies below its mean. Plan stock by the order, never by the median.",
        ]
    )


def at_service(rows: Rows, level: float) -> Rows:
    """The same rows, asked for an order at this level."""
    return replace(rows, inputs={**rows.inputs, "service_level": torch.full((len(rows), 1), level)})


def _quantile(tensor: str, level: float, description: str = "") -> Answer:
    return Answer(tensor, "value", tensor, description, "pieces", level=level)


recipe = Recipe(
    title="Demand of an article in the week to come",
    task="forecasting",
    description="How many pieces of an article a shop will sell next week, as five quantiles, and how many to have for "
    "a service level, from the sales of the last twelve weeks and the time of the year.",
    intended_use="Teaching and testing: orders of articles that sell steadily, one week ahead.",
    limits="One British mail-order shop for gifts, 2009 to 2011, with one Christmas among the training weeks, and only "
    "articles that were sold in most weeks. Sales are not demand where stock ran out. Weeks above an article's own "
    "99th percentile were cut to it, so a single bulk order is beyond it.",
    dataset=online_retail.load,
    network=partial(DemandQuantiles, levels=LEVELS, hidden=(96, 48), dropout=0.0),
    steps=Steps(
        loss=partial(scaled_pinball, levels=LEVELS),
        epochs=12,
        batch_size=256,
        learning_rate=1e-3,
        patience=12,
        schedule=cosine,
    ),
    members=3,
    head=answered,
    answers=(
        _quantile("low", 0.1, "Pieces in a poor week"),
        _quantile("lower", 0.25, "Pieces in a week of the lower quarter"),
        _quantile("median", 0.5, "Pieces sold next week: as often more as less"),
        _quantile("upper", 0.75, "Pieces in a week of the upper quarter"),
        _quantile("high", 0.9, "Pieces in a very good week"),
        Answer("order", "value", "order", "Pieces to have, so that they are enough at the service level", "pieces"),
    ),
    measures=(
        Measure("mase", False, partial(mase, middle=MIDDLE)),
        Measure("wape", False, partial(wape, middle=MIDDLE)),
        Measure("pinball", False, partial(pinball, levels=ANSWERED)),
        Measure("coverage_error", False, partial(coverage_error, levels=ANSWERED)),
    ),
    baseline=partial(smoothing, share=0.2),
    accept={"mase": 0.78, "wape": 0.60},
    tolerance=1e-3,
    card=card,
)
