"""JSON values to tensors: nothing lost, nothing cast in silence, every refusal in words."""

import json
import random
from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import InvalidInput
from app.inference.signature import DTYPES
from app.protocols.elements import check_depth, dump, flatten, nested_shape, parse, to_array

INTEGERS = [name for name in DTYPES if "INT" in name]


@pytest.mark.parametrize("datatype", INTEGERS)
def test_the_ends_of_every_integer_range_survive_and_one_beyond_is_refused(datatype: str) -> None:
    info = np.iinfo(DTYPES[datatype])  # type: ignore[type-var]
    assert to_array("x", [info.min, info.max], datatype).tolist() == [info.min, info.max]
    for beyond in (info.min - 1, info.max + 1):
        with pytest.raises(InvalidInput, match=rf"x\[1\]: {beyond}, wanted an integer from {info.min} to {info.max}"):
            to_array("x", [0, beyond], datatype)


@pytest.mark.parametrize(
    ("values", "datatype", "message"),
    [
        ([1, 2.5], "INT32", r"x\[1\]: 2.5, wanted an integer from -2147483648"),
        ([True], "INT32", r"x\[0\]: true, wanted an integer"),
        (["1"], "FP32", r"x\[0\]: a string, wanted a number \(FP32\)"),
        ([None], "FP32", r"x\[0\]: null, wanted a number"),
        ([True], "FP32", r"x\[0\]: true, wanted a number"),
        ([1.0, 1e39], "FP32", r"x\[1\]: 1e\+39 does not fit FP32"),
        ([70000], "FP16", r"x\[0\]: 70000 does not fit FP16"),
        ([2], "BOOL", r"x\[0\]: 2, wanted true or false"),
        ([0.5], "BOOL", r"x\[0\]: 0.5, wanted true or false"),
        ([1], "BYTES", r"x\[0\]: a number, wanted a string"),
        ([[1]], "FP32", r"x\[0\]: a list, wanted a number"),
        ([float("nan")], "INT8", r"x\[0\]: nan, wanted an integer"),
        ([-9223372036854775808.0], "INT64", "wanted an integer"),
    ],
)
def test_an_element_of_another_kind_is_refused_by_its_place(values: list[Any], datatype: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        to_array("x", values, datatype)


@pytest.mark.parametrize(
    ("values", "datatype", "wanted"),
    [
        ([2.0, -3], "INT8", [2, -3]),
        ([2**53 + 1], "INT64", [2**53 + 1]),
        ([2**64 - 1], "UINT64", [2**64 - 1]),
        ([1, 0, True, 1.0, 0.0], "BOOL", [True, False, True, True, False]),
        ([1, 0.5], "FP16", [1, 0.5]),
        ([float("inf")], "FP32", [float("inf")]),
        (["", "é"], "BYTES", ["", "é"]),
        ([], "FP64", []),
    ],
)
def test_what_a_datatype_can_hold_is_taken_as_it_is(values: list[Any], datatype: str, wanted: list[Any]) -> None:
    array = to_array("x", values, datatype)
    assert array.dtype == DTYPES[datatype]
    assert array.tolist() == wanted


@pytest.mark.parametrize(
    ("data", "shape"),
    [([1, 2, 3, 4], [2, 2]), ([[1, 2], [3, 4]], [2, 2]), ([[[1], [2]], [[3], [4]]], [2, 2, 1]), ([1, 2, 3, 4], [4])],
)
def test_flat_and_nested_data_fill_a_shape_row_by_row(data: list[Any], shape: list[int]) -> None:
    assert flatten("x", data, shape) == [1, 2, 3, 4]


@pytest.mark.parametrize(("data", "shape"), [([], [0, 3]), ([[], []], [2, 0])])
def test_a_shape_may_be_empty(data: list[Any], shape: list[int]) -> None:
    assert flatten("x", data, shape) == []


@pytest.mark.parametrize("data", [5, [5]])
def test_a_scalar_may_be_sent_bare_or_in_a_list(data: Any) -> None:
    assert flatten("x", data, []) == [5]


@pytest.mark.parametrize(
    ("data", "shape", "message"),
    [
        ([1, 2, 3], [2, 2], "3 elements, wanted 4"),
        ([[1, 2], [3]], [2, 2], r"do not have shape \[2, 2\]"),
        ([[1, 2], 3], [2, 2], r"do not have shape \[2, 2\]"),
        ([[1, 2, 3, 4]], [2, 2], r"do not have shape \[2, 2\]"),
        (5, [1], "a number, wanted a list of 1 elements"),
        (None, [2], "null, wanted a list of 2 elements"),
        ([], [0] * 33, "shape of 33 axes, wanted at most 32"),
        ([], [2**62, 0, 2**62], "wanted at most 268435456 elements"),
        ([], [2**20, 2**20, 0], "wanted at most 268435456 elements"),
    ],
)
def test_data_that_do_not_fill_the_shape_are_refused(data: Any, shape: list[int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        flatten("x", data, shape)


def test_nested_lists_tell_their_shape() -> None:
    assert nested_shape("x", [[[1], [2]]]) == (1, 2, 1)
    assert nested_shape("x", [[], []]) == (2, 0)
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(InvalidInput, match="wanted at most 32"):
        nested_shape("x", deep)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": NaN', "not JSON"),
        (b'{"a": 1e5, "b": Infinit}', "not JSON"),
        (b"[1]", "a list, wanted an object"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000 + b"NaN", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": NaN, "b": "\xed\xa0\x80"}', "not JSON"),
        (b'{"a": NaN, "b": 1' + b"0" * 400 + b"}", "too large a number"),
        (b'{"a": NaN, "b": 1e400}', "too large a number"),
        (b'{"a": NaN, "b": "\\ud800"}', "surrogates not allowed"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse(body)


def test_beside_a_token_integers_of_64_bits_stay_exact() -> None:
    largest = {"a": [18446744073709551615, -9223372036854775808, 9007199254740993, 1.5]}
    assert parse(b'{"b": NaN, ' + orjson.dumps(largest)[1:])["a"] == largest["a"]


def test_numbers_that_are_not_finite_travel_as_tokens_both_ways() -> None:
    read = parse(b'{"x": [NaN, Infinity, -Infinity, 1.5]}')["x"]
    assert dump({"x": np.array(read, np.float32)}) == b'{"x":[NaN,Infinity,-Infinity,1.5]}'
    assert dump({"x": [{"y": np.float32("nan")}]}) == b'{"x":[{"y":NaN}]}'


@pytest.mark.parametrize("datatype", [name for name in DTYPES if name != "BYTES"])
def test_an_array_of_every_datatype_is_written_so_that_it_reads_back_equal(datatype: str) -> None:
    array = np.array([0, 1], DTYPES[datatype])
    assert orjson.loads(dump({"x": array}))["x"] == array.tolist()


def test_an_answer_without_an_axis_and_integers_of_the_platforms_c_types_are_written() -> None:
    content = {"one": np.array(0.1, np.float32), "wide": np.longlong(2**63 - 1), "rows": [np.ulonglong(2**64 - 1)]}
    assert dump(content) == b'{"one":0.1,"wide":9223372036854775807,"rows":[18446744073709551615]}'


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


def grown(chance: random.Random, depth: int) -> Any:
    """A value of any kind, with texts full of what could be taken for structure."""
    kind = chance.choice(["list", "object", "text", "number"]) if depth else "text"
    if kind == "list":
        return [grown(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == "object":
        return {grown(chance, 0): grown(chance, depth - 1) for _ in range(chance.randrange(4))}
    return "".join(chance.choices('[]{}"\\a,:é', k=chance.randrange(6))) if kind == "text" else 1.5


@pytest.mark.parametrize("turn", range(300))
def test_the_depth_of_json_is_that_of_its_lists_and_objects_whatever_its_texts_hold(turn: int) -> None:
    chance = random.Random(turn)  # noqa: S311
    value = [grown(chance, 6) for _ in range(30)]
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5, separators=chance.choice([(",", ":"), (", ", ": ")]))
    depth = depth_of(value)
    check_depth(memoryview(text.encode()), depth)
    with pytest.raises(InvalidInput, match=f"nested {depth} deep, wanted at most {depth - 1}"):
        check_depth(text.encode(), depth - 1)
