"""V1 bodies of explanations: which number of a prediction is explained, and how it is told; pure functions.

Every prediction has one number that is explained: by default the probability of the label that it names, or its first
value, or, without a manifest, the largest number of its first output.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput
from app.inference.signature import Signature, Tensor, Tensors, listed
from app.manifest import Manifest
from app.protocols import v1_codec
from app.protocols.allowance import BodyLimits
from app.protocols.elements import NonFinite, kind_of
from app.protocols.v1_codec import PredictRequest
from app.protocols.v1_values import index_of

PARAMETERS = {"output", "samples"}

PROBABILITY = "probability"
"""Of the predicted label, as the field of a prediction is called."""

ELEMENT = re.compile(r"(?P<name>.+?)(?P<index>(\[[0-9]{1,9}\])*)", re.DOTALL)


@dataclass(frozen=True)
class Target:
    """The number of a row that is explained.

    tensor: the output that it is in.
    index:  its place in a row of it; None for the largest.
    """

    tensor: str
    index: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ExplainRequest:
    """A decoded request. given: what is explained. samples: orders to draw; None for the usual number."""

    given: PredictRequest
    target: Target
    samples: int | None


def why_not(signature: Signature, manifest: Manifest | None) -> str:
    """Why the predictions of a model cannot be explained; nothing if they can."""
    if not signature.speaks_rows:
        return "its tensors have no rows"
    if not targets(signature, manifest):
        return "it gives no numbers"
    texts = [spec.name for spec in signature.inputs if spec.datatype == "BYTES"]
    return f"it has no manifest to say what the texts of {listed(texts)} are" if texts and manifest is None else ""


def targets(signature: Signature, manifest: Manifest | None) -> dict[str, Target]:
    """What a caller may ask for by its name; the first is what is explained if nothing is asked for."""
    numeric = [spec.name for spec in signature.outputs if spec.datatype != "BYTES"]
    if manifest is None:
        return {name: Target(name) for name in numeric}
    found = {}
    for output in sorted(manifest.outputs, key=lambda one: one.kind != "probabilities"):
        if output.kind == "probabilities":
            found[PROBABILITY] = Target(output.tensor)
            found |= {label: Target(output.tensor, (place,)) for place, label in enumerate(output.labels)}
        elif output.tensor in numeric:
            found[output.name] = Target(output.tensor)
    return found


def decode(
    body: bytes, signature: Signature, manifest: Manifest | None, limits: BodyLimits, nonfinite: NonFinite
) -> ExplainRequest:
    """{"instances": [...]} as for predictions, and beside it "parameters": {"output": name, "samples": n}.

    Raises InvalidInput, MediaTooLarge.
    """
    if reason := why_not(signature, manifest):
        raise InvalidInput(f"predictions of this model cannot be explained: {reason}")
    request = v1_codec.parsed(body, signature, manifest, limits, nonfinite)
    if "instances" not in request or "inputs" in request:
        raise InvalidInput('wanted {"instances": [...]}, row by row')
    parameters = v1_codec.parameters_of(request, PARAMETERS)
    target, samples = _target(parameters, signature, manifest), _samples(parameters)
    tensors = v1_codec.read_rows(request["instances"], signature, manifest, limits, nonfinite)
    given = PredictRequest(tensors, len(request["instances"]), columns=False)
    return ExplainRequest(given, target, samples)


def _target(parameters: dict[str, Any], signature: Signature, manifest: Manifest | None) -> Target:
    known = targets(signature, manifest)
    if "output" not in parameters:
        return next(iter(known.values()))
    name = parameters["output"]
    if not isinstance(name, str):
        raise InvalidInput(f"parameters.output: {kind_of(name)}, wanted a text")
    if name in known:
        return known[name]
    if manifest is None and (parts := ELEMENT.fullmatch(name)) and parts["name"] in known:
        return Target(parts["name"], tuple(int(axis) for axis in re.findall("[0-9]+", parts["index"])))
    wanted = [*known] if manifest else [f"{one}, {one}[0]" for one in known]
    raise InvalidInput(f"parameters.output: {name[:40]!r}, wanted one of {listed(wanted)}")


def _samples(parameters: dict[str, Any]) -> int | None:
    samples = parameters.get("samples", 1)
    if type(samples) not in (int, float) or samples < 1 or samples != samples // 1:
        told = samples if type(samples) in (int, float) else kind_of(samples)
        raise InvalidInput(f"parameters.samples: {told}, wanted an integer, 1 or more")
    return int(samples) if "samples" in parameters else None


def place_of(target: Target, row: Tensor) -> int:
    """Where the number that is explained stands among those of a row. Raises InvalidInput where it is not there."""
    if not row.size:
        raise InvalidInput(f"output {target.tensor} has no numbers for this instance")
    if target.index is None:
        return int(row.argmax())
    if len(target.index) != row.ndim or any(at >= size for at, size in zip(target.index, row.shape, strict=True)):
        asked = "".join(f"[{at}]" for at in target.index)
        raise InvalidInput(f"parameters.output: {target.tensor}{asked}, a row has shape {list(row.shape)}")
    return int(np.ravel_multi_index(target.index, row.shape)) if row.ndim else 0


def values_of(target: Target, place: int, outputs: Tensors, rows: int) -> NDArray[np.float64]:
    """The number that is explained in each of so many rows. Raises InvalidInput where a row has none."""
    tensor = outputs[target.tensor]
    if not tensor.ndim or tensor.shape[0] != rows or tensor.size // rows <= place:
        told = f"output {target.tensor} has shape {list(tensor.shape)} for {rows} rows with parts left out"
        raise InvalidInput(f"{told}, so no number of it can be followed")
    return tensor.reshape(rows, -1)[:, place].astype(np.float64)


@np.errstate(over="ignore")
def rounded(numbers: Any, dtype: np.dtype[np.generic]) -> Any:
    """Numbers with no more digits than what the model gives has, and 7 at least. dtype: of the output."""
    return numbers.astype(np.result_type(dtype, np.float32))


def name_of(target: Target, place: int, row: Tensor, manifest: Manifest | None) -> str:
    """What is explained, in words: `probability of elm`, `length`, `y[3]`."""
    if manifest is None:
        return target.tensor if row.size == 1 else f"{target.tensor}{index_of(place, row.shape)}"
    [output] = [one for one in manifest.outputs if one.tensor == target.tensor]
    return f"{PROBABILITY} of {output.labels[place]}" if output.kind == "probabilities" else output.name
