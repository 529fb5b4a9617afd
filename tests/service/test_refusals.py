"""Whatever a caller does wrong is a 4xx with a sentence, and the service goes on."""

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests import graphs
from tests.manifests import manifest
from tests.serving import serving

LIMIT = 100_000
ROW = {"length": 1, "width": 2, "height": 3}
X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    place = graphs.add_to_repository(folder, "leaf", graphs.double())
    (place / "manifest.json").write_text(manifest().model_dump_json())
    graphs.add_to_repository(folder, "table", graphs.embedding())
    graphs.add_to_repository(folder, "zeros", graphs.zeros_of_any_size())
    graphs.add_to_repository(folder, "pairs", graphs.reshape_to_pairs())
    with serving(folder, max_body_bytes=LIMIT) as client:
        yield client


def v1(*instances: Any) -> bytes:
    return json.dumps({"instances": instances}).encode()


def v2(**changes: Any) -> bytes:
    return json.dumps({"inputs": [{**X, **changes}]}).encode()


PREDICT, INFER = "/v1/models/leaf:predict", "/v2/models/leaf/infer"


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (PREDICT, b"{", 400, "the body is not JSON: unexpected end of data: line 1 column 2 (char 1)"),
        (PREDICT, b"\x00\xff", 400, "the body is not JSON"),
        (INFER, b"", 400, "the body is not JSON"),
        ("/v1/models/oak:predict", v1(ROW), 404, "no model 'oak'; models: leaf, pairs, table, zeros"),
        ("/v2/models/oak/infer", v2(), 404, "no model 'oak'; models: leaf, pairs, table, zeros"),
        ("/v2/models/leaf/versions/2/infer", v2(), 404, "model leaf has no version 2; versions: 1"),
        ("/v2/models/leaf/versions/one/infer", v2(), 404, "model leaf has no version or label 'one'; labels: none"),
        (
            "/v2/models/leaf/versions/99999999999999999999/infer",
            v2(),
            404,
            "has no version or label '99999999999999999999'",
        ),
        ("/v2/models/..%2f..%2fetc/infer", v2(), 404, "no such path"),
        (INFER, v2(shape=[1, 2], data=[1, 2]), 400, "x: shape [1, 2], wanted [-1, 3]"),
        (INFER, v2(datatype="INT32"), 400, "x: datatype INT32, wanted FP32"),
        (INFER, v2(data=[1, 2, "3"]), 400, "x[2]: a string, wanted a number (FP32)"),
        (INFER, v2(name="y"), 400, "unknown input y; the model takes x"),
        (INFER, v2(data=[1, -2, 3]), 400, "x[0, 1] (width): -2, wanted 0 mm or more"),
        (INFER, v2(data=[1, float("nan"), 3]), 400, "x[0, 1] (width): NaN, wanted 0 mm or more"),
        (PREDICT, v1(ROW, {**ROW, "length": float("nan")}), 400, "instances[1].length: NaN, wanted 0 to 50 mm"),
        (PREDICT, v1({**ROW, "length": 51}), 400, "instances[0].length: 51, wanted 0 to 50 mm"),
        (PREDICT, v1({**ROW, "length": "4"}), 400, "instances[0].length: '4', wanted 0 to 50 mm"),
        (PREDICT, v1(ROW)[:-1] + b" " * LIMIT + b"}", 413, f"wanted at most {LIMIT} bytes"),
        (
            "/v1/models/table:predict",
            v1([4]),
            400,
            "the model refuses these values: indices element out of data bounds",
        ),
        (PREDICT, b'{"instances": [{"length": NaN, "width": 1' + b"0" * 400 + b"}]}", 400, "too large a number"),
        (INFER, b'{"id": "\\ud800", "inputs": NaN}', 400, "surrogates not allowed"),
        (INFER, v2(data=[1, 2, 2.5]), 400, "x[0, 2] (height): 2.5, wanted an integer"),
        (INFER, v2(data=[1, float("inf"), 2]), 400, "x[0, 1] (width): inf, wanted 0 mm or more"),
        (INFER, v2(data=[1, 2, 2**24]), 400, "1.67772e+07, wanted an integer, of those that FP32 holds exactly"),
        (PREDICT, v1({**ROW, "height": -(2**24)}), 400, "height: -1.67772e+07, wanted an integer, of those that FP32"),
        (INFER + "/", v2(), 404, "no such path: /v2/models/leaf/infer/"),
        ("/nowhere", b"", 404, "no such path: /nowhere"),
        ("/health/live", b"", 405, "method POST is not allowed on /health/live"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    client: httpx.Client, path: str, body: bytes, status: int, sentence: str
) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert sentence in answer.json()["error"]
    assert "/onnxruntime" not in answer.text
    assert client.post(PREDICT, content=v1(ROW)).status_code == 200


def test_a_get_of_a_prediction_is_told_that_it_takes_a_post(client: httpx.Client) -> None:
    answer = client.get(PREDICT)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"error": f"method GET is not allowed on {PREDICT}"}


def test_a_size_that_the_graph_cannot_run_on_is_the_callers(client: httpx.Client) -> None:
    body = {"inputs": [{"name": "x", "shape": [3], "datatype": "FP32", "data": [1, 2, 3]}]}
    answer = client.post("/v2/models/pairs/infer", json=body)
    assert answer.status_code == 400
    assert "the model cannot run on this input: " in answer.json()["error"]
    assert "{3}" in answer.json()["error"]


def test_memory_that_is_not_to_be_had_is_ours_and_keeps_its_reason_to_the_log(client: httpx.Client) -> None:
    body = {"inputs": [{"name": "sizes", "shape": [2], "datatype": "INT64", "data": [2**30, 2**24]}]}
    answer = client.post("/v2/models/zeros/infer", json=body)
    assert answer.status_code == 500
    assert answer.json() == {"error": "the model failed on this input; the server's log has the reason"}
    assert client.get("/health/ready").status_code == 200


def test_a_body_without_a_length_is_counted_while_it_streams(client: httpx.Client) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        for _ in range(5000):
            sent.append(1)
            yield b" " * LIMIT

    with suppress(httpx.WriteError):  # the service may hang up while this side is still sending
        assert client.post(PREDICT, content=endless()).status_code == 413
    assert len(sent) < 5000
    assert client.get("/health/live").status_code == 200


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as raw:
        raw.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**12}\r\n\r\n".encode())
        answer = b""
        while part := raw.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("headers", "body", "status", "sentence"),
    [
        ({"content-encoding": "br"}, b"x", 415, "Content-Encoding br, wanted gzip, deflate or none"),
        ({"content-encoding": "gzip"}, b"x" * 99, 400, "the body is not gzip: "),
        ({"content-encoding": "gzip"}, gzip.compress(v1(ROW))[:-9], 400, "the body is not gzip: it breaks off"),
        ({"content-encoding": "gzip"}, gzip.compress(v1(ROW)) + b"x", 400, "the body is not gzip: it breaks off"),
        ({"content-encoding": "gzip"}, gzip.compress(b" " * 10**8), 413, f"wanted at most {LIMIT} bytes"),
        ({"content-type": "text/html"}, v1(ROW), 415, "Content-Type text/html, wanted application/json"),
    ],
)
def test_a_body_in_a_form_that_is_not_read_is_told(
    client: httpx.Client, headers: dict[str, str], body: bytes, status: int, sentence: str
) -> None:
    answer = client.post(PREDICT, content=body, headers=headers)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "1.5", "10", "9" * 30])
def test_a_header_length_that_is_not_the_jsons_is_refused(client: httpx.Client, length: str) -> None:
    answer = client.post(INFER, content=v2(), headers={"inference-header-content-length": length})
    assert answer.status_code == 400


def test_a_raw_body_that_calls_itself_json_is_refused(client: httpx.Client) -> None:
    headers = {"inference-header-content-length": "0", "content-type": "application/json; charset=utf-8"}
    answer = client.post(INFER, content=bytes(12), headers=headers)
    assert answer.status_code == 400
    assert "0 says that the body has no JSON" in answer.json()["error"]
    assert client.post(INFER, content=bytes(12), headers={"inference-header-content-length": "0"}).status_code == 200
