"""V1 bodies: named features in, named predictions out, every wrong value told by its place."""

from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import InvalidInput, OutsideDomain
from app.inference.domain import check_domains, domains
from app.inference.signature import Signature, TensorSpec
from app.protocols import v1_codec, v1_predictions
from app.protocols.media import MediaLimits
from tests.manifests import HEIGHT, LENGTH, manifest

LIMITS = MediaLimits(10_000, 10_000)
ROW = {"length": 1.5, "width": 2, "height": 3}
X = TensorSpec("x", "FP32", ("batch", 3))
Y = TensorSpec("y", "FP32", ("batch", 3))
SIGNATURE = Signature((X,), (Y,), batched=True)
RAW = Signature((TensorSpec("a", "FP32", ("n", 2)), TensorSpec("b", "INT64", ("n",))), (Y,), batched=True)
LEAF = manifest()
IMAGE = manifest(inputs=[{"tensor": "x", "features": [{"name": "image", "shape": [2, 2], "example": 0, "maximum": 9}]}])
IMAGE_SIGNATURE = Signature((TensorSpec("x", "FP32", ("batch", 2, 2)),), (Y,), batched=True)
FRUIT = {"name": "fruit", "kind": "category", "categories": ["fig", "kiwi"], "example": "fig"}


def decode(instances: Any, signature: Signature = SIGNATURE, described: Any = LEAF) -> dict[str, Any]:
    asked = v1_codec.decode(orjson.dumps({"instances": instances}), signature, described, LIMITS)
    assert (asked.rows, asked.columns) == (len(instances), False)
    return listed(asked)


def listed(asked: v1_codec.PredictRequest) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in asked.tensors.items()}


def by_rows(rows: int) -> v1_codec.PredictRequest:
    return v1_codec.PredictRequest({}, rows, columns=False)


def columns(inputs: Any, signature: Signature, described: Any) -> v1_codec.PredictRequest:
    return v1_codec.decode(orjson.dumps({"inputs": inputs}), signature, described, LIMITS)


def test_named_features_become_columns_in_the_manifests_order() -> None:
    assert decode([{"height": 3, "width": 2.0, "length": 1.5}, ROW]) == {"x": [[1.5, 2, 3], [1.5, 2, 3]]}


def test_a_feature_with_a_shape_is_the_whole_tensor() -> None:
    assert decode([{"image": [[1, 2], [3, 4]]}], IMAGE_SIGNATURE, IMAGE) == {"x": [[[1, 2], [3, 4]]]}


def test_a_category_enters_a_tensor_of_numbers_as_its_place_and_one_of_texts_as_itself() -> None:
    described = manifest(inputs=[{"tensor": "x", "features": [FRUIT]}])
    numbers = Signature((TensorSpec("x", "INT64", ("n", 1)),), (Y,), batched=True)
    texts = Signature((TensorSpec("x", "BYTES", ("n", 1)),), (Y,), batched=True)
    assert decode([{"fruit": "kiwi"}], numbers, described) == {"x": [[1]]}
    assert decode([{"fruit": "kiwi"}], texts, described) == {"x": [["kiwi"]]}
    with pytest.raises(InvalidInput, match=r"instances\[0\].fruit: 'plum', wanted one of fig, kiwi"):
        decode([{"fruit": "plum"}], numbers, described)


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ([ROW, {**ROW, "length": "1.5"}], r"instances\[1\].length: '1.5', wanted 0 to 50 mm"),
        ([{**ROW, "length": None}], r"instances\[0\].length: null, wanted 0 to 50 mm"),
        ([{**ROW, "length": True}], r"instances\[0\].length: True, wanted 0 to 50 mm"),
        ([{**ROW, "height": 2.5}], r"instances\[0\].height: 2.5, wanted an integer"),
        ([{"length": 1, "width": 1}], r"instances\[0\].height: missing, wanted an integer"),
        ([{**ROW, "weight": 1}], r"instances\[0\].weight: unknown field"),
        ([[1, 2, 3]], r"instances\[0\]: a list, wanted an object of height, length, width"),
        ([], "instances: empty, wanted at least one row"),
        ({}, "instances: an object, wanted a list"),
    ],
)
def test_a_wrong_instance_is_told_by_its_place_and_its_field(instances: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decode(instances)


@pytest.mark.parametrize("body", [b"{}", b'{"instances": [1], "inputs": [1]}', b'{"instance": [1]}'])
def test_a_body_asks_by_rows_or_by_columns_and_not_both(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="wanted either"):
        v1_codec.decode(body, SIGNATURE, None, LIMITS)


def test_columns_are_whole_tensors_without_a_manifest_and_are_answered_as_such() -> None:
    asked = columns([[1, 2, 3], [4, 5, 6]], SIGNATURE, None)
    assert listed(asked) == {"x": [[1, 2, 3], [4, 5, 6]]}
    assert listed(columns({"a": [[1, 2]], "b": [3]}, RAW, None)) == {"a": [[1, 2]], "b": [3]}
    y, z = np.array([[1.5]], np.float32), np.array(["a", "b"], object)
    assert v1_predictions.encode({"y": y}, asked, None) == b'{"outputs":[[1.5]]}'
    assert v1_predictions.encode({"y": y, "z": z}, asked, None) == b'{"outputs":{"y":[[1.5]],"z":["a","b"]}}'
    for wrong in ([[1, 2]], {"a": [[1, 2]]}, {"a": [[1, 2]], "b": [3], "c": []}):
        with pytest.raises(InvalidInput, match="inputs: wanted an object of a, b"):
            columns(wrong, RAW, None)


def test_columns_are_features_with_a_manifest_and_fields_are_answered() -> None:
    asked = columns({"length": [1.5, 2], "width": [2, 3], "height": [3, 4]}, SIGNATURE, LEAF)
    assert listed(asked) == {"x": [[1.5, 2, 3], [2, 3, 4]]}
    outputs = {"y": np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], np.float32)}
    assert v1_predictions.encode(outputs, asked, LEAF) == b'{"outputs":{"label":["elm","oak"],"probability":[0.7,0.5]}}'
    with pytest.raises(InvalidInput, match="same number of rows: length has 1, width has 2"):
        columns({"length": [1], "width": [1, 2]}, SIGNATURE, LEAF)
    with pytest.raises(InvalidInput, match="each a list with one value a row"):
        columns({"length": 1}, SIGNATURE, LEAF)


def test_up_to_ten_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        decode([{**ROW, "length": "x", "width": "x"}] * 8)
    assert str(refused.value).count("wanted") == 10


@pytest.mark.parametrize("image", [[[1, 2], [3]], [1, 2, 3], [[1, "2"], [3, 4]], 3])
def test_a_misshapen_image_is_refused_by_its_instance(image: Any) -> None:
    with pytest.raises(InvalidInput, match=r"instances\[0\].image"):
        decode([{"image": image}], IMAGE_SIGNATURE, IMAGE)


def test_values_outside_their_range_are_told_in_the_words_of_the_body() -> None:
    checks = domains(manifest().inputs, SIGNATURE.inputs)
    with pytest.raises(OutsideDomain) as outside:
        check_domains(checks, {"x": np.array([[1, 2, 3], [-2, float("nan"), 3]], np.float32)})
    assert str(outside.value) == "x[1, 0] (length): -2, wanted 0 to 50 mm; x[1, 1] (width): NaN, wanted 0 mm or more"
    assert str(v1_codec.outside(outside.value.violations, manifest(), by_rows(2))) == (
        "instances[1].length: -2, wanted 0 to 50 mm; instances[1].width: NaN, wanted 0 mm or more"
    )


def test_a_pixel_outside_its_range_is_told_by_its_place_in_the_image() -> None:
    with pytest.raises(OutsideDomain) as outside:
        check_domains(domains(IMAGE.inputs, IMAGE_SIGNATURE.inputs), {"x": np.array([[[1, 2], [3, 10]]], np.float32)})
    assert (
        str(v1_codec.outside(outside.value.violations, IMAGE, by_rows(1)))
        == "instances[0].image[1][1]: 10, wanted 9 or less"
    )


def test_a_value_equal_to_a_bound_is_inside_though_floats_round_it() -> None:
    bounded = manifest(
        inputs=[
            {"tensor": "x", "features": [{**LENGTH, "minimum": 0.1, "maximum": 0.7}, HEIGHT, {**HEIGHT, "name": "z"}]}
        ]
    )
    check_domains(domains(bounded.inputs, SIGNATURE.inputs), {"x": np.array([[0.1, 0, 0], [0.7, 0, 0]], np.float32)})


def test_without_a_manifest_an_instance_is_a_value_or_an_object_of_inputs() -> None:
    assert decode([[1, 2, 3]], SIGNATURE, None) == {"x": [[1, 2, 3]]}
    assert decode([{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}], RAW, None) == {"a": [[1, 2], [4, 5]], "b": [3, 6]}
    with pytest.raises(InvalidInput, match=r"instances\[1\]: wanted an object of a, b"):
        decode([{"a": [1, 2], "b": 3}, {"a": [1, 2]}], RAW, None)
    with pytest.raises(InvalidInput, match="do not have shape"):
        decode([[1, 2, 3], [1, 2]], SIGNATURE, None)


def test_predictions_have_a_label_and_its_probability() -> None:
    outputs = {"y": np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], np.float32)}
    assert v1_predictions.encode(outputs, by_rows(2), manifest()) == (
        b'{"predictions":[{"label":"elm","probability":0.7},{"label":"oak","probability":0.5}]}'
    )


def test_predictions_of_a_value_have_its_name() -> None:
    described = manifest(outputs=[{"tensor": "y", "kind": "value", "name": "size"}])
    assert v1_predictions.encode({"y": np.array([[1.5], [2]], np.float32)}, by_rows(2), described) == (
        b'{"predictions":[{"size":1.5},{"size":2.0}]}'
    )


def test_predictions_without_a_manifest_are_rows_or_objects_of_outputs() -> None:
    one, two = np.array([[1, 2], [3, 4]], np.int64), np.array(["a", "b"], object)
    assert orjson.loads(v1_predictions.encode({"y": one}, by_rows(2), None)) == {"predictions": [[1, 2], [3, 4]]}
    assert orjson.loads(v1_predictions.encode({"y": one, "z": two}, by_rows(2), None)) == {
        "predictions": [{"y": [1, 2], "z": "a"}, {"y": [3, 4], "z": "b"}]
    }
    with pytest.raises(InvalidInput, match="not a row an instance; ask for columns"):
        v1_predictions.encode({"y": one}, by_rows(3), None)
