"""A whole table understood: every column's kind, the target, what is left out and why, and how rows are split."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import yaml

from training.errors import UnfitTable
from training.tables import leaks
from training.tables.columns import Found, field_names, look
from training.tables.corrections import NO_TIME, Corrections
from training.tables.goal import Goal, goal
from training.tables.read import Table, listed

BIRTH = re.compile(r"birth|born|dob", re.IGNORECASE)
"""Names of dates that say nothing of when a row was written."""

FEWEST_DAYS = 10
"""Different ones, for a split by time."""


@dataclass(frozen=True)
class Understanding:
    """columns: all but the target, in the file's order. time: the one that rows are split by; None for chance."""

    file: str
    columns: tuple[Found, ...]
    goal: Goal
    time: Found | None
    notes: tuple[str, ...]
    corrections: Corrections

    @property
    def used(self) -> tuple[Found, ...]:
        return tuple(one for one in self.columns if not one.why_not)

    def text(self) -> str:
        """For the terminal and the run's folder."""
        lines = [("column", "kind", "range or categories", "missing", "used")]
        for one in self.columns:
            name = one.name if one.name == one.field else f"{one.name} -> {one.field}"
            used = f"no: {one.why_not}" if one.why_not else "yes" + (f"; {one.note}" if one.note else "")
            lines.append((name, one.kind, one.range, str(one.missing or ""), used))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rows = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        told = [
            f"{self.file}: {len(self.goal.values):,} rows, {len(self.used)} of {len(self.columns)} columns used",
            f"target: {self.goal.name}, {self.goal.words}",
            f"split: {self.split}",
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join([*rows, "", *told])

    @property
    def split(self) -> str:
        return f"by time, in the order of {self.time.name!r}" if self.time else "by chance"

    def as_file(self) -> str:
        """The same as a file of corrections."""
        columns = {
            one.name: {"kind": one.kind} | ({"use": False} if one.why_not else {})
            for one in self.columns
            if one.values.notna().any()
        }
        kind = "category" if self.goal.labels else "number"
        said = {
            "time": self.time.name if self.time else NO_TIME,
            "columns": {self.goal.name: {"kind": kind}, **columns},
        }
        head = (
            f"# What was understood of {self.file}. Correct it, and give it back by --columns. A column may also have\n"
            "# a date_format, a description, a unit, a minimum and a maximum; the table a title, source and licence.\n"
        )
        return head + yaml.safe_dump(said, sort_keys=False, allow_unicode=True)


def understand(file: str, table: Table, target: str, corrections: Corrections) -> Understanding:
    """Raises UnfitTable where nothing could be learnt, with what would change that."""
    frame = table.frame
    names = [*map(str, frame.columns)]
    _check_named(names, target, corrections)
    fields = field_names(names)
    has_target = frame[target].notna()
    rows = frame[has_target].reset_index(drop=True)
    aim = goal(target, fields[target], rows[target], corrections.of(target))
    columns = [look(name, fields[name], rows[name], corrections.of(name)) for name in names if name != target]
    _check_leaks(columns, aim, corrections)
    notes = [f"{len(frame) - len(rows):,} rows without a {target!r} are left out"] if len(rows) < len(frame) else []
    notes += [f"{name!r} is left out: {why}" for name, why in table.left_out.items()]
    notes += [
        f"{one.name!r} alone nearly tells {target!r}: is it known before? --drop '{one.name}' leaves it out"
        for one in columns
        if not one.why_not and leaks.gives_away(one, aim)
    ]
    understood = Understanding(file, tuple(columns), aim, _time(columns, corrections), tuple(notes), corrections)
    if not understood.used:
        raise UnfitTable(f"no column but {target!r} can be used, so there is nothing to predict it from")
    several = [one.name for one in understood.used if one.kind == "date"]
    if understood.time is None and corrections.time is None and several:
        told = f"rows are split by chance; --time '{several[0]}' splits them by a date"
        return replace(understood, notes=(*notes, told))
    return understood


def _check_named(names: Sequence[str], target: str, corrections: Corrections) -> None:
    """Raises UnfitTable for a name that no column has."""
    time = [corrections.time] if corrections.time not in (None, NO_TIME) else []
    for asked in (target, *time, *corrections.columns):
        if asked not in names:
            close = get_close_matches(str(asked), names, n=1)
            better = f", did you mean {close[0]!r}?" if close else ""
            raise UnfitTable(f"no column {asked!r}{better} (there are {listed(list(names))})")


def _check_leaks(columns: Sequence[Found], aim: Goal, corrections: Corrections) -> None:
    """Raises UnfitTable on a feature that equals the target, unless it was asked to be kept or left out."""
    for one in columns:
        said = corrections.of(one.name).use
        if said is None and not one.why_not and leaks.equals(one, aim):
            raise UnfitTable(
                f"{one.name!r} equals the target {aim.name!r} in every row, in its own words: a network would only "
                f"copy it. --drop '{one.name}' leaves it out, --keep '{one.name}' trains on it all the same"
            )


def _time(columns: Sequence[Found], corrections: Corrections) -> Found | None:
    """The column that was asked for; else the only date that may say when a row was written."""
    if corrections.time == NO_TIME:
        return None
    if corrections.time:
        [asked] = [one for one in columns if one.name == corrections.time]
        if asked.kind in ("category", "text"):
            raise UnfitTable(f"{asked.name!r} is {asked.kind}, wanted dates or numbers to split by")
        if asked.missing:
            raise UnfitTable(f"{asked.name!r} is missing in {asked.missing} rows, so they cannot be split by it")
        return asked
    found = [
        one
        for one in columns
        if one.kind == "date" and not one.why_not and not BIRTH.search(one.name) and one.values.nunique() >= FEWEST_DAYS
    ]
    return found[0] if len(found) == 1 and not found[0].missing else None
