"""Clients that others wrote, unmodified: Triton's own, and any that compresses."""

import gzip
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import httpx
import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from app.inference.signature import DTYPES
from tests import graphs
from tests.manifests import manifest
from tests.serving import serving

SAMPLES = {
    "BOOL": [[True, False], [False, True]],
    "BYTES": [["a", "é"], ["", "b" * 1000]],
    "FP16": [[0.5, -65504], [np.nan, 2]],
    "FP32": [[0.1, np.inf], [np.nan, -2]],
    "INT64": [[2**63 - 1, -(2**63)], [2**53 + 1, 0]],
    "UINT64": [[2**64 - 1, 0], [1, 2]],
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    for datatype in graphs.ONNX_TYPES:
        graphs.add_to_repository(folder, f"same-{datatype}", graphs.identity(datatype))
    graphs.add_to_repository(folder, "add", graphs.add())
    graphs.add_to_repository(folder, "wide", graphs.identity("FP32", ("batch", 50_000)))
    place = graphs.add_to_repository(folder, "leaf", graphs.double())
    (place / "manifest.json").write_text(manifest().model_dump_json())
    with serving(folder) as client:
        yield client


@pytest.fixture
def client(service: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"{service.base_url.host}:{service.base_url.port}", concurrency=8) as client:
        yield client


def as_input(name: str, array: np.ndarray, datatype: str, binary: bool) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def test_triton_sees_a_live_server_its_models_and_their_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("add")
    assert client.is_model_ready("add", "1")
    assert not client.is_model_ready("nobody")
    assert client.get_server_metadata()["name"] == "headrace"
    assert [one["name"] for one in client.get_model_metadata("add")["inputs"]] == ["a", "b"]
    with pytest.raises(InferenceServerException, match="no model 'nobody'"):
        client.get_model_metadata("nobody")


@pytest.mark.parametrize(
    ("datatype", "binary_in", "binary_out"),
    # this client sends FP16 in binary only
    [case for case in product(graphs.ONNX_TYPES, (True, False), (True, False)) if case[:2] != ("FP16", False)],
)
def test_every_datatype_makes_the_round_trip(
    client: triton.InferenceServerClient, datatype: str, binary_in: bool, binary_out: bool
) -> None:
    array = np.array(SAMPLES.get(datatype, [[1, 2], [3, 127]]), DTYPES[datatype])
    wanted = triton.InferRequestedOutput("y", binary_data=binary_out)
    answer = client.infer(f"same-{datatype}", [as_input("x", array, datatype, binary_in)], outputs=[wanted])
    got = answer.as_numpy("y")
    if datatype == "BYTES" and binary_out:
        got = np.array([text.decode() for text in got.ravel()], object).reshape(got.shape)
    np.testing.assert_array_equal(got, array)


def test_mixed_inputs_default_outputs_and_compression_both_ways(client: triton.InferenceServerClient) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 500, 2)).astype(np.float32)
    for algorithm in (None, "gzip", "deflate"):
        answer = client.infer(
            "add",
            [as_input("b", b, "FP32", False), as_input("a", a, "FP32", True)],
            request_id="one",
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        np.testing.assert_array_equal(answer.as_numpy("total"), a + b)
        np.testing.assert_array_equal(answer.as_numpy("difference"), a - b)
        assert answer.get_response()["id"] == "one"


def test_classes_timeouts_and_priorities_are_honoured(client: triton.InferenceServerClient) -> None:
    x = as_input("x", np.array([[1, 3, 2]], np.float32), "FP32", True)
    wanted = triton.InferRequestedOutput("y", class_count=2)
    answer = client.infer("leaf", [x], outputs=[wanted], priority=1, timeout=10_000_000)
    assert answer.as_numpy("y").tolist() == [[b"6.000000:1:elm", b"4.000000:2:ash"]]
    with pytest.raises(InferenceServerException, match="models with state are not served"):
        client.infer("leaf", [x], sequence_id=7, sequence_start=True)


def test_many_asynchronous_calls_each_get_their_own_answer(client: triton.InferenceServerClient) -> None:
    arrays = [np.full((1 + i % 4, 2), i, np.float32) for i in range(64)]
    calls = [
        client.async_infer("add", [as_input("a", x, "FP32", True), as_input("b", x, "FP32", i % 2 == 0)])
        for i, x in enumerate(arrays)
    ]
    for x, call in zip(arrays, calls, strict=True):
        np.testing.assert_array_equal(call.get_result().as_numpy("total"), 2 * x)


@pytest.mark.parametrize(
    ("accept", "used"), [("gzip", "gzip"), ("deflate", "deflate"), ("gzip;q=0, *", "deflate"), ("br", None)]
)
def test_answers_are_compressed_as_the_caller_accepts(service: httpx.Client, accept: str, used: str | None) -> None:
    rows = [[i % 50, i + 0.5, 1] for i in range(200)]
    x = {"name": "x", "shape": [200, 3], "datatype": "FP32", "data": rows}
    body = json.dumps({"inputs": [x]}).encode()
    packed = gzip.compress(body) if used == "gzip" else zlib.compress(body) if used else body
    headers = {"accept-encoding": accept} | ({"content-encoding": used} if used else {})
    answer = service.post("/v2/models/leaf/infer", content=packed, headers=headers)
    assert answer.headers.get("content-encoding") == used
    assert answer.json()["outputs"][0]["data"] == [2 * value for row in rows for value in row]


def test_eight_callers_with_large_binary_tensors_get_them_back(service: httpx.Client) -> None:
    address = f"{service.base_url.host}:{service.base_url.port}"

    def call(seed: int) -> bool:
        x = np.random.default_rng(seed).standard_normal((4, 50_000)).astype(np.float32)
        with triton.InferenceServerClient(address) as client:
            answer = client.infer("wide", [as_input("x", x, "FP32", True)])
            return bool(np.array_equal(answer.as_numpy("y"), x))

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(8)))
