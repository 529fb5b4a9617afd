"""Volatility of the S&P 500 in the week to come, out of a month of prices. Pinball loss of the logarithm.

Expect: R2 of the log volatility .58 (.572 to .584 over 3 seeds), pinball loss .045 (.0453 to .0457), .73 to .80 of the
weeks within low to high; 21 to 53 s on one core, by how busy it is. HAR regression has .541, .0496 and .655: the
network is better beyond chance, by .02 to .05 of R2 over blocks of four weeks. Last week's volatility again has .432.
Source: HAR (Corsi, 2009) with what it leaves learnt by a GRU; size, schedule and decay by validation, and the choice
between GRU and perceptron by five rolling origins within the years before the test.
Data: S&P 500, daily, 1999 to 2018.
"""

from functools import partial

import numpy as np

from training.answers import Answer
from training.datasets import sp500
from training.evaluate import predict
from training.fit import Steps
from training.forecasts import ewma, har, last_week
from training.losses import pinball_of_logs
from training.metrics import Measure, coverage, coverage_error, pinball, r2, r2_of_logs
from training.networks.volatility import VolatilityQuantiles
from training.recipe import Recipe, Trained
from training.schedules import one_cycle

LEVELS = (0.1, 0.5, 0.9)
MIDDLE = LEVELS.index(0.5)


def card(ours: Trained) -> str:
    """The simple rules beside it, on the test split."""
    dataset = ours.dataset
    test, targets = dataset.test, dataset.test.targets.numpy()
    regression = har(dataset.train, dataset.validation, levels=LEVELS).predict(test)
    network = predict(ours.served, test)
    yesterday = r2(test.inputs["close"][:, -2].numpy(), test.inputs["close"][:, -1].numpy())
    rules = [("last week's again", last_week(test)), ("exponentially weighted (0.94)", ewma(test))]
    lines = [
        f"| {name} | {r2_of_logs(values[:, None], targets, middle=0):.3f} | {np.abs(values - targets).mean():.3f} | |"
        for name, values in rules
    ] + [
        f"| {name} | {r2_of_logs(values, targets, middle=MIDDLE):.3f} | "
        f"{np.abs(values[:, MIDDLE] - targets).mean():.3f} | {coverage(values, targets):.3f} |"
        for name, values in (("HAR regression", regression), ("this network", network))
    ]
    return "\n".join(
        [
            "## Beside simple rules",
            "",
            "| rule | R2 of the log volatility | mean absolute error, % a day | share within low to high |",
            "| --- | --- | --- | --- |",
            *lines,
            "",
            f"Low to high is meant to hold {LEVELS[-1] - LEVELS[0]:.0%} of weeks. A year's volatility is about 16 "
            f"times a day's (the root of 252). Prices are not foreseen: 'as yesterday' explains {yesterday:.1%} of the "
            "closing price's variance here, and nobody can earn by it.",
        ]
    )


def _answer(tensor: str, level: float, description: str) -> Answer:
    return Answer(tensor, "value", tensor, description, "% a day", level=level)


recipe = Recipe(
    title="Volatility of the S&P 500 in the week to come",
    task="forecasting",
    description="How much the index will move on an average day of the next five, as a low, a median and a high value, "
    "from the prices of the last 22 trading days.",
    intended_use="Studying volatility and its forecasts; sizing a range of what next week may bring.",
    limits="One index, 1999 to 2018. It knows prices and no news: a shock out of a calm month is foreseen by nothing. "
    "It says how much prices move, not where to. Not investment advice.",
    dataset=sp500.load,
    network=partial(VolatilityQuantiles, quantiles=len(LEVELS), size=24),
    steps=Steps(
        loss=partial(pinball_of_logs, levels=LEVELS),
        epochs=12,
        batch_size=64,
        learning_rate=1e-3,
        patience=12,
        weight_decay=0.1,
        schedule=partial(one_cycle, peak=5.0),
    ),
    members=3,
    answers=(
        _answer("low_volatility", 0.1, "Mean volatility of the next five days, a quiet case"),
        _answer("median_volatility", 0.5, "Mean Garman-Klass volatility of the next five days"),
        _answer("high_volatility", 0.9, "Mean volatility of the next five days, a lively case"),
    ),
    measures=(
        Measure("r2_of_log", True, partial(r2_of_logs, middle=MIDDLE)),
        Measure("pinball", False, partial(pinball, levels=LEVELS)),
        Measure("coverage_error", False, partial(coverage_error, levels=LEVELS)),
    ),
    baseline=partial(har, levels=LEVELS),
    accept={"r2_of_log": 0.45},
    tolerance=1e-4,
    card=card,
)
