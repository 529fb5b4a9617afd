"""What was asked and answered, run by run, as JSON lines: for audits, the next training and `python -m app replay`.

Off unless a folder is set. Runs are sampled, taken on the event loop as references to their tensors, and written in a
thread once a second. Every process writes files of its own; the oldest go when all together exceed their bound. What
cannot be kept is dropped and counted: the log holds up no answer.
"""

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import structlog

from app.errors import ModelLoadFailed
from app.inference.model import Opened
from app.inference.runs import Outcome, See
from app.inference.signature import Tensor, Tensors, datatype_of
from app.inference.timing import Timing
from app.manifest import Manifest
from app.metrics import Metrics
from app.protocols.elements import dump

INTERVAL_S = 1.0

PENDING_BYTES = 2**26
"""Of tensors that wait to be written; more is dropped."""

FILES = 16
"""That a process's share of the bound is cut into, so that what goes at one time is little."""

log = structlog.get_logger("headrace.prediction_log")


@dataclass(frozen=True)
class Redacted:
    """Values that stay out: of a tensor's column, or all of it where column is None."""

    name: str
    tensor: str
    column: int | None


@dataclass(frozen=True)
class _Kept:
    """A run, until it is written."""

    model: "ModelLog"
    at: float
    requests: Sequence[tuple[str, int]]
    inputs: Tensors
    outputs: Tensors


class PredictionLog:
    """Of one process. `take` belongs to the event loop; the writing to one thread at a time.

    share: of the runs that are kept. most_bytes: of all files in the folder.
    """

    def __init__(self, folder: Path, share: float, most_bytes: int, metrics: Metrics) -> None:
        self._folder, self._share, self._most_bytes = folder, share, most_bytes
        self._written = metrics.logged_runs.labels("written")
        self._dropped = metrics.logged_runs.labels("dropped")
        self._pending: list[_Kept] = []
        self._pending_bytes = 0
        self._numbers = count()
        self._file: Path | None = None
        self._chance = random.Random()  # noqa: S311

    def of(self, name: str, version: int, opened: Opened, redact: Sequence[str]) -> See:
        """For the runs of one model version. Raises ModelLoadFailed for a name that is none of its values."""
        return ModelLog(self, name, version, opened.digest, _redacted(opened, redact)).see

    def wants(self) -> bool:
        """Whether the next run is one of the share."""
        return self._chance.random() < self._share

    def take(self, kept: _Kept) -> None:
        """Keep a run for the next writing."""
        size = sum(tensor.nbytes for side in (kept.inputs, kept.outputs) for tensor in side.values())
        if self._pending_bytes + size > PENDING_BYTES:
            self._dropped.inc()
            return
        self._pending.append(kept)
        self._pending_bytes += size

    async def keep_written(self) -> None:
        """Once a second, until it is cancelled; then once more."""
        try:
            while True:
                await asyncio.sleep(INTERVAL_S)
                await self._write()
        finally:
            await self._write()

    async def _write(self) -> None:
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        if not pending:
            return
        try:
            written = await asyncio.to_thread(self._append, pending)
        except OSError as error:
            log.error("predictions_not_written", folder=str(self._folder), reason=error.strerror)
            written = 0
        self._written.inc(written)
        self._dropped.inc(len(pending) - written)

    def _append(self, pending: Sequence[_Kept]) -> int:
        """How many are in a file now: not those that are too large for any."""
        most = max(1, self._most_bytes // FILES)
        lines = [line for kept in pending if len(line := kept.model.line(kept)) <= most]
        for line in lines:
            if self._file is None or not self._file.exists() or self._file.stat().st_size + len(line) > most:
                self._file = self._new_file()
            with self._file.open("ab") as file:
                file.write(line)
        self._make_room()
        return len(lines)

    def _new_file(self) -> Path:
        """For this process alone, and for nobody else to read."""
        self._folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        path = self._folder / f"predictions-{stamp}-{os.getpid()}-{next(self._numbers):06d}.jsonl"
        path.touch(mode=0o600)
        return path

    def _make_room(self) -> None:
        """The oldest files go, of whatever process, but for the one that is written to."""
        with suppress(FileNotFoundError):  # another process is faster
            files = [(file, file.stat()) for file in files_in(self._folder)]
            total = sum(status.st_size for _, status in files)
            for file, status in sorted(files, key=lambda one: one[1].st_mtime_ns):
                if total <= self._most_bytes:
                    return
                if file != self._file:
                    file.unlink(missing_ok=True)
                    total -= status.st_size


class ModelLog:
    """Of one model version."""

    def __init__(self, log: PredictionLog, name: str, version: int, digest: str, redacted: Sequence[Redacted]) -> None:
        self._log, self._name, self._version, self._digest, self._redacted = log, name, version, digest, redacted

    def see(self, outcome: Outcome, rows: Sequence[int], timings: Sequence[Timing]) -> None:
        """A run is over. rows, timings: of each of its requests."""
        if self._log.wants():
            requests = [(timing.identity, count) for timing, count in zip(timings, rows, strict=True)]
            self._log.take(_Kept(self, time(), requests, outcome.inputs, outcome.results[0].outputs))

    def line(self, kept: _Kept) -> bytes:
        """A run as one line of JSON; tensors as V2 has them."""
        sides = {"inputs": dict(kept.inputs), "outputs": dict(kept.outputs)}
        for one in self._redacted:
            for side in sides.values():
                if one.tensor in side:
                    side[one.tensor] = _without(side[one.tensor], one.column)
        told = {
            "time": datetime.fromtimestamp(kept.at, UTC).isoformat(timespec="milliseconds"),
            "model": self._name,
            "version": self._version,
            "graph": self._digest,
            "requests": [{"id": identity, "rows": rows} for identity, rows in kept.requests],
            "redacted": [one.name for one in self._redacted],
            **{side: _tensors(tensors) for side, tensors in sides.items()},
        }
        return dump(told, "token") + b"\n"


def files_in(folder: Path) -> list[Path]:
    """Of the log, the oldest first."""
    return sorted(folder.glob("predictions-*.jsonl"))


def _tensors(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        name: {"datatype": datatype_of(tensor), "shape": list(tensor.shape), "data": _data(tensor)}
        for name, tensor in tensors.items()
    }


def _data(tensor: Tensor) -> Any:
    return np.ascontiguousarray(tensor).ravel() if tensor.dtype != object else tensor.ravel().tolist()


def _without(tensor: Tensor, column: int | None) -> Tensor:
    """A copy without what is to stay out: NaN, 0 or an empty text."""
    blank: Any = {"f": np.nan, "O": ""}.get(tensor.dtype.kind, 0)
    left = tensor.copy()
    left[(slice(None), column) if column is not None else ...] = blank
    return left


def _redacted(opened: Opened, names: Sequence[str]) -> list[Redacted]:
    known = {spec.name: Redacted(spec.name, spec.name, None) for spec in _specs(opened)}
    if opened.manifest:
        known |= _of_manifest(opened.manifest)
    if unknown := [name for name in names if name not in known]:
        raise ModelLoadFailed(f"config.yaml: redact: {', '.join(unknown)}; the model has {', '.join(known)}")
    return [known[name] for name in names]


def _specs(opened: Opened) -> list[Any]:
    return [*opened.signature.inputs, *opened.signature.optional, *opened.signature.outputs]


def _of_manifest(manifest: Manifest) -> dict[str, Redacted]:
    features = {
        feature.name: Redacted(feature.name, one.tensor, column if len(one.features) > 1 else None)
        for one in manifest.inputs
        for column, feature in enumerate(one.features)
    }
    return features | {one.name: Redacted(one.name, one.tensor, None) for one in manifest.outputs}
