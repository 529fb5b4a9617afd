"""What an input falls into, what stands where a part is absent, and how shares are told."""

from typing import Any

import numpy as np
import pytest

from app.inference.parts import Instance, Words, absent_row, grid, instance
from app.inference.signature import Tensors
from app.manifest import Manifest
from tests.manifests import HEIGHT, LENGTH, WIDTH, manifest

DECILES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def summary(*deciles: float) -> dict[str, Any]:
    return {"mean": 0, "standard_deviation": 0, "deciles": deciles or DECILES, "missing": 0}


def of(*features: dict[str, Any], golden: Any = ((1, 2, 3),), **summaries: dict[str, Any]) -> Manifest:
    rows = {"inputs": {"x": golden}, "outputs": {}, "tolerance": 0}
    described = [{"name": f"f{place}", "example": 0, **feature} for place, feature in enumerate(features)]
    return manifest(inputs=[{"tensor": "x", "features": described}], summaries=summaries, golden=rows)


def absent(described: Manifest, dtype: Any = np.float32) -> Any:
    return absent_row({"x": np.zeros((1, 1), dtype)}, described)["x"].tolist()


def apart(tensors: Tensors, described: Manifest | None, row: int = 0) -> Instance:
    return instance(tensors, row, absent_row(tensors, described), described)


def told(tensors: Tensors, described: Manifest | None, shares: Any) -> dict[str, Any]:
    one = apart(tensors, described)
    found = one.told(np.array(shares, np.float32))
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in found.items()}


def test_a_number_is_typically_the_median_of_its_training_rows_or_of_the_golden_ones() -> None:
    described = of(LENGTH, WIDTH, HEIGHT, golden=[[9, 1, 7], [9, 2, 2], [9, 8, 4]], length=summary())
    assert absent(described) == [[5, 2, 4]]
    assert absent(described, np.int64) == [[5, 2, 4]]


def test_what_is_typical_is_what_the_model_takes() -> None:
    described = of({"maximum": 3}, {"kind": "integer"}, f0=summary(), f1=summary(1, 1.6, 2))
    assert absent(described) == [[3, 2]]
    assert absent(of({"kind": "date"}, f0=summary(19000, 19000.5, 19001))) == [[19000]]
    missing = of({"missing": "nan"}, {"missing": "nan"}, golden=[[np.nan, np.nan], [4, np.nan]])
    assert str(absent(missing)) == "[[4.0, nan]]"


def test_a_category_is_typically_the_most_frequent_one() -> None:
    colour = {"kind": "category", "categories": ["red", "green", "blue"]}
    assert absent(of(colour, colour, golden=[[0, 1], [2, 2], [0, 2]], f1=summary(0, 1, 1.2, 2))) == [[0, 1]]
    assert absent(of(colour, golden=[["blue"], ["red"], ["blue"]]), object) == [["blue"]]


def test_an_image_is_black_a_sound_silent_and_a_text_empty() -> None:
    photo = {"kind": "image", "shape": [1, 2], "layout": "HW", "minimum": -1, "maximum": 1}
    assert absent(of(photo)) == [[[-1, -1]]]
    assert absent(of({"kind": "audio", "shape": [3], "sample_rate": 8000})) == [[0, 0, 0]]
    assert absent(of({"kind": "text"}, {"kind": "text"}), object) == [["", ""]]


def test_without_a_manifest_nothing_is_0_and_every_input_is_told_by_its_name() -> None:
    tensors = {"a": np.array([[1, 0, 2]], np.int64), "b": np.array([True])}
    assert {name: x.tolist() for name, x in absent_row(tensors, None).items()} == {"a": [[0, 0, 0]], "b": [False]}
    assert told(tensors, None, [1, 2, 3]) == {"a": [1, 0, 2], "b": 3}


def test_every_single_value_that_is_not_typical_is_a_part() -> None:
    described = of(LENGTH, WIDTH, HEIGHT, golden=[[1, 2, 3]])
    tensors = {"x": np.array([[1, 7, 8], [4, 2, 3]], np.float32)}
    first, second = (apart(tensors, described, row) for row in range(2))
    assert (first.parts, second.parts) == (2, 1)
    present = np.array([[True, True], [True, False], [False, False]])
    rows = first.rows(present)["x"]
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 7, 8], [1, 7, 3], [1, 2, 3]]
    assert {name: float(share) for name, share in first.told(np.array([0.5, 0.25])).items()} == {
        "length": 0,
        "width": 0.5,
        "height": 0.25,
    }


@pytest.mark.parametrize(
    ("layout", "shape"), [("HW", (16, 24)), ("CHW", (3, 16, 24)), ("HWC", (16, 24, 3)), ("CHW", (1, 16, 24))]
)
def test_an_image_falls_into_cells_of_all_its_channels_which_divide_their_share(
    layout: str, shape: tuple[int, ...]
) -> None:
    described = of({"kind": "image", "layout": layout, "shape": shape, "minimum": 0, "maximum": 9})
    image = np.full((1, *shape), 5, np.uint8)
    tensors = {"x": image}
    one = apart(tensors, described)
    assert one.parts == 64
    present = np.ones((2, 64), np.bool_)
    present[1, 9] = False  # of the second row and the second column
    whole, perturbed = one.rows(present)["x"]
    assert np.array_equal(whole, image[0])
    height, width = layout.index("H"), layout.index("W")
    dark = np.argwhere(perturbed == 0)
    assert set(dark[:, height]) == {2, 3}
    assert set(dark[:, width]) == {3, 4, 5}
    assert len(dark) == 2 * 3 * described.features[0].image_size[2]
    found = np.array(one.told(np.arange(64.0))["f0"])
    assert found.shape == (16, 24)
    assert found[2:4, 3:6].tolist() == [[1.5, 1.5, 1.5]] * 2
    assert found.sum() == pytest.approx(np.arange(64.0).sum())


def test_black_cells_are_no_parts() -> None:
    described = of({"kind": "image", "layout": "HW", "shape": [8, 8], "minimum": 0, "maximum": 9})
    image = np.zeros((1, 8, 8), np.float32)
    image[0, 2, 3] = image[0, 7, 7] = 4
    found = np.array(told({"x": image}, described, [1, 2])["f0"])
    assert np.argwhere(found).tolist() == [[2, 3], [7, 7]]


@pytest.mark.parametrize(("samples", "slices"), [(800, 20), (30, 20), (3, 3)])
def test_a_sound_falls_into_slices(samples: int, slices: int) -> None:
    described = of({"kind": "audio", "shape": [samples], "sample_rate": 8000})
    tensors = {"x": np.ones((1, samples), np.float32)}
    one = apart(tensors, described)
    rows = one.rows(np.eye(slices, dtype=np.bool_))["x"]
    assert rows.sum(axis=0).tolist() == [1] * samples
    assert told(tensors, described, range(slices)) == {"f0": list(range(slices))}


@pytest.mark.parametrize(
    ("shape", "parts"), [((5,), 5), ((1000,), 64), ((1, 30, 30), 64), ((9, 9, 9), 64), ((2, 3), 6), ((0,), 0), ((), 1)]
)
def test_an_array_falls_into_no_more_than_64_blocks(shape: tuple[int, ...], parts: int) -> None:
    tensors = {"x": np.ones((1, *shape), np.float32)}
    one = apart(tensors, None)
    assert one.parts == parts
    assert one.rows(np.zeros((2, parts), np.bool_))["x"].shape == (2, *shape)
    assert np.sum(told(tensors, None, [2] * parts)["x"]) == pytest.approx(2 * parts, abs=1e-4)


def test_a_text_falls_into_words_that_keep_the_space_between_them() -> None:
    words = Words("said", " not  bad\nat all ")
    [every], [some], [none] = words.rows(np.array([[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0]], np.bool_))
    assert (every, some, none) == (" not  bad\nat all ", " not all ", "")
    assert words.told(np.array([4.0, 3.0, 2.0, 1.0])) == {"said": [["not", 4], ["bad", 3], ["at", 2], ["all", 1]]}


@pytest.mark.parametrize(("text", "parts"), [("", 0), (" \n", 1), ("one", 1)])
def test_a_text_without_words_is_one_part_or_none(text: str, parts: int) -> None:
    words = Words("said", text)
    assert len(words.differs) == parts
    assert words.rows(np.ones((1, parts), np.bool_)).tolist() == [[text]]


def test_texts_and_categories_of_one_tensor_are_parts_side_by_side() -> None:
    colour = {"kind": "category", "categories": ["red", "blue"]}
    described = of({"kind": "text"}, colour, golden=[["", "red"]])
    tensors = {"x": np.array([["so it is", "blue"]], object)}
    assert told(tensors, described, [1, 2, 3, 4]) == {"f0": [["so", 1], ["it", 2], ["is", 3]], "f1": 4}


def test_a_missing_value_is_as_typical_as_another_one() -> None:
    described = of({"missing": "nan"}, {"missing": "nan"}, golden=[[np.nan, 1]])
    tensors = {"x": np.array([[np.nan, np.nan]], np.float32)}
    assert told(tensors, described, [3]) == {"f0": 0, "f1": 3}


def test_stretches_are_as_equal_as_can_be() -> None:
    assert np.bincount(grid((23,), 8)).tolist() == [3, 3, 3, 3, 3, 3, 3, 2]
