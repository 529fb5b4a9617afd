"""A model version in `models/`: described by its manifest, there at once and whole, or not at all.

Nothing in a version depends on the day or the place of the run, so publishing the same training twice adds nothing.
"""

import base64
import io
import shutil
import wave
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, SupportsFloat
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from app.feature import date_of
from app.inference.drift import predicted
from app.manifest import PAGE, Evaluation, Manifest, Parity, explain
from training.answers import Answer
from training.datasets.dataset import Column, Dataset, Rows
from training.errors import UnfitDataset
from training.metrics import Array


@dataclass(frozen=True)
class Published:
    """added: False if the newest version was already this one."""

    folder: Path
    added: bool


def describe(
    words: Mapping[str, str],
    dataset: Dataset,
    evaluation: Evaluation,
    training: Mapping[str, Any],
    parity: Parity,
    answers: Sequence[Answer],
    threshold: float | None,
    golden: tuple[Rows, Sequence[Array]],
    validated: Sequence[Array],
) -> Manifest:
    """The manifest of a trained and verified model.

    words:    the manifest's texts by field, `name` to `card`.
    training: the fields of its Training.
    golden:   a few held-out rows and each of the network's answers; the first row is the features' example.
    validated: each of the network's answers to the validation split.
    """
    rows, given = golden
    return _checked(
        {
            **words,
            "inputs": [
                {
                    "tensor": tensor,
                    "features": [_feature(column, rows, tensor, at) for at, column in enumerate(columns)],
                }
                for tensor, columns in dataset.columns.items()
            ],
            "outputs": [_output(answer, threshold) for answer in answers],
            "preprocessing_outside_graph": dataset.outside_graph,
            "data": {
                **{field: getattr(dataset, field) for field in ("name", "source", "licence", "sha256", "split")},
                "rows": {part: len(getattr(dataset, part)) for part in ("train", "validation", "test")},
            },
            "evaluation": evaluation,
            "training": training,
            "summaries": {
                column.name: _summary(column, _values(dataset.train, tensor, at, column))
                for tensor, columns in dataset.columns.items()
                for at, column in enumerate(columns)
            },
            "predictions": {
                one.tensor: _answered(one, array, threshold)
                for one, array in zip(answers, validated, strict=True)
                if one.kind != "ranking"
            },
            "parity": parity,
            "golden": {
                "inputs": {name: shortest(tensor) for name, tensor in rows.sent().items()},
                "outputs": {one.tensor: shortest(array) for one, array in zip(answers, given, strict=True)},
                "tolerance": parity.tolerance,
            },
        }
    )


def _checked(fields: dict[str, Any]) -> Manifest:
    """Raises UnfitDataset in words where the service would refuse the manifest."""
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        raise UnfitDataset(f"the manifest cannot be written: {explain(error)}") from error


def written(manifest: Manifest, graph: bytes) -> bytes:
    """manifest.json, with the hash of the graph."""
    manifest = manifest.model_copy(update={"files": {"model.onnx": sha256(graph).hexdigest()}})
    return (manifest.model_dump_json(indent=2) + "\n").encode()


def publish(graph: bytes, manifest: Manifest, page: str, models: Path) -> Published:
    """Adds the next version of the model, with its hash and its page, unless the newest is the same to the byte."""
    files = {"model.onnx": graph, "manifest.json": written(manifest, graph)}
    model = models / manifest.name
    newest = max(_versions(model), default=0)
    if newest and all(_holds(model / str(newest) / name, content) for name, content in files.items()):
        return Published(model / str(newest), added=False)
    _write({**files, PAGE: page.encode()}, model / str(newest + 1))
    return Published(model / str(newest + 1), added=True)


def shortest(array: NDArray[Any]) -> Any:
    """Nested lists; of floats the shortest decimals that are the same float32: 17.99, not 17.989999771118164."""
    return array.astype(str).astype(float).tolist() if array.dtype.kind == "f" else array.tolist()


def _output(answer: Answer, threshold: float | None) -> dict[str, Any]:
    told = {field: value for field, value in asdict(answer).items() if field != "top"}
    return {**told, "threshold": threshold if answer.kind == "probabilities" else None}


def _feature(column: Column, rows: Rows, tensor: str, at: int) -> dict[str, Any]:
    return {**asdict(column), "example": _example(column, _values(rows, tensor, at, column)[0])}


def _example(column: Column, value: NDArray[Any]) -> Any:
    """As a caller sends it: a list of categories ends where only what is filled in would follow, a sound is a file."""
    if column.kind == "category":
        named = _named(column, value)
        while isinstance(named, list) and column.missing == "fill" and named[-1:] == [column.fill]:
            named.pop()
        return named
    if column.kind == "text":
        return str(value)
    if column.kind == "audio":
        assert column.sample_rate is not None
        return {"b64": base64.b64encode(wav(value, column.sample_rate)).decode()}
    if not column.shape and np.isnan(value):
        return None
    if column.kind == "date":
        return date_of(float(value))
    return int(value) if column.kind == "integer" and not column.shape else shortest(value)


def wav(samples: NDArray[np.floating], rate: int) -> bytes:
    """The file of a mono sound (samples,) from -1 to 1, in 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes((32768 * samples).round().clip(-32768, 32767).astype("<i2").tobytes())
    return file.getvalue()


def _named(column: Column, places: NDArray[Any]) -> Any:
    return [_named(column, one) for one in places] if places.ndim else column.categories[int(places)]


def _values(rows: Rows, tensor: str, at: int, column: Column) -> NDArray[Any]:
    """(rows, *column.shape): the feature's part of its tensor."""
    values = rows.sent()[tensor]
    return values if column.shape else values[:, at]


def _summary(column: Column, values: NDArray[Any]) -> dict[str, Any]:
    """Texts, sounds and what is always the same have none but what is missing; an image has that of its pixels, a
    series that of all its numbers."""
    if column.kind in ("text", "audio"):
        return {"missing": 0.0}
    if column.kind == "category":
        counts = np.bincount(values.ravel().astype(int), minlength=len(column.categories))
        shares = {name: six_digits(count / values.size) for name, count in zip(column.categories, counts, strict=True)}
        return {"shares": {name: share for name, share in shares.items() if share}, "missing": 0.0}
    known = values[~np.isnan(values)].astype(float)
    if column.kind != "image" and known.min(initial=np.inf) == known.max(initial=-np.inf):
        return {"missing": 1 - len(known) / values.size}
    return {**_distribution(known), "missing": 1 - len(known) / values.size}


def _answered(answer: Answer, given: Array, threshold: float | None) -> dict[str, Any]:
    """Of all answers: the labels' shares and the answered one's probability, or the values."""
    if answer.kind == "value":
        return _distribution(given.astype(float).ravel())
    places = predicted(given, threshold)
    counts = np.bincount(places, minlength=len(answer.labels)) / len(places)
    shares = {label: six_digits(share) for label, share in zip(answer.labels, counts, strict=True) if share}
    return {**_distribution(given[np.arange(len(given)), places].astype(float)), "shares": shares}


def _distribution(values: NDArray[np.floating]) -> dict[str, Any]:
    deciles = [six_digits(decile) for decile in np.quantile(values, np.linspace(0, 1, 11))]
    at_most = np.searchsorted(np.sort(values), deciles, side="right") / len(values)
    return {
        "mean": six_digits(values.mean()),
        "standard_deviation": six_digits(values.std()),
        "deciles": deciles,
        "at_most": [six_digits(share) for share in at_most],
        "missing": 0.0,
    }


def six_digits(value: SupportsFloat) -> float:
    """For figures that are read, not computed with."""
    return float(f"{float(value):.6g}")


def _versions(model: Path) -> list[int]:
    return [int(folder.name) for folder in model.glob("*") if folder.name.isdecimal()]


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _write(files: Mapping[str, bytes], version: Path) -> None:
    """One rename shows the whole version; until then it lies beside it under a hidden name."""
    hidden = version.with_name(f".{version.name}-{uuid4().hex}")
    hidden.mkdir(parents=True)
    try:
        for name, content in files.items():
            (hidden / name).write_bytes(content)
        hidden.rename(version)
    except BaseException:
        shutil.rmtree(hidden)
        raise
