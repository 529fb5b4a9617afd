"""The ranges that a manifest declares, checked on whole tensors, so that every protocol refuses the same values."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.errors import OutsideDomain, Violation
from app.feature import FIRST_DAY, LAST_DAY, Feature
from app.inference.signature import DTYPES, Tensor, Tensors, TensorSpec, all_true, datatype_of
from app.manifest import InputTensor

MOST_VIOLATIONS = 10
"""A wrong request is told of this many values at once."""


@dataclass(frozen=True)
class Domain:
    """The features of one numeric input tensor with their bounds.

    lower, upper: (columns,) or () for a feature that fills the tensor; the largest finite numbers where a side is open.
                  Rounded to the tensor's own type, so that a value equal to a bound is inside.
    whole:        likewise, true where only integers are inside: integers, days, and places of a category.
    missing:      likewise, true where NaN is inside: it stands for a missing value.
    """

    tensor: str
    features: tuple[Feature, ...]
    lower: NDArray[np.floating]
    upper: NDArray[np.floating]
    whole: NDArray[np.bool_]
    missing: NDArray[np.bool_]

    def violations(self, values: Tensor, told: NDArray[np.bool_] | None = None) -> list[Violation]:
        """The first values outside, NaN among them unless it stands for a missing value.

        told: (rows, columns) or what broadcasts with the values; true where a value is known to be wrong already.
        """
        inside = self.inside(values)
        if told is not None:
            inside |= told
        if all_true(inside):
            return []
        return [self._violation(values, tuple(place)) for place in np.argwhere(~inside)[:MOST_VIOLATIONS].tolist()]

    def inside(self, values: Tensor) -> NDArray[np.bool_]:
        """Of each value, whether it is."""
        inside: NDArray[np.bool_] = np.greater_equal(values, self.lower) & np.less_equal(values, self.upper)
        if self._some_are_whole:
            inside &= ~self.whole | np.equal(values, np.rint(values))
        if self._some_may_miss:
            inside |= self.missing & np.isnan(values)
        return inside

    @cached_property
    def _some_are_whole(self) -> bool:
        return bool(self.whole.any())

    @cached_property
    def _some_may_miss(self) -> bool:
        return bool(self.missing.any())

    def _violation(self, values: Tensor, place: tuple[int, ...]) -> Violation:
        feature = self.features[place[1] if len(self.features) > 1 else 0]
        value = values[place]
        shown = "NaN" if np.isnan(value) else feature.shown(value)
        wanted = feature.wanted
        if feature.kind == "integer" and values.dtype.kind == "f" and abs(value) > exact_integers(values.dtype):
            wanted = f"{wanted}, of those that {datatype_of(values)} holds exactly"
        return Violation(self.tensor, place, feature.name, f"{shown}, wanted {wanted}")


def domains(inputs: Sequence[InputTensor], specs: Sequence[TensorSpec]) -> tuple[Domain, ...]:
    """A Domain for every tensor of numbers in the manifest."""
    dtypes = {spec.name: DTYPES[spec.datatype] for spec in specs}
    return tuple(
        Domain(
            tensor=one.tensor,
            features=one.features,
            lower=_bounds([_lower(feature, dtypes[one.tensor]) for feature in one.features], dtypes[one.tensor]),
            upper=_bounds([_upper(feature, dtypes[one.tensor]) for feature in one.features], dtypes[one.tensor]),
            whole=_columns([feature.kind in ("integer", "date", "category") for feature in one.features]),
            missing=_columns([feature.missing == "nan" for feature in one.features]),
        )
        for one in inputs
        if dtypes[one.tensor].kind in "iuf"
    )


def exact_integers(dtype: np.dtype[np.generic]) -> int:
    """Up to here, either side of 0, a type of floats holds every integer; the next one may stand for its neighbour."""
    return int(2 ** (np.finfo(dtype).nmant + 1) - 1)  # type: ignore[type-var]


def _open(feature: Feature, dtype: np.dtype[np.generic]) -> float:
    return exact_integers(dtype) if feature.kind == "integer" and dtype.kind == "f" else np.inf


def _lower(feature: Feature, dtype: np.dtype[np.generic]) -> float:
    if feature.kind == "category":
        return 0
    if feature.kind == "audio":
        return -1
    if feature.kind == "date" and feature.minimum is None:
        return FIRST_DAY
    return -_open(feature, dtype) if feature.minimum is None else feature.minimum


def _upper(feature: Feature, dtype: np.dtype[np.generic]) -> float:
    if feature.kind == "category":
        return len(feature.categories) - 1
    if feature.kind == "audio":
        return 1
    if feature.kind == "date" and feature.maximum is None:
        return LAST_DAY
    return _open(feature, dtype) if feature.maximum is None else feature.maximum


def _bounds(values: Sequence[float], dtype: np.dtype[np.generic]) -> NDArray[np.floating]:
    bounds = np.array(values, np.float64)
    if dtype.kind == "f":
        largest = float(np.finfo(dtype).max)  # type: ignore[type-var]
        bounds = np.clip(bounds, -largest, largest).astype(dtype)
    return _columns(bounds)


def _columns(values: ArrayLike) -> NDArray[Any]:
    """(columns,), or () for a single feature, which fills its tensor."""
    array = np.asarray(values)
    return array if len(array) > 1 else array.reshape(())


def check_domains(where: Sequence[Domain], tensors: Tensors) -> None:
    """Raises OutsideDomain with up to MOST_VIOLATIONS values that lie outside their feature's range."""
    found = [violation for domain in where for violation in domain.violations(tensors[domain.tensor])]
    if found:
        raise OutsideDomain(found[:MOST_VIOLATIONS])
