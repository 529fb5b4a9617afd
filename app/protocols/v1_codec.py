"""V1 bodies: instances to tensors and outputs to predictions; pure functions, no web framework.

With a manifest an instance is an object of named, typed features. Without one it is the value of the only input, or
an object of inputs, as in TensorFlow Serving's row format.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from app.errors import InvalidInput, Violation
from app.inference.domain import MOST_VIOLATIONS
from app.inference.signature import Signature, Tensor, Tensors, TensorSpec, listed
from app.manifest import Manifest
from app.protocols import b64, numbers
from app.protocols.allowance import Allowance, BodyLimits
from app.protocols.elements import (
    NonFinite,
    check_depth,
    check_elements,
    flatten,
    kind_of,
    nested_shape,
    parse,
    to_array,
)
from app.protocols.v1_features import read_columns, read_instances, told_together, violation_text
from app.protocols.v1_values import index_of

PARAMETERS = {"probabilities"}
SIGNATURE_NAME = "serving_default"


@dataclass(frozen=True)
class PredictRequest:
    """A decoded request.

    rows:          instances, of the row format.
    columns:       asked in the column format, so answered in it.
    probabilities: those of all classes are wanted.
    """

    tensors: Tensors
    rows: int
    columns: bool
    probabilities: bool = False


def decode(
    body: bytes, signature: Signature, manifest: Manifest | None, limits: BodyLimits, nonfinite: NonFinite = "token"
) -> PredictRequest:
    """{"instances": [...]}, a value or an object for each row, or {"inputs": ...}, a tensor or an object of them.

    Beside them may stand "parameters": {"probabilities": bool} and TensorFlow Serving's "signature_name".

    Raises InvalidInput that names the instance and the field, MediaTooLarge.
    """
    request = parsed(body, signature, manifest, limits, nonfinite)
    if ("instances" in request) == ("inputs" in request):
        raise InvalidInput('wanted either {"instances": [...]}, row by row, or {"inputs": ...}, column by column')
    probabilities = _wants_probabilities(request, manifest)
    if "inputs" in request:
        tensors = (
            _raw_columns(request["inputs"], signature, nonfinite)
            if manifest is None
            else read_columns(request["inputs"], signature, manifest, Allowance(limits))
        )
        check_elements(tensors, limits.elements)
        rows = 0 if manifest is None else len(next(iter(tensors.values())))
        return PredictRequest(tensors, rows, columns=True, probabilities=probabilities)
    tensors = read_rows(request["instances"], signature, manifest, limits, nonfinite)
    return PredictRequest(tensors, len(request["instances"]), columns=False, probabilities=probabilities)


def parsed(
    body: bytes, signature: Signature, manifest: Manifest | None, limits: BodyLimits, nonfinite: NonFinite
) -> dict[str, Any]:
    """The object that a body is, whatever it asks for; large arrays may be read already. Raises InvalidInput."""
    check_depth(body, limits.depth)
    request = (numbers.parse_rows(body, signature) if manifest is None else None) or parse(body, nonfinite)
    _check_signature_name(request)
    return request


def read_rows(
    instances: Any, signature: Signature, manifest: Manifest | None, limits: BodyLimits, nonfinite: NonFinite
) -> Tensors:
    """The tensors of a list of instances. Raises as decode does."""
    if not isinstance(instances, list | np.ndarray):
        raise InvalidInput(f"instances: {kind_of(instances)}, wanted a list")
    if not len(instances):
        raise InvalidInput("instances: empty, wanted at least one row")
    if manifest is None:
        tensors = _raw_tensors(instances, signature, nonfinite)
    else:
        tensors = read_instances(list(instances), signature, manifest, Allowance(limits))
    check_elements(tensors, limits.elements)
    return tensors


def takes_files(manifest: Manifest | None) -> bool:
    """Are there images or sounds among the features?"""
    return manifest is not None and any(feature.kind in ("image", "audio") for feature in manifest.features)


def names_file(body: bytes) -> bool:
    """May there be files in the body? A key may also be written with escapes."""
    return b'"b64"' in body or b"\\u" in body


def _check_signature_name(request: dict[str, Any]) -> None:
    """An ONNX graph has one signature; TensorFlow Serving's clients call it by its default name, or by none."""
    name = request.get("signature_name", "")
    if name not in ("", SIGNATURE_NAME):
        told = repr(name) if isinstance(name, str) else kind_of(name)
        raise InvalidInput(f"signature_name: {told}, wanted {SIGNATURE_NAME!r} or none")


def _wants_probabilities(request: dict[str, Any], manifest: Manifest | None) -> bool:
    wanted = parameters_of(request, PARAMETERS).get("probabilities", False)
    if not isinstance(wanted, bool):
        raise InvalidInput(f"parameters.probabilities: {kind_of(wanted)}, wanted true or false")
    if wanted and (manifest is None or not any(output.kind == "probabilities" for output in manifest.outputs)):
        raise InvalidInput("parameters.probabilities: this model tells no probabilities of classes")
    return wanted


def parameters_of(request: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """What a request has beside its instances. Raises InvalidInput where it has what is not known."""
    parameters = request.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidInput(f"parameters: {kind_of(parameters)}, wanted an object")
    if unknown := [name for name in parameters if name not in known]:
        raise InvalidInput(f"parameters: unknown {listed(unknown)}, wanted some of {listed(sorted(known))}")
    return parameters


def _raw_columns(inputs: Any, signature: Signature, nonfinite: NonFinite) -> Tensors:
    """Whole tensors, the batch axis included."""
    wanted = {spec.name: spec for spec in signature.inputs}
    single = len(wanted) == 1 and not (isinstance(inputs, dict) and set(inputs) == set(wanted))
    if single and (not isinstance(inputs, dict) or _is_b64(inputs, signature.inputs[0])):
        return {name: _raw_tensor("inputs", inputs, spec, nonfinite) for name, spec in wanted.items()}
    known = wanted | {spec.name: spec for spec in signature.optional}
    if not isinstance(inputs, dict) or not set(wanted) <= set(inputs) <= set(known):
        raise InvalidInput(f"inputs: wanted an object of {listed(known)}")
    return {name: _raw_tensor(f"inputs.{name}", inputs[name], known[name], nonfinite) for name in inputs}


def _raw_tensors(instances: list[Any] | Tensor, signature: Signature, nonfinite: NonFinite) -> Tensors:
    """One input: its values, or objects that name it; several: objects of all."""
    names = [spec.name for spec in signature.inputs]
    if len(names) == 1 and not all(_names_input(one, signature.inputs[0]) for one in instances):
        return {names[0]: _raw_tensor("instances", instances, signature.inputs[0], nonfinite)}
    wrong = [place for place, one in enumerate(instances) if not isinstance(one, dict) or set(one) != set(names)]
    if wrong:
        raise told_together([f"instances[{place}]: wanted an object of {listed(names)}" for place in wrong])
    return {
        spec.name: _raw_tensor("instances", [one[spec.name] for one in instances], spec, nonfinite, f".{spec.name}")
        for spec in signature.inputs
    }


def _names_input(instance: Any, spec: TensorSpec) -> bool:
    return isinstance(instance, dict) and set(instance) == {spec.name} and not _is_b64(instance, spec)


def _is_b64(value: Any, spec: TensorSpec) -> bool:
    return spec.datatype == "BYTES" and isinstance(value, dict) and "b64" in value


def _raw_tensor(where: str, values: Any, spec: TensorSpec, nonfinite: NonFinite, field: str = "") -> Tensor:
    """field: what follows a row's place in the body, such as `.x` in `instances[3].x[0]`."""
    if isinstance(values, np.ndarray):
        return values
    shape = nested_shape(f"{where}{field}", values)
    elements = flatten(f"{where}{field}", values, shape)
    try:
        return to_array("", _with_texts(elements, spec), spec.datatype, nonfinite).reshape(shape)
    except InvalidInput:
        raise told_together(
            list(islice(_wrong(where, elements, shape, spec, nonfinite, field), MOST_VIOLATIONS))
        ) from None


def _with_texts(elements: list[Any], spec: TensorSpec) -> list[Any]:
    if spec.datatype != "BYTES":
        return elements
    return [b64.read_text(element) if _is_b64(element, spec) else element for element in elements]


def _wrong(
    where: str, elements: list[Any], shape: Sequence[int], spec: TensorSpec, nonfinite: NonFinite, field: str
) -> Iterator[str]:
    """Every element that does not fit, with its place and what was wanted."""
    for at, element in enumerate(elements):
        try:
            to_array("", _with_texts([element], spec), spec.datatype, nonfinite)
        except InvalidInput as error:
            row, *rest = index_of(at, shape).partition("]")
            yield f"{where}{row}{rest[0]}{field}{rest[1]}: {str(error).removeprefix('[0]: ')}"


def outside(violations: Sequence[Violation], manifest: Manifest, asked: PredictRequest) -> InvalidInput:
    """Values outside their feature's range, told in the words of the body."""
    texts = [violation_text(v, manifest, by_columns=asked.columns) for v in violations]
    return told_together(texts, [v.feature for v in violations])


def example(feed: Tensors, manifest: Manifest | None) -> list[Any]:
    """Instances for a request body: the features' own examples, or the rows of a feed."""
    if manifest is not None:
        return [{feature.name: feature.example for feature in manifest.features}]
    columns = {name: tensor.tolist() for name, tensor in feed.items()}
    if len(columns) == 1:
        return list(next(iter(columns.values())))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=False)]
