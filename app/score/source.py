"""What is scored: a Parquet or CSV table, a folder of Parquet files, or a folder of images or sounds, in pieces.

A piece becomes a part of the result, so pieces are the same at every look at the same input: a row group of Parquet, a
block of CSV, some files of a folder in the order of their names.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from app.feature import Feature

BATCH_ROWS = 8192
"""Read and scored together."""

CSV_BLOCK_BYTES = 2**24

FILES = 256
"""Images or sounds of a piece."""

FILES_AT_ONCE = 16
"""Of a batch."""

FILE = "file"
"""The column of a folder's result that names the file."""


@dataclass(frozen=True)
class Piece:
    """Rows that make one part of the result.

    rows:  None where only reading tells.
    held:  rows that have been read: those of CSV, which can be read from its start alone.
    """

    number: int
    rows: int | None
    files: tuple[Path, ...] = ()
    row_group: int = 0
    column: str = ""
    held: pa.RecordBatch | None = field(default=None, compare=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in their order. Raises OSError, ValueError."""
        if self.held is not None:
            yield from pa.Table.from_batches([self.held]).to_batches(BATCH_ROWS)
        elif self.column:
            for start in range(0, len(self.files), FILES_AT_ONCE):
                files = self.files[start : start + FILES_AT_ONCE]
                content = [
                    pa.array([str(file.name) for file in files]),
                    pa.array([file.read_bytes() for file in files]),
                ]
                yield pa.RecordBatch.from_arrays(content, [FILE, self.column])
        else:
            with pyarrow.parquet.ParquetFile(self.files[0]) as table:
                yield from table.iter_batches(BATCH_ROWS, row_groups=[self.row_group])


@dataclass(frozen=True)
class Source:
    """columns: their names. rows: None for CSV. identity: changes with the input."""

    columns: tuple[str, ...]
    rows: int | None
    identity: str
    pieces: "Sequence[Piece] | Csv"


@dataclass(frozen=True)
class Csv:
    """The pieces of a CSV table, read as they are asked for. All values are texts; an empty one is none."""

    path: Path

    def __iter__(self) -> Iterator[Piece]:
        with self._reader() as reader:
            for number, batch in enumerate(reader):
                yield Piece(number, batch.num_rows, held=batch)

    def columns(self) -> tuple[str, ...]:
        """By the header."""
        with self._reader() as reader:
            return tuple(reader.schema.names)

    def _reader(self) -> pyarrow.csv.CSVStreamingReader:
        with self.path.open("rb") as file:
            head = file.readline(CSV_BLOCK_BYTES)
        names = pyarrow.csv.read_csv(pa.BufferReader(head)).schema.names if head.strip() else []
        if len(set(names)) < len(names):
            raise ValueError(f"{self.path}: a column's name comes twice")
        return pyarrow.csv.open_csv(
            self.path,
            read_options=pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )


def opened(path: Path, features: Sequence[Feature]) -> Source:
    """What lies at path, for a model that takes these features. Raises OSError, ValueError."""
    if path.is_dir():
        tables = sorted(path.glob("*.parquet"))
        return _parquet(tables) if tables else _files(path, features)
    if path.suffix == ".parquet":
        return _parquet([path])
    if path.suffix == ".csv":
        csv = Csv(path)
        return Source(csv.columns(), None, _identity([path]), csv)
    raise ValueError(f"{path}: wanted a .parquet or .csv file, or a folder of .parquet files, of images or of sounds")


def _parquet(paths: Sequence[Path]) -> Source:
    pieces: list[Piece] = []
    columns: list[str] = []
    for path in paths:
        try:
            with pyarrow.parquet.ParquetFile(path) as table:
                names, metadata = table.schema_arrow.names, table.metadata
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path}: {error}") from error
        if columns not in ([], names):
            raise ValueError(f"{path} has columns {', '.join(names)}, {paths[0]} {', '.join(columns)}")
        columns = names
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            pieces.append(Piece(len(pieces), rows, (path,), group))
    return Source(tuple(columns), sum(piece.rows or 0 for piece in pieces), _identity(paths), pieces)


def _files(folder: Path, features: Sequence[Feature]) -> Source:
    if len(features) != 1 or features[0].kind not in ("image", "audio"):
        told = ", ".join(f"{feature.name} ({feature.kind})" for feature in features)
        raise ValueError(f"{folder}: a folder of files is for a model of one image or sound; this one takes {told}")
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    starts = range(0, len(files), FILES)
    parts = [tuple(files[start : start + FILES]) for start in starts]
    pieces = [Piece(n, len(part), part, column=features[0].name) for n, part in enumerate(parts)]
    return Source((FILE, features[0].name), len(files), _identity(files), pieces)


def _identity(paths: Sequence[Path]) -> str:
    """Of names, sizes and times of change: the content of a large table takes minutes to read."""
    told = hashlib.sha256()
    for path in paths:
        status = path.stat()
        told.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return told.hexdigest()
