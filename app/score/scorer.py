"""A model that is open, and what it makes of rows: their other columns, its answers, and why a row has none."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from app.errors import InvalidInput, ModelNotFound
from app.feature import Feature
from app.inference.domain import domains
from app.inference.session import Opening
from app.inference.signature import Signature, Tensors
from app.layout import Version, find_version
from app.manifest import InputTensor
from app.repository import LoadLimits, open_from
from app.score import answers, features

ERROR = "error"
"""The column with the reason why a row has no answer; null where it has one."""

UNBATCHED_ROWS = 1


def find(folder: Path, model: str) -> Version:
    """NAME, its newest served version, or NAME/VERSION. Raises ModelNotFound."""
    name, slash, number = model.partition("/")
    if slash and not number.isdecimal():
        raise ModelNotFound(f"{model}: wanted NAME or NAME/VERSION")
    return find_version(folder, name, int(number) if slash else None)


class Scorer:
    """Blocking, and safe to use from several threads.

    features: that a row has to give. answers: the columns that it gets. digest: SHA-256 of model.onnx.
    Raises ModelLoadFailed; ValueError for a model whose rows cannot come from a table.
    """

    def __init__(self, version: Version, *, probabilities: bool) -> None:
        self._opened = open_from(version, LoadLimits.of_a_command(), Opening())
        self._probabilities = probabilities
        signature, manifest = self._opened.signature, self._opened.manifest
        self._inputs = manifest.inputs if manifest else _described(signature)
        self._datatypes = {spec.name: spec.datatype for spec in signature.inputs}
        self._domains = domains(manifest.inputs, signature.inputs) if manifest else ()
        self._most = self._opened.pace.best_rows if signature.batched else UNBATCHED_ROWS
        self.features: tuple[Feature, ...] = tuple(feature for one in self._inputs for feature in one.features)
        self.digest = self._opened.digest
        self.answers = answers.fields(manifest, signature.outputs, probabilities=probabilities)

    @property
    def runs(self) -> int:
        """That fill the cores at one time."""
        return self._opened.share.instances

    def schema(self, columns: pa.Schema) -> pa.Schema:
        """Of the result: the columns that are no features, the answers, the error. Raises ValueError."""
        taken = {feature.name for feature in self.features}
        kept = [column for column in columns if column.name not in taken]
        given = [*self.answers, pa.field(ERROR, pa.string())]
        if twice := {column.name for column in kept} & {answer.name for answer in given}:
            raise ValueError(
                f"the table has a column {', '.join(sorted(twice))} already, which is what answers are called"
            )
        return pa.schema([*kept, *given])

    def score(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One row of the result for each of the batch. Raises ValueError, InferenceFailed."""
        schema = self.schema(batch.schema)
        rows = features.read(batch, self._inputs, self._datatypes, self._domains)
        refused = rows.refused
        good = np.setdiff1d(np.arange(batch.num_rows), list(refused))
        tensors = {name: tensor[good] for name, tensor in rows.tensors.items()} if refused else rows.tensors
        outputs, failed = self._run(tensors, len(good))
        for place, reason in failed.items():
            refused[int(good[place])] = reason
        columns = self._columns(outputs, batch.num_rows, refused)
        kept = [batch.column(name) for name in schema.names if name in batch.schema.names]
        errors = pa.nulls(batch.num_rows, pa.string())
        if refused:
            errors = pa.array([refused.get(row) for row in range(batch.num_rows)], pa.string())
        return pa.RecordBatch.from_arrays([*kept, *columns, errors], schema=schema)

    def _columns(self, outputs: Tensors | None, rows: int, refused: dict[int, str]) -> list[pa.Array]:
        if outputs is None:
            return [pa.nulls(rows, field.type) for field in self.answers]
        columns = answers.columns(outputs, self._opened.manifest, probabilities=self._probabilities)
        if not refused:
            return columns
        places: list[int | None] = [None] * rows
        answered = (row for row in range(rows) if row not in refused)
        for place, row in enumerate(answered):
            places[row] = place
        return [column.take(pa.array(places, pa.int64())) for column in columns]

    def _run(self, tensors: Tensors, rows: int) -> tuple[Tensors | None, dict[int, str]]:
        """Outputs of the rows that have some, None if there are none, and why the others have none."""
        found, failed = [], {}
        for start in range(0, rows, self._most):
            piece = {name: tensor[start : start + self._most] for name, tensor in tensors.items()}
            for outcome, at, count in self._halved(piece, start, min(self._most, rows - start)):
                if isinstance(outcome, str):
                    failed[at] = outcome
                else:
                    self._check_rows(outcome, count)
                    found.append(outcome)
        if not found:
            return None, failed
        return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}, failed

    def _halved(self, tensors: Tensors, start: int, rows: int) -> list[tuple[Tensors | str, int, int]]:
        """Outcomes with their first row and number of rows: a run that the graph refuses is made again in halves."""
        try:
            return [(self._opened.session.run(tensors), start, rows)]
        except InvalidInput as error:
            if rows == 1:
                return [(str(error), start, rows)]
        half = rows // 2
        first = {name: tensor[:half] for name, tensor in tensors.items()}
        second = {name: tensor[half:] for name, tensor in tensors.items()}
        return self._halved(first, start, half) + self._halved(second, start + half, rows - half)

    @staticmethod
    def _check_rows(outputs: Tensors, rows: int) -> None:
        for name, tensor in outputs.items():
            if not tensor.ndim or len(tensor) != rows:
                raise ValueError(
                    f"output {name} has shape {list(tensor.shape)} for {rows} rows: it has no row for each"
                )


def _described(signature: Signature) -> Sequence[InputTensor]:
    """The inputs of a graph without a manifest, each a column of its name. Raises ValueError where sizes are open."""
    described = []
    for spec in signature.inputs:
        shape = spec.shape[1:]
        if not spec.shape or -1 in shape:
            raise ValueError(f"input {spec.name} has shape {list(spec.shape)}; wanted a manifest, or rows of one size")
        feature = Feature.model_construct(  # a graph's own names are no names of features
            name=spec.name,
            kind="text" if spec.datatype == "BYTES" else "number",
            shape=() if shape == (1,) else shape,
            missing="nan" if spec.datatype.startswith("FP") else "refuse",
        )
        described.append(InputTensor(tensor=spec.name, features=(feature,)))
    return described
