"""`python -m app score`: a whole table or folder through a model, in parts that outlive a kill.

Every piece of the input becomes a part in OUT.partial, written whole or not at all; the same command goes on where it
was stopped, and the parts are joined at the end. A piece makes the same part wherever and however often it is scored.
"""

import json
import os
import shutil
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from tqdm import tqdm

from app import __version__
from app.layout import Version
from app.score import scorer, source
from app.score.scorer import ERROR, Scorer
from app.score.source import Piece, Source

GROUP_ROWS = 2**17
"""Of a row group of the result, at least, where a piece has as many."""

WAITING = 2
"""Batches that are read before their turn, for each run at one time."""


@dataclass(frozen=True)
class Job:
    """What to score, and where to. models: the repository's folder. model: NAME or NAME/VERSION."""

    models: Path
    model: str
    given: Path
    wanted: Path
    probabilities: bool

    @cached_property
    def version(self) -> Version:
        """Raises ModelNotFound."""
        return scorer.find(self.models, self.model)

    @cached_property
    def scorer(self) -> Scorer:
        """Raises ModelNotFound, ModelLoadFailed, ValueError."""
        return Scorer(self.version, probabilities=self.probabilities)

    @cached_property
    def source(self) -> Source:
        """Raises OSError, ValueError."""
        return source.opened(self.given, self.scorer.features)

    @property
    def partial(self) -> Path:
        """The folder of the parts."""
        return self.wanted.with_name(self.wanted.name + ".partial")

    def part(self, piece: Piece) -> Path:
        """Where the rows of a piece go."""
        return self.partial / f"part-{piece.number:08d}.parquet"

    def todo(self) -> Iterator[Piece]:
        """Pieces that have no part yet."""
        return (piece for piece in self.source.pieces if not self.part(piece).exists())


Everywhere = Callable[[Job, Callable[[int], object]], None]
"""Scores what is left of a job on many machines, and says how many rows are done."""


def run(job: Job, everywhere: Everywhere | None = None) -> int:
    """Score what is left, here or everywhere, join the parts and say how many rows were refused; 0.

    Raises OSError, ValueError, ModelNotFound, ModelLoadFailed, InferenceFailed.
    """
    _check(job)
    _begin(job)
    done = sum(pyarrow.parquet.read_metadata(part).num_rows for part in _parts(job))
    with tqdm(total=job.source.rows, initial=done, unit=" rows", unit_scale=True, file=sys.stderr) as progress:
        (everywhere or _score)(job, progress.update)
    rows, refused = _join(job)
    told = f", {refused:,} of them refused: column {ERROR} says why" if refused else ""
    print(f"{rows:,} rows{told} -> {job.wanted}")
    return 0


def _check(job: Job) -> None:
    """Raises ValueError, OSError before hours of work."""
    if job.wanted.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{job.wanted}: the result is a .parquet or a .csv file")
    if job.wanted.exists():
        raise ValueError(f"{job.wanted} is there already")
    features = job.scorer.features
    missing = [f for f in features if f.name not in job.source.columns and (f.missing == "refuse" or f.shape)]
    if missing:
        told = ", ".join(f"{feature.name} ({feature.wanted_whole})" for feature in missing)
        raise ValueError(f"{job.given} has no column {told}; it has {', '.join(job.source.columns)}")
    nested = [field.name for field in job.scorer.answers if pa.types.is_nested(field.type)]
    if nested and job.wanted.suffix == ".csv":
        raise ValueError(f"{', '.join(nested)}: several values in one, which CSV cannot hold; ask for a .parquet file")


def _begin(job: Job) -> None:
    """A folder for the parts, of this job alone. Raises ValueError where it is another's."""
    told = {
        "headrace": __version__,
        "model": f"{job.version.name}/{job.version.number}",
        "graph": job.scorer.digest,
        "input": job.source.identity,
        "probabilities": job.probabilities,
    }
    job.partial.mkdir(parents=True, exist_ok=True)
    note = job.partial / "job.json"
    if not note.exists():
        with _whole(note) as unfinished:
            unfinished.write_text(json.dumps(told))
    elif (before := json.loads(note.read_text())) != told:
        changed = ", ".join(key for key in told if before.get(key) != told[key])
        raise ValueError(f"{job.partial} has parts of a job of another {changed}; remove it to begin anew")


def write(job: Job, piece: Piece, batches: Iterable[pa.RecordBatch]) -> None:
    """A part, which is there once it is whole."""
    with _whole(job.part(piece)) as unfinished:
        first = next(iterator := iter(batches))
        with _parquet(unfinished, first.schema) as writer:
            group, rows = [first], first.num_rows
            for batch in iterator:
                group, rows = [*group, batch], rows + batch.num_rows
                if rows >= GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(group), row_group_size=rows)
                    group, rows = [], 0
            if group:
                writer.write_table(pa.Table.from_batches(group), row_group_size=rows)


def _parquet(place: Path, schema: pa.Schema) -> pyarrow.parquet.ParquetWriter:
    """Numbers as they are: a dictionary of them, which hardly repeat, takes most of the time of writing."""
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    return pyarrow.parquet.ParquetWriter(place, schema, use_dictionary=texts)


@contextmanager
def _whole(place: Path) -> Iterator[Path]:
    """A path to write to; the file takes its place once it is on the disk."""
    unfinished = place.with_name(f"{place.name}.{uuid.uuid4().hex}.unfinished")
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)


def _score(job: Job, update: Callable[[int], object]) -> None:
    """Read in this thread, scored in as many as fill the cores, written in order."""
    runs = job.scorer.runs
    with ThreadPoolExecutor(runs) as pool:
        scored = _in_order(pool, job.scorer.score, job.todo(), (1 + WAITING) * runs)
        for piece, batches in scored:
            write(job, piece, _counted(batches, update))


def _counted(batches: Iterable[pa.RecordBatch], update: Callable[[int], object]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        update(batch.num_rows)


def _in_order(
    pool: ThreadPoolExecutor, score: Callable[[pa.RecordBatch], pa.RecordBatch], pieces: Iterable[Piece], most: int
) -> Iterator[tuple[Piece, Iterator[pa.RecordBatch]]]:
    """Each piece with its batches, which have to be taken before the next; `most` are under way at one time."""
    read = ((piece, batch) for piece in pieces for batch in piece.batches())
    waiting: deque[tuple[Piece, Future[pa.RecordBatch]]] = deque()

    def fill() -> None:
        while len(waiting) < most and (following := next(read, None)):
            waiting.append((following[0], pool.submit(score, following[1])))

    def of(piece: Piece) -> Iterator[pa.RecordBatch]:
        while waiting and waiting[0][0].number == piece.number:
            scored = waiting.popleft()[1].result()
            fill()
            yield scored

    fill()
    while waiting:
        piece = waiting[0][0]
        yield piece, of(piece)


def _parts(job: Job) -> list[Path]:
    return sorted(job.partial.glob("part-*.parquet"))


def _join(job: Job) -> tuple[int, int]:
    """Rows, and how many of them were refused."""
    rows = refused = 0
    with _whole(job.wanted) as unfinished:
        writer: Any = None
        for part in _parts(job):
            with pyarrow.parquet.ParquetFile(part) as table:
                for group in range(table.num_row_groups):
                    read = table.read_row_group(group)
                    if writer is None:
                        kind = pyarrow.csv.CSVWriter if job.wanted.suffix == ".csv" else _parquet
                        writer = kind(unfinished, read.schema)
                    writer.write_table(read)
                    rows += read.num_rows
                    refused += read.num_rows - read.column(ERROR).null_count
        if writer is None:
            raise ValueError(f"{job.given} has no rows")
        writer.close()
    shutil.rmtree(job.partial)
    return rows, refused
