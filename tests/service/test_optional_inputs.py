"""Inputs with a default in the graph may be left out; who gives one gets a run of their own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests import graphs
from tests.serving import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    graphs.add_to_repository(folder, "scaled", graphs.scaled(), config="batching: {max_rows: 4, queue_delay_ms: 5}")
    graphs.add_to_repository(folder, "nothing", graphs.constant())
    with serving(folder) as client:
        yield client


def infer(client: httpx.Client, rows: list[list[float]], factor: float | None = None) -> httpx.Response:
    inputs = [{"name": "x", "shape": [len(rows), 2], "datatype": "FP32", "data": rows}]
    if factor is not None:
        inputs.append({"name": "factor", "shape": [1], "datatype": "FP32", "data": [factor]})
    return client.post("/v2/models/scaled/infer", json={"inputs": inputs})


def test_an_optional_input_is_listed_and_may_be_left_out(client: httpx.Client) -> None:
    assert client.get("/v2/models/scaled").json()["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "factor", "datatype": "FP32", "shape": [1], "parameters": {"optional": True}},
    ]
    assert infer(client, [[1, 2]]).json()["outputs"][0]["data"] == [2, 4]
    assert infer(client, [[1, 2]], 10).json()["outputs"][0]["data"] == [10, 20]
    assert infer(client, [[1, 2]] * 9, 10).json()["outputs"][0]["data"] == [10, 20] * 9
    predict = "/v1/models/scaled:predict"
    assert client.post(predict, json={"instances": [[1, 2]]}).json() == {"predictions": [[2, 4]]}
    assert client.post(predict, json={"inputs": {"x": [[1, 2]], "factor": [3]}}).json() == {"outputs": [[3, 6]]}


def test_an_optional_input_holds_for_its_caller_alone(client: httpx.Client) -> None:
    with ThreadPoolExecutor(16) as callers:
        factors: list[float | None] = [None, 3, 5, None] * 40
        answers = list(callers.map(lambda factor: infer(client, [[1, 2]], factor), factors))
    assert [answer.json()["outputs"][0]["data"][0] for answer in answers] == [factor or 2 for factor in factors]


def test_an_optional_input_is_checked_too(client: httpx.Client) -> None:
    body = {"inputs": [{"name": "factor", "shape": [1], "datatype": "FP32", "data": [1]}]}
    refused = client.post("/v2/models/scaled/infer", json=body)
    assert (refused.status_code, refused.json()["error"]) == (400, "missing input x; the model takes x, factor")
    body["inputs"] += [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]
    body["inputs"][0] |= {"shape": [2], "data": [1, 2]}
    refused = client.post("/v2/models/scaled/infer", json=body)
    assert (refused.status_code, refused.json()["error"]) == (400, "factor: shape [2], wanted [1]")


def test_a_model_without_inputs_answers(client: httpx.Client) -> None:
    answer = client.post("/v2/models/nothing/infer", json={"inputs": []})
    assert answer.json()["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [2], "data": [1.5, 2.5]}]
    assert client.post("/v1/models/nothing:predict", json={"inputs": {}}).json() == {"outputs": [1.5, 2.5]}
