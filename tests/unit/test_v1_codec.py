"""V1 bodies: named features in, named predictions out, every wrong value told by its place."""

from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import InvalidInput, MediaTooLarge, OutsideDomain
from app.inference.domain import check_domains, domains
from app.inference.signature import Signature, TensorSpec
from app.protocols import v1_codec, v1_predictions
from app.protocols.allowance import BodyLimits
from tests.manifests import HEIGHT, LENGTH, WIDTH, manifest
from tests.media import b64, noise, picture, sound

LIMITS = BodyLimits(10_000, 10_000)
ROW = {"length": 1.5, "width": 2, "height": 3}
X = TensorSpec("x", "FP32", ("batch", 3))
Y = TensorSpec("y", "FP32", ("batch", 3))
SIGNATURE = Signature((X,), (Y,), batched=True)
RAW = Signature((TensorSpec("a", "FP32", ("n", 2)), TensorSpec("b", "INT64", ("n",))), (Y,), batched=True)
LEAF = manifest()
IMAGE = manifest(inputs=[{"tensor": "x", "features": [{"name": "image", "shape": [2, 2], "example": 0, "maximum": 9}]}])
IMAGE_SIGNATURE = Signature((TensorSpec("x", "FP32", ("batch", 2, 2)),), (Y,), batched=True)
PIXELS = {"name": "photo", "kind": "image", "shape": [2, 2], "layout": "HW", "minimum": 0, "maximum": 255, "example": 0}
PHOTO = manifest(inputs=[{"tensor": "x", "features": [PIXELS]}])
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


DAY = {"name": "day", "kind": "date", "example": "2024-02-29", "minimum": 0}


def test_a_date_enters_its_tensor_as_the_days_since_1970() -> None:
    described = manifest(inputs=[{"tensor": "x", "features": [{**DAY, "missing": "nan"}, WIDTH]}])
    signature = Signature((TensorSpec("x", "FP32", ("n", 2)),), (Y,), batched=True)
    instances = [{"day": "1970-01-01", "width": 1}, {"day": "2024-02-29", "width": 1}, {"day": None, "width": 1}]

    days = decode(instances, signature, described)["x"]
    assert [row[0] for row in days[:2]] == [0, 19782] and np.isnan(days[2][0])


@pytest.mark.parametrize(
    "wrong", ["2023-02-29", "29.02.2024", "20240229", "2024-02-29T10:00", 19782, True, {"b64": ""}]
)
def test_what_is_no_date_is_told_what_one_is(wrong: object) -> None:
    described = manifest(inputs=[{"tensor": "x", "features": [DAY]}])
    signature = Signature((TensorSpec("x", "INT64", ("n", 1)),), (Y,), batched=True)
    with pytest.raises(InvalidInput, match=r"^instances\[0\].day: .*, wanted a date, 1970-01-01 or more$"):
        decode([{"day": wrong}], signature, described)


def test_a_date_out_of_range_and_half_a_day_are_told_as_dates_by_every_protocol() -> None:
    described = manifest(inputs=[{"tensor": "x", "features": [DAY]}])
    where = domains(described.inputs, [TensorSpec("x", "FP32", ("n", 1))])

    with pytest.raises(OutsideDomain) as refused:
        check_domains(where, {"x": np.array([[-1], [0.5], [np.nan], [1e7], [1]], np.float32)})
    assert [violation.fact for violation in refused.value.violations] == [
        "1969-12-31, wanted a date, 1970-01-01 or more",
        "0.5, wanted a date, 1970-01-01 or more",
        "NaN, wanted a date, 1970-01-01 or more",
        "1e+07, wanted a date, 1970-01-01 or more",
    ]


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


def refusal(instances: Any, signature: Signature = SIGNATURE, described: Any = LEAF) -> list[str]:
    """What is told of each problem."""
    with pytest.raises(InvalidInput) as refused:
        decode(instances, signature, described)
    return str(refused.value).split("; ")


def test_up_to_ten_problems_are_told_at_once() -> None:
    assert len(refusal([{**ROW, "length": "x", "width": "x"}] * 8)) == 10


def test_problems_of_all_kinds_are_told_together_in_the_order_of_the_instances() -> None:
    wrong = [
        {"length": 1, "width": 2},
        {**ROW, "width": "x"},
        ROW,
        {**ROW, "length": 51, "height": None},
        [1],
        {**ROW, "height": 2.5, "weight": 1},
        {"width": -1},
    ]
    assert refusal(wrong) == [
        "instances[0].height: missing, wanted an integer",
        "instances[1].width: 'x', wanted 0 mm or more",
        "instances[3].height: null, wanted an integer",
        "instances[3].length: 51, wanted 0 to 50 mm",
        "instances[4]: a list, wanted an object of height, length, width",
        "instances[5].weight: unknown field",
        "instances[5].height: 2.5, wanted an integer",
        "instances[6].length: missing, wanted 0 to 50 mm",
        "instances[6].height: missing, wanted an integer",
        "instances[6].width: -1, wanted 0 mm or more",
    ]


def test_ten_problems_are_the_first_ten() -> None:
    told = refusal([{**ROW, "height": "x"}] * 6 + [{**ROW, "length": -1}] + [{**ROW, "height": "x"}] * 90)
    assert [line.split(":")[0] for line in told] == [
        *(f"instances[{row}].height" for row in range(6)),
        "instances[6].length",
        *(f"instances[{row}].height" for row in (7, 8, 9)),
    ]
    assert len(refusal([1] * 50)) == 10


def test_in_columns_a_wrong_value_is_told_by_its_column() -> None:
    with pytest.raises(InvalidInput) as refused:
        columns({"length": [1, "2"], "width": [-1, None], "weight": [1, 1]}, SIGNATURE, LEAF)
    assert str(refused.value).split("; ") == [
        "inputs.weight: unknown field",
        "inputs.height: missing, wanted a list, each an integer",
        "inputs.width[0]: -1, wanted 0 mm or more",
        "inputs.length[1]: '2', wanted 0 to 50 mm",
        "inputs.width[1]: null, wanted 0 mm or more",
    ]


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


def test_an_output_that_lies_across_memory_is_written_with_as_few_digits_as_any() -> None:
    across = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32).T
    assert v1_predictions.encode({"y": across}, by_rows(2), None) == b'{"predictions":[[0.1,0.3],[0.2,0.4]]}'


def test_of_many_rows_one_number_that_is_not_finite_is_found() -> None:
    described = manifest(outputs=[{"tensor": "y", "kind": "value", "name": "size"}])
    sizes = np.full((1000, 1), 0.5, np.float32)
    sizes[700] = np.inf
    written = v1_predictions.encode({"y": sizes}, by_rows(1000), described)
    assert written.count(b'{"size":0.5}') == 999
    assert b'{"size":Infinity}' in written


SPARSE = manifest(
    inputs=[
        {
            "tensor": "x",
            "features": [
                {**LENGTH, "missing": "nan"},
                {**WIDTH, "missing": "fill", "fill": 3},
                {**FRUIT, "missing": "fill", "fill": "kiwi"},
            ],
        }
    ]
)


def test_a_missing_value_is_nan_or_what_the_manifest_fills_in_by_rows_and_by_columns() -> None:
    filled: list[list[float]] = [[1, 2, 0], [np.nan, 3, 1], [np.nan, 3, 1]]
    by_rows = [{"length": 1, "width": 2, "fruit": "fig"}, {}, {"length": None, "width": None, "fruit": None}]
    assert np.array_equal(decode(by_rows, SIGNATURE, SPARSE)["x"], filled, equal_nan=True)
    asked = columns(
        {"length": [1, None, None], "width": [2, None, None], "fruit": ["fig", None, None]}, SIGNATURE, SPARSE
    )
    assert np.array_equal(asked.tensors["x"].astype(float), filled, equal_nan=True)
    asked = columns({"length": [1, None]}, SIGNATURE, SPARSE)
    assert np.array_equal(asked.tensors["x"].astype(float), np.array([[1, 3, 1], [np.nan, 3, 1]]), equal_nan=True)


def test_nan_passes_the_ranges_of_a_feature_that_may_miss_and_of_no_other() -> None:
    checks = domains(SPARSE.inputs, SIGNATURE.inputs)
    check_domains(checks, {"x": np.array([[np.nan, 1, 1]], np.float32)})
    with pytest.raises(OutsideDomain, match=r"x\[0, 1\] \(width\): NaN, wanted 0 mm or more"):
        check_domains(checks, {"x": np.array([[np.nan, np.nan, 1]], np.float32)})


def test_a_block_has_to_be_there_and_its_elements_may_miss() -> None:
    block = {"name": "series", "shape": [3], "example": [1, 2, 3], "missing": "nan"}
    described = manifest(inputs=[{"tensor": "x", "features": [block]}])
    read = decode([{"series": [1, None, 3]}], SIGNATURE, described)
    assert np.array_equal(read["x"], [[1, np.nan, 3]], equal_nan=True)
    assert refusal([{}, {"series": None}], SIGNATURE, described) == [
        "instances[0].series: missing, wanted a list of 3, each a finite number",
        "instances[1].series: null, wanted a list of 3, each a finite number",
    ]


FRUITS = {**FRUIT, "name": "fruits", "shape": [3], "categories": ["none", "fig", "kiwi"], "example": ["fig"]}
BASKET = manifest(inputs=[{"tensor": "x", "features": [{**FRUITS, "missing": "fill", "fill": "none"}]}])
PLACES = Signature((TensorSpec("x", "INT64", ("n", 3)),), (Y,), batched=True)


def test_a_list_of_categories_may_end_early_where_the_manifest_fills_it_up() -> None:
    given = [["kiwi"], ["fig", None, "kiwi"], ["kiwi", "none"]]
    rows = [{"fruits": one} for one in given]
    filled = [[2, 0, 0], [1, 0, 2], [2, 0, 0]]
    assert decode(rows, PLACES, BASKET) == {"x": filled}
    assert columns({"fruits": given}, PLACES, BASKET).tensors["x"].tolist() == filled
    named = Signature((TensorSpec("x", "BYTES", ("n", 3)),), (Y,), batched=True)
    assert decode(rows[:1], named, BASKET) == {"x": [["kiwi", "none", "none"]]}


def test_a_list_of_categories_that_is_empty_too_long_or_of_others_is_refused_by_its_place() -> None:
    wanted = "wanted a list of 1 to 3, each one of none, fig, kiwi"
    assert refusal([{"fruits": []}, {"fruits": ["fig"] * 4}, {"fruits": "fig"}, {}], PLACES, BASKET) == [
        f"instances[0].fruits: 0 elements, {wanted}",
        f"instances[1].fruits: 4 elements, {wanted}",
        f"instances[2].fruits: 'fig', {wanted}",
        f"instances[3].fruits: missing, {wanted}",
    ]
    assert refusal([{"fruits": ["fig", "plum"]}], PLACES, BASKET) == [
        "instances[0].fruits[1]: 'plum', wanted one of none, fig, kiwi"
    ]


def test_a_list_of_categories_without_a_fill_has_its_full_length() -> None:
    described = manifest(inputs=[{"tensor": "x", "features": [FRUITS]}])
    told = "instances[0].fruits: 1 elements, wanted 3 for shape [3]"
    assert refusal([{"fruits": ["fig"]}], PLACES, described) == [told]


TEXT = {"name": "note", "kind": "text", "example": "x"}
TEXTS = Signature((TensorSpec("x", "BYTES", ("n", 1)),), (TensorSpec("raw_bytes", "BYTES", ("n", 1)),), batched=True)
LINE = Signature((TensorSpec("x", "BYTES", ("n",)),), (Y,), batched=True)
CAFE = {"b64": "Y2Fmw6k="}


@pytest.mark.parametrize(
    ("instances", "signature", "described"),
    [
        ([{"note": CAFE}], TEXTS, manifest(inputs=[{"tensor": "x", "features": [TEXT]}])),
        ([[CAFE]], TEXTS, None),
        ([["café"]], TEXTS, None),
        ([{"x": [CAFE]}], TEXTS, None),
    ],
)
def test_base64_may_stand_for_any_text(instances: Any, signature: Signature, described: Any) -> None:
    assert decode(instances, signature, described) == {"x": [["café"]]}


def test_base64_may_stand_for_a_whole_row_and_in_columns() -> None:
    assert decode([CAFE, "x"], LINE, None) == {"x": ["café", "x"]}
    assert listed(columns([CAFE], LINE, None)) == listed(columns({"x": [CAFE]}, LINE, None)) == {"x": ["café"]}
    scalar = Signature((TensorSpec("x", "BYTES", ()),), (Y,), batched=False)
    assert listed(columns(CAFE, scalar, None)) == {"x": "café"}
    named = manifest(inputs=[{"tensor": "x", "features": [TEXT]}])
    assert listed(columns({"note": [CAFE]}, TEXTS, named)) == {"x": [["café"]]}


@pytest.mark.parametrize("length", [0, 1, 2, 3, 3 * 2**18 - 1, 3 * 2**18, 3 * 2**18 + 1, 10**6])
def test_base64_of_any_length_is_read_whole(length: int) -> None:
    text = "".join(map(chr, np.random.default_rng(1).integers(32, 127, length)))
    assert decode([b64(text.encode())], LINE, None) == {"x": [text]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"b64": "Y2Fmw6k"}, "not base64: Incorrect padding"),
        ({"b64": "Y2Fm w6k="}, "not base64: "),
        ({"b64": "\u00e9"}, "not base64: "),
        ({"b64": "YQ==YQ=="}, "not base64: padding before the end"),
        ({"b64": "/w=="}, "base64 of bytes that are not UTF-8: invalid start byte at 0"),
        ({"b64": 1}, "b64 is a number, wanted a string of base64"),
        ({"b64": "", "more": 1}, "unknown key more beside b64, wanted b64 alone"),
    ],
)
def test_base64_that_is_none_is_told_by_its_place(value: Any, message: str) -> None:
    described = manifest(inputs=[{"tensor": "x", "features": [TEXT]}])
    assert refusal([{"note": "a"}, {"note": value}], TEXTS, described)[0].startswith(f"instances[1].note: {message}")
    assert refusal([["a"], [value]], TEXTS, None)[0].startswith(f"instances[1][0]: {message}")


def test_without_a_manifest_a_wrong_element_is_told_by_its_place() -> None:
    assert refusal([[1, "2", 3], [4, 5, None]], SIGNATURE, None) == [
        "instances[0][1]: a string, wanted a number (FP32)",
        "instances[1][2]: null, wanted a number (FP32)",
    ]
    rows = [{"a": [1, 2], "b": 3}, {"a": [1, "2"], "b": 3.5}]
    assert refusal(rows, RAW, None) == ["instances[1].a[1]: a string, wanted a number (FP32)"]
    with pytest.raises(InvalidInput, match=r"inputs.b\[0\]: 3.5, wanted an integer"):
        columns({"a": [[1, 2]], "b": [3.5]}, RAW, None)


def test_texts_whose_output_is_called_bytes_are_answered_as_base64() -> None:
    outputs = {"raw_bytes": np.array([["café"], ["x"]], object), "plain": np.array(["a", "b"], object)}
    assert orjson.loads(v1_predictions.encode(outputs, by_rows(2), None))["predictions"][0] == {
        "raw_bytes": [CAFE],
        "plain": "a",
    }
    asked = v1_codec.PredictRequest({}, 0, columns=True)
    assert orjson.loads(v1_predictions.encode({"raw_bytes": outputs["raw_bytes"]}, asked, None)) == {
        "outputs": [[CAFE], [{"b64": "eA=="}]]
    }


def test_all_probabilities_are_answered_on_request() -> None:
    outputs = {"y": np.array([[0.25, 0.75, 0]], np.float32)}
    everything = {"oak": 0.25, "elm": 0.75, "ash": 0}
    for key, rows, answer in (("instances", [ROW], "predictions"), ("inputs", {name: [1] for name in ROW}, "outputs")):
        body = orjson.dumps({key: rows, "parameters": {"probabilities": True}, "signature_name": "serving_default"})
        asked = v1_codec.decode(body, SIGNATURE, LEAF, LIMITS)
        told = orjson.loads(v1_predictions.encode(outputs, asked, LEAF))[answer]
        if key == "instances":
            assert told == [{"label": "elm", "probability": 0.75, "probabilities": everything}]
        else:
            assert told == {"label": ["elm"], "probability": [0.75], "probabilities": [everything]}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"parameters": {"shade": 1}}, "parameters: unknown shade, wanted some of probabilities"),
        ({"parameters": {"probabilities": 1}}, "parameters.probabilities: a number, wanted true or false"),
        ({"parameters": []}, "parameters: a list, wanted an object"),
        ({"parameters": None}, "parameters: null, wanted an object"),
        ({"signature_name": "classify"}, "signature_name: 'classify', wanted 'serving_default' or none"),
        ({"signature_name": 1}, "signature_name: a number, wanted"),
    ],
)
def test_a_parameter_that_is_not_known_is_told(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        v1_codec.decode(orjson.dumps({"instances": [ROW], **extra}), SIGNATURE, LEAF, LIMITS)


def test_a_model_without_classes_cannot_be_asked_for_their_probabilities() -> None:
    body = orjson.dumps({"instances": [[1, 2, 3]], "parameters": {"probabilities": True}})
    with pytest.raises(InvalidInput, match="this model tells no probabilities"):
        v1_codec.decode(body, SIGNATURE, None, LIMITS)
    decode([[1, 2, 3]], SIGNATURE, None)


def test_two_tensors_are_filled_from_one_object() -> None:
    described = manifest(
        inputs=[
            {"tensor": "a", "features": [LENGTH, WIDTH]},
            {"tensor": "b", "features": [{**FRUIT}]},
            {"tensor": "c", "features": [TEXT]},
        ]
    )
    several = Signature(
        (TensorSpec("a", "FP32", ("n", 2)), TensorSpec("b", "INT64", ("n", 1)), TensorSpec("c", "BYTES", ("n", 1))),
        (Y,),
        batched=True,
    )
    row = {"note": CAFE, "fruit": "kiwi", "width": 2, "length": 1}
    assert decode([row], several, described) == {"a": [[1, 2]], "b": [[1]], "c": [["café"]]}
    assert refusal([{**row, "length": 60, "note": 1}, {**row, "fruit": "plum"}], several, described) == [
        "instances[0].note: 1, wanted a text",
        "instances[0].length: 60, wanted 0 to 50 mm",
        "instances[1].fruit: 'plum', wanted one of fig, kiwi",
    ]


def test_a_number_that_the_tensor_cannot_hold_is_told_by_its_field() -> None:
    small = Signature((TensorSpec("x", "UINT8", ("n", 3)),), (Y,), batched=True)
    assert refusal([{**ROW, "length": 1}, {**ROW, "length": 1, "height": 300}], small, LEAF) == [
        "instances[1].height: 300, wanted an integer from 0 to 255 (UINT8)"
    ]


def test_an_image_is_the_same_as_a_file_and_as_numbers_in_floats_and_in_integers() -> None:
    pixels = noise(2, 2)
    for datatype in ("FP32", "UINT8"):
        taken = Signature((TensorSpec("x", datatype, ("n", 2, 2)),), (Y,), batched=True)
        read = decode([{"photo": b64(picture(pixels))}, {"photo": pixels.tolist()}], taken, PHOTO)
        assert read == {"x": [pixels.tolist()] * 2}


def test_wrong_images_are_told_beside_each_other() -> None:
    file = b64(picture(noise(2, 2)))
    wrong = [{"photo": file}, {"photo": b64(b"x")}, {"photo": "x"}, {}, {"photo": [[1, 2], [3, 256]]}, {"photo": {}}]
    assert refusal(wrong, IMAGE_SIGNATURE, PHOTO) == [
        "instances[1].photo: not a PNG, JPEG or WebP image",
        "instances[2].photo: 'x', wanted {\"b64\": a PNG, JPEG or WebP image} or 2 x 2 numbers, 0 to 255",
        'instances[3].photo: missing, wanted {"b64": a PNG, JPEG or WebP image} or 2 x 2 numbers, 0 to 255',
        "instances[4].photo[1][1]: 256, wanted 0 to 255",
        'instances[5].photo: an object, wanted {"b64": "<base64>"}',
    ]


def test_images_of_one_request_share_its_limit() -> None:
    file = b64(picture(noise(40, 50)))
    decode([{"photo": file}] * 5, IMAGE_SIGNATURE, PHOTO)
    with pytest.raises(MediaTooLarge):
        decode([{"photo": file}] * 6, IMAGE_SIGNATURE, PHOTO)


def test_a_sound_is_the_same_as_a_file_and_as_numbers_and_a_short_one_ends_in_silence() -> None:
    feature = {"name": "clip", "kind": "audio", "shape": [4], "sample_rate": 16_000, "example": [0, 0, 0, 0]}
    described = manifest(inputs=[{"tensor": "x", "features": [feature]}])
    taken = Signature((TensorSpec("x", "FP32", ("n", 4)),), (Y,), batched=True)
    read = decode(
        [{"clip": b64(sound([0.5, -1], 16_000))}, {"clip": [0.5, -1]}, {"clip": [0.5, -1, 0, 0]}], taken, described
    )
    assert read == {"x": [[0.5, -1, 0, 0]] * 3}
    assert refusal([{"clip": [0] * 5}, {"clip": []}, {"clip": [2]}], taken, described) == [
        'instances[0].clip: 5 numbers, wanted {"b64": a WAV, FLAC, OGG or MP3 sound} or up to 4 numbers, -1 to 1',
        'instances[1].clip: 0 numbers, wanted {"b64": a WAV, FLAC, OGG or MP3 sound} or up to 4 numbers, -1 to 1',
        "instances[2].clip[0]: 2, wanted -1 to 1",
    ]


@pytest.mark.parametrize(
    ("body", "described", "holds"),
    [
        (b'{"instances": [{"photo": {"b64": ""}}]}', PHOTO, True),
        (b'{"instances": [{"photo": {"\\u006264": ""}}]}', PHOTO, True),
        (b'{"instances": [{"photo": [[1, 2], [3, 4]]}]}', PHOTO, False),
        (b'{"instances": [{"b64": ""}]}', LEAF, False),
        (b'{"instances": [{"b64": ""}]}', None, False),
    ],
)
def test_a_body_that_may_hold_media_is_known_before_it_is_read(body: bytes, described: Any, holds: bool) -> None:
    assert (v1_codec.takes_files(described) and v1_codec.names_file(body)) is holds
