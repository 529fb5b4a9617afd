"""Open Inference Protocol v2 bodies, byte for byte."""

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
    return v2_codec.decode(orjson.dumps(request), SIGNATURE)


def test_an_answer_is_written_to_the_byte() -> None:
    asked = decode(id="a", inputs=[X], model_name="clients send more keys")
    assert v2_codec.encode("m", 3, asked, OUTPUTS) == (
        b'{"model_name":"m","model_version":"3","id":"a","outputs":['
        b'{"name":"y","datatype":"FP32","shape":[1,2],"data":[1.5,0.1]},'
        b'{"name":"n","datatype":"INT64","shape":[1],"data":[7]}]}'
    )


def test_outputs_come_in_the_order_asked_for_and_an_id_only_if_one_was_sent() -> None:
    asked = decode(inputs=[X], outputs=[{"name": "n"}, {"name": "y"}])
    answer = orjson.loads(v2_codec.encode("m", 1, asked, OUTPUTS))
    assert [output["name"] for output in answer["outputs"]] == ["n", "y"]
    assert "id" not in answer


def test_a_timeout_is_in_microseconds_and_zero_asks_for_none() -> None:
    assert decode(inputs=[X], parameters={"timeout": 1500}).timeout_s == 0.0015
    assert decode(inputs=[X], parameters={"timeout": 0}).timeout_s is None


def test_an_empty_list_of_outputs_asks_for_all() -> None:
    assert decode(inputs=[X], outputs=[]).outputs == ()


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
        ({"inputs": [{**X, "shape": [1, 2.0]}]}, "x: shape"),
        ({"inputs": [{**X, "shape": [1] * 65, "data": [1]}]}, "x: shape"),
        ({"inputs": [{**X, "shape": [0, 2**62, 2**62], "data": []}]}, "x: shape"),
        ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, "x: no data"),
        ({"inputs": [{**X, "data": [1]}]}, "x: 1 elements, wanted 2"),
        ({"inputs": [{**X, "parameters": 3}]}, "x: parameters are a number, wanted an object"),
        ({"inputs": [X], "parameters": {"a": []}}, "the request: parameter a is a list, wanted a string"),
        ({"inputs": [X], "parameters": {"timeout": "1"}}, "parameter timeout: '1', wanted microseconds"),
        ({"inputs": [X], "parameters": {"timeout": -1}}, "parameter timeout: -1, wanted microseconds"),
        ({"inputs": [X], "id": 3}, "id: a number, wanted a string"),
        ({"inputs": [X], "outputs": [{"name": "z"}]}, r"outputs\[0\]: 'z', wanted one of y, n, each once"),
        ({"inputs": [X], "outputs": [{"name": "y"}, {"name": "y"}]}, r"outputs\[1\]: 'y', wanted"),
        ({"inputs": [X], "outputs": "y"}, "outputs: a string, wanted a list of objects"),
    ],
)
def test_a_malformed_request_is_told_what_was_wanted(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decode(**request_)


@pytest.mark.parametrize(
    "request_",
    [
        {"inputs": [X], "parameters": {"binary_data_output": True}},
        {"inputs": [X], "parameters": {"sequence_id": 3}},
        {"inputs": [{**X, "parameters": {"binary_data_size": 8}}]},
        {"inputs": [X], "outputs": [{"name": "y", "parameters": {"classification": 2}}]},
    ],
)
def test_a_parameter_that_changes_the_answer_is_refused_rather_than_ignored(request_: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="is not supported"):
        decode(**request_)


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
