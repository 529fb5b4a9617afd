"""What those who run models do over HTTP: list, load and unload them, read their configuration and their statistics."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import httpx
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests import graphs
from tests.serving import serving, wait_until

LOAD, UNLOAD = "/v2/repository/models/{}/load", "/v2/repository/models/{}/unload"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    graphs.add_to_repository(tmp_path, "m", graphs.times(1))
    return tmp_path


@pytest.fixture
def client(models: Path) -> Iterator[httpx.Client]:
    with serving(models, repository_control=True) as client:
        yield client


@pytest.fixture
def triton_client(client: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}") as made:
        yield made


def ask(client: httpx.Client, path: str = "/v2/models/m", x: float = 3) -> httpx.Response:
    body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [x]}]}
    return client.post(f"{path}/infer", json=body)


def answer(client: httpx.Client, path: str = "/v2/models/m") -> tuple[str, float]:
    """The version that answers, and what it makes of 3."""
    got = ask(client, path).json()
    return got["model_version"], got["outputs"][0]["data"][0]


def index(client: httpx.Client) -> dict[tuple[str, str], tuple[str, str]]:
    listed = client.post("/v2/repository/index").json()
    return {(one["name"], one.get("version", "")): (one["state"], one["reason"]) for one in listed}


def test_a_version_that_appears_takes_over_when_it_is_loaded(client: httpx.Client, models: Path) -> None:
    assert answer(client) == ("1", 3)
    before = client.get("/openapi.json").text
    graphs.add_to_repository(models, "m", graphs.times(2), version=2)
    assert client.post(LOAD.format("m")).status_code == 200
    assert answer(client) == ("2", 6)
    assert index(client) == {("m", "2"): ("READY", "")}
    assert ask(client, "/v2/models/m/versions/1").status_code == 404
    assert client.get("/openapi.json").text != before
    assert 'headrace_model_ready{model="m",version="1"} 0.0' in client.get("/metrics").text


def test_a_version_replaced_in_place_answers_anew(client: httpx.Client, models: Path) -> None:
    (models / "m/1/model.onnx").write_bytes(graphs.times(5))
    assert answer(client) == ("1", 3)
    assert client.post(LOAD.format("m")).status_code == 200
    assert answer(client) == ("1", 15)
    assert 'headrace_model_ready{model="m",version="1"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize("version", [1, 2])
def test_a_broken_new_version_leaves_the_old_one_serving(client: httpx.Client, models: Path, version: int) -> None:
    (models / f"m/{version}").mkdir(exist_ok=True)
    (models / f"m/{version}/model.onnx").write_bytes(b"garbage")
    refused = client.post(LOAD.format("m"))
    assert refused.status_code == 400
    assert refused.json()["error"].startswith(f"model m: version {version}: model.onnx: ")
    assert str(models) not in refused.text
    assert answer(client) == ("1", 3)
    assert answer(client, "/v2/models/m/versions/1") == ("1", 3)
    state, reason = index(client)["m", str(version)]
    assert state == ("READY" if version == 1 else "UNAVAILABLE")
    assert "model.onnx" in reason
    assert client.get("/health/ready").status_code == 200
    assert f'headrace_model_ready{{model="m",version="{version}"}} {2 - version}.0' in client.get("/metrics").text
    (models / f"m/{version}/model.onnx").write_bytes(graphs.times(4))
    assert client.post(LOAD.format("m")).status_code == 200
    assert answer(client) == (str(version), 12)


def test_a_broken_config_leaves_the_old_version_and_its_labels(client: httpx.Client, models: Path) -> None:
    (models / "m/config.yaml").write_text("labels: {stable: 7}")
    refused = client.post(LOAD.format("m"))
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "model m: config.yaml labels versions [7]; it serves [1]",
    )
    assert answer(client) == ("1", 3)
    assert index(client) == {("m", "1"): ("READY", "config.yaml labels versions [7]; it serves [1]")}
    assert client.get("/health/ready").status_code == 200
    (models / "m/config.yaml").unlink()
    assert client.post(LOAD.format("m")).status_code == 200
    assert index(client) == {("m", "1"): ("READY", "")}


def test_a_required_model_that_never_served_is_waited_for_until_it_does(tmp_path: Path) -> None:
    place = graphs.add_to_repository(tmp_path, "m", b"garbage")
    with serving(tmp_path, until="/health/live", repository_control=True) as client:
        assert client.post(LOAD.format("m")).status_code == 400
        assert client.get("/health/ready").status_code == 503
        (place / "model.onnx").write_bytes(graphs.times(2))
        assert client.post(LOAD.format("m")).status_code == 200
        assert client.get("/health/ready").status_code == 200
        assert answer(client) == ("1", 6)


@pytest.mark.parametrize("order", [LOAD, UNLOAD])
def test_an_order_waits_for_the_load_at_the_start(tmp_path: Path, order: str) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=200))
    with serving(tmp_path, until="/health/live", repository_control=True) as client:
        assert index(client)["slow", "1"] == ("LOADING", "")
        assert client.post(order.format("slow")).status_code == 200
        state, gauge = ("READY", "1.0") if order == LOAD else ("UNAVAILABLE", "0.0")
        assert index(client)["slow", "1"][0] == state
        assert f'headrace_model_ready{{model="slow",version="1"}} {gauge}' in client.get("/metrics").text


def test_labels_move_with_a_load(client: httpx.Client, models: Path) -> None:
    graphs.add_to_repository(models, "m", graphs.times(2), 2, "versions: all\nlabels: {stable: 1, canary: 2}")
    assert client.post(LOAD.format("m")).status_code == 200
    assert answer(client, "/v2/models/m/versions/stable") == ("1", 3)
    assert answer(client, "/v2/models/m/versions/canary") == ("2", 6)
    assert answer(client) == ("2", 6)
    (models / "m/config.yaml").write_text("versions: all\nlabels: {stable: 2}")
    assert client.post(LOAD.format("m")).status_code == 200
    assert answer(client, "/v2/models/m/versions/stable") == ("2", 6)
    assert ask(client, "/v2/models/m/versions/canary").status_code == 404


def test_a_new_folder_is_listed_and_served_once_it_is_loaded(client: httpx.Client, models: Path) -> None:
    graphs.add_to_repository(models, "new", graphs.times(7))
    assert index(client)["new", ""] == ("UNAVAILABLE", "not loaded")
    assert client.post("/v2/repository/index", json={"ready": True}).json() == [
        {"name": "m", "version": "1", "state": "READY", "reason": ""}
    ]
    assert ask(client, "/v2/models/new").status_code == 404
    assert client.post(LOAD.format("new")).status_code == 200
    assert answer(client, "/v2/models/new") == ("1", 21)


def test_a_new_model_that_is_broken_does_not_take_the_service_out_of_traffic(
    client: httpx.Client, models: Path
) -> None:
    graphs.add_to_repository(models, "new", b"garbage")
    assert client.post(LOAD.format("new")).status_code == 400
    assert ask(client, "/v2/models/new").status_code == 503
    assert client.get("/health/ready").status_code == 200


def test_a_new_model_with_a_broken_config_does_not_either(client: httpx.Client, models: Path) -> None:
    graphs.add_to_repository(models, "new", graphs.times(7), config="batches: 3")
    refused = client.post(LOAD.format("new"))
    assert (refused.status_code, refused.json()["error"].partition(";")[0]) == (
        400,
        "model new: config.yaml: unknown key batches",
    )
    assert client.get("/health/ready").status_code == 200


def test_an_unloaded_model_is_known_and_answers_503_until_it_is_loaded_again(client: httpx.Client) -> None:
    assert client.post(UNLOAD.format("m")).status_code == 200
    refused = ask(client)
    assert (refused.status_code, refused.json()) == (503, {"error": "model m is not ready: unloaded"})
    assert index(client) == {("m", "1"): ("UNAVAILABLE", "unloaded")}
    assert client.get("/health/ready").status_code == 200
    assert client.get("/v1/models").json() == {"models": []}
    assert client.post(LOAD.format("m")).status_code == 200
    assert answer(client) == ("1", 3)


def test_a_load_can_bring_its_own_configuration(client: httpx.Client) -> None:
    config = json.dumps({"labels": {"canary": 1}, "batching": {"max_rows": 2}})
    assert client.post(LOAD.format("m"), json={"parameters": {"config": config}}).status_code == 200
    assert answer(client, "/v2/models/m/versions/canary") == ("1", 3)
    assert client.get("/v2/models/m/config").json()["max_batch_size"] == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (LOAD.format("none"), None, 404, "the repository has no model 'none'; models: m"),
        (UNLOAD.format("none"), None, 404, "no model 'none'; models: m"),
        (LOAD.format("..%2Fm"), None, 404, "no such path"),
        (LOAD.format("%2e%2e"), None, 404, ""),
        (LOAD.format("m"), {"parameters": {"config": "{"}}, 400, "parameter config: "),
        (LOAD.format("m"), {"parameters": {"config": {}}}, 400, "parameter config: an object, wanted a text"),
        (LOAD.format("m"), {"parameters": {"config": '{"max_batch_size": 8}'}}, 400, "unknown key max_batch_size"),
        (LOAD.format("m"), {"parameters": {"file:1/model.onnx": "AAAA"}}, 501, "models come from the repository's"),
        (LOAD.format("m"), {"parameters": []}, 400, "parameters: a list, wanted an object"),
        ("/v2/repository/index", {"ready": 1}, 400, "ready: a number, wanted true or false"),
    ],
)
def test_a_wrong_order_changes_nothing(
    client: httpx.Client, path: str, body: dict[str, object] | None, status: int, sentence: str
) -> None:
    refused = client.post(path, json=body) if body is not None else client.post(path)
    assert refused.status_code == status
    assert sentence in refused.json()["error"]
    assert answer(client) == ("1", 3)


def test_control_is_off_unless_switched_on_and_the_index_is_open(models: Path) -> None:
    with serving(models) as client:
        for path in (LOAD.format("m"), UNLOAD.format("m")):
            refused = client.post(path)
            assert refused.status_code == 403
            assert "HEADRACE_REPOSITORY_CONTROL=true allows it" in refused.json()["error"]
        assert index(client) == {("m", "1"): ("READY", "")}
        assert answer(client) == ("1", 3)


def test_a_page_of_another_site_cannot_unload_a_model(client: httpx.Client) -> None:
    refused = client.post(UNLOAD.format("m"), headers={"origin": "https://elsewhere.example"})
    assert refused.status_code == 403
    assert answer(client) == ("1", 3)
    own = f"http://{client.base_url.host}:{client.base_url.port}"
    assert client.post(UNLOAD.format("m"), headers={"origin": own}).status_code == 200


def test_changes_under_load_lose_no_request_and_mix_no_versions(client: httpx.Client, models: Path) -> None:
    started, stop = Barrier(17), Event()

    def call(caller: int) -> list[tuple[int, str, float]]:
        seen = []
        with httpx.Client(base_url=client.base_url) as own:
            while not stop.is_set():
                got = ask(own, x=caller)
                body = got.json()
                seen.append((got.status_code, body["model_version"], body["outputs"][0]["data"][0] / caller))
                if len(seen) == 1:
                    started.wait(timeout=30)
        return seen

    with ThreadPoolExecutor(16) as callers:
        calls = [callers.submit(call, caller) for caller in range(1, 17)]
        try:
            started.wait(timeout=30)
            for version in range(2, 12):
                graphs.add_to_repository(models, "m", graphs.times(version), version)
                assert client.post(LOAD.format("m")).status_code == 200
                assert answer(client) == (str(version), 3 * version)
                shutil.rmtree(models / f"m/{version - 1}")
        finally:
            stop.set()
        seen = [one for done in calls for one in done.result()]
    assert {(status, int(version) - factor) for status, version, factor in seen} == {(200, 0)}
    assert {version for _, version, _ in seen} >= {"1", "11"}


def test_an_unload_waits_for_what_was_accepted(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=200), config="batching: {max_rows: 1}")
    with serving(tmp_path, repository_control=True) as client, ThreadPoolExecutor(8) as callers:
        asked = [callers.submit(ask, client, "/v2/models/slow") for _ in range(6)]
        wait_until(lambda: "headrace_queue_rows{" in client.get("/metrics").text, "nothing was accepted")
        waiting = 'headrace_queue_rows{model="slow",version="1"} '
        wait_until(
            lambda: float(client.get("/metrics").text.split(waiting)[1].split("\n")[0]) >= 2, "nothing waited for a run"
        )
        assert client.post(UNLOAD.format("slow")).status_code == 200
        assert {one.result().status_code for one in asked} <= {200, 503}
        assert [one.result().status_code for one in asked].count(200) >= 3


def test_tritons_client_lists_loads_and_unloads(triton_client: triton.InferenceServerClient, models: Path) -> None:
    graphs.add_to_repository(models, "new", graphs.times(7))
    triton_client.load_model("new", config=json.dumps({"deadline_ms": 1000}))
    assert triton_client.is_model_ready("new")
    assert {(one["name"], one["state"]) for one in triton_client.get_model_repository_index()} == {
        ("m", "READY"),
        ("new", "READY"),
    }
    triton_client.unload_model("new")
    assert not triton_client.is_model_ready("new")
    with pytest.raises(InferenceServerException, match="the repository has no model 'none'"):
        triton_client.load_model("none")
    assert {"model_repository", "model_configuration", "statistics"} <= set(
        triton_client.get_server_metadata()["extensions"]
    )


def test_the_configuration_has_tritons_names(tmp_path: Path) -> None:
    config = "versions: all\nbatching: {max_rows: 8, queue_delay_ms: 0.5}\ninstances: 1"
    graphs.add_to_repository(tmp_path, "m", graphs.add(), config=config)
    graphs.add_to_repository(tmp_path, "words", graphs.identity("BYTES", (2, 3)))
    graphs.add_to_repository(tmp_path, "scaled", graphs.scaled())
    with serving(tmp_path) as client:
        with triton.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}") as made:
            assert made.get_model_config("m", "1") == {
                "name": "m",
                "platform": "onnxruntime_onnx",
                "backend": "onnxruntime",
                "version_policy": {"all": {}},
                "max_batch_size": 8,
                "input": [
                    {"name": "a", "data_type": "TYPE_FP32", "dims": [2]},
                    {"name": "b", "data_type": "TYPE_FP32", "dims": [2]},
                ],
                "output": [
                    {"name": "total", "data_type": "TYPE_FP32", "dims": [2]},
                    {"name": "difference", "data_type": "TYPE_FP32", "dims": [2]},
                ],
                "instance_group": [{"name": "m", "kind": "KIND_CPU", "count": 1}],
                "dynamic_batching": {"max_queue_delay_microseconds": 500},
                "default_model_filename": "model.onnx",
                "parameters": {"CPUExecutionProvider nodes": {"string_value": "2"}},
            }
        words = client.get("/v2/models/words/config").json()
        assert (words["max_batch_size"], words["input"][0]["data_type"], words["input"][0]["dims"]) == (
            0,
            "TYPE_STRING",
            [2, 3],
        )
        assert words["version_policy"] == {"latest": {"num_versions": 1}}
        assert client.get("/v2/models/scaled/config").json()["input"][1] == {
            "name": "factor",
            "data_type": "TYPE_FP32",
            "dims": [1],
            "optional": True,
        }
        assert client.get("/v2/models/none/config").status_code == 404


def test_statistics_count_requests_rows_runs_and_failures(
    triton_client: triton.InferenceServerClient, client: httpx.Client
) -> None:
    for _ in range(3):
        assert ask(client).status_code == 200
    rows = {"inputs": [{"name": "x", "shape": [100, 1], "datatype": "FP32", "data": [1] * 100}]}
    assert client.post("/v2/models/m/infer", json=rows).status_code == 200
    assert client.post("/v2/models/m/infer", json={}).status_code == 400
    assert client.post("/v1/models/m:predict", json={"instances": [[1]]}).status_code == 200
    [done] = triton_client.get_inference_statistics("m", "1")["model_stats"]
    assert (done["name"], done["version"]) == ("m", "1")
    assert (done["inference_count"], done["execution_count"]) == (104, 5)
    stats = done["inference_stats"]
    assert {name: one["count"] for name, one in stats.items()} == {
        "success": 5,
        "fail": 1,
        "queue": 5,
        "compute_input": 5,
        "compute_infer": 5,
        "compute_output": 5,
        "cache_hit": 0,
        "cache_miss": 0,
    }
    parts = sum(stats[part]["ns"] for part in ("compute_input", "compute_infer", "compute_output"))
    assert 0 < parts < stats["success"]["ns"] * 3
    assert {one["batch_size"]: one["compute_infer"]["count"] for one in done["batch_stats"]} == {1: 4, 100: 1}
    assert all(one["compute_infer"]["ns"] > 0 for one in done["batch_stats"])
    assert done["last_inference"] > 1_700_000_000_000
    assert triton_client.get_inference_statistics() == {"model_stats": [done]}
    with pytest.raises(InferenceServerException, match="no model 'none'"):
        triton_client.get_inference_statistics("none")


def test_a_scrape_has_no_series_for_each_batch_size(client: httpx.Client) -> None:
    ask(client)
    metrics = client.get("/metrics").text
    assert "headrace_statistics_" not in metrics
    assert 'headrace_inference_seconds_count{model="m",outcome="success",version="1"} 1.0' in metrics
