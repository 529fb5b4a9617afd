"""One column of a table: what kind it is of, its values as numbers or texts, and whether a network should see it."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from app.feature import date_of
from training.errors import UnfitTable
from training.metrics import Array
from training.tables import dates
from training.tables.corrections import Correction, Kind

LARGEST_INTEGER = 2**23
"""Twice as much is the last that 32 bits of a float hold with all its neighbours."""

TEXT_WORDS = 3
"""On average, from which on values are free text."""

FEW = 20
"""Different values that make a category, whatever they look like."""

UNIQUE = 0.95
"""From this share of different values on texts tell rows apart and nothing of their kind."""

MOSTLY = 0.95
"""From this share of numbers on the other values are slips of the pen."""

MOST_SLIPS = 5
"""Different ones."""

ID = re.compile(r"(^|[_ .-])(id|uuid|guid|index|key|nr|no)$|^(id|unnamed|column_1$)|[a-z]ID$|[a-z]Id$", re.ASCII)
"""Names of what numbers rows."""

THOUSANDS = r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?"
DECIMAL_COMMA = r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+"
PLAIN = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"


@dataclass(frozen=True)
class Found:
    """A column as it was understood.

    field:   its name as a caller writes it.
    values:  of numbers, integers and dates (in days) float64, NaN for what is missing; of categories and texts str.
    why_not: why it is left out; empty where it is used.
    note:    what somebody should know of how it was read.
    """

    name: str
    field: str
    kind: Kind
    values: pd.Series
    why_not: str = ""
    note: str = ""

    @property
    def missing(self) -> int:
        return int(self.values.isna().sum())

    @property
    def range(self) -> str:
        """What is in it, in words."""
        known = self.values.dropna()
        if known.empty:
            return ""
        if self.kind == "text":
            words = known.str.split().str.len().mean()
            return f"{words:.0f} words on average: {_short(known.iloc[0])}"
        if self.kind == "category":
            names = known.value_counts().index.tolist()
            return f"{len(names)}: " + ", ".join(map(_short, names[:4])) + (", ..." if len(names) > 4 else "")
        low, high = known.min(), known.max()
        return f"{date_of(low)} to {date_of(high)}" if self.kind == "date" else f"{low:.6g} to {high:.6g}"


def look(name: str, field: str, values: pd.Series, said: Correction) -> Found:
    """Raises UnfitTable where dates are written in several ways, or a kind that was asked for cannot be."""
    values = values.reset_index(drop=True)
    if values.notna().sum() == 0:
        return Found(name, field, "category", values.astype("str"), why_not="all values are missing")
    found = _asked(name, field, values, said) if said.kind else _guessed(name, field, values)
    if said.use is False:
        return replace(found, why_not="left out, as asked")
    if said.use or said.kind:
        return replace(found, why_not="")
    return found


def field_names(names: Sequence[str]) -> dict[str, str]:
    """Name -> the same in letters, digits and underscores, each once."""
    fields: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", plain).strip("_") or f"column_{number}"
        wanted = plain if not plain[0].isdigit() else f"_{plain}"
        taken, field, again = set(fields.values()), wanted, 2
        while field in taken:
            field, again = f"{wanted}_{again}", again + 1
        fields[name] = field
    return fields


def _guessed(name: str, field: str, values: pd.Series) -> Found:
    known = values.dropna()
    if pd.api.types.is_bool_dtype(known.infer_objects()):
        return _category(name, field, _words_of(values))
    if pd.api.types.is_numeric_dtype(values):
        return _number(name, field, values)
    if pd.api.types.is_datetime64_any_dtype(values):
        return _date(name, field, pd.Series(dates.of_times(values)))
    if (read := _numbers(values)) is not None:
        numbers, note = read
        return replace(_number(name, field, numbers), note=note)
    if ways := dates.ways(known):
        return _date(name, field, pd.Series(dates.days(values, _only_way(name, ways, len(known)))))
    return _words(name, field, values)


def _asked(name: str, field: str, values: pd.Series, said: Correction) -> Found:
    """As the kind that was asked for; what does not fit it counts as missing."""
    if said.kind == "category":
        return _category(name, field, _words_of(values))
    if said.kind == "text":
        return Found(name, field, "text", _words_of(values))
    if said.kind == "date":
        read = _asked_date(name, values, said.date_format)
        found = Found(name, field, "date", read)
    else:
        read = _finite(pd.to_numeric(values.astype("str"), errors="coerce"))
        kind: Kind = "integer" if said.kind == "integer" and _is_whole(read) else "number"
        found = Found(name, field, kind, read)
    lost = found.missing - int(values.isna().sum())
    if found.missing == len(values):
        raise UnfitTable(f"{name!r} cannot be read as {said.kind}: none of its values is one")
    return replace(found, note=f"{lost} values are no {said.kind} and count as missing" if lost else "")


def _asked_date(name: str, values: pd.Series, way: str) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(values):
        return pd.Series(dates.of_times(values))
    texts = values.astype("str")
    if not way:
        known = texts.dropna()
        found = dates.ways(known)
        way = _only_way(name, found, len(known)) if found else dates.FORMATS[0]
    return pd.Series(dates.days(texts, way))


def _only_way(name: str, ways: Sequence[dates.Way], rows: int) -> str:
    """Raises UnfitTable where there are several, of which each may be right for all rows, or none is."""
    if len(ways) == 1:
        return ways[0].format
    told = ", ".join(f"{one.format} ({one.rows} rows, such as {one.example!r})" for one in ways)
    if ways[0].rows == rows:
        raise UnfitTable(
            f"{name!r} holds dates that can be read in {len(ways)} ways: {told}; "
            f"say which by --kind '{name}=date:{ways[0].format}'"
        )
    raise UnfitTable(
        f"{name!r} holds dates in {len(ways)} formats: {told}; write them in one, or leave the column out by "
        f"--drop '{name}'"
    )


def _number(name: str, field: str, values: pd.Series) -> Found:
    values = _finite(values)
    known = values.dropna()
    kind: Kind = "integer" if _is_whole(values) else "number"
    distinct = known.nunique()
    why_not = _constant(values, distinct)
    if kind == "integer" and distinct == len(values):
        if known.max() - known.min() == len(values) - 1:
            why_not = "an identifier: it counts the rows"
        elif ID.search(name):
            why_not = "an identifier: another value in every row"
    return Found(name, field, kind, values, why_not)


def _date(name: str, field: str, values: pd.Series) -> Found:
    return Found(name, field, "date", values, _constant(values, values.nunique()))


def _words(name: str, field: str, values: pd.Series) -> Found:
    known = values.dropna()
    distinct = known.nunique()
    words = (known.str.count(r"\s+") + 1).mean()
    if distinct > FEW and words >= TEXT_WORDS and distinct > len(known) / 10:
        return Found(name, field, "text", values)
    found = _category(name, field, values)
    if distinct > FEW and distinct >= UNIQUE * len(known):
        return replace(found, why_not="an identifier: another value in nearly every row")
    return found


def _category(name: str, field: str, values: pd.Series) -> Found:
    return Found(name, field, "category", values, _constant(values, values.nunique()))


def _constant(values: pd.Series, distinct: int) -> str:
    """A column of one value and gaps is none: the gaps may tell something."""
    if distinct <= 1 and not values.isna().any():
        return "constant: the same value in every row"
    return "" if distinct else "all values are missing"


def _numbers(texts: pd.Series) -> tuple[pd.Series, str] | None:
    """Texts as numbers, with what to say of it; None where they are none."""
    known = texts.dropna()
    for pattern, change in (
        (PLAIN, {}),
        (THOUSANDS, {",": ""}),
        (DECIMAL_COMMA, {".": "", ",": "."}),
    ):
        fits = known.str.fullmatch(f"{PLAIN}|{pattern}")
        slips = known[~fits]
        if fits.mean() >= MOSTLY and slips.nunique() <= MOST_SLIPS:
            plain = texts.where(~texts.isin(slips))
            for old, new in change.items():
                plain = plain.str.replace(old, new, regex=False)
            numbers = pd.to_numeric(plain, errors="coerce").astype(np.float64)
            told = ", ".join(f"{value!r} ({count})" for value, count in slips.value_counts().items())
            return numbers, f"no numbers, so they count as missing: {told}" if told else ""
    return None


def _finite(values: pd.Series) -> pd.Series:
    numbers: Array = values.to_numpy(np.float64, na_value=np.nan)
    return pd.Series(np.where(np.isfinite(numbers), numbers, np.nan))


def _is_whole(values: pd.Series) -> bool:
    known = values.dropna()
    return bool((known == known.round()).all() and known.abs().max() < LARGEST_INTEGER)


def _words_of(values: pd.Series) -> pd.Series:
    """Any values as texts: 3, not 3.0; true, not True."""
    if isinstance(values.dtype, pd.StringDtype):
        return values
    known = values.dropna()
    if pd.api.types.is_bool_dtype(known.infer_objects()):
        texts = known.map({True: "true", False: "false"})
    elif pd.api.types.is_numeric_dtype(known):
        texts = known.map(lambda value: f"{value:.15g}")
    else:
        texts = known.astype("str")
    return texts.astype("str").reindex(values.index)


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:24]}..."
