"""What comes back over HTTP is what onnxruntime computes in this process, whoever else is asking."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.inference.session import Session
from app.inference.signature import DTYPES
from app.manifest import read_manifest
from tests import graphs
from tests.manifests import manifest
from tests.serving import serving

SHIPPED = Path(__file__).parents[2] / "models"

SAMPLES = {
    "BOOL": [[True, False], [False, False]],
    "BYTES": [["a", "é"], ["", "long " * 50]],
    "INT64": [[2**63 - 1, -(2**63)], [2**53 + 1, 0]],
    "UINT64": [[2**64 - 1, 0], [1, 2]],
    "FP16": [[0.5, -65504], [1, 2]],
    "FP32": [[0.1, -3e38], [1e-40, 2]],
    "FP64": [[0.1, 1e300], [1, 2]],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for datatype in graphs.ONNX_TYPES:
        graphs.add_to_repository(folder, f"same-{datatype}", graphs.identity(datatype))
    graphs.add_to_repository(folder, "double", graphs.double())
    graphs.add_to_repository(folder, "any-rank", graphs.double(("batch", None, None)))
    graphs.add_to_repository(folder, "fixed", graphs.double((2, 3)))
    graphs.add_to_repository(folder, "scalar", graphs.double(()))
    graphs.add_to_repository(folder, "add", graphs.add())
    graphs.add_to_repository(folder, "sum-of-rows", graphs.cumulative_sum())
    place = graphs.add_to_repository(folder, "leaf", graphs.double())
    (place / "manifest.json").write_text(manifest().model_dump_json())
    return folder


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[httpx.Client]:
    with serving(models) as client:
        yield client


def infer(client: httpx.Client, model: str, *inputs: tuple[str, np.ndarray, str]) -> dict[str, np.ndarray]:
    body = {
        "inputs": [
            {"name": name, "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}
            for name, array, datatype in inputs
        ]
    }
    answer = client.post(f"/v2/models/{model}/infer", json=body)
    assert answer.status_code == 200, answer.text
    return {o["name"]: np.array(o["data"]).reshape(o["shape"]) for o in answer.json()["outputs"]}


@pytest.mark.parametrize("datatype", list(graphs.ONNX_TYPES))
def test_every_datatype_passes_through_unharmed(client: httpx.Client, datatype: str) -> None:
    data = SAMPLES.get(datatype, [[1, 2], [3, 127]])
    answer = client.post(
        f"/v2/models/same-{datatype}/infer",
        json={"inputs": [{"name": "x", "shape": [2, 2], "datatype": datatype, "data": data}]},
    ).json()
    assert answer["outputs"][0]["datatype"] == datatype
    assert np.array_equal(
        np.array(answer["outputs"][0]["data"], DTYPES[datatype]), np.array(data, DTYPES[datatype]).ravel()
    )
    assert client.post(f"/v1/models/same-{datatype}:predict", json={"instances": data}).status_code == 200


@pytest.mark.parametrize("shape", [(1, 2, 3), (4, 1, 1), (0, 2, 2), (3, 0, 5), (200, 2, 2)])
def test_any_number_of_rows_and_any_size_of_free_axes(client: httpx.Client, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert np.array_equal(infer(client, "any-rank", ("x", x, "FP32"))["y"], 2 * x)


def test_models_without_a_row_axis_serve_too(client: httpx.Client) -> None:
    assert infer(client, "scalar", ("x", np.array(4, np.float32), "FP32"))["y"] == 8
    x = np.ones((2, 3), np.float32)
    assert np.array_equal(infer(client, "fixed", ("x", x, "FP32"))["y"], 2 * x)
    assert np.array_equal(infer(client, "sum-of-rows", ("x", x, "FP32"))["y"], np.cumsum(x, axis=0))


def test_numbers_and_categories_in_two_tensors_are_one_instance_whose_gaps_are_filled_in_the_graph() -> None:
    with serving(SHIPPED, until="/v2/models/loan-risk/ready") as client:
        found = client.get("/v1/models/loan-risk/metadata").json()
        [labelled] = found["manifest"]["outputs"]
        manifest = read_manifest(SHIPPED / "loan-risk" / str(found["version"]) / "manifest.json")
        assert manifest
        golden = manifest.golden
        [instance] = found["example"]["instances"]
        unknown = instance | {"applicant_years_employed": None}
        wrong = instance | {"loan_term": "48 months"}

        def predict(row: dict[str, object]) -> httpx.Response:
            body = {"instances": [row], "parameters": {"probabilities": True}}
            return client.post("/v1/models/loan-risk:predict", json=body)

        [known] = predict(instance).json()["predictions"]
        bad = known["probabilities"]["bad"]
        assert bad == pytest.approx(golden.outputs["probabilities"][0][1], abs=golden.tolerance)
        assert known["label"] == ("bad" if bad >= labelled["threshold"] else "good")
        [guessed] = predict(unknown).json()["predictions"]
        assert guessed["probabilities"]["bad"] != bad
        assert predict(wrong).json() == {
            "error": "instances[0].loan_term: '48 months', wanted one of 36 months, 60 months"
        }


def test_several_inputs_and_outputs(client: httpx.Client) -> None:
    a, b = np.ones((2, 2), np.float32), np.full((2, 2), 3, np.float32)
    answer = infer(client, "add", ("b", b, "FP32"), ("a", a, "FP32"))
    assert np.array_equal(answer["total"], a + b)
    assert np.array_equal(answer["difference"], a - b)
    by_hand = client.post("/v1/models/add:predict", json={"instances": [{"a": [1, 2], "b": [3, 4]}]})
    assert by_hand.json() == {"predictions": [{"total": [4, 6], "difference": [-2, -2]}]}


def test_both_protocols_give_the_same_number(client: httpx.Client) -> None:
    by_hand = client.post("/v1/models/leaf:predict", json={"instances": [{"length": 0.1, "width": 0.7, "height": 1}]})
    tensor = infer(client, "leaf", ("x", np.array([[0.1, 0.7, 1]], np.float32), "FP32"))["y"]
    assert by_hand.json() == {"predictions": [{"label": "ash", "probability": tensor.max()}]}


def test_sixty_four_callers_each_get_their_own_rows_in_shared_runs(client: httpx.Client, models: Path) -> None:
    session = Session(models / "double" / "1" / "model.onnx")
    rows = [np.random.default_rng(i).standard_normal((1 + i % 3, 3)).astype(np.float32) for i in range(64)]

    def call(x: np.ndarray) -> np.ndarray:
        return infer(client, "double", ("x", x, "FP32"))["y"].astype(np.float32)

    with ThreadPoolExecutor(64) as callers:
        for _ in range(5):
            for x, y in zip(rows, callers.map(call, rows), strict=True):
                assert np.array_equal(y, session.run({"x": x})["y"])
