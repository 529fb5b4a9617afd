"""Open Inference Protocol v2 bodies, byte for byte."""

import tracemalloc
from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import InvalidInput, Unsupported
from app.inference.signature import Signature, Tensors, TensorSpec
from app.protocols import v2_codec

SIGNATURE = Signature(
    inputs=(TensorSpec("x", "FP32", ("batch", 2)),),
    outputs=(TensorSpec("y", "FP32", ("batch", 2)), TensorSpec("n", "INT64", ("batch",))),
    batched=True,
)
X = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
OUTPUTS: Tensors = {"y": np.array([[1.5, 0.1]], np.float32), "n": np.array([7], np.int64)}


def decode(**request: Any) -> v2_codec.InferRequest:
    return v2_codec.decode(orjson.dumps(request), None, SIGNATURE)


def with_blobs(request: dict[str, Any], *blobs: bytes) -> v2_codec.InferRequest:
    """A request with binary tensors behind its JSON."""
    head = orjson.dumps(request)
    return v2_codec.decode(head + b"".join(blobs), len(head), SIGNATURE)


def test_an_answer_is_written_to_the_byte() -> None:
    asked = decode(id="a", inputs=[X], model_name="clients send more keys")
    assert v2_codec.encode("m", 3, asked, OUTPUTS, {}).body == (
        b'{"model_name":"m","model_version":"3","id":"a","outputs":['
        b'{"name":"y","datatype":"FP32","shape":[1,2],"data":[1.5,0.1]},'
        b'{"name":"n","datatype":"INT64","shape":[1],"data":[7]}]}'
    )


def test_outputs_come_in_the_order_asked_for_and_an_id_only_if_one_was_sent() -> None:
    asked = decode(inputs=[X], outputs=[{"name": "n"}, {"name": "y"}])
    answer = orjson.loads(v2_codec.encode("m", 1, asked, OUTPUTS, {}).body)
    assert [output["name"] for output in answer["outputs"]] == ["n", "y"]
    assert "id" not in answer


def test_a_timeout_is_in_microseconds_and_zero_asks_for_none() -> None:
    assert decode(inputs=[X], parameters={"timeout": 1500}).timeout_s == 0.0015
    assert decode(inputs=[X], parameters={"timeout": 0}).timeout_s is None


def test_an_empty_list_of_outputs_asks_for_all() -> None:
    assert [wanted.name for wanted in decode(inputs=[X], outputs=[]).outputs] == ["y", "n"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "inputs: missing, wanted a list of objects"),
        ({"inputs": {}}, "inputs: an object, wanted a list of objects"),
        ({"inputs": [1]}, "inputs: a list, wanted a list of objects"),
        ({"inputs": [{}]}, r"inputs\[0\].name: null, wanted a string"),
        ({"inputs": [X, X]}, "input x is given twice"),
        ({"inputs": [{**X, "datatype": "FP33"}]}, "x: datatype 'FP33', wanted one of BOOL"),
        ({"inputs": [{**X, "datatype": [1]}]}, "x: datatype"),
        ({"inputs": [{**X, "shape": [1, -2]}]}, "x: shape .* wanted a list of integers that are 0 or more"),
        ({"inputs": [{**X, "shape": [True, 2]}]}, "x: shape"),
        ({"inputs": [{**X, "shape": [1] * 65, "data": [1]}]}, "x: shape"),
        ({"inputs": [{**X, "shape": [0, 2**62, 2**62], "data": []}]}, "x: shape"),
        ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, "x: no data"),
        ({"inputs": [{**X, "data": [1]}]}, "x: 1 elements, wanted 2"),
        ({"inputs": [{**X, "parameters": 3}]}, "x: parameters are a number, wanted an object"),
        ({"inputs": [X], "parameters": {"a": []}}, "the request: parameter a is a list, wanted a string"),
        ({"inputs": [X], "parameters": {"timeout": "1"}}, "parameter timeout: '1', wanted an integer from 0"),
        ({"inputs": [X], "parameters": {"timeout": -1}}, "parameter timeout: -1, wanted an integer from 0"),
        ({"inputs": [X], "parameters": {"timeout": 0.5}}, "parameter timeout: 0.5, wanted an integer from 0"),
        ({"inputs": [X], "parameters": {"priority": 1e30}}, "parameter priority: 1e[+]30, wanted an integer from 0"),
        ({"inputs": [{**X, "shape": [1.5, 2]}]}, r"x: shape \[1.5, 2\], wanted a list of integers"),
        ({"inputs": [X], "outputs": {}}, "outputs: an object, wanted a list of objects"),
        ({"inputs": [X], "outputs": False}, "outputs: false, wanted a list of objects"),
        ({"inputs": [X], "id": 3}, "id: a number, wanted a string"),
        ({"inputs": [X], "outputs": [{"name": "z"}]}, r"outputs\[0\]: 'z', wanted one of y, n, each once"),
        ({"inputs": [X], "outputs": [{"name": "y"}, {"name": "y"}]}, r"outputs\[1\]: 'y', wanted"),
        ({"inputs": [X], "outputs": "y"}, "outputs: a string, wanted a list of objects"),
    ],
)
def test_a_malformed_request_is_told_what_was_wanted(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decode(**request_)


def test_parameters_of_sequences_are_refused_rather_than_ignored() -> None:
    with pytest.raises(Unsupported, match="parameter sequence_start: models with state are not served"):
        decode(inputs=[X], parameters={"sequence_start": True})


BLOB = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
BYTES_OF_X = bytes.fromhex("0000c03f0000c0bf")  # 1.5, -1.5


def test_a_binary_tensor_is_a_view_of_the_body_where_it_lies_well() -> None:
    head = orjson.dumps({"inputs": [BLOB]})
    body = head.ljust(len(head) + -len(head) % 8) + BYTES_OF_X
    tensor = v2_codec.decode(body, len(body) - len(BYTES_OF_X), SIGNATURE).tensors["x"]
    assert tensor.tolist() == [[1.5, -1.5]]
    assert np.shares_memory(tensor, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(
    ("blobs", "request_", "message"),
    [
        ([BYTES_OF_X[:7]], {"inputs": [BLOB]}, "x: binary_data_size 8, the body has 7 more bytes"),
        ([BYTES_OF_X, b"!"], {"inputs": [BLOB]}, "1 bytes follow the last tensor, wanted none"),
        ([BYTES_OF_X], {"inputs": [{**BLOB, "shape": [1, 3]}]}, r"x: 8 bytes, wanted 12 for FP32 \[1, 3\]"),
        ([BYTES_OF_X], {"inputs": [{**BLOB, "data": [1, 2]}]}, "both data and binary_data_size"),
        ([BYTES_OF_X], {"inputs": [{**BLOB, "parameters": {"binary_data_size": -1}}]}, "wanted an integer from 0"),
        ([BYTES_OF_X], {"inputs": [{**BLOB, "shape": [0, 2**62, 2**62]}]}, "wanted at most 268435456 elements"),
        (
            [b"\x02"],
            {"inputs": [{**BLOB, "datatype": "BOOL", "shape": [1], "parameters": {"binary_data_size": 1}}]},
            "a byte of 2",
        ),
    ],
)
def test_bytes_that_are_not_the_tensor_are_refused(blobs: list[bytes], request_: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        with_blobs(request_, *blobs)


def test_a_binary_tensor_without_the_header_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the body has 0 more bytes"):
        decode(inputs=[BLOB])


def test_a_header_beyond_the_body_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Inference-Header-Content-Length: 9, the body has 2 bytes"):
        v2_codec.decode(b"{}", 9, SIGNATURE)


TEXTS = Signature((TensorSpec("x", "BYTES", ("n",)),), (TensorSpec("y", "BYTES", ("n",)),), batched=True)


def texts(blob: bytes, count: int) -> list[str]:
    size = {"binary_data_size": len(blob)}
    head = orjson.dumps({"inputs": [{"name": "x", "shape": [count], "datatype": "BYTES", "parameters": size}]})
    return v2_codec.decode(head + blob, len(head), TEXTS).tensors["x"].tolist()  # type: ignore[no-any-return]


def test_texts_are_walked_to_the_exact_end() -> None:
    assert texts(bytes.fromhex("02000000616200000000"), 2) == ["ab", ""]
    for blob, count, message in (
        ("020000006162000000", 2, "element 1 ends within its length"),
        ("0300000061", 1, "element 0 has 3 bytes, 1 are left"),
        ("0200000061620000", 1, "element 1 ends within"),
        ("020000006162", 2, "1 elements, wanted 2"),
        ("01000000ff", 1, r"x\[0\]: not UTF-8: invalid start byte"),
    ):
        with pytest.raises(InvalidInput, match=message):
            texts(bytes.fromhex(blob), count)


def test_binary_outputs_follow_the_json_in_the_order_asked_for() -> None:
    asked = decode(
        inputs=[X],
        outputs=[
            {"name": "n", "parameters": {"binary_data": True}},
            {"name": "y", "parameters": {"binary_data": False}},
        ],
        parameters={"binary_data_output": True},
    )
    answer = v2_codec.encode("m", 1, asked, OUTPUTS, {})
    assert answer.json_length is not None
    assert orjson.loads(answer.body[: answer.json_length])["outputs"] == [
        {"name": "n", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
        {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.5, 0.1]},
    ]
    assert answer.body[answer.json_length :] == (7).to_bytes(8, "little")


def test_a_raw_request_is_one_row_and_is_answered_in_bytes() -> None:
    asked = v2_codec.decode(BYTES_OF_X, 0, SIGNATURE)
    assert asked.tensors["x"].tolist() == [[1.5, -1.5]]
    assert all(wanted.binary for wanted in asked.outputs)
    free = Signature((TensorSpec("x", "FP32", ("n", "length")),), SIGNATURE.outputs, batched=True)
    assert v2_codec.decode(BYTES_OF_X * 2, 0, free).tensors["x"].shape == (1, 4)
    assert v2_codec.decode(b"whole", 0, TEXTS).tensors["x"].tolist() == ["whole"]
    with pytest.raises(InvalidInput, match="x: 7 bytes, wanted 8"):
        v2_codec.decode(BYTES_OF_X[:7], 0, SIGNATURE)
    wide = Signature((TensorSpec("x", "FP32", ("n", "h", "w")),), SIGNATURE.outputs, batched=True)
    with pytest.raises(InvalidInput, match="cannot tell the shape of x"):
        v2_codec.decode(BYTES_OF_X, 0, wide)


def test_classification_names_the_largest_values_with_their_places_and_labels() -> None:
    asked = decode(inputs=[X], outputs=[{"name": "y", "parameters": {"classification": 2}}])
    rows: Tensors = {"y": np.array([[0.25, 0.5, 0.25], [1, 0, 2]], np.float32)}
    answer = orjson.loads(v2_codec.encode("m", 1, asked, rows, {"y": ("a", "b")}).body)["outputs"][0]
    assert answer == {
        "name": "y",
        "datatype": "BYTES",
        "shape": [2, 2],
        "data": ["0.500000:1:b", "0.250000:0:a", "2.000000:2", "1.000000:0:a"],
    }


def test_metadata_write_free_axes_as_minus_one() -> None:
    assert v2_codec.metadata("m", [1, 3], SIGNATURE) == {
        "name": "m",
        "versions": ["1", "3"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "n", "datatype": "INT64", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize("dims", [("batch", 2), ("batch", 0), (2, 2), (None, 0)])
def test_a_raw_request_is_refused_where_one_text_does_not_fill_the_input(dims: tuple[int | str | None, ...]) -> None:
    signature = Signature((TensorSpec("x", "BYTES", dims),), SIGNATURE.outputs, batched=dims[0] == "batch")
    with pytest.raises(InvalidInput, match="a raw request holds one text; x takes"):
        v2_codec.decode(b"text", 0, signature)


def test_a_whole_number_is_an_integer_however_it_is_written_and_null_is_an_option_not_used() -> None:
    asked = decode(
        id=None,
        parameters={"timeout": 2e6, "priority": 1.0},
        inputs=[{**X, "shape": [1.0, 2], "parameters": None}],
        outputs=None,
    )
    assert (asked.timeout_s, asked.priority, asked.tensors["x"].shape) == (2, 1, (1, 2))
    assert [wanted.name for wanted in asked.outputs] == ["y", "n"]


def test_a_raw_request_without_a_body_is_told_so_but_for_a_text_which_is_the_empty_one() -> None:
    texts = Signature((TensorSpec("x", "BYTES", ("batch", None)),), SIGNATURE.outputs, batched=True)
    assert v2_codec.decode(b"", 0, texts).tensors["x"].tolist() == [[""]]
    signature = Signature((TensorSpec("x", "FP32", ("batch", None)),), SIGNATURE.outputs, batched=True)
    with pytest.raises(InvalidInput, match="the body has none"):
        v2_codec.decode(b"", 0, signature)


def test_an_answers_tensors_are_copied_once_into_its_body() -> None:
    tensor = np.zeros((4, 2**20), np.float32)
    asked = v2_codec.InferRequest(None, {}, (v2_codec.WantedOutput("y", binary=True),))
    tracemalloc.start()
    answer = v2_codec.encode("m", 1, asked, {"y": tensor}, {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(answer.body) > tensor.nbytes
    assert peak < 1.1 * tensor.nbytes
