"""How far what is seen lies from what was trained on: quiet on rows of the same kind, loud on others."""

from typing import Any

import numpy as np
import pytest

from app.inference import drift
from app.inference.drift import Drift, bins_of, stability
from app.manifest import Summary
from tests.manifests import manifest

RNG = np.random.default_rng


def summary(values: np.ndarray, missing: float = 0.0) -> Summary:
    deciles = tuple(np.quantile(values, np.linspace(0, 1, 11)).tolist())
    at_most = tuple(float((values <= decile).mean()) for decile in deciles)
    return Summary(
        mean=values.mean(), standard_deviation=values.std(), deciles=deciles, at_most=at_most, missing=missing
    )


def watching(**more: Any) -> Drift:
    """Of a model with a number, a category and a label."""
    trained = RNG(0).normal(size=10_000)
    features = [
        {"name": "size", "kind": "number", "missing": "nan", "example": 0},
        {"name": "colour", "kind": "category", "categories": ["red", "blue"], "example": "red"},
    ]
    described = manifest(
        inputs=[{"tensor": "x", "features": features}],
        outputs=[{"tensor": "y", "kind": "probabilities", "name": "kind", "labels": ["oak", "elm"], **more}],
        golden={"inputs": {"x": [[0, 0]]}, "outputs": {"y": [[1, 0]]}, "tolerance": 1e-6},
    )
    summaries = {"size": summary(trained, missing=0.1), "colour": Summary(shares={"red": 0.7, "blue": 0.3}, missing=0)}
    answered = Summary(shares={"oak": 0.5, "elm": 0.5}, missing=0)
    return Drift(described.model_copy(update={"summaries": summaries, "predictions": {"y": answered}}))


def rows(count: int, *, moved: float = 0.0, missing: float = 0.1, red: float = 0.7) -> np.ndarray:
    random = RNG(1)
    size = random.normal(moved, size=count)
    size[random.random(count) < missing] = np.nan
    return np.stack([size, (random.random(count) >= red).astype(float)], axis=1).astype(np.float32)


def told(watched: Drift, inputs: np.ndarray, elm: float = 0.5) -> dict[str, drift.Told]:
    """After these rows, as many at a time as one second takes."""
    second = (RNG(2).random(len(inputs)) < elm).astype(np.float32)
    outputs = np.stack([1 - second, second], axis=1)
    for start in range(0, len(inputs), drift.ROWS_A_SECOND):
        part = slice(start, start + drift.ROWS_A_SECOND)
        watched.see({"x": inputs[part]}, {"y": outputs[part]}, len(inputs[part]))
        watched.count()
    return {one.name: one for one in watched.told()}


def test_rows_of_the_same_kind_are_no_drift() -> None:
    found = told(watching(), rows(2000))
    assert {name: one.kind for name, one in found.items()} == {"size": "feature", "colour": "feature", "kind": "answer"}
    assert all(one.rows == 2000 and one.stability is not None and one.stability < 0.03 for one in found.values())
    assert found["size"].missing == pytest.approx(0.1, abs=0.03)
    assert found["size"].outside < 0.005


@pytest.mark.parametrize(
    ("name", "changed", "elm"),
    [("size", {"moved": 1.0}, 0.5), ("size", {"missing": 0.5}, 0.5), ("colour", {"red": 0.4}, 0.5), ("kind", {}, 0.9)],
)
def test_what_has_changed_is_told_and_the_rest_is_quiet(name: str, changed: dict[str, float], elm: float) -> None:
    found = told(watching(), rows(2000, **changed), elm)
    levels = {one.name: one.stability for one in found.values()}
    assert levels.pop(name) or 0 > 0.25
    assert all(level is not None and level < 0.05 for level in levels.values())


def test_few_rows_tell_no_index() -> None:
    assert told(watching(), rows(drift.FEWEST_ROWS - 1))["size"].stability is None
    assert told(watching(), rows(drift.FEWEST_ROWS))["size"].stability is not None


def test_no_more_is_kept_than_a_second_has_room_for() -> None:
    watched = watching()
    for _ in range(5):
        watched.see({"x": rows(1000)}, {"y": np.ones((1000, 2), np.float32)}, 1000)
    watched.count()
    assert {one.rows for one in watched.told()} == {drift.ROWS_A_SECOND}


def test_values_outside_of_all_that_was_trained_on_are_counted() -> None:
    inputs = rows(1000, missing=0.0)
    inputs[:250, 0] = 100
    assert told(watching(), inputs)["size"].outside == pytest.approx(0.25, abs=0.01)


def test_the_label_is_the_one_that_the_threshold_gives() -> None:
    watched = watching(threshold=0.2)
    watched.see({"x": rows(100)}, {"y": np.tile(np.array([0.7, 0.3], np.float32), (100, 1))}, 100)
    watched.count()
    [answer] = [one for one in watched.told() if one.kind == "answer"]
    assert answer.seen == (0.0, 1.0, 0.0)


def test_a_value_of_many_rows_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(6000), RNG(0).uniform(0.1, 1, 4000)])
    bins = bins_of(summary(values), ())
    assert bins
    assert bins.names[0] == "up to 0"
    assert bins.expected[0] == pytest.approx(0.6)
    assert bins.expected.sum() == pytest.approx(1)
    assert stability(bins.count(RNG(1).permutation(values)[:2000]), bins.expected) < 0.02


def test_rare_categories_share_a_bin() -> None:
    names = [f"c{number}" for number in range(100)]
    bins = bins_of(Summary(shares=dict.fromkeys(names, 0.01), missing=0), names)
    assert bins
    assert len(bins.names) == drift.MOST_CATEGORIES + 2
    assert bins.count(np.arange(100)).sum() == 100
    assert stability(bins.count(np.arange(100).repeat(20)), bins.expected) < 0.01
