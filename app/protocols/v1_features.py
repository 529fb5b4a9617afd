"""Named, typed features to tensors, by the manifest; every wrong value told by its place, ten at once.

A request that is right becomes whole tensors in one go. One with anything wrong, or with files, is gone through again
feature by feature, and what is wrong is collected: missing fields, wrong types and values out of range alike, in the
order of the instances.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, cycle
from operator import itemgetter
from typing import Any

import numpy as np

from app.errors import InvalidInput, Violation
from app.feature import Feature
from app.inference.domain import MOST_VIOLATIONS, domains
from app.inference.signature import DTYPES, Signature, Tensor, Tensors, listed
from app.manifest import InputTensor, Manifest
from app.protocols.allowance import Allowance
from app.protocols.elements import kind_of, to_array
from app.protocols.v1_values import ABSENT, element_of, parts_of, read_value

MOST_SHOWN = 40
"""Of a name that only the caller knows, in characters."""

TOLD = object()
"""In the place of a value that is not there, which has been told already."""


@dataclass(frozen=True)
class Problem:
    """feature: whose value it is; empty where it is no feature's."""

    row: int
    text: str
    feature: str = ""


@dataclass(frozen=True)
class Sent:
    """The values of a request, however they were sent.

    columns: feature name -> a value for each row.
    """

    rows: int
    columns: Mapping[str, Sequence[Any]]
    problems: list[Problem]
    by_columns: bool

    def place(self, feature: str) -> Callable[[int], str]:
        """Where the value of a row stands in the body."""
        return lambda row: place_of(row, feature, by_columns=self.by_columns)


@dataclass(frozen=True)
class Column:
    """One feature's values, (rows, *shape): 0 where a problem is. After the tenth problem there are no more rows."""

    values: Tensor
    problems: list[Problem]


class Flattened:
    """The instances of one tensor's features as its elements, row-major, as `to_array` takes them.

    trailing: the tensor's shape without the rows.
    """

    def __init__(self, one: InputTensor, datatype: str) -> None:
        self._features, self._datatype = one.features, datatype
        self.trailing = one.features[0].shape or (len(one.features),)
        self._names = [feature.name for feature in one.features]
        self._pick = itemgetter(*self._names)
        self._plain = all((feature.kind, feature.missing) == ("number", "refuse") for feature in one.features)
        self._numbers = all(feature.kind in ("number", "integer") for feature in one.features)
        self._integers = [place for place, feature in enumerate(one.features) if feature.kind == "integer"]

    def of(self, instances: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Raises InvalidInput, without a place, where a value is wrong or is a file; what is no number among numbers
        that have to be there is left to `to_array`."""
        first = self._features[0]
        if first.shape:
            values = (row.get(first.name, ABSENT) for row in instances)
            return list(chain.from_iterable(parts_of(value, first, self._datatype) for value in values))
        try:
            rows = map(self._pick, instances)
            flat = list(chain.from_iterable(rows) if len(self._names) > 1 else rows)
        except KeyError:
            flat = [row.get(name, ABSENT) for row in instances for name in self._names]
        if self._plain or (self._numbers and set(map(type, flat)) <= {int, float} and self._are_whole(flat)):
            return flat
        return [element_of(value, feature, self._datatype) for value, feature in zip(flat, cycle(self._features))]

    def _are_whole(self, flat: list[Any]) -> bool:
        """Whether numbers are integers where they have to be."""
        whole = [value for place in self._integers for value in flat[place :: len(self._names)]]
        return all(type(value) is int or value.is_integer() for value in whole)


def flattened(signature: Signature, manifest: Manifest) -> list[Flattened]:
    """Of each tensor, in the signature's order."""
    described = {one.tensor: one for one in manifest.inputs}
    return [Flattened(described[spec.name], spec.datatype) for spec in signature.inputs]


def read_instances(instances: list[Any], signature: Signature, manifest: Manifest, allowance: Allowance) -> Tensors:
    """Tensors of a list of objects. Raises InvalidInput, MediaTooLarge."""
    tensors = _at_once(instances, signature, manifest)
    return _one_by_one(_by_rows(instances, manifest), signature, manifest, allowance) if tensors is None else tensors


def read_columns(inputs: Any, signature: Signature, manifest: Manifest, allowance: Allowance) -> Tensors:
    """Tensors of {feature: [value a row]}. Raises InvalidInput, MediaTooLarge."""
    sent = _by_columns(inputs, manifest)
    instances = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
    tensors = _at_once(instances, signature, manifest)
    return _one_by_one(sent, signature, manifest, allowance) if tensors is None else tensors


def _at_once(instances: list[Any], signature: Signature, manifest: Manifest) -> Tensors | None:
    """Whole tensors, None where anything is wrong or is a file."""
    if not are_known(instances, {feature.name for feature in manifest.features}):
        return None
    try:
        return {
            spec.name: to_array("", one.of(instances), spec.datatype).reshape(len(instances), *one.trailing)
            for spec, one in zip(signature.inputs, flattened(signature, manifest), strict=True)
        }
    except InvalidInput:
        return None


def are_known(instances: list[Any], names: set[str]) -> bool:
    """Whether all are objects of such fields; one may lack some."""
    return set(map(type, instances)) <= {dict} and all(instance.keys() <= names for instance in instances)


def _by_rows(instances: list[Any], manifest: Manifest) -> Sent:
    features = {feature.name for feature in manifest.features}
    wanted = listed(sorted(features))
    problems = []
    for row, instance in enumerate(instances):
        if not isinstance(instance, dict):
            problems.append(Problem(row, f"instances[{row}]: {kind_of(instance)}, wanted an object of {wanted}"))
        elif unknown := [name for name in instance if name not in features]:
            problems += [Problem(row, f"{place_of(row, name[:MOST_SHOWN])}: unknown field") for name in unknown]
        if len(problems) >= MOST_VIOLATIONS:
            instances = instances[: row + 1]
            break
    columns = {
        name: [row.get(name, ABSENT) if isinstance(row, dict) else TOLD for row in instances] for name in features
    }
    return Sent(len(instances), columns, problems, by_columns=False)


def _by_columns(inputs: Any, manifest: Manifest) -> Sent:
    if not isinstance(inputs, dict) or not all(isinstance(column, list) for column in inputs.values()):
        raise InvalidInput("inputs: wanted an object of features, each a list with one value a row")
    sizes = {name: len(column) for name, column in inputs.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise InvalidInput(f"inputs: all features need the same number of rows: {told}")
    rows = max(sizes.values(), default=0)
    if not rows:
        raise InvalidInput("inputs: empty, wanted at least one row")
    names = {feature.name for feature in manifest.features}
    problems = [Problem(0, f"inputs.{name[:MOST_SHOWN]}: unknown field") for name in inputs if name not in names]
    columns = dict(inputs)
    for feature in manifest.features:
        if feature.name in inputs:
            continue
        refused = feature.missing == "refuse"
        columns[feature.name] = [TOLD if refused else ABSENT] * rows
        if refused:
            told = f"inputs.{feature.name}: missing, wanted a list, each {feature.wanted_whole}"
            problems.append(Problem(0, told, feature.name))
    return Sent(rows, columns, problems, by_columns=True)


def _one_by_one(sent: Sent, signature: Signature, manifest: Manifest, allowance: Allowance) -> Tensors:
    datatypes = {spec.name: spec.datatype for spec in signature.inputs}
    columns = {
        feature.name: _column(
            sent.columns[feature.name], feature, datatypes[one.tensor], sent.place(feature.name), allowance
        )
        for one in manifest.inputs
        for feature in one.features
    }
    problems = [*sent.problems, *chain.from_iterable(column.problems for column in columns.values())]
    rows = min(len(column.values) for column in columns.values())
    tensors = {
        one.tensor: columns[one.features[0].name].values[:rows]
        if one.features[0].shape
        else np.stack([columns[feature.name].values[:rows] for feature in one.features], axis=1)
        for one in manifest.inputs
    }
    if problems:
        problems += _outside(sent, tensors, columns, signature, manifest)
        problems = sorted(problems, key=lambda problem: problem.row)[:MOST_VIOLATIONS]
        features = [problem.feature for problem in problems if problem.feature]
        raise told_together([problem.text for problem in problems], features)
    return tensors


def _outside(
    sent: Sent, tensors: Tensors, columns: Mapping[str, Column], signature: Signature, manifest: Manifest
) -> list[Problem]:
    """Values out of range in a request that is refused anyway, where nothing else is wrong with them."""
    found = []
    for domain in domains(manifest.inputs, signature.inputs):
        values = tensors[domain.tensor]
        told = np.zeros((len(values), len(domain.features)), np.bool_)
        for place, feature in enumerate(domain.features):
            rows = {problem.row for problem in columns[feature.name].problems}
            rows |= {row for row, value in enumerate(sent.columns[feature.name][: len(values)]) if value is TOLD}
            told[[row for row in rows if row < len(values)], place] = True
        if domain.features[0].shape:
            told = told.reshape(-1, *(1 for _ in domain.features[0].shape))
        found += [
            Problem(v.index[0], violation_text(v, manifest, by_columns=sent.by_columns), v.feature)
            for v in domain.violations(values, told)
        ]
    return found


def _column(
    values: Sequence[Any], feature: Feature, datatype: str, place: Callable[[int], str], allowance: Allowance
) -> Column:
    if feature.kind not in ("image", "audio"):
        with suppress(InvalidInput):
            elements = list(chain.from_iterable(parts_of(value, feature, datatype) for value in values))
            return Column(to_array("", elements, datatype).reshape(len(values), *feature.shape), [])
    blank = np.full(feature.shape, "" if datatype == "BYTES" else 0, DTYPES[datatype])
    read, problems = [], []
    for row, value in enumerate(values):
        array: Tensor = blank
        try:
            array = blank if value is TOLD else read_value(value, feature, datatype, allowance)
        except InvalidInput as error:
            problems.append(Problem(row, f"{place(row)}{error}", feature.name))
        read.append(array)
        if len(problems) >= MOST_VIOLATIONS:
            break
    return Column(np.stack(read), problems)


def place_of(row: int, feature: str, index: Sequence[int] = (), *, by_columns: bool = False) -> str:
    """A value's place in a V1 body: `instances[3].image[2][5]`, or `inputs.image[3][2][5]` in columns."""
    start = f"inputs.{feature}[{row}]" if by_columns else f"instances[{row}].{feature}"
    return start + "".join(f"[{axis}]" for axis in index)


def told_together(problems: Sequence[str], features: Sequence[str] = ()) -> InvalidInput:
    """As many problems as a caller is told of at once. features: whose values these are."""
    error = InvalidInput("; ".join(problems[:MOST_VIOLATIONS]))
    error.features = features
    return error


def violation_text(violation: Violation, manifest: Manifest, *, by_columns: bool) -> str:
    """A value outside its feature's range, told in the words of a V1 body."""
    [shape] = [feature.shape for feature in manifest.features if feature.name == violation.feature]
    index = violation.index[1:] if shape else ()
    return f"{place_of(violation.index[0], violation.feature, index, by_columns=by_columns)}: {violation.fact}"
