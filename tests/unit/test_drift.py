"""How far what is seen lies from what was trained on: quiet on rows of the same kind, loud on others."""

import weakref
from typing import Any

import numpy as np
import pytest

from app.feature import Feature
from app.inference import drift
from app.inference.bins import MOST_CATEGORIES, Bins, bins_of, by_chance, of_categories, stability
from app.inference.drift import Drift, watched
from app.inference.signature import TensorSpec
from app.manifest import Manifest, Summary
from tests.manifests import manifest

RNG = np.random.default_rng

OUTPUT = [TensorSpec("y", "FP32", (None, 2))]

NUMBER = Feature(name="size", example=0)


def summary(values: np.ndarray, missing: float = 0.0, **more: Any) -> Summary:
    deciles = tuple(np.quantile(values, np.linspace(0, 1, 11)).tolist())
    at_most = tuple(float((values <= decile).mean()) for decile in deciles)
    told = {"mean": values.mean(), "standard_deviation": values.std(), "deciles": deciles, "at_most": at_most}
    return Summary(**{**told, "missing": missing, **more})


def described(**more: Any) -> Manifest:
    """A model with a number, a category and a label."""
    trained = RNG(0).normal(size=10_000)
    features = [
        {"name": "size", "kind": "number", "missing": "nan", "example": 0},
        {"name": "colour", "kind": "category", "categories": ["red", "blue"], "example": "red"},
    ]
    found = manifest(
        inputs=[{"tensor": "x", "features": features}],
        outputs=[{"tensor": "y", "kind": "probabilities", "name": "kind", "labels": ["oak", "elm"], **more}],
        golden={"inputs": {"x": [[0, 0]]}, "outputs": {"y": [[1, 0]]}, "tolerance": 1e-6},
    )
    summaries = {"size": summary(trained, missing=0.1), "colour": Summary(shares={"red": 0.7, "blue": 0.3}, missing=0)}
    answered = Summary(shares={"oak": 0.5, "elm": 0.5}, missing=0)
    data = found.data.model_copy(update={"rows": {"train": 10_000, "validation": 5000}})
    return found.model_copy(update={"summaries": summaries, "predictions": {"y": answered}, "data": data})


def watching(**more: Any) -> Drift:
    return Drift(watched(described(**more), OUTPUT))


def rows(count: int, *, moved: float = 0.0, missing: float = 0.1, red: float = 0.7) -> np.ndarray:
    random = RNG(1)
    size = random.normal(moved, size=count)
    size[random.random(count) < missing] = np.nan
    return np.stack([size, (random.random(count) >= red).astype(float)], axis=1).astype(np.float32)


def count(watched: Drift) -> None:
    """What has been seen."""
    second = watched.take()
    assert second
    watched.count(second)


def told(watched: Drift, inputs: np.ndarray, elm: float = 0.5) -> dict[str, drift.Told]:
    """After these rows, as many at a time as one second takes."""
    second = (RNG(2).random(len(inputs)) < elm).astype(np.float32)
    outputs = np.stack([1 - second, second], axis=1)
    for start in range(0, len(inputs), drift.ROWS_A_SECOND):
        part = slice(start, start + drift.ROWS_A_SECOND)
        watched.see({"x": inputs[part]}, {"y": outputs[part]}, len(inputs[part]))
        count(watched)
    return {one.name: one for one in watched.told()}


def moved(one: drift.Told) -> bool:
    assert one.stability is not None
    assert one.chance is not None
    return one.stability > max(0.1, one.chance)


def test_rows_of_the_same_kind_are_no_drift() -> None:
    found = told(watching(), rows(2000))
    assert {name: one.kind for name, one in found.items()} == {"size": "feature", "colour": "feature", "kind": "answer"}
    assert all(one.rows == 2000 and one.stability is not None and one.stability < 0.03 for one in found.values())
    assert found["size"].missing == pytest.approx(0.1, abs=0.03)
    assert found["size"].outside is not None
    assert found["size"].outside < 0.005


@pytest.mark.parametrize(
    ("name", "changed", "elm"),
    [("size", {"moved": 1.0}, 0.5), ("size", {"missing": 0.5}, 0.5), ("colour", {"red": 0.4}, 0.5), ("kind", {}, 0.9)],
)
def test_what_has_changed_is_told_and_the_rest_is_quiet(name: str, changed: dict[str, float], elm: float) -> None:
    found = told(watching(), rows(2000, **changed), elm)
    level = found[name].stability
    assert level is not None
    assert level > 0.25
    assert {one.name for one in found.values() if moved(one)} == {name}


def test_few_rows_tell_no_index() -> None:
    assert told(watching(), rows(drift.FEWEST_ROWS - 1))["size"].stability is None
    assert told(watching(), rows(drift.FEWEST_ROWS))["size"].stability is not None


def test_nothing_is_told_before_anything_came() -> None:
    assert watching().take() is None
    assert watching().told() == []


def test_no_more_is_kept_than_a_second_has_room_for() -> None:
    watched = watching()
    for _ in range(5):
        watched.see({"x": rows(1000)}, {"y": np.ones((1000, 2), np.float32)}, 1000)
    count(watched)
    assert {one.rows for one in watched.told()} == {drift.ROWS_A_SECOND}


def test_of_large_rows_few_are_kept_and_let_go_of_once_they_are_counted() -> None:
    pixels = 2**18  # a row of a MiB
    image = {"name": "image", "shape": [pixels], "example": 0}
    found = described().model_copy(
        update={
            "inputs": manifest(inputs=[{"tensor": "x", "features": [image]}]).inputs,
            "summaries": {"image": summary(np.linspace(0, 1, 100))},
        }
    )
    watched_pixels, held = Drift(watched(found, OUTPUT)), []
    for _ in range(4):
        inputs = np.zeros((6, pixels), np.float32)
        held.append(weakref.ref(inputs))
        watched_pixels.see({"x": inputs}, {"y": np.ones((6, 2), np.float32)}, 6)
    del inputs
    assert [one() is not None for one in held] == [True, False, False, False]
    count(watched_pixels)
    assert held[0]() is None
    assert watched_pixels.told()[0].rows == 3


def test_rows_are_taken_from_all_parts_of_a_large_run() -> None:
    inputs = rows(drift.ROWS_A_SECOND * 10, missing=0.0)
    inputs[: len(inputs) // 2, 0] = 100
    watched = watching()
    watched.see({"x": inputs}, {"y": np.ones((len(inputs), 2), np.float32)}, len(inputs))
    count(watched)
    assert watched.told()[0].outside == 0.5


def test_values_outside_of_all_that_was_trained_on_are_counted() -> None:
    inputs = rows(1000, missing=0.0)
    inputs[:250, 0] = 100
    assert told(watching(), inputs)["size"].outside == pytest.approx(0.25, abs=0.01)


def test_refused_values_are_counted_by_their_features() -> None:
    watched = watching()
    watched.refuse(["colour", "colour", "nobody"])
    count(watched)
    assert {one.name: one.refused for one in watched.told()} == {"size": 0, "colour": 2, "kind": 0}


def test_categories_sent_by_name_may_be_unknown() -> None:
    colour = {"name": "colour", "kind": "category", "categories": ["red", "blue"], "example": "red"}
    found = described().model_copy(update={"inputs": manifest(inputs=[{"tensor": "x", "features": [colour]}]).inputs})
    watched_names = Drift(watched(found, OUTPUT))
    names = np.array([["red"], ["blue"], ["pink"], ["red"]], object)
    watched_names.see({"x": names}, {"y": np.ones((4, 2), np.float32)}, 4)
    count(watched_names)
    [colours] = [one for one in watched_names.told() if one.name == "colour"]
    assert (colours.bins, colours.seen) == (("red", "blue", "(unknown)"), (0.5, 0.25, 0.25))
    assert (colours.unknown, colours.outside) == (0.25, None)


def test_what_stands_for_a_missing_value_counts_as_missing() -> None:
    size = Feature(name="size", missing="fill", fill=0.1, example=0)
    bins = bins_of(summary(np.linspace(0, 1, 100)), size)
    assert bins
    assert bins.missing(np.array([0.1, 0.2, 0.1], np.float32)) == 2
    colour = Feature(name="c", kind="category", categories=("red", "none"), missing="fill", fill="none", example="red")
    bins = bins_of(Summary(shares={"red": 0.5, "none": 0.5}, missing=0), colour)
    assert bins
    assert bins.missing(np.array([0, 1, 1, 1], np.float32)) == 3


def test_the_label_is_the_one_that_the_threshold_gives() -> None:
    watched = watching(threshold=0.2)
    watched.see({"x": rows(100)}, {"y": np.tile(np.array([0.7, 0.3], np.float32), (100, 1))}, 100)
    count(watched)
    [answer] = [one for one in watched.told() if one.kind == "answer"]
    assert answer.seen == (0.0, 1.0, 0.0)


def test_a_value_of_many_rows_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(6000), RNG(0).uniform(0.1, 1, 4000)])
    bins = bins_of(summary(values), NUMBER)
    assert bins
    assert (bins.names[0], bins.names[-1]) == ("up to 0", "(missing)")
    assert bins.names[-2] == bins.names[-3].replace("up to", "above")
    assert bins.expected[0] == pytest.approx(0.6)
    assert bins.expected.sum() == pytest.approx(1)
    assert stability(bins.count(RNG(1).permutation(values)[:2000]), bins.expected) < 0.02


@pytest.mark.parametrize("often", [0.25, 0.35, 0.45])
def test_deciles_alone_are_no_edges_where_many_rows_have_one_value(often: float) -> None:
    """As in manifests that were written before `at_most`."""
    values = np.concatenate([np.full(int(10_000 * often), 0.5), RNG(0).uniform(0, 1, int(10_000 * (1 - often)))])
    bins = bins_of(summary(values, at_most=None), NUMBER)
    assert bins
    assert "up to 0.5" not in bins.names
    assert bins.expected.sum() == pytest.approx(1)
    assert stability(bins.count(RNG(1).permutation(values)[:2000]), bins.expected) < 0.02


def test_one_value_alone_compares_with_nothing() -> None:
    zeros = bins_of(summary(np.zeros(100)), NUMBER)
    assert zeros
    assert not zeros.compares


@pytest.mark.parametrize("trained", [264, 5000])
def test_the_index_of_equal_distributions_is_rarely_above_chance(trained: int) -> None:
    random, above = RNG(3), 0
    for _ in range(1000):
        bins = bins_of(summary(random.normal(size=trained)), NUMBER)
        assert bins
        level = stability(bins.count(random.normal(size=500)), bins.expected)
        above += level > by_chance(bins.expected, 500, trained)
    assert above <= 5


def test_rare_categories_share_a_bin() -> None:
    names = [f"c{number}" for number in range(100)]
    bins: Bins = of_categories(Summary(shares=dict.fromkeys(names, 0.01), missing=0), names)
    assert len(bins.names) == MOST_CATEGORIES + 2
    assert bins.count(np.arange(100)).sum() == 100
    assert stability(bins.count(np.arange(100).repeat(20)), bins.expected) < 0.01


def test_a_manifest_of_before_has_no_answers_to_compare_with() -> None:
    before = described().model_copy(update={"predictions": {}})
    assert Drift(watched(before, OUTPUT)).kinds == {"feature"}
    assert watched(before.model_copy(update={"summaries": {}}), OUTPUT) == []
