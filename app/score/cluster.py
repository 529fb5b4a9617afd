"""The same through Ray Data on many machines, which all see the same files under the same paths."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import ray
import ray.data

from app.score.job import Everywhere, Job, write
from app.score.source import Csv

Told = dict[str, np.ndarray]


def on(address: str) -> Everywhere:
    """For `app.score.job.run`. address: of a cluster; `local` begins one on this machine."""

    def everywhere(job: Job, update: Callable[[int], object]) -> None:
        if isinstance(job.source.pieces, Csv):
            raise ValueError(
                f"{job.given}: CSV can only be read from its start on; many machines need Parquet or a folder"
            )
        todo = [{"piece": piece.number} for piece in job.todo()]
        if not todo:
            return
        ray.init(address=None if address == "local" else address, ignore_reinit_error=True)
        runs = int(min(len(todo), max(1, ray.cluster_resources().get("CPU", 1))))
        pieces = ray.data.from_items(todo, override_num_blocks=len(todo))
        absolute = replace(job, models=job.models.resolve(), given=job.given.resolve(), wanted=job.wanted.resolve())
        compute = ray.data.ActorPoolStrategy(min_size=1, max_size=runs)
        told = pieces.map_batches(Part, fn_constructor_args=(absolute,), batch_size=1, compute=compute)
        for piece in told.iter_rows():
            update(int(piece["rows"]))

    return everywhere


class Part:
    """On one core of some machine: opens the model once, then makes parts."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, asked: Told) -> Told:
        """piece: numbers -> rows: as many as each has."""
        pieces = {piece.number: piece for piece in self._job.source.pieces}
        rows = []
        for number in asked["piece"].tolist():
            write(self._job, pieces[number], map(self._job.scorer.score, pieces[number].batches()))
            rows.append(pieces[number].rows)
        return {"rows": np.array(rows)}
