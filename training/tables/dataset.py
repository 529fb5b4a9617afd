"""An understood table as a data set: tensors, features with their ranges, and a split that never changes."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from app.feature import FIRST_DAY, LAST_DAY, date_of
from training.datasets.dataset import Column, Dataset, Reader, Rows, Target, divide, fingerprint, split_in_words
from training.errors import UnfitTable
from training.tables.columns import Found
from training.tables.corrections import Correction
from training.tables.goal import Goal
from training.tables.understand import Understanding
from training.tables.words import TEXTS, WORDS, longest, reader, vocabulary, words

NUMBERS, CATEGORIES = "numbers", "categories"

MISSING, OTHER = "(missing)", "(other)"

FEWEST_OF_A_CATEGORY = 5
"""Training rows, for a name of its own."""

MOST_CATEGORIES = 200

TRAIN, VALIDATION = 0.6, 0.8
"""Where a split by time cuts."""

YEARS_AHEAD = 10 * 365
"""A date may lie so many days after all that are known: the service lives on."""

STRATA = 10
"""Groups by size of a number that is predicted."""

Places = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def assemble(understood: Understanding) -> Dataset:
    """Raises UnfitTable where a split by time leaves a class unlearnt."""
    aim = understood.goal
    places, split = _by_time(understood.time, aim) if understood.time else _by_chance(aim)
    train = places[0].numpy()
    inputs, columns, texts, read = {}, {}, {}, None
    if numeric := [one for one in understood.used if one.kind in ("number", "integer", "date")]:
        _check_known(numeric, train)
        inputs[NUMBERS] = torch.from_numpy(np.stack([one.values.to_numpy(np.float32) for one in numeric], axis=1))
        columns[NUMBERS] = tuple(_numeric(one, _said(understood, one)) for one in numeric)
    if named := [one for one in understood.used if one.kind == "category"]:
        kept = [_kept(one.values, train) for one in named]
        places_of = [_places(one.values, names) for one, names in zip(named, kept, strict=True)]
        inputs[CATEGORIES] = torch.from_numpy(np.stack(places_of, axis=1))
        columns[CATEGORIES] = tuple(
            _category(one, names, _said(understood, one)) for one, names in zip(named, kept, strict=True)
        )
    plain = tuple(inputs)
    if written := [one for one in understood.used if one.kind == "text"]:
        texts[TEXTS] = np.stack([one.values.fillna("").to_numpy(object) for one in written], axis=1)
        read = reader(vocabulary(texts[TEXTS][train]), len(written), longest(texts[TEXTS][train]))
        inputs[WORDS] = words(read, texts[TEXTS])
        columns[TEXTS] = tuple(_text(one, _said(understood, one)) for one in written)
    targets = torch.from_numpy(aim.values.astype(np.int64 if aim.labels else np.float32))
    everything = Rows(inputs, targets, texts, plain if texts else ())
    parts = [everything.take(one) for one in places]
    said = understood.corrections
    return Dataset(
        name=said.title or understood.file,
        source=said.source or f"the file {understood.file}",
        licence=said.licence or "not stated",
        sha256=_hash(everything),
        columns=columns,
        target=Target(aim.field, f"{aim.name!r} of {understood.file}", labels=aim.labels),
        split=split,
        train=parts[0],
        validation=parts[1],
        test=_complete_first(parts[2]),
        reader=read,
    )


def _check_known(numeric: Sequence[Found], train: NDArray[np.int64]) -> None:
    if unknown := [one.name for one in numeric if one.values.iloc[train].isna().all()]:
        raise UnfitTable(f"{unknown[0]!r} is missing in all training rows; --drop '{unknown[0]}' leaves it out")


def vocabulary_size(read: Reader | None) -> int:
    """Numbers of words that the reader gives, 0 among them; 0 without a reader."""
    if read is None:
        return 0
    [encoder] = [node for node in read.graph.graph.node if node.op_type == "LabelEncoder"]
    [numbers] = [attribute.ints for attribute in encoder.attribute if attribute.name == "values_int64s"]
    return int(max(numbers)) + 1


def _by_chance(aim: Goal) -> tuple[Places, str]:
    rows = Rows({"place": torch.arange(len(aim.values))}, torch.from_numpy(aim.values))
    strata = aim.values.astype(int) if aim.labels else _groups(aim.values)
    train, validation, test = (part.inputs["place"] for part in divide(rows, strata))
    return (train, validation, test), split_in_words(f"{aim.name}{'' if aim.labels else ', in groups by size'}")


def _groups(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Equally many rows each, but that equal values stay together; none of fewer than three rows."""
    ranks = pd.Series(values).rank(method="min")
    groups = (ranks - 1) // math.ceil(len(values) / STRATA)
    rare = groups.map(groups.value_counts()) < 3
    found: NDArray[np.int64] = groups.where(~rare, groups[~rare].min()).to_numpy(np.int64)
    return found


def _by_time(time: Found, aim: Goal) -> tuple[Places, str]:
    """The last rows are tested on; rows of one date stay together."""
    values = time.values.to_numpy()
    order = np.argsort(values, kind="stable")
    cuts = []
    for share in (TRAIN, VALIDATION):
        first = values[order[int(share * len(order))]]
        cuts.append(int(np.searchsorted(values[order], first, side="left")) or int((values == first).sum()))
    train, validation, test = np.split(order, cuts)
    spoken = [date_of(v) if time.kind == "date" else f"{v:g}" for v in values[order[[0, *cuts]]]] if len(test) else []
    if not (len(train) and len(validation) and len(test)):
        raise UnfitTable(f"{time.name!r} has too few different values to split by; --time none splits by chance")
    _check_classes(time, aim, {"train": train, "validation": validation, "test": test})
    told = f"by {time.name}: train from {spoken[0]}, validation from {spoken[1]}, test from {spoken[2]}"
    return tuple(torch.from_numpy(part.copy()) for part in (train, validation, test)), told  # type: ignore[return-value]


def _check_classes(time: Found, aim: Goal, parts: dict[str, NDArray[np.int64]]) -> None:
    for part, rows in parts.items():
        seen = set(aim.values[rows].astype(int))
        if absent := [label for place, label in enumerate(aim.labels) if place not in seen]:
            raise UnfitTable(
                f"split by {time.name!r}, the {part} rows have no {aim.name} {', '.join(absent)}; "
                "--time none splits by chance"
            )


def _said(understood: Understanding, found: Found) -> Correction:
    return understood.corrections.of(found.name)


def _numeric(found: Found, said: Correction) -> Column:
    low, high = _range(found)
    return Column(
        found.field,
        said.description or found.name,
        said.unit,
        kind=found.kind,
        minimum=_bound(said.minimum, low),
        maximum=_bound(said.maximum, high),
        missing="nan" if found.missing else "refuse",
    )


def _range(found: Found) -> tuple[float, float]:
    """What is there and its width again on either side; what is never negative stays so, and 0 and 1 are all."""
    known = found.values.dropna()
    low, high = float(known.min()), float(known.max())
    width = high - low
    if found.kind == "date":
        return max(FIRST_DAY, low - width), min(LAST_DAY, high + max(width, YEARS_AHEAD))
    if set(known.unique()) <= {0, 1}:
        return 0, 1
    width = width or abs(high) or 1.0
    wide = low - width if low < 0 else max(0.0, low - width), high + width
    return (math.floor(wide[0]), math.ceil(wide[1])) if found.kind == "integer" else (_outward(*wide))


def _outward(low: float, high: float) -> tuple[float, float]:
    """Rounded away from the middle, to a thousandth of the range."""
    step = 10.0 ** math.floor(math.log10((high - low) / 100))
    return float(f"{math.floor(low / step) * step:.6g}"), float(f"{math.ceil(high / step) * step:.6g}")


def _bound(said: object, otherwise: float) -> float:
    if said is None:
        return otherwise
    if isinstance(said, float):
        return said
    return float(pd.Timestamp(str(said)).toordinal() - pd.Timestamp("1970-01-01").toordinal())


def _kept(values: pd.Series, train: NDArray[np.int64]) -> tuple[str, ...]:
    """The names that training knows, in order; the rare ones are one, and so is what is missing anywhere."""
    counts = values.iloc[train].value_counts()
    common = counts[counts >= FEWEST_OF_A_CATEGORY].index[:MOST_CATEGORIES]
    rest = set(values.dropna().unique()) - set(common)
    extra = ([OTHER] if rest else []) + ([MISSING] if values.isna().any() else [])
    return (*sorted(common, key=_natural), *extra)


def _natural(name: str) -> tuple[float, str]:
    try:
        return float(name), name
    except ValueError:
        return math.inf, name


def _places(values: pd.Series, names: tuple[str, ...]) -> NDArray[np.int64]:
    places = {name: place for place, name in enumerate(names)}
    found: NDArray[np.int64] = (
        values.map(places).fillna(places.get(OTHER, 0)).where(values.notna(), places.get(MISSING, 0)).to_numpy(np.int64)
    )
    return found


def _category(found: Found, names: tuple[str, ...], said: Correction) -> Column:
    missing = MISSING in names
    return Column(
        found.field,
        said.description or found.name,
        said.unit,
        kind="category",
        categories=names,
        missing="fill" if missing else "refuse",
        fill=MISSING if missing else None,
    )


def _text(found: Found, said: Correction) -> Column:
    missing = bool(found.missing)
    return Column(
        found.field,
        said.description or found.name,
        kind="text",
        missing="fill" if missing else "refuse",
        fill="" if missing else None,
    )


def _complete_first(test: Rows) -> Rows:
    """The first row is the features' example: one with every number, if there is one."""
    gaps = test.inputs[NUMBERS].isnan().sum(dim=1) if NUMBERS in test.inputs else torch.zeros(len(test))
    first = int(gaps.argmin())
    return test.take(torch.tensor([first, *(place for place in range(len(test)) if place != first)]))


def _hash(rows: Rows) -> str:
    texts = [np.frombuffer("\0".join(array.ravel()).encode(), np.uint8) for array in rows.texts.values()]
    return fingerprint(*(tensor.numpy() for tensor in rows.inputs.values()), *texts, rows.targets.numpy())
