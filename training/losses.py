"""Losses that torch has not: of quantiles.

The pinball loss of a level p costs p for each unit that the value lies above the quantile and 1 - p for each below; its
minimum is the quantile. The absolute error is twice that of the median.
Source: Koenker & Bassett, Regression Quantiles, 1978.
"""

from torch import Tensor


def pinball(quantiles: Tensor, targets: Tensor, *, levels: tuple[float, ...]) -> Tensor:
    """Mean over rows and levels. quantiles: (rows, levels); targets: (rows,)."""
    return _each(quantiles, targets, levels).mean()


def pinball_of_logs(quantiles: Tensor, targets: Tensor, *, levels: tuple[float, ...]) -> Tensor:
    """The same of the logarithms, for what is read in ratios; both above 0."""
    return pinball(quantiles.log(), targets.log(), levels=levels)


def scaled_pinball(quantiles: Tensor, targets: Tensor, *, levels: tuple[float, ...]) -> Tensor:
    """Each row in units of its own scale, so that large series do not drown small ones.

    quantiles: (rows, columns), the first of them the levels'; targets: (rows, 2), value and scale.
    """
    values, scale = targets.unbind(dim=1)
    return (_each(quantiles[:, : len(levels)], values, levels).mean(dim=1) / scale).mean()


def _each(quantiles: Tensor, values: Tensor, levels: tuple[float, ...]) -> Tensor:
    """(rows, levels)."""
    above = values.unsqueeze(1) - quantiles
    level = quantiles.new_tensor(levels)
    return (level * above).maximum((level - 1) * above)
