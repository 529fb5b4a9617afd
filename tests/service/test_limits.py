"""Callers who send too much, too many or too slowly are told so, and those who do not listen are let go."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests import graphs
from tests.service.test_health_and_metrics import sample
from tests.serving import serving, wait_until

POST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"

ROW = b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[3]}]}'

WHOLE = POST + b"Content-Length: %d\r\n\r\n" % len(ROW) + ROW


@contextmanager
def limited(
    folder: Path, model: bytes = graphs.times(2), config: str = "", **settings: object
) -> Iterator[httpx.Client]:
    graphs.add_to_repository(folder, "m", model, config=config)
    with serving(folder, until="/health/ready", **settings) as client:
        yield client


@contextmanager
def wire(client: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=30) as raw:
        yield raw


def told(raw: socket.socket) -> tuple[int, str]:
    """The status and the sentence of the one answer before the connection ends."""
    with raw.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(file.readline, b"\r\n"))
        assert headers["connection"] == "close"
        error = json.loads(file.read(int(headers["content-length"])))["error"]
        assert file.read() == b""
    return status, error


@pytest.mark.parametrize(
    ("sent", "status", "sentence"),
    [
        (b"GET /" + b"a" * 300, 414, "the request's target is too long, wanted at most 256 bytes"),
        (POST + b"X: " + b"a" * 1100 + b"\r\nY: b", 431, "the request's head is too long, wanted at most 1024 bytes"),
        (POST + b"X: a\r\n" * 300, 431, "the request's head is too long, wanted at most 1024 bytes"),
        (WHOLE + POST + b"X: a\r\n" * 300, 431, "the request's head is too long, wanted at most 1024 bytes"),
    ],
    ids=["url", "line", "lines", "second"],
)
@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_head_that_is_too_long_is_refused(
    tmp_path: Path, fast_lane: bool, sent: bytes, status: int, sentence: str
) -> None:
    with limited(tmp_path, max_url_bytes=256, max_head_bytes=1024, fast_lane=fast_lane) as client, wire(client) as raw:
        if sent.startswith(WHOLE):
            raw.sendall(WHOLE)
            with raw.makefile("rb") as file:
                assert file.readline().startswith(b"HTTP/1.1 200")
                headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(file.readline, b"\r\n"))
                file.read(int(headers["content-length"]))
            sent = sent.removeprefix(WHOLE)
        raw.sendall(sent)
        assert told(raw) == (status, sentence)
        assert sample(client, "headrace_refused_connections_total", status=str(status)) == 1


def test_a_header_line_without_an_end_is_refused_while_it_comes(tmp_path: Path) -> None:
    with limited(tmp_path, max_head_bytes=1024) as client, wire(client) as raw:
        raw.sendall(POST + b"X: ")
        with ThreadPoolExecutor(1) as reader:
            answer = reader.submit(told, raw)
            while not answer.done():
                raw.sendall(b"a" * 100)
        assert answer.result()[0] == 431


SLOW = "the request came too slowly: its head may take 1 s, all of it 2 s"


LATE = {
    "head": POST,
    "body": WHOLE[:-1],
    "chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{",
    "route": b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{",
}


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_request_that_does_not_arrive_in_time_is_refused(tmp_path: Path, fast_lane: bool) -> None:
    with (
        limited(tmp_path, head_timeout_s=1, body_timeout_s=2, fast_lane=fast_lane) as client,
        ExitStack() as connections,
    ):
        raws = {what: connections.enter_context(wire(client)) for what in LATE}
        for what, raw in raws.items():
            raw.sendall(LATE[what])
        assert {what: told(raw) for what, raw in raws.items()} == dict.fromkeys(LATE, (408, SLOW))
        assert sample(client, "headrace_refused_connections_total", status="408") == len(LATE)
        wait_until(lambda: sample(client, "headrace_requests_in_flight") == 0, "one still counts as under way")


def test_a_connection_that_rests_too_long_is_closed_whether_it_ever_spoke_or_not(tmp_path: Path) -> None:
    with (
        limited(tmp_path, keep_alive_s=1) as client,
        wire(client) as silent,
        wire(client) as predicting,
        wire(client) as probing,
    ):
        spoken = {silent: b"", predicting: WHOLE, probing: b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"}
        for raw, sent in spoken.items():
            raw.sendall(sent)
        for raw, sent in spoken.items():
            with raw.makefile("rb") as file:
                answer = file.read()
            assert answer.startswith(b"HTTP/1.1 200" if sent else b"")


def test_more_connections_than_may_be_open_are_told_so_and_others_go_on(tmp_path: Path) -> None:
    with limited(tmp_path, max_connections=3) as client:
        with wire(client), wire(client), wire(client) as third:
            assert told(third) == (429, "too many connections, at most 3 may be open")
            assert client.get("/health/ready").status_code == 200
        with wire(client) as again:
            again.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with again.makefile("rb") as file:
                assert file.read().startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_caller_that_does_not_read_its_answers_is_let_go(tmp_path: Path, fast_lane: bool) -> None:
    numbers = json.dumps([1.2345] * 100_000)
    body = f'{{"inputs":[{{"name":"x","shape":[100000,1],"datatype":"FP32","data":{numbers}}}]}}'.encode()
    request = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with limited(tmp_path, answer_timeout_s=1, fast_lane=fast_lane) as client, wire(client) as raw:
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            while True:
                raw.sendall(request)
        assert client.get("/health/live").status_code == 200


def test_more_predictions_than_may_be_under_way_are_refused_before_their_bodies_come(tmp_path: Path) -> None:
    config = "batching: {max_rows: 1}\ninstances: 1\n"
    graphs.add_to_repository(tmp_path, "m", graphs.as_slow_as_asked(), config=config)
    with (
        serving(tmp_path, max_in_flight=1) as client,
        wire(client) as first,
        wire(client) as second,
        wire(client) as third,
    ):
        hours = ROW.replace(b"[3]", b"[1e8]")
        first.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(hours) + hours)
        wait_until(lambda: sample(client, "headrace_queue_seconds_count", model="m") == 1, "it never began")
        second.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        third.sendall(WHOLE)
        for one in (second, third):
            with one.makefile("rb") as file:
                assert file.readline().startswith(b"HTTP/1.1 429")
                headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(file.readline, b"\r\n"))
                assert headers["retry-after"] == "1"
                error = json.loads(file.read(int(headers["content-length"])))["error"]
                assert error == "the service is busy: more than 1 predictions are under way"
        assert client.get("/v2/models/m/ready").status_code == 200
        first.close()
        wait_until(lambda: sample(client, "headrace_requests_in_flight") == 0, "it still counts as under way")
        assert client.post("/v2/models/m/infer", content=ROW).status_code == 200


def nested(depth: int) -> bytes:
    """A V2 request that is so deep in a parameter that no model has."""
    inner = b"[" * (depth - 2) + b"]" * (depth - 2)
    return ROW[:-1] + b',"parameters":{"p":' + inner + b"}}"


@pytest.mark.parametrize("fast_lane", [True, False])
@pytest.mark.parametrize("path", ["/v2/models/m/infer", "/v1/models/m:predict", "/v2/repository/index"])
def test_json_that_is_nested_too_deep_is_refused(tmp_path: Path, path: str, fast_lane: bool) -> None:
    with limited(tmp_path, max_json_depth=8, fast_lane=fast_lane) as client:
        refused = client.post(path, content=nested(9))
        assert (refused.status_code, refused.json()) == (400, {"error": "the body is nested 9 deep, wanted at most 8"})
        assert "deep" not in client.post(path, content=nested(8)).text


@pytest.mark.parametrize("fast_lane", [True, False])
def test_more_inputs_than_a_request_may_have_are_refused(tmp_path: Path, fast_lane: bool) -> None:
    with limited(tmp_path, max_inputs=2, fast_lane=fast_lane) as client:
        entries = [{"name": f"x{number}", "shape": [1, 1], "datatype": "FP32", "data": [3]} for number in range(3)]
        refused = client.post("/v2/models/m/infer", json={"inputs": entries})
        assert (refused.status_code, refused.json()) == (400, {"error": "inputs: 3 of them, wanted at most 2"})


def tensor(rows: int, form: str) -> tuple[str, bytes, dict[str, str]]:
    """A request with so many rows of one number, raw one row of so many: its path, body and headers."""
    told = {"name": "x", "shape": [rows, 1], "datatype": "FP32"}
    match form:
        case "v1-rows":
            return "/v1/models/m:predict", json.dumps({"instances": [[3]] * rows}).encode(), {}
        case "v1-columns":
            return "/v1/models/m:predict", json.dumps({"inputs": [[3]] * rows}).encode(), {}
        case "raw":
            return "/v2/models/m/infer", bytes(4 * rows), {"inference-header-content-length": "0"}
        case "binary":
            head = json.dumps({"inputs": [{**told, "parameters": {"binary_data_size": 4 * rows}}]}).encode()
            headers = {"inference-header-content-length": str(len(head))}
            return "/v2/models/m/infer", head + bytes(4 * rows), headers
    return "/v2/models/m/infer", json.dumps({"inputs": [{**told, "data": [3] * rows}]}).encode(), {}


@pytest.mark.parametrize("fast_lane", [True, False])
@pytest.mark.parametrize("form", ["v1-rows", "v1-columns", "json", "binary", "raw"])
def test_a_tensor_with_too_many_elements_is_refused(tmp_path: Path, form: str, fast_lane: bool) -> None:
    model = graphs.double(("batch", "length"))
    with limited(tmp_path, model, max_tensor_elements=4, fast_lane=fast_lane) as client:
        for rows in (4, 5, 4, 5):  # the fast lane knows a body that it has seen before
            path, body, headers = tensor(rows, form)
            answer = client.post(path, content=body, headers=headers)
            assert answer.status_code == (200 if rows == 4 else 400), answer.text
            if rows == 5:
                assert answer.json()["error"] == "x: 5 elements, wanted at most 4"
