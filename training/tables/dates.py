"""Texts to dates: which of the usual ways of writing one a whole column follows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.metrics import Array

FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%B %d, %Y",
)

TIME = r"[T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?$"
"""Of a day, behind its date."""

SAMPLE = 500
"""Different values that are looked at first."""

MOSTLY = 0.95
"""From this share of its values on a column was meant to hold dates."""


@dataclass(frozen=True)
class Way:
    """A format, how many of the values follow it, and the first that does."""

    format: str
    rows: int
    example: str


def ways(texts: pd.Series) -> list[Way]:
    """The formats that all of the texts follow, several where day and month cannot be told apart; or, where they were
    meant to be dates and follow no single one, those that share them; none for what are no dates.

    texts: none missing.
    """
    days = _without_time(texts)
    sample = pd.Series(days.unique()[:SAMPLE])
    likely = [one for one in FORMATS if _fits(sample, one).any()]
    if not likely:
        return []
    fits = {one: _fits(days, one) for one in likely}
    if whole := [one for one in likely if fits[one].all()]:
        return [Way(one, len(texts), str(texts.iloc[0])) for one in whole]
    found, left = [], np.ones(len(texts), bool)
    while best := max(likely, key=lambda one: int((fits[one] & left).sum())):
        taken = fits[best] & left
        if not taken.any():
            break
        found.append(Way(best, int(taken.sum()), str(texts.iloc[int(taken.argmax())])))
        left &= ~taken
    return found if left.mean() <= 1 - MOSTLY else []


def days(texts: pd.Series, way: str) -> Array:
    """Days since 1970-01-01, NaN for what is missing or does not follow the format."""
    return of_times(pd.to_datetime(_without_time(texts), format=way, errors="coerce"))


def of_times(times: pd.Series) -> Array:
    """Whole days since 1970-01-01 of moments, in UTC where they have a zone; NaN where there is none."""
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    since = times.dt.floor("D") - pd.Timestamp("1970-01-01")
    found: Array = since.dt.days.to_numpy(np.float64, na_value=np.nan)
    return found


def _without_time(texts: pd.Series) -> pd.Series:
    return texts.str.replace(TIME, "", regex=True)


def _fits(texts: pd.Series, way: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
        pd.to_datetime(texts, format=way, errors="coerce").notna().to_numpy()
    )
    return found
