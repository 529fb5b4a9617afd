"""A CSV or Parquet file as a data frame, its columns named once each; or a sentence on why it is none.

Of CSV every value stays a text until its column is understood: what a number or a date is, no reader guesses alone.
"""

import csv
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
import pyarrow
import pyarrow.parquet

from training.errors import UnreadableTable

SEPARATORS = ",;\t|"

MISSING = ("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "None", "#N/A", "<NA>", "?", "-")
"""What stands for a value that is not there."""

MOST_LETTERS = 100_000
"""Of one value; more is a quote that was opened and never closed."""

MEMORY_FACTOR = 4
"""What a table takes in memory on its way to tensors, times its size as plain text."""

MOST_NAMED = 12


@dataclass(frozen=True)
class Table:
    """frame: the columns that could be read, each with its own name. left_out: the others, and why."""

    frame: pd.DataFrame
    left_out: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> Table:
    """Raises UnreadableTable, or OSError where there is no such file."""
    if path.stat().st_size == 0:
        raise UnreadableTable(f"{path} is empty")
    if path.suffix.lower() in (".parquet", ".pq"):
        table = _read_parquet(path)
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        table = Table(_read_csv(path))
    else:
        raise UnreadableTable(f"{path}: wanted a table in a .csv or .parquet file")
    if table.frame.empty:
        raise UnreadableTable(f"{path} has a line of names and no rows")
    _check_lengths(table.frame, path)
    return table


def listed(names: list[str]) -> str:
    """The names in a sentence, the first few of many."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _read_csv(path: Path) -> pd.DataFrame:
    _check_memory(path, path.stat().st_size)
    try:
        separator, names = _header(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=separator,
                header=0,
                names=names,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                na_values=list(MISSING),
                skipinitialspace=True,
                encoding="utf-8-sig",
            )
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise UnreadableTable(f"{path}: byte 0x{wrong:02x} is not UTF-8; save the table as UTF-8") from error
    except pd.errors.ParserWarning as error:
        raise UnreadableTable(f"{path}: there are lines with more values than the {len(names)} names") from error
    except pd.errors.ParserError as error:
        raise UnreadableTable(f"{path}: {_parser_words(str(error))}") from error
    return frame.apply(lambda column: column.str.strip()) if len(frame.columns) else frame


def _header(path: Path) -> tuple[str, list[str]]:
    """The separator, which is the one that makes the most of the first line, and the names between."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        line = file.readline(MOST_LETTERS * 10)
    rows = {separator: _cells(line, separator) for separator in SEPARATORS}
    separator = max(rows, key=lambda one: len(rows[one]))
    cells = [cell.strip() for cell in rows[separator]]
    if len(cells) > 1 and all(re.fullmatch(r"[-+]?[0-9][0-9.,eE+-]*", cell) for cell in cells):
        raise UnreadableTable(f"{path}: the first line holds values ({listed(cells)}), wanted the columns' names")
    return separator, _named_once(path, cells)


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(line), delimiter=separator), [])


def _named_once(path: Path, names: list[str]) -> list[str]:
    """A column without a name is called by its number. Raises UnreadableTable on a name that comes twice."""
    named = [name or f"column_{number}" for number, name in enumerate(names, start=1)]
    for name in named:
        if (count := named.count(name)) > 1:
            places = [str(number) for number, one in enumerate(named, start=1) if one == name]
            told = " and ".join(places[:MOST_NAMED])
            raise UnreadableTable(f"{path}: {count} columns are called {name!r}, number {told}; rename all but one")
    return named


def _parser_words(said: str) -> str:
    """pandas' own words, where it has a place to tell of."""
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", said):
        wanted, line, seen = found.groups()
        return f"line {line} has {seen} values, the first line {wanted} names"
    if "EOF inside string" in said:
        return "a quote is opened and never closed"
    return said.removeprefix("Error tokenizing data. C error: ")


def _read_parquet(path: Path) -> Table:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = _named_once(path, list(file.schema_arrow.names))
        groups = (file.metadata.row_group(place) for place in range(file.metadata.num_row_groups))
        _check_memory(path, sum(group.total_byte_size for group in groups))
        table = file.read()
    except pyarrow.ArrowException as error:
        raise UnreadableTable(f"{path}: not Parquet that can be read: {error}") from error
    columns, left_out = {}, {}
    for name, values in zip(names, table.columns, strict=True):
        if (plain := _plain(values)) is None:
            left_out[name] = f"{values.type} is neither a number, a date, a text nor yes or no"
        else:
            columns[name] = plain
    return Table(pd.DataFrame(columns), left_out)


def _plain(values: pyarrow.ChunkedArray) -> pd.Series | None:
    """Numbers, dates, texts or booleans; None for anything else."""
    types = pyarrow.types
    kind = values.type
    if types.is_dictionary(kind):
        return _plain(values.cast(kind.value_type))
    if types.is_null(kind):
        values = values.cast(pyarrow.string())
    elif types.is_decimal(kind):
        values = values.cast(pyarrow.float64())
    elif types.is_date(kind):
        values = values.cast(pyarrow.timestamp("s") if types.is_date32(kind) else pyarrow.timestamp("ms"))
    elif not (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_timestamp(kind)
    ):
        return None
    read = values.to_pandas()
    if isinstance(read.dtype, pd.StringDtype) or (read.dtype == object and not types.is_boolean(kind)):
        read = read.astype("str").str.strip()
        return read.where(~read.isin(MISSING))
    return read


def _check_memory(path: Path, size: int) -> None:
    """size: of the table as plain text, in bytes."""
    room = psutil.virtual_memory().available
    if size * MEMORY_FACTOR > room:
        raise UnreadableTable(
            f"{path} holds {size / 1e9:.1f} GB, wanted {room / MEMORY_FACTOR / 1e9:.1f} GB or less with "
            f"{room / 1e9:.1f} GB of memory free; a sample of its rows would do"
        )


def _check_lengths(frame: pd.DataFrame, path: Path) -> None:
    for name, values in frame.items():
        if isinstance(values.dtype, pd.StringDtype) and (longest := values.str.len().max()) > MOST_LETTERS:
            row = int(values.str.len().argmax()) + 1
            raise UnreadableTable(
                f"{path}: {name!r} of row {row} is {longest:,.0f} letters long, wanted {MOST_LETTERS:,} or fewer; "
                "is a quote opened and never closed?"
            )
