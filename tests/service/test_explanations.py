"""Explanations over HTTP: they add up, they are what the model does, and they are in nobody's way."""

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.inference.session import Session
from tests import graphs
from tests.manifests import manifest
from tests.service.test_health_and_metrics import sample
from tests.serving import serving, wait_until

SHIPPED = Path(__file__).parents[2] / "models"
ONE_BY_ONE = "batching: {max_rows: 1, max_queue_rows: 4}\ninstances: 1\n"
LESS = "send fewer instances at a time, or ask for fewer samples"
LEAF = {"length": 4, "width": 2, "height": 3}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The shipped models, and small ones for what those have not."""
    folder = tmp_path_factory.mktemp("repository") / "models"
    shutil.copytree(SHIPPED, folder)
    place = graphs.add_to_repository(folder, "leaf", graphs.double(), config="labels: {stable: 1}")
    (place / "manifest.json").write_text(manifest().model_dump_json())
    graphs.add_to_repository(folder, "double", graphs.double())
    graphs.add_to_repository(folder, "add", graphs.add())
    graphs.add_to_repository(folder, "flags", graphs.identity("BOOL"))
    graphs.add_to_repository(folder, "half", graphs.identity("FP16"))
    graphs.add_to_repository(folder, "log", graphs.logarithm())
    graphs.add_to_repository(folder, "texts", graphs.identity("BYTES"))
    graphs.add_to_repository(folder, "scalar", graphs.double(()))
    graphs.add_to_repository(folder, "alone", graphs.cumulative_sum())
    remark = graphs.add_to_repository(folder, "remark", graphs.identities(["BYTES", "FP32"]))
    remark_features = [
        {
            "tensor": "x_bytes",
            "features": [{"name": name, "kind": "text", "example": "a b"} for name in ("who", "what")],
        },
        {"tensor": "x_fp32", "features": [{"name": name, "example": 2} for name in ("first", "second")]},
    ]
    golden = {"x_bytes": [["a b", "a b"]], "x_fp32": [[2, 2]]}
    outputs = [{"tensor": "y_fp32", "kind": "probabilities", "name": "y", "labels": ["one", "two"]}]
    (remark / "manifest.json").write_text(
        manifest(
            inputs=remark_features,
            outputs=outputs,
            golden={"inputs": golden, "outputs": {"y_fp32": [[2, 2]]}, "tolerance": 0},
        ).model_dump_json()
    )
    with serving(folder) as client:
        yield client


def explain(client: httpx.Client, model: str, *instances: Any, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.post(f"/v1/models/{model}:explain", json={"instances": instances, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["explanations"]
    assert len(found) == len(instances)
    return found


def refused(client: httpx.Client, model: str, body: dict[str, Any]) -> str:
    answer = client.post(f"/v1/models/{model}:explain", json=body)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])


def example(client: httpx.Client, model: str) -> Any:
    return client.get(f"/v1/models/{model}/metadata").json()["example"]["instances"][0]


def total(shares: Any) -> float:
    """Of nested lists, and of an object's."""
    if isinstance(shares, dict):
        return total(list(shares.values()))
    return sum(map(total, shares)) if isinstance(shares, list) else 0.0 if isinstance(shares, str) else shares


@pytest.mark.parametrize(
    ("model", "explains"),
    [
        ("breast-cancer", "probability of malignant"),
        ("diabetes", "progression"),
        ("digits", "probability of 4"),
        ("quickstart", "probability of 1"),
    ],
)
def test_an_explanation_adds_up_from_the_base_to_the_prediction(
    client: httpx.Client, model: str, explains: str
) -> None:
    instance = example(client, model)
    [found], [again] = explain(client, model, instance), explain(client, model, instance)
    assert found == again
    assert list(found) == ["explains", "prediction", "base", "value", "attributions"]
    assert found["explains"] == explains
    predicted = client.post(f"/v1/models/{model}:predict", json={"instances": [instance]}).json()["predictions"][0]
    assert found["prediction"] == predicted
    assert found["value"] in predicted.values()
    assert found["attributions"].keys() == instance.keys()
    assert total(found["attributions"]) == pytest.approx(found["value"] - found["base"], abs=1e-5, rel=1e-5)


def test_the_base_is_what_the_model_says_of_typical_values(client: httpx.Client) -> None:
    told = client.get("/v1/models/breast-cancer/metadata").json()["manifest"]
    typical = {name: summary["deciles"][5] for name, summary in told["summaries"].items()}
    [found] = explain(client, "breast-cancer", example(client, "breast-cancer"), output="benign")
    [same] = explain(client, "breast-cancer", typical, output="benign")
    assert found["base"] == same["base"] == same["value"]
    assert set(same["attributions"].values()) == {0}


def test_an_image_is_explained_pixel_by_pixel_from_black(client: httpx.Client) -> None:
    image = np.array(example(client, "digits")["image"])
    [found] = explain(client, "digits", {"image": image.tolist()}, samples=100)
    shares = np.array(found["attributions"]["image"])
    assert shares.shape == (8, 8)
    assert (shares[image == 0] == 0).all()
    assert np.abs(shares[image > 0]).max() > 0.1
    [black] = client.post("/v1/models/digits:predict", json=_digits(np.zeros((8, 8)))).json()["predictions"]
    assert found["base"] == pytest.approx(black["probabilities"]["4"])
    session = Session(SHIPPED / "digits/1/model.onnx")
    without = np.where(shares == shares.max(), 0, image)[None].astype(np.float32)
    assert session.run({"image": without})["probabilities"][0, 4] < found["value"]


def _digits(image: np.ndarray) -> dict[str, Any]:
    return {"instances": [{"image": image.tolist()}], "parameters": {"probabilities": True}}


def test_of_a_linear_model_each_number_has_its_own_term(client: httpx.Client) -> None:
    [first, second] = explain(client, "double", [1, 2, 3], [5, 0, 4])
    assert first == {
        "explains": "y[2]",
        "prediction": [2, 4, 6],
        "base": 0,
        "value": 6,
        "attributions": {"x": [0, 0, 6]},
    }
    assert (second["explains"], second["value"], second["attributions"]) == ("y[0]", 10, {"x": [10, 0, 0]})
    [found] = explain(client, "add", {"a": [1, 2], "b": [3, 4]}, output="difference[0]")
    assert (found["explains"], found["attributions"]) == ("difference[0]", {"a": [1, 0], "b": [-3, 0]})


@pytest.mark.parametrize(
    ("path", "name"), [("", "stable"), ("/versions/1", "one by number"), ("/labels/stable", "by label")]
)
def test_a_version_is_named_as_for_predictions(client: httpx.Client, path: str, name: str) -> None:
    answer = client.post(f"/v1/models/leaf{path}:explain", json={"instances": [LEAF]})
    assert answer.json()["explanations"][0]["explains"] == "probability of oak", name
    assert client.post(f"/v1/models/leaf{path}9:explain", json={"instances": [LEAF]}).status_code == 404


def test_a_label_is_explained_whether_it_is_predicted_or_not(client: httpx.Client) -> None:
    [found] = explain(client, "leaf", LEAF, output="ash")
    assert (found["explains"], found["prediction"]["label"]) == ("probability of ash", "oak")
    assert (found["base"], found["value"]) == (6, 6)
    assert explain(client, "leaf", LEAF, output="probability") == explain(client, "leaf", LEAF)


def test_texts_and_numbers_are_explained_together(client: httpx.Client) -> None:
    [found] = explain(client, "remark", {"who": "an oak", "what": "", "first": 5, "second": 2})
    assert found["attributions"] == {"who": [["an", 0], ["oak", 0]], "what": [], "first": 3, "second": 0}


def test_every_datatype_of_numbers_is_explained(client: httpx.Client) -> None:
    assert explain(client, "flags", [False, True])[0]["attributions"] == {"x": [0, 1]}
    assert explain(client, "half", [0.5, 60000])[0]["attributions"] == {"x": [0, 60000]}
    [minus_infinity] = client.post("/v1/models/log:explain", json={"instances": [[1, 1, 1]]}).json()["explanations"]
    assert minus_infinity["base"] == -np.inf


def test_a_model_that_is_not_batched_is_explained_one_row_a_run(client: httpx.Client) -> None:
    before = sample(client, "headrace_batch_rows_count", model="alone")
    found = explain(client, "alone", [0, 1, 2], [0, 4, 3])
    assert [one["attributions"] for one in found] == [{"x": [0, 0, 2]}, {"x": [0, 4, 0]}]
    assert sample(client, "headrace_batch_rows_count", model="alone") - before == 1 + 2 + 2 * 2


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("leaf", {"instances": [LEAF | {"length": -1}]}, "instances[0].length: -1, wanted 0 to 50 mm"),
        ("leaf", {"instances": [LEAF | {"size": 1}]}, "instances[0].size: unknown field"),
        ("leaf", {"instances": [{"length": 1, "width": 1}]}, "instances[0].height: missing, wanted an integer"),
        ("leaf", {"instances": []}, "instances: empty, wanted at least one row"),
        ("leaf", {"inputs": {"length": [1]}}, 'wanted {"instances": [...]}, row by row'),
        ("double", {"instances": [[1, 2]]}, "x: shape [1, 2], wanted [-1, 3]"),
    ],
)
def test_wrong_instances_are_refused_as_for_predictions(
    client: httpx.Client, model: str, body: dict[str, Any], message: str
) -> None:
    assert refused(client, model, body) == message
    if "instances" in body:
        assert client.post(f"/v1/models/{model}:predict", json=body).json() == {"error": message}


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        ("leaf", {"output": "elk"}, "parameters.output: 'elk', wanted one of probability, oak, elm, ash"),
        ("leaf", {"output": 1}, "parameters.output: a number, wanted a text"),
        ("leaf", {"samples": 0}, "parameters.samples: 0, wanted an integer, 1 or more"),
        ("leaf", {"samples": 1.5}, "parameters.samples: 1.5, wanted an integer, 1 or more"),
        ("leaf", {"samples": None}, "parameters.samples: null, wanted an integer, 1 or more"),
        ("leaf", {"size": 1}, "parameters: unknown size, wanted some of output, samples"),
        ("leaf", [], "parameters: a list, wanted an object"),
        ("double", {"output": "z"}, "parameters.output: 'z', wanted one of y, y[0]"),
        ("double", {"output": "y[3]"}, "parameters.output: y[3], a row has shape [3]"),
        ("double", {"output": "y[0][0]"}, "parameters.output: y[0][0], a row has shape [3]"),
    ],
)
def test_wrong_parameters_are_told(client: httpx.Client, model: str, parameters: Any, message: str) -> None:
    instance = LEAF if model == "leaf" else [1, 2, 3]
    assert refused(client, model, {"instances": [instance], "parameters": parameters}) == message


@pytest.mark.parametrize(
    ("model", "instance", "reason"),
    [
        ("texts", ["a", "b"], "it gives no numbers"),
        ("scalar", 1, "its tensors have no rows"),
    ],
)
def test_a_model_that_cannot_be_explained_says_why(
    client: httpx.Client, model: str, instance: Any, reason: str
) -> None:
    told = refused(client, model, {"instances": [instance]})
    assert told == f"predictions of this model cannot be explained: {reason}"
    assert client.get(f"/v1/models/{model}/metadata").json()["explainable"] is False
    assert client.get("/v1/models/leaf/metadata").json()["explainable"] is True


def test_more_rows_than_one_request_may_take_are_refused_before_any_of_them_runs(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "double", graphs.double())
    with serving(tmp_path, max_explain_rows=20) as client:
        assert len(explain(client, "double", [1, 2, 3], [1, 2, 3])) == 2
        ran = sample(client, "headrace_batch_rows_sum", model="double")
        told = refused(client, "double", {"instances": [[1, 2, 3]] * 3})
        assert told == f"these explanations take more than 20 rows through the model: {LESS}"
        assert sample(client, "headrace_batch_rows_sum", model="double") == ran
        assert sample(client, "headrace_requests_total", model="double", protocol="v1", status="200") == 1


def test_predictions_are_answered_while_a_long_explanation_goes_on(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=20), config=ONE_BY_ONE)
    with serving(tmp_path) as client, ThreadPoolExecutor(1) as other:
        explaining = other.submit(explain, client, "slow", *[[1]] * 200)
        wait_until(lambda: _runs(client) > 0, "the explanation never began")
        for _ in range(5):
            before = _runs(client)
            assert client.post("/v1/models/slow:predict", json={"instances": [[1]]}).status_code == 200
            assert _runs(client) - before <= 5  # its own, one before it, and those that the figures were asked in
        assert not explaining.done()
        assert len(explaining.result()) == 200


def _runs(client: httpx.Client) -> float:
    return sample(client, "headrace_batch_rows_count", model="slow")


def test_an_explanation_gives_way_to_a_queue_of_predictions(tmp_path: Path) -> None:
    """Four come at once, again and again: as soon as they find one of its runs under way, its next rows are refused."""
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=100), config=ONE_BY_ONE)
    with serving(tmp_path) as client, ThreadPoolExecutor(8) as others:
        body = {"instances": [[1]] * 1000}
        explaining = others.submit(client.post, "/v1/models/slow:explain", json=body)
        wait_until(lambda: _runs(client) > 2, "the explanation never began")
        one = {"instances": [[1]]}
        while not explaining.done():
            answers = [others.submit(client.post, "/v1/models/slow:predict", json=one) for _ in range(4)]
            assert {answer.result().status_code for answer in answers} == {200}
        refused = explaining.result()
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert "rows wait, at most 2 may" in refused.json()["error"]


def test_an_explanation_ends_at_the_deadline(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.as_slow_as_asked(), config=f"{ONE_BY_ONE}deadline_ms: 1000\n")
    with serving(tmp_path) as client:
        late = client.post("/v1/models/slow:explain", json={"instances": [[20]] * 1000})
        assert (late.status_code, late.json()["error"]) == (504, f"no explanation from slow within 1 s: {LESS}")
        assert client.post("/v1/models/slow:predict", json={"instances": [[1]]}).status_code == 200


def test_an_explanation_runs_in_all_instances_at_once(tmp_path: Path) -> None:
    config = "batching: {max_rows: 1}\ninstances: 2\n"
    graphs.add_to_repository(tmp_path, "slow", graphs.as_slow_as_asked(), config=config)
    with serving(tmp_path) as client, _explaining(client, b"[[10000000], [10000000]]"):
        wait_until(lambda: _begun(client) == 3, "one of the two rows waits for the other")


@contextmanager
def _explaining(client: httpx.Client, instances: bytes) -> Iterator[None]:
    """A caller who hangs up at the end."""
    body = b'{"instances": %s}' % instances
    head = f"POST /v1/models/slow:explain HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as raw:
        raw.sendall(head.encode() + body)
        yield


def test_the_runs_of_a_caller_who_hangs_up_stop(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.as_slow_as_asked(), config=ONE_BY_ONE)
    with serving(tmp_path) as client:
        with _explaining(client, b"[[10000000]]"):  # hours
            wait_until(lambda: _begun(client) == 2, "the instance itself never ran")
        assert client.post("/v1/models/slow:predict", json={"instances": [[1]]}).status_code == 200
        wait_until(lambda: _runs(client) == 2, "more has run than what nothing is left of, and the prediction")
        gone = lambda: sample(client, "headrace_requests_total", model="slow", status="499") == 1  # noqa: E731
        wait_until(gone, "the caller was never missed")


def _begun(client: httpx.Client) -> float:
    return sample(client, "headrace_queue_seconds_count", model="slow")
