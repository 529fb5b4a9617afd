"""The simple forecasts that a network for series must beat, each with the spread of its own past errors."""

from collections.abc import Callable

import numpy as np
import torch

from training.baselines import Baseline
from training.datasets.dataset import Rows
from training.metrics import Array
from training.networks.quantiles import at_level
from training.networks.volatility import daily_volatility, har_coefficients, har_logs

Forecast = Callable[[Rows], Array]
"""Rows -> one value for each, (rows,)."""

EWMA_DECAY = 0.94
"""RiskMetrics, 1996, for daily data."""


def har(train: Rows, _: Rows, *, levels: tuple[float, ...]) -> Baseline:
    """Linear regression of the log volatility on its last day's, week's and month's. Source: Corsi, 2009."""
    coefficients = har_coefficients(daily_volatility(**train.inputs), train.targets)

    def foreseen(rows: Rows) -> Array:
        given: Array = har_logs(daily_volatility(**rows.inputs), coefficients).exp().numpy()
        return given

    factors = _spread(train.targets.numpy() / foreseen(train), levels, middle=1.0)
    return Baseline("HAR regression", lambda rows: foreseen(rows)[:, None] * factors)


def last_week(rows: Rows) -> Array:
    """The volatility of the last five days."""
    daily: Array = daily_volatility(**rows.inputs)[:, -5:].mean(dim=1).numpy()
    return daily


def ewma(rows: Rows) -> Array:
    """The root of the exponentially weighted variance of the days that are given."""
    variance = daily_volatility(**rows.inputs).square().numpy()
    weights = EWMA_DECAY ** np.arange(variance.shape[1])[::-1]
    smoothed: Array = np.sqrt(variance @ (weights / weights.sum()))
    return smoothed


def exponential_smoothing(train: Rows, _: Rows, *, levels: tuple[float, ...], share: float) -> Baseline:
    """Of `sales`, from their mean on; the spread in units of the forecast and one piece. The last column is the
    quantile of each row's service level.

    share: the weight of the newest week.
    """

    def foreseen(rows: Rows) -> Array:
        sales = rows.inputs["sales"].numpy()
        level: Array = sales.mean(axis=1)
        for week in sales.T:
            level = share * week + (1 - share) * level
        return level

    fitted = foreseen(train)
    steps = _spread((train.targets[:, 0].numpy() - fitted) / (fitted + 1), levels, middle=0.0)

    def quantiles(rows: Rows) -> Array:
        level = foreseen(rows)[:, None]
        given = torch.from_numpy(np.maximum(level + (level + 1) * steps, 0).astype(np.float32))
        return torch.cat([given, at_level(given, levels, rows.inputs["service_level"]).unsqueeze(1)], dim=1).numpy()

    return Baseline(f"exponential smoothing (share {share:g})", quantiles)


def _spread(errors: Array, levels: tuple[float, ...], middle: float) -> Array:
    """The quantiles of the errors; the median is the forecast itself."""
    found = np.quantile(errors, levels)
    return np.where(np.asarray(levels) == 0.5, middle, found)
