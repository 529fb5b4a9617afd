"""A network for tables of mixed columns: numbers with gaps, dates, categories and words, then a perceptron.

Whatever a table needs on the way to numbers that can be learnt from is a layer here, so that it is in the graph.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from training.networks.perceptron import perceptron
from training.networks.scaling import Standardise, Unstandardise

SMALL = 0.1
"""Deviation of the weights of an embedding before it has learnt anything."""

MOST_QUANTILE_ROWS = 100_000


class TableNetwork(nn.Module):
    """Some of these -> logits (rows, classes), or values (rows,) where there are no classes.

    numbers:    (rows, columns), NaN where one is missing; days since 1970-01-01 for a date.
    categories: (rows, columns) of int64, places among the names of their column.
    words:      (rows, columns, places) of int64, the numbers of a text's words, 0 for none.

    dates:      the columns of numbers that hold days.
    sizes:      names of each column of categories.
    vocabulary: numbers of words, 0 among them.
    bins:       equal parts of the training rows, of which a number also tells how much it has passed; 0 for none.
    """

    def __init__(
        self,
        dates: Sequence[int],
        sizes: Sequence[int],
        vocabulary: int,
        classes: int,
        inputs: Mapping[str, Tensor],
        targets: Tensor,
        *,
        hidden: tuple[int, ...],
        dropout: float,
        bins: int,
    ) -> None:
        super().__init__()
        parts: dict[str, Numbers | Categories | Words] = {}
        if "numbers" in inputs:
            parts["numbers"] = Numbers(inputs["numbers"], dates, bins)
        if "categories" in inputs:
            parts["categories"] = Categories(sizes)
        if "words" in inputs:
            parts["words"] = Words(inputs["words"].shape[1], vocabulary)
        self.parts = nn.ModuleDict(parts)
        width = sum(part.width for part in parts.values())
        self.layers = perceptron((width, *hidden, classes or 1), dropout)
        self.unscale = None if classes else Unstandardise.fitted(targets)

    def forward(self, **inputs: Tensor) -> Tensor:
        read = torch.cat([part(inputs[name]) for name, part in self.parts.items()], dim=1)  # (rows, width)
        outputs: Tensor = self.layers(read)  # (rows, classes or 1)
        return outputs if self.unscale is None else self.unscale(outputs.squeeze(1))


class Numbers(nn.Module):
    """(rows, columns) -> (rows, width): standardised, the median and a sign in the place of what is missing.

    Source of the bins: Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, 2022.
    """

    median: Tensor
    gaps: Tensor
    low: Tensor
    wide: Tensor
    days: Tensor
    first_day: Tensor
    last_day: Tensor

    def __init__(self, values: Tensor, dates: Sequence[int], bins: int) -> None:
        super().__init__()
        self.register_buffer("median", values.nanmedian(dim=0).values.nan_to_num(0.0))
        self.register_buffer("gaps", values.isnan().any(dim=0).nonzero().flatten())
        self.register_buffer("days", torch.tensor(dates, dtype=torch.int64))
        self.has_days, self.bins = len(dates) > 0, bins
        known = self._filled(values)
        self.scale = Standardise.fitted(known)
        self.register_buffer("first_day", known[:, self.days].amin(dim=0))
        self.register_buffer("last_day", known[:, self.days].amax(dim=0))
        shares = np.linspace(0, 1, bins + 1)
        edges = np.quantile(known[:MOST_QUANTILE_ROWS].numpy(), shares, axis=0).T  # (columns, bins + 1)
        edges = torch.from_numpy(edges.astype(np.float32))
        self.register_buffer("low", edges[:, :-1])
        width = edges.diff(dim=1)
        self.register_buffer("wide", torch.where(width > 0, width, torch.inf))
        self.width = values.shape[1] * (1 + bins) + len(self.gaps) + len(dates) * (MONTHS + WEEKDAYS)

    def forward(self, numbers: Tensor) -> Tensor:
        known = self._filled(numbers)
        parts = [numbers[:, self.gaps].isnan().to(known.dtype)]
        if self.has_days:
            days = known[:, self.days]  # (rows, dates)
            parts.append(calendar(days).flatten(1))
            # Beyond the training rows a day counts as the nearest among them: nothing was learnt of where it leads.
            known = known.index_copy(1, self.days, days.clamp(self.first_day, self.last_day))
        parts.append(self.scale(known))
        if self.bins:
            passed = (known.unsqueeze(2) - self.low) / self.wide  # (rows, columns, bins)
            parts.append(passed.clamp(0, 1).flatten(1))
        return torch.cat(parts, dim=1)

    def _filled(self, numbers: Tensor) -> Tensor:
        return torch.where(numbers.isnan(), self.median, numbers)


class Categories(nn.Module):
    """(rows, columns) of places -> (rows, width). Columns whose embeddings are equally wide share a table."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        widths = [_width(size) for size in sizes]
        self.tables = nn.ModuleList()
        for place, width in enumerate(sorted(set(widths))):
            columns = [column for column, one in enumerate(widths) if one == width]
            starts = np.cumsum([0, *(sizes[column] for column in columns)])
            table = nn.Embedding(int(starts[-1]), width)
            nn.init.normal_(table.weight, std=SMALL)
            self.tables.append(table)
            self.register_buffer(f"columns_{place}", torch.tensor(columns))
            self.register_buffer(f"starts_{place}", torch.from_numpy(starts[:-1].copy()))
        self.width = sum(widths)

    def forward(self, categories: Tensor) -> Tensor:
        found = []
        for place, table in enumerate(self.tables):
            columns, starts = self.get_buffer(f"columns_{place}"), self.get_buffer(f"starts_{place}")
            found.append(table(categories[:, columns] + starts).flatten(1))
        return torch.cat(found, dim=1)


class Words(nn.Module):
    """(rows, columns, places) of words -> (rows, width): of each text the mean of its words, and how many it has."""

    def __init__(self, columns: int, vocabulary: int, size: int = 16) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, size, padding_idx=0)
        nn.init.normal_(self.table.weight, std=SMALL)
        with torch.no_grad():
            self.table.weight[0] = 0
        self.width = columns * (size + 1)

    def forward(self, words: Tensor) -> Tensor:
        count = (words > 0).sum(dim=2, keepdim=True).to(self.table.weight.dtype)  # (rows, columns, 1)
        mean = self.table(words).sum(dim=2) / count.clamp(min=1)  # (rows, columns, size)
        return torch.cat([mean, torch.log1p(count)], dim=2).flatten(1)


def _width(size: int) -> int:
    """Of an embedding of so many names: a power of two, half as many at most and 16 at most."""
    return 1 << min(4, max(0, (size - 1).bit_length() - 1))


MONTHS, WEEKDAYS = 12, 7


def calendar(days: Tensor) -> Tensor:
    """Days since 1970-01-01 (rows, dates) -> month and weekday, one of each (rows, dates, MONTHS + WEEKDAYS).

    The year is in the days already. Source: Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days.
    """
    day = days.round().to(torch.int64) + 719_468  # since 0000-03-01, never negative
    of_era = day % 146_097
    year = _whole(of_era - _whole(of_era, 1460) + _whole(of_era, 36_524) - _whole(of_era, 146_096), 365)
    of_year = of_era - (365 * year + _whole(year, 4) - _whole(year, 100))
    from_march = _whole(5 * of_year + 2, 153)
    month, weekday = (from_march + 2) % MONTHS, (day + 2) % WEEKDAYS  # January and Monday are 0
    both = [_one_hot(month, MONTHS), _one_hot(weekday, WEEKDAYS)]
    return torch.cat(both, dim=2)


def _whole(value: Tensor, divisor: int) -> Tensor:
    """value // divisor of what is not negative. Exported as it stands it would be a float's division, rounded down:
    of a multiple that is exact."""
    return ((value - value % divisor) / divisor).to(torch.int64)


def _one_hot(places: Tensor, size: int) -> Tensor:
    return (places.unsqueeze(-1) == torch.arange(size)).to(torch.float32)
