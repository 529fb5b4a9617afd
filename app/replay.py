"""`python -m app replay`: a request of the prediction log, run again, in its batch and alone."""

import json
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import ServingError
from app.inference.comparison import relative_difference
from app.inference.model import Opened
from app.inference.session import Opening
from app.inference.signature import DTYPES, Tensor, Tensors
from app.layout import find_version
from app.prediction_log import files_in
from app.repository import LoadLimits, open_from

Run = dict[str, Any]
"""A line of the log."""


def run(identity: str, folder: Path, models: Path) -> int:
    """Print what comes of every run that a request was part of, beside what was answered; 0, or 1 if there is none or
    it cannot be run again."""
    found = 0
    for line in runs_of(identity, folder):
        found += 1
        try:
            told = replayed(identity, line, models)
        except (ServingError, OSError, ValueError) as error:
            told = [f"cannot be run again: {error}"]
        print(f"{line['time']}  {line['model']} version {line['version']}")
        for sentence in told:
            print(f"  {sentence}")
    if not found:
        print(f"replay: no request {identity} in {folder}; runs are sampled, and the oldest go", file=sys.stderr)
    return 0 if found else 1


def runs_of(identity: str, folder: Path) -> Iterator[Run]:
    """Those that the request was part of, the oldest first. A line that was cut by a kill is passed over."""
    wanted = json.dumps(identity).encode()
    for file in files_in(folder):
        with file.open("rb") as lines:
            for line in lines:
                if wanted in line and line.endswith(b"\n"):
                    read: Run = json.loads(line)
                    if any(request["id"] == identity for request in read["requests"]):
                        yield read


def replayed(identity: str, line: Run, models: Path) -> list[str]:
    """Sentences. Raises ModelNotFound, ModelLoadFailed, InvalidInput, InferenceFailed, ValueError."""
    if line["redacted"]:
        raise ValueError(f"the log does not have {', '.join(line['redacted'])} (redact in config.yaml)")
    version = find_version(models, line["model"], line["version"])
    opened = open_from(version, LoadLimits.of_a_command(), Opening())
    told = []
    if opened.digest != line["graph"]:
        told.append("model.onnx is another file than it was then")
    inputs, answered = tensors_of(line["inputs"]), tensors_of(line["outputs"])
    rows = [request["rows"] for request in line["requests"]]
    told.append(f"in its batch, of {len(rows)} requests and {sum(rows)} rows: {_compared(opened, inputs, answered)}")
    if len(rows) > 1:
        stops = [*accumulate(rows)]
        for request, stop in zip(line["requests"], stops, strict=True):
            if request["id"] == identity:
                own = slice(stop - request["rows"], stop)
                alone = _compared(opened, _cut(inputs, own), _cut(answered, own))
                told.append(f"alone, {request['rows']} rows: {alone}")
    return told


def tensors_of(described: dict[str, Any]) -> Tensors:
    """As they were, from V2's names for them."""
    return {
        name: np.array(one["data"], DTYPES[one["datatype"]]).reshape(one["shape"]) for name, one in described.items()
    }


def _cut(tensors: Tensors, rows: slice) -> Tensors:
    return {name: tensor[rows] for name, tensor in tensors.items()}


def _compared(opened: Opened, inputs: Tensors, answered: Tensors) -> str:
    outputs = opened.session.run(inputs)
    apart = {name: _apart(tensor, outputs[name]) for name, tensor in answered.items()}
    if not any(apart.values()):
        return "equal to the last bit"
    return ", ".join(f"{name} {told}" for name, told in apart.items() if told)


def _apart(wanted: Tensor, got: Tensor) -> str:
    """Empty where they are equal."""
    if wanted.shape != got.shape:
        return f"has shape {list(got.shape)}, it was {list(wanted.shape)}"
    if np.array_equal(wanted, got, equal_nan=wanted.dtype.kind == "f"):
        return ""
    if wanted.dtype.kind != "f":
        return f"differs in {int((wanted != got).sum())} of {wanted.size} elements"
    largest = float(np.abs(wanted.astype(np.float64) - got.astype(np.float64)).max())
    return f"differs by {largest:.3g} at most, {relative_difference(wanted, got):.3g} relative to 1 + the largest"
