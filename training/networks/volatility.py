"""Volatility out of prices: everything from Garman-Klass to the last exponential inside the graph.

A heterogeneous autoregression (HAR) of the log volatility is fitted once, by least squares, and kept; a network that
reads the days one behind the other learns what it leaves, and the spread.
Source: Corsi, A Simple Approximate Long-Memory Model of Realized Volatility,
2009.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from training.networks.quantiles import ordered
from training.networks.sequences import Recurrent

HORIZONS = (1, 5, 22)
"""Days of the three means of HAR: a day, a week, a month."""

QUIETEST = 0.01
"""Per cent a day that a day counts as at least, so that a day on which the price stood still has a logarithm."""


class VolatilityQuantiles(nn.Module):
    """open, high, low, close (rows, days) in any unit of money -> rising quantiles (rows, quantiles) in % a day."""

    har: Tensor

    def __init__(self, inputs: Mapping[str, Tensor], targets: Tensor, *, quantiles: int, size: int) -> None:
        super().__init__()
        self.register_buffer("har", har_coefficients(daily_volatility(**inputs), targets))
        self.recurrent = Recurrent(features=3, size=size)
        self.output = nn.Linear(size, quantiles)

    def forward(self, open: Tensor, high: Tensor, low: Tensor, close: Tensor) -> Tensor:  # noqa: A002, the price's name
        daily = daily_volatility(open, high, low, close)  # (rows, days)
        steps = self.output(self.recurrent(_steps(daily, close)))  # (rows, quantiles)
        foreseen = har_logs(daily, self.har).unsqueeze(1)  # (rows, 1)
        logs = ordered(torch.cat([steps[:, :1] + foreseen, steps[:, 1:]], dim=1))
        return logs.exp()


def daily_volatility(open: Tensor, high: Tensor, low: Tensor, close: Tensor) -> Tensor:  # noqa: A002, the price's name
    """Garman-Klass, in % a day. All (rows, days)."""
    variance = 0.5 * (high / low).log().square() - (2 * math.log(2) - 1) * (close / open).log().square()
    return 100 * variance.clamp_min((QUIETEST / 100) ** 2).sqrt()


def har_means(daily: Tensor) -> Tensor:
    """(rows, days) -> (rows, 3): the logs of the mean volatility of the last day, week and month."""
    return torch.stack([daily[:, -days:].mean(dim=1).log() for days in HORIZONS], dim=1)


def har_logs(daily: Tensor, coefficients: Tensor) -> Tensor:
    """The log volatility that HAR foresees, (rows,). coefficients: (4,), the constant last."""
    return (har_means(daily) * coefficients[:3]).sum(dim=1) + coefficients[3]


def har_coefficients(daily: Tensor, targets: Tensor) -> Tensor:
    """By least squares of the logs, (4,). targets: (rows,) in % a day."""
    means = har_means(daily)
    design = torch.cat([means, torch.ones_like(means[:, :1])], dim=1).double()
    fitted: Tensor = torch.linalg.lstsq(design, targets.double().log().unsqueeze(1)).solution
    return fitted.squeeze(1).float()


def _steps(daily: Tensor, close: Tensor) -> Tensor:
    """(rows, days, 3): the day's volatility beside the month's, its return in the month's volatilities, and how high
    those are."""
    month = daily.mean(dim=1, keepdim=True)  # (rows, 1)
    returns = pad(100 * (close[:, 1:] / close[:, :-1]).log(), (1, 0)) / month  # (rows, days); of the first day unknown
    return torch.stack([(daily / month).log(), returns, month.log().expand_as(daily)], dim=2)
