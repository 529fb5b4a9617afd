"""V1 bodies: instances to tensors and outputs to predictions; pure functions, no web framework.

With a manifest an instance is an object of named, typed features. Without one it is the value of the only input, or
an object of inputs, as in TensorFlow Serving's row format.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, SupportsInt

import numpy as np

from app.errors import InvalidInput, Violation
from app.inference.domain import MOST_VIOLATIONS
from app.inference.signature import DTYPES, Signature, Tensor, Tensors, TensorSpec, listed
from app.manifest import Feature, InputTensor, Manifest, OutputTensor
from app.protocols.elements import dump, flatten, kind_of, nested_shape, parse, to_array


@dataclass(frozen=True)
class PredictRequest:
    """A decoded request.

    rows:    instances, of the row format.
    columns: asked in the column format, so answered in it.
    """

    tensors: Tensors
    rows: int
    columns: bool


def decode(body: bytes, signature: Signature, manifest: Manifest | None) -> PredictRequest:
    """{"instances": [...]}, a value or an object for each row, or {"inputs": ...}, a tensor or an object of them.

    Raises InvalidInput that names the instance and the field.
    """
    request = parse(body)
    if ("instances" in request) == ("inputs" in request):
        raise InvalidInput('wanted either {"instances": [...]}, row by row, or {"inputs": ...}, column by column')
    if "inputs" in request and manifest is None:
        return PredictRequest(_raw_columns(request["inputs"], signature), 0, columns=True)
    key = "instances" if "instances" in request else "inputs"
    instances = request[key] if key == "instances" else _transposed(request[key])
    if not isinstance(instances, list):
        raise InvalidInput(f"instances: {kind_of(instances)}, wanted a list")
    if not instances:
        raise InvalidInput(f"{key}: empty, wanted at least one row")
    if manifest is None:
        return PredictRequest(_raw_tensors(instances, signature), len(instances), columns=False)
    return PredictRequest(_typed_tensors(instances, signature, manifest), len(instances), columns=key == "inputs")


def _transposed(inputs: Any) -> list[Any]:
    """{feature: [value a row]} as a list of rows."""
    if not isinstance(inputs, dict) or not all(isinstance(column, list) for column in inputs.values()):
        raise InvalidInput("inputs: wanted an object of features, each a list with one value a row")
    if len({len(column) for column in inputs.values()}) > 1:
        told = ", ".join(f"{name} has {len(column)}" for name, column in inputs.items())
        raise InvalidInput(f"inputs: all features need the same number of rows: {told}")
    return [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]


def _raw_columns(inputs: Any, signature: Signature) -> Tensors:
    """Whole tensors, the batch axis included."""
    named = inputs if isinstance(inputs, dict) else {signature.inputs[0].name: inputs} if signature.inputs else {}
    wanted = {spec.name: spec for spec in signature.inputs}
    if set(named) != set(wanted) or (not isinstance(inputs, dict) and len(wanted) > 1):
        raise InvalidInput(f"inputs: wanted an object of {listed(wanted)}")
    return {name: _raw_tensor(f"inputs.{name}", named[name], spec) for name, spec in wanted.items()}


def _raw_tensors(instances: list[Any], signature: Signature) -> Tensors:
    if len(signature.inputs) == 1:
        return {signature.inputs[0].name: _raw_tensor("instances", instances, signature.inputs[0])}
    names = [spec.name for spec in signature.inputs]
    for place, instance in enumerate(instances):
        if not isinstance(instance, dict) or set(instance) != set(names):
            raise InvalidInput(f"instances[{place}]: wanted an object of {listed(names)}")
    return {
        spec.name: _raw_tensor(f"instances[].{spec.name}", [one[spec.name] for one in instances], spec)
        for spec in signature.inputs
    }


def _raw_tensor(where: str, values: list[Any], spec: TensorSpec) -> Tensor:
    shape = nested_shape(where, values)
    return to_array(where, flatten(where, values, shape), spec.datatype).reshape(shape)


def _typed_tensors(instances: list[Any], signature: Signature, manifest: Manifest) -> Tensors:
    _check_fields(instances, manifest.features)
    datatypes = {spec.name: spec.datatype for spec in signature.inputs}
    return {one.tensor: _typed_tensor(instances, one, datatypes[one.tensor]) for one in manifest.inputs}


def _check_fields(instances: list[Any], features: Sequence[Feature]) -> None:
    """Raises InvalidInput unless every instance is an object of exactly the features."""
    names = {feature.name for feature in features}
    if all(isinstance(instance, dict) and instance.keys() == names for instance in instances):
        return
    problems: list[str] = []
    for place, instance in enumerate(instances):
        if not isinstance(instance, dict):
            problems.append(f"instances[{place}]: {kind_of(instance)}, wanted an object of {listed(sorted(names))}")
            continue
        absent = (
            f"instances[{place}].{f.name}: missing, wanted {f.wanted}" for f in features if f.name not in instance
        )
        unknown = (f"instances[{place}].{name}: unknown field" for name in instance if name not in names)
        problems += [*absent, *unknown]
    raise _problems(problems)


def _problems(problems: Sequence[str]) -> InvalidInput:
    return InvalidInput("; ".join(problems[:MOST_VIOLATIONS]))


def _typed_tensor(instances: list[Any], one: InputTensor, datatype: str) -> Tensor:
    first = one.features[0]
    if first.shape:
        values = [
            _block(f"instances[{i}].{first.name}", instance[first.name], first) for i, instance in enumerate(instances)
        ]
        elements: Iterable[Any] = chain.from_iterable(values)
        shape: tuple[int, ...] = (len(instances), *first.shape)
    elif len(one.features) == 1:
        elements = [instance[first.name] for instance in instances]
        shape = (len(instances), 1)
    else:
        elements = chain.from_iterable(map(itemgetter(*(feature.name for feature in one.features)), instances))
        shape = (len(instances), len(one.features))
    flat = list(elements)
    if _is_plain(flat, one.features, datatype):
        return to_array(one.tensor, flat, datatype).reshape(shape)
    return to_array(one.tensor, _converted(flat, one.features, shape, datatype), datatype).reshape(shape)


def _block(where: str, value: Any, feature: Feature) -> list[Any]:
    return flatten(where, value, feature.shape)


def _is_plain(flat: list[Any], features: Sequence[Feature], datatype: str) -> bool:
    """Nothing to convert and nothing wrong: numbers for features that are all numbers."""
    return (
        DTYPES[datatype].kind == "f"
        and all(f.kind == "number" for f in features)
        and set(map(type, flat)) <= {int, float}
    )


def _converted(flat: list[Any], features: Sequence[Feature], shape: tuple[int, ...], datatype: str) -> list[Any]:
    """The elements as the tensor takes them, each checked against its feature. Raises InvalidInput."""
    problems: list[str] = []
    converted = []
    per_instance = len(flat) // shape[0]
    for place, value in enumerate(flat):
        row, inside = divmod(place, per_instance)
        feature = features[inside] if len(features) > 1 else features[0]
        element = _element(value, feature, datatype)
        if element is None:
            index = np.unravel_index(inside, feature.shape) if feature.shape else ()
            problems.append(f"{place_of(row, feature.name, index)}: {_shown(value)}, wanted {feature.wanted}")
        converted.append(element)
    if problems:
        raise _problems(problems)
    return converted


def _element(value: Any, feature: Feature, datatype: str) -> Any:
    """The value as the tensor takes it, None if it is not one of the feature's."""
    if feature.kind in ("category", "text"):
        if not isinstance(value, str) or (feature.kind == "category" and value not in feature.categories):
            return None
        return value if datatype == "BYTES" or feature.kind == "text" else feature.categories.index(value)
    if type(value) not in (int, float) or (feature.kind == "integer" and not float(value).is_integer()):
        return None
    return value


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float) and len(repr(value)) < 40 else kind_of(value)


def place_of(row: int, feature: str, index: Iterable[SupportsInt] = ()) -> str:
    """A value's place in a V1 body: `instances[3].image[2][5]`."""
    return f"instances[{row}].{feature}" + "".join(f"[{int(axis)}]" for axis in index)


def outside(violations: Sequence[Violation], manifest: Manifest) -> InvalidInput:
    """Values outside their feature's range, told in the words of a V1 body."""
    shaped = {feature.name for feature in manifest.features if feature.shape}
    return _problems(
        [f"{place_of(v.index[0], v.feature, v.index[1:] if v.feature in shaped else ())}: {v.fact}" for v in violations]
    )


def encode(outputs: Tensors, request: PredictRequest, manifest: Manifest | None) -> bytes:
    """{"predictions": [...]}, one an instance, or {"outputs": ...} for a request in columns.

    Raises InvalidInput where an output has no row for each instance.
    """
    if request.columns and manifest is None:
        columns = {name: tensor if tensor.dtype != object else tensor.tolist() for name, tensor in outputs.items()}
        return dump({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})
    for name, tensor in outputs.items():
        if not tensor.ndim or tensor.shape[0] != request.rows:
            raise InvalidInput(f"output {name} has shape {list(tensor.shape)}, not a row an instance; ask for columns")
    rows = _raw_rows(outputs, request.rows) if manifest is None else _typed_rows(outputs, manifest)
    if request.columns:
        return dump({"outputs": {field: [row[field] for row in rows] for field in rows[0]}})
    return dump({"predictions": rows})


def _raw_rows(outputs: Tensors, rows: int) -> list[Any]:
    columns = {name: _rows(tensor) for name, tensor in outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [{name: column[row] for name, column in columns.items()} for row in range(rows)]


def _rows(tensor: Tensor) -> list[Any]:
    return tensor.tolist() if tensor.dtype == object else list(np.ascontiguousarray(tensor))


def _typed_rows(outputs: Tensors, manifest: Manifest) -> list[Any]:
    columns = [_fields(outputs[one.tensor], one) for one in manifest.outputs]
    return [dict(chain.from_iterable(fields)) for fields in zip(*columns, strict=True)]


def _fields(tensor: Tensor, one: OutputTensor) -> list[list[tuple[str, Any]]]:
    """Each row's fields: `label` and `probability`, or the named value."""
    if one.kind == "value":
        return [[(one.name, value)] for value in tensor.reshape(len(tensor))]
    best = tensor.argmax(axis=1)
    highest = tensor[np.arange(len(tensor)), best]
    return [[("label", one.labels[i]), ("probability", p)] for i, p in zip(best.tolist(), highest, strict=True)]


def example(feed: Tensors, manifest: Manifest | None) -> list[Any]:
    """Instances for a request body: the features' own examples, or the rows of a feed."""
    if manifest is not None:
        return [{feature.name: feature.example for feature in manifest.features}]
    columns = {name: tensor.tolist() for name, tensor in feed.items()}
    if len(columns) == 1:
        return list(next(iter(columns.values())))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=False)]
