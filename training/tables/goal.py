"""The column that is to be predicted: classes or a number, and whether its rows are enough to learn from."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.errors import UnfitTable
from training.metrics import Array
from training.tables.columns import look
from training.tables.corrections import Correction
from training.tables.read import listed

FEWEST_ROWS = 50
FEWEST_OF_A_CLASS = 10
MOST_CLASSES = 100

MOST_DEGREES = 10
"""Different integers that are taken for classes."""


@dataclass(frozen=True)
class Goal:
    """values: (rows,) places in `labels`, or numbers where there are none."""

    name: str
    field: str
    values: Array
    labels: tuple[str, ...]

    @property
    def words(self) -> str:
        if not self.labels:
            return f"a number, {self.values.min():.6g} to {self.values.max():.6g}"
        counts = np.bincount(self.values.astype(int), minlength=len(self.labels))
        told = [f"{label} ({count})" for label, count in zip(self.labels, counts, strict=True)]
        return f"{len(self.labels)} classes: {listed(told)}"


def goal(name: str, field: str, values: pd.Series, said: Correction) -> Goal:
    """values: of the rows that have one. Raises UnfitTable where nothing can be learnt from them."""
    if len(values) < FEWEST_ROWS:
        raise UnfitTable(f"{len(values)} rows with a {name!r} are too few, wanted {FEWEST_ROWS} or more")
    if values.nunique() == 1:
        raise UnfitTable(
            f"{name!r} is {values.iloc[0]} in all {len(values)} rows: one class only, and nothing to predict"
        )
    found = look(name, field, values, said)
    if found.kind == "date":
        raise UnfitTable(f"{name!r} holds dates, which cannot be predicted; a number of days could")
    known, distinct = found.values, found.values.nunique()
    is_number = found.kind in ("number", "integer")
    degrees = found.kind == "integer" and distinct <= MOST_DEGREES and len(known) >= FEWEST_OF_A_CLASS * distinct
    if is_number and (said.kind is not None or (distinct > 2 and not degrees)):
        return Goal(name, field, known.to_numpy(np.float64, copy=True), ())
    return _classes(name, field, known)


def _classes(name: str, field: str, values: pd.Series) -> Goal:
    counts = values.value_counts().sort_index()
    if len(counts) > MOST_CLASSES:
        raise UnfitTable(f"{name!r} has {len(counts):,} classes, wanted {MOST_CLASSES} or fewer")
    labels = [value if isinstance(value, str) else f"{value:g}" for value in counts.index]
    rare = [f"{label!r} ({count})" for label, count in zip(labels, counts, strict=True) if count < FEWEST_OF_A_CLASS]
    if rare:
        raise UnfitTable(
            f"{name!r} has classes of too few rows, wanted {FEWEST_OF_A_CLASS} or more of each: {listed(rare)}; "
            "merge them, or leave their rows out"
        )
    places = pd.Series(range(len(counts)), index=counts.index)
    return Goal(name, field, values.map(places).to_numpy(np.float64, copy=True), tuple(labels))
