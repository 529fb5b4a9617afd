"""Clients that others wrote, unmodified: Triton's own, on sockets, greenlets and asyncio, and any that compresses."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import httpx
import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.http import aio
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
    graphs.add_to_repository(folder, "slow", graphs.slow())
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


def array_of(datatype: str) -> np.ndarray:
    return np.array(SAMPLES.get(datatype, [[1, 2], [3, 127]]), DTYPES[datatype])


def texts_as_arrays(got: np.ndarray) -> np.ndarray:
    """Binary texts come back as bytes."""
    if got.dtype != object:
        return got
    texts = [text.decode() if isinstance(text, bytes) else text for text in got.ravel()]
    return np.array(texts, object).reshape(got.shape)


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
def test_the_asyncio_client_gets_every_datatype_back(service: httpx.Client, algorithm: str | None) -> None:
    cases = [c for c in product(graphs.ONNX_TYPES, (True, False), (True, False)) if c[:2] != ("FP16", False)]

    async def trip(client: aio.InferenceServerClient, datatype: str, binary_in: bool, binary_out: bool) -> np.ndarray:
        answer = await client.infer(
            f"same-{datatype}",
            [as_input("x", array_of(datatype), datatype, binary_in)],
            outputs=[aio.InferRequestedOutput("y", binary_data=binary_out)],
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        return texts_as_arrays(answer.as_numpy("y"))

    async def trips() -> list[np.ndarray]:
        async with aio.InferenceServerClient(f"{service.base_url.host}:{service.base_url.port}") as client:
            return await asyncio.gather(*(trip(client, *case) for case in cases))

    for case, got in zip(cases, asyncio.run(trips()), strict=True):
        np.testing.assert_array_equal(got, array_of(case[0]), err_msg=str(case))


def test_the_asyncio_client_sees_the_server_and_gets_errors_with_their_status(service: httpx.Client) -> None:
    async def calls() -> list[Any]:
        async with aio.InferenceServerClient(f"{service.base_url.host}:{service.base_url.port}") as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("add", "1")
            assert not await client.is_model_ready("nobody")
            metadata = await client.get_model_metadata("add")
            x = as_input("x", np.zeros((1, 2), np.float32), "FP32", True)
            wrong: list[Any] = []
            for model in ("nobody", "add"):
                with pytest.raises(InferenceServerException) as refused:
                    await client.infer(model, [x])
                wrong.append(refused.value)
            return [metadata["outputs"], *((error.status(), error.message()) for error in wrong)]

    outputs, unknown, refused = asyncio.run(calls())
    assert [one["name"] for one in outputs] == ["total", "difference"]
    assert unknown[0] == "404"
    assert refused == ("400", "unknown input x; the model takes a, b")


def test_a_hundred_asyncio_calls_at_once_each_get_their_own_answer(service: httpx.Client) -> None:
    arrays = [np.random.default_rng(i).standard_normal((1 + i % 5, 2)).astype(np.float32) for i in range(100)]

    async def call(client: aio.InferenceServerClient, seed: int) -> Any:
        x = arrays[seed]
        inputs = [as_input("a", x, "FP32", True), as_input("b", 2 * x, "FP32", seed % 2 == 0)]
        return await client.infer("add", inputs, request_id=str(seed))

    async def calls() -> list[Any]:
        async with aio.InferenceServerClient(f"{service.base_url.host}:{service.base_url.port}") as client:
            return await asyncio.gather(*(call(client, seed) for seed in range(100)))

    for seed, answer in enumerate(asyncio.run(calls())):
        assert answer.get_response()["id"] == str(seed)
        np.testing.assert_array_equal(answer.as_numpy("total"), arrays[seed] + 2 * arrays[seed])


@pytest.mark.parametrize("datatype", graphs.ONNX_TYPES)
def test_a_tensor_without_rows_comes_back_without_rows(client: triton.InferenceServerClient, datatype: str) -> None:
    nothing = np.zeros((0, 2), DTYPES[datatype])
    for binary_in, binary_out in product((True, False) if datatype != "FP16" else (True,), (True, False)):
        wanted = triton.InferRequestedOutput("y", binary_data=binary_out)
        answer = client.infer(f"same-{datatype}", [as_input("x", nothing, datatype, binary_in)], outputs=[wanted])
        assert answer.get_output("y")["shape"] == [0, 2]
        assert answer.as_numpy("y").size == 0


@pytest.mark.parametrize("kind", [np.object_, np.bytes_])
def test_texts_of_every_kind_come_back_byte_for_byte(client: triton.InferenceServerClient, kind: type) -> None:
    texts = ["", "a\0b", "日本語", "\U0001f600", "x" * 70_000, '"\\\n']
    array: np.ndarray = np.array([[text.encode() for text in texts[i : i + 2]] for i in (0, 2, 4)], kind)
    answer = client.infer("same-BYTES", [as_input("x", array, "BYTES", True)])
    assert answer.as_numpy("y").tolist() == [[text.encode() for text in texts[i : i + 2]] for i in (0, 2, 4)]


def test_custom_parameters_headers_versions_and_outputs_in_another_order(client: triton.InferenceServerClient) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 3, 2)).astype(np.float32)
    answer = client.infer(
        "add",
        [as_input("a", a, "FP32", True), as_input("b", b, "FP32", True)],
        model_version="1",
        outputs=[triton.InferRequestedOutput("difference", binary_data=False), triton.InferRequestedOutput("total")],
        request_id="öne",
        headers={"X-Request-ID": "mine"},
        query_params={"ignored": "1"},
        parameters={"note": "text", "factor": 1.5, "flag": True},
        priority=2,
        timeout=30_000_000,
    )
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("öne", "add", "1")
    assert [output["name"] for output in told["outputs"]] == ["difference", "total"]
    np.testing.assert_array_equal(answer.as_numpy("difference"), a - b)
    np.testing.assert_array_equal(answer.as_numpy("total"), a + b)


def test_a_request_that_it_writes_and_an_answer_that_it_reads_need_no_client(service: httpx.Client) -> None:
    x = array_of("INT64")
    content, length = triton.InferenceServerClient.generate_request_body([as_input("x", x, "INT64", True)])
    headers = {"Inference-Header-Content-Length": str(length)}
    answer = service.post("/v2/models/same-INT64/infer", content=content, headers=headers)
    parse = triton.InferenceServerClient.parse_response_body
    read = parse(answer.content, header_length=int(answer.headers["Inference-Header-Content-Length"]))
    np.testing.assert_array_equal(read.as_numpy("y"), x)


X = np.zeros((1, 2), np.float32)
UNKNOWN, CLASSES = triton.InferRequestedOutput("z"), triton.InferRequestedOutput("y", class_count=1)
TEXTS, NO_TEXTS = np.array([[b"a", b""]], object), np.array([[b"\xff", b""]], object)


@pytest.mark.parametrize(
    ("model", "array", "datatype", "more", "status", "sentence"),
    [
        ("nobody", X, "FP32", {}, "404", "no model 'nobody'"),
        ("same-FP32", X, "FP32", {"model_version": "9"}, "404", "model same-FP32 has no version 9; versions: 1"),
        ("same-FP32", X.astype(np.float64), "FP64", {}, "400", "x: datatype FP64, wanted FP32"),
        ("same-FP32", X[0], "FP32", {}, "400", "x: shape [2], wanted [-1, 2]"),
        ("add", X, "FP32", {}, "400", "unknown input x; the model takes a, b"),
        ("same-FP32", X, "FP32", {"outputs": [UNKNOWN]}, "400", "outputs[0]: 'z', wanted one of y"),
        ("same-BYTES", NO_TEXTS, "BYTES", {}, "400", "x[0]: not UTF-8: invalid start byte"),
        ("same-BYTES", TEXTS, "BYTES", {"outputs": [CLASSES]}, "400", "wanted an output of numbers, not BYTES"),
        ("same-FP32", X, "FP32", {"parameters": {"nested": [1]}}, "400", "parameter nested is a list"),
        ("same-FP32", X, "FP32", {"sequence_id": 3, "sequence_start": True}, "501", "models with state are not served"),
        ("slow", X[:, :1], "FP32", {"timeout": 1000}, "504", "no answer from slow within 0.001 s"),
    ],
)
def test_an_error_carries_its_status_and_its_sentence(
    client: triton.InferenceServerClient,
    model: str,
    array: np.ndarray,
    datatype: str,
    more: dict[str, Any],
    status: str,
    sentence: str,
) -> None:
    for asynchronous in (False, True):
        sent = [as_input("x", array, datatype, True)]
        with pytest.raises(InferenceServerException) as refused:
            client.async_infer(model, sent, **more).get_result() if asynchronous else client.infer(model, sent, **more)
        assert refused.value.status() == status
        assert sentence in refused.value.message()
