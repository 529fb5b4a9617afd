"""The fast lane beside the way through ASGI: the same answers, whatever comes in whatever pieces."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import graphs
from tests.manifests import EVERY_KIND, every_kind, manifest
from tests.service.test_gate import KeyFile
from tests.service.test_health_and_metrics import sample
from tests.serving import serving

X = {"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1.5, -2]}

ROW = {"length": 1, "width": 2, "height": 3}

V2 = [
    {"inputs": [X]},
    {"inputs": [X], "id": 'a "b" é'},
    {"inputs": [X], "id": None},
    {"inputs": [X], "id": 5},
    {"inputs": [X], "outputs": [{"name": "y"}]},
    {"inputs": [X], "parameters": {"priority": 1}},
    {"inputs": [X | {"data": [[1.5], [-2]]}]},
    {"inputs": [X | {"data": [1.5, True]}]},
    {"inputs": [X | {"data": [1.5]}]},
    {"inputs": [X | {"data": [1e30, 3.5e38]}]},
    {"inputs": [X | {"data": [3e38, 1]}]},  # doubled it is infinite
    {"inputs": [X | {"shape": [0, 1], "data": []}]},
    {"inputs": [X | {"shape": [2.0, 1]}]},
    {"inputs": [X | {"shape": [2, True]}]},
    {"inputs": [X | {"shape": [2]}]},
    {"inputs": [X | {"shape": [-2, -1]}]},
    {"inputs": [X | {"datatype": "FP64"}]},
    {"inputs": [X | {"name": "z"}]},
    {"inputs": [X, X]},
    {"inputs": [{**X, "parameters": {}}]},
    {"inputs": [X | {"shape": [3000, 1], "data": list(range(3000))}]},
    {"inputs": [X | {"shape": [3000, 1], "data": [[n] for n in range(3000)]}]},
    {"inputs": [X | {"shape": [3000, 1], "data": [*range(2999), "x"]}]},
    {"inputs": {}},
    {"inputs": [5]},
    {"inputs": []},
    {},
    [],
]

V1 = [
    {"instances": [ROW]},
    {"instances": [ROW, ROW | {"width": 5}]},
    {"instances": [ROW | {"width": -5}, ROW]},
    {"instances": [ROW | {"width": "x"}]},
    {"instances": [ROW | {"width": True}]},
    {"instances": [ROW | {"depth": 1}]},
    {"instances": [{"length": 1, "width": 2}]},
    {"instances": [{"length": 1, "width": 2, "depth": 3}]},
    {"instances": [[1, 2, 3]]},
    {"instances": []},
    {"instances": ROW},
    {"instances": [ROW] * 500},
    {"inputs": {"length": [1], "width": [2], "height": [3]}},
    {"instances": [ROW], "parameters": {"probabilities": True}},
    {},
    5,
]

RAW = [
    {"instances": [[1.5], [-2]]},
    {"instances": [1.5]},
    {"instances": [[1.5, 2]]},
    {"instances": [[1.5], ["x"]]},
    {"instances": [[n] for n in range(3000)]},
    {"instances": [[3e38], [1]]},
    {"inputs": [[1]]},
]

OF_EVERY_KIND = {feature["name"]: feature["example"] for _, features in EVERY_KIND.values() for feature in features}

LACKING = {name: value for name, value in OF_EVERY_KIND.items() if name not in ("age", "price")}

KINDS = [
    {"instances": rows}
    for rows in (
        [OF_EVERY_KIND],
        [OF_EVERY_KIND, OF_EVERY_KIND | {"place": "kiwi", "count": 4.0, "day": "1969-12-31"}],
        [OF_EVERY_KIND | {"age": None, "price": None}],
        [LACKING],
        [LACKING, OF_EVERY_KIND],
        *(
            [OF_EVERY_KIND, OF_EVERY_KIND | wrong]
            for wrong in (
                {"count": 1.5},
                {"count": 16777217},
                {"count": None},
                {"count": "3"},
                {"length": "NaN"},
                {"age": "NaN"},
                {"age": True},
                {"place": "plum"},
                {"place": 0},
                {"day": "2024-02-30"},
                {"week": [1, 2]},
                {"week": [1, 2, None]},
                {"week": [1, 2, 300]},
                {"week": [[1, 2, 3]]},
                {"photo": [[0, 1], [1, 2]]},
                {"photo": {"b64": "c28gaXQ="}},
                {"phot": 1},
            )
        ),
        [{name: value for name, value in OF_EVERY_KIND.items() if name != "week"}],
        [OF_EVERY_KIND] * 300,
        [OF_EVERY_KIND, 5],
    )
]

CASES = [("/v2/models/double/infer", body) for body in V2]
CASES += [("/v1/models/leaf:predict", body) for body in V1]
CASES += [("/v1/models/double:predict", body) for body in RAW]
CASES += [("/v1/models/kinds:predict", body) for body in KINDS]


def repository(folder: Path) -> Path:
    graphs.add_to_repository(folder, "double", graphs.double((None, 1)))
    place = graphs.add_to_repository(folder, "leaf", graphs.double())
    (place / "manifest.json").write_text(manifest().model_dump_json())
    graph, described = every_kind()
    place = graphs.add_to_repository(folder, "kinds", graph)
    (place / "manifest.json").write_text(described.model_dump_json())
    return folder


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    folder = repository(tmp_path_factory.mktemp("models"))
    with serving(folder, fast_lane=True) as fast, serving(folder, fast_lane=False) as asgi:
        yield fast, asgi


@pytest.mark.parametrize(("path", "body"), CASES, ids=range(len(CASES)))
def test_both_ways_give_the_same_answer(lanes: tuple[httpx.Client, httpx.Client], path: str, body: object) -> None:
    for headers in ({"accept-encoding": "identity"}, {"accept-encoding": "gzip"}):
        fast, asgi = (client.post(path, json=body, headers=headers) for client in lanes)
        assert (fast.status_code, fast.text) == (asgi.status_code, asgi.text)
        told = [{name for name in answer.headers if name != "x-request-id"} for answer in (fast, asgi)]
        assert told[0] == told[1]


def request(body: object = {"inputs": [X]}, path: str = "/v2/models/double/infer", more: str = "") -> bytes:
    text = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(text)}\r\n\r\n".encode() + text


class Wire:
    """A connection, byte by byte."""

    def __init__(self, client: httpx.Client) -> None:
        self.socket = socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
        self.file = self.socket.makefile("rb")

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        status = int(self.file.readline().split()[1])
        lines = iter(lambda: self.file.readline().decode().strip(), "")
        headers = dict(line.split(": ", 1) for line in lines)
        return status, headers, self.file.read(int(headers["content-length"]))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def wire(lanes: tuple[httpx.Client, httpx.Client]) -> Iterator[Wire]:
    found = Wire(lanes[0])
    yield found
    found.close()


def doubled(answer: tuple[int, dict[str, str], bytes]) -> list[float]:
    status, _, body = answer
    assert status == 200, body
    data: list[float] = json.loads(body)["outputs"][0]["data"]
    return data


def test_requests_behind_each_other_on_the_wire_are_answered_in_their_order(wire: Wire) -> None:
    bodies = [{"inputs": [X | {"data": [n, -n]}]} for n in range(4)]
    metadata = b"GET /v2/models/double HTTP/1.1\r\nHost: x\r\n\r\n"
    wire.socket.sendall(b"".join([request(bodies[0]), request(bodies[1]), metadata, *map(request, bodies[2:])]))
    assert [doubled(wire.answer()) for _ in range(2)] == [[0, 0], [2, -2]]
    assert json.loads(wire.answer()[2])["name"] == "double"
    assert [doubled(wire.answer()) for _ in range(2)] == [[4, -4], [6, -6]]


def test_a_request_may_come_in_any_pieces_on_a_connection_that_knows_its_head(wire: Wire) -> None:
    whole = request()
    for cut in (len(whole), 1, whole.index(b"\r\n\r\n") + 2, whole.index(b"\r\n\r\n") + 4, len(whole) - 1):
        wire.socket.sendall(whole[:cut])
        with ThreadPoolExecutor(1) as later:  # so that the service has read the first piece by itself
            later.submit(wire.socket.setsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1).result()
        wire.socket.sendall(whole[cut:])
        assert doubled(wire.answer()) == [3, -4]
    wire.socket.sendall(whole + whole[:-5])
    assert doubled(wire.answer()) == [3, -4]
    wire.socket.sendall(whole[-5:])
    assert doubled(wire.answer()) == [3, -4]


def test_a_known_head_before_other_bytes_is_no_request_of_its_own(wire: Wire) -> None:
    wire.socket.sendall(request())
    assert doubled(wire.answer()) == [3, -4]
    wire.socket.sendall(request() + b"nonsense\r\n\r\n")
    assert doubled(wire.answer()) == [3, -4]
    assert wire.file.read() == b""


def test_a_caller_that_wants_to_close_is_answered_and_closed(wire: Wire) -> None:
    for _ in range(2):
        wire.socket.sendall(request())
        assert doubled(wire.answer()) == [3, -4]
    wire.socket.sendall(request(more="Connection: close\r\n"))
    answer = wire.answer()
    assert doubled(answer) == [3, -4]
    assert answer[1]["connection"] == "close"
    assert wire.file.read() == b""


def test_a_callers_request_id_comes_back_and_others_get_one_each(wire: Wire) -> None:
    ids = []
    for more in ("X-Request-Id: mine\r\n", "", "", "X-Request-Id: yours\r\n", "X-Request-Id: a b\r\n"):
        wire.socket.sendall(request(more=more))
        ids.append(wire.answer()[1]["x-request-id"])
    assert (ids[0], ids[3]) == ("mine", "yours")
    assert len(set(ids)) == 5
    assert "a b" not in ids


def test_a_head_that_was_refused_stays_refused(tmp_path: Path) -> None:
    with serving(repository(tmp_path), api_key="sesame") as client:
        wire = Wire(client)
        for key, status in (("sesame", 200), ("sesame", 200), ("other", 401), ("other", 401), ("sesame", 200)):
            wire.socket.sendall(request(more=f"X-Api-Key: {key}\r\n"))
            assert wire.answer()[0] == status
        wire.close()


def test_what_is_refused_on_the_wire_is_answered_in_its_order_too(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.yaml")
    [(name, key)] = keys.add("slow", ["infer"], requests_per_second=0.001).items()
    mine = f"{name}: {key}\r\n"
    with serving(repository(tmp_path / "models"), keys_file=keys.file) as client:
        wire = Wire(client)
        wire.socket.sendall(request(more=mine))
        assert doubled(wire.answer()) == [3, -4]
        wire.socket.sendall(request(more=mine) * 3 + request({}, "/v2/models/none/infer", mine))
        assert [wire.answer()[0] for _ in range(4)] == [429, 429, 429, 429]
        wire.socket.sendall(request(more=mine + "Connection: close\r\n") + request(more=mine))
        status, headers, body = wire.answer()
        assert (status, headers["connection"]) == (429, "close")
        assert int(headers["retry-after"]) > 1
        assert json.loads(body) == {"error": "key slow: more predictions than its rate allows"}
        assert wire.file.read() == b""
        wire.close()


def test_more_than_may_wait_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    graphs.add_to_repository(
        tmp_path, "m", graphs.slow(turns=1000), config="batching: {max_rows: 1, max_queue_rows: 2}"
    )
    with serving(tmp_path) as client:
        wires = [Wire(client) for _ in range(64)]
        wrong = request({"inputs": []}, "/v2/models/m/infer")
        right = request({"inputs": [X | {"shape": [1, 1], "data": [1]}]}, "/v2/models/m/infer")
        for number, wire in enumerate(wires):
            wire.socket.sendall(wrong if number == 63 else right)
        told = [wire.answer()[0] for wire in wires]
        assert {*told[:63]} == {200, 429}
        assert told[63] == 429
        for wire in wires:
            wire.close()


def test_a_known_head_leads_to_the_version_that_serves_now(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    with serving(tmp_path, repository_control=True) as client:
        wire = Wire(client)
        for factor in (2, 3, 4):
            graphs.add_to_repository(tmp_path, "m", graphs.times(factor), factor)
            assert client.post("/v2/repository/models/m/load").status_code == 200
            for _ in range(3):
                wire.socket.sendall(request(path="/v2/models/m/infer"))
                assert doubled(wire.answer()) == [1.5 * factor, -2 * factor]
        assert client.post("/v2/repository/models/m/unload").status_code == 200
        wire.socket.sendall(request(path="/v2/models/m/infer"))
        assert wire.answer()[0] == 503
        wire.close()


def test_a_wrong_request_in_a_turn_is_refused_alone(lanes: tuple[httpx.Client, httpx.Client]) -> None:
    wires = [Wire(lanes[0]) for _ in range(16)]
    for number, wire in enumerate(wires):
        data = [number, "x"] if number == 5 else [number, 3.5e38] if number == 9 else [number, 1]
        wire.socket.sendall(request({"inputs": [X | {"data": data}]}))
    for number, wire in enumerate(wires):
        answer = wire.answer()
        if number in (5, 9):
            assert answer[0] == 400
        else:
            assert doubled(answer) == [2 * number, 2]
        wire.close()


def test_short_runs_are_made_on_the_event_loop_and_their_time_is_told(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "double", graphs.double())
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=30))
    with serving(tmp_path) as client:
        for model in ("double", "slow"):
            body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}
            body["inputs"][0] |= {"shape": [1, 3], "data": [1, 2, 3]} if model == "double" else {}
            assert client.post(f"/v2/models/{model}/infer", json=body).status_code == 200
        assert sample(client, "headrace_inline_run_seconds_count", model="double") == 1
        assert sample(client, "headrace_inline_run_seconds_count", model="slow") == 0
        assert sample(client, "headrace_inline_bound_seconds") == 0.001


def test_a_text_never_runs_on_the_event_loop_where_a_long_one_would_hold_up_all_others(tmp_path: Path) -> None:
    place = graphs.add_to_repository(tmp_path, "words", graphs.word_count())
    described = manifest(
        inputs=[{"tensor": "x", "features": [{"name": "text", "kind": "text", "example": "so it is"}]}],
        outputs=[{"tensor": "y", "kind": "value", "name": "count"}],
        golden={"inputs": {"x": [["so it is"]]}, "outputs": {"y": [[3]]}, "tolerance": 1e-6},
    )
    (place / "manifest.json").write_text(described.model_dump_json())
    with serving(tmp_path) as client:
        answer = client.post("/v1/models/words:predict", json={"instances": [{"text": "one two"}]})
        assert answer.json() == {"predictions": [{"count": 2}]}
        assert sample(client, "headrace_inline_run_seconds_count", model="words") == 0
