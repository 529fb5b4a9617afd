"""Probes, the request id, and the figures that Prometheus reads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from app.inference.threads import cores
from app.metrics import Metrics
from app.protocols import health
from tests import graphs
from tests.manifests import manifest
from tests.serving import serving, wait_for, wait_until

X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}


def sample(client: httpx.Client, name: str, **labels: str) -> float:
    """The one value of a series with these labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = [
        s.value for family in families for s in family.samples if s.name == name and labels.items() <= s.labels.items()
    ]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return found[0]


def test_a_ready_service_says_so_in_every_dialect(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "double", graphs.double())
    with serving(tmp_path) as client:
        assert client.get("/").json() == {"status": "alive"}
        assert client.get("/health/live").json() == {"live": True}
        assert client.get("/health/ready").json() == {"ready": True}
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True, "live": True}
        assert client.get("/v2").json() == {
            "name": "headrace",
            "version": "0.1.0",
            "extensions": [
                "binary_tensor_data",
                "classification",
                "schedule_policy",
                "model_repository",
                "model_repository(unload_dependents)",
                "model_configuration",
                "statistics",
            ],
        }
        assert client.get("/v2/models/double/ready").json() == {"name": "double", "ready": True}
        assert client.get("/v2/models").json() == client.get("/v1/models").json() == {"models": ["double"]}
        assert client.get("/v1/models/double").json()["model_version_status"][0]["state"] == "AVAILABLE"
        assert client.get("/v2/models/double").json()["inputs"][0]["shape"] == [-1, 3]
        wait_until(lambda: sample(client, "headrace_ready") == 1, "Prometheus is not told that it is ready")


def test_broken_models_are_told_with_their_reason_and_the_others_serve(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "good", graphs.double())
    graphs.add_to_repository(tmp_path, "garbage", b"not a graph")
    graphs.add_to_repository(tmp_path, "cut", graphs.double()[:-20])
    graphs.add_to_repository(tmp_path, "empty", graphs.double())
    (tmp_path / "empty/1/model.onnx").unlink()
    graphs.add_to_repository(tmp_path, "typo", graphs.double(), config="batchin: false")
    (tmp_path / "no-version").mkdir()
    (tmp_path / "stats").mkdir()
    wrong = graphs.add_to_repository(tmp_path, "drifted", graphs.double())
    golden = {"inputs": {"x": [[1, 2, 3]]}, "outputs": {"y": [[2, 4, 6.1]]}, "tolerance": 1e-5}
    (wrong / "manifest.json").write_text(manifest(golden=golden).model_dump_json())
    labels = [{"tensor": "y", "kind": "probabilities", "name": "kind", "labels": ["oak", "elm"]}]
    wrong = graphs.add_to_repository(tmp_path, "mislabelled", graphs.double())
    (wrong / "manifest.json").write_text(manifest(outputs=labels).model_dump_json())
    with serving(tmp_path, until="/v2/models/good/ready") as client:
        wait_until(lambda: "loading" not in client.get("/health/ready").text, "some model neither loaded nor failed")
        not_ready = client.get("/health/ready")
        assert not_ready.status_code == 503
        told = not_ready.json()["error"]
        assert not_ready.json()["ready"] is False
        for reason in (
            "garbage: model.onnx: ",
            "cut: model.onnx: ",
            "empty: model.onnx: ",
            "typo: config.yaml: unknown key batchin",
            "no-version: no version folder",
            "mislabelled: y: 2 labels, the graph gives [-1, 3]",
            "drifted: golden rows: output y is not what training computed",
        ):
            assert reason in told
        assert str(tmp_path) not in told
        refused = client.post("/v2/models/drifted/infer", json={"inputs": [X]})
        assert refused.status_code == 503
        assert "retry-after" not in refused.headers
        assert client.get("/v2/models/drifted/ready").status_code == 503
        assert client.post("/v2/models/good/infer", json={"inputs": [X]}).status_code == 200
        assert sample(client, "headrace_model_ready", model="good", version="1") == 1
        assert sample(client, "headrace_model_ready", model="drifted", version="1") == 0
        assert sample(client, "headrace_ready") == 0


def test_a_model_that_is_loading_says_when_to_come_back(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=800))
    with serving(tmp_path, until="/health/live") as client:
        assert client.get("/health/ready").json() == {"ready": False, "error": "not ready: slow: it is loading"}
        refused = client.post("/v2/models/slow/infer", json={"inputs": [X]})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        wait_for(client, "/health/ready")


def test_weights_that_are_missing_are_told_without_saying_where_models_lie(tmp_path: Path) -> None:
    place = graphs.add_to_repository(tmp_path, "m", graphs.double())
    (place / "model.onnx").write_bytes(graphs.with_external_weights("weights.bin"))
    with serving(tmp_path, until="/health/live") as client:
        wait_until(lambda: "loading" not in client.get("/health/ready").text, "the model neither loaded nor failed")
        told = client.get("/health/ready").json()["error"]
        assert "weights.bin" in told
        assert str(tmp_path) not in told
        assert tmp_path.name not in told


def test_a_provider_that_onnxruntime_does_not_know_is_refused(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.double(), config="providers: [CUDAExecutonProvider]")
    with serving(tmp_path, until="/health/live") as client:
        wait_until(lambda: "loading" not in client.get("/health/ready").text, "the model neither loaded nor failed")
        assert "no execution provider CUDAExecutonProvider; known: " in client.get("/health/ready").json()["error"]


def test_a_model_that_is_not_required_does_not_hold_readiness_back(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "broken", b"", config="required: false")
    with serving(tmp_path) as client:
        assert client.get("/health/ready").json() == {"ready": True}


def test_an_execution_provider_that_is_not_in_use_is_told_or_refused(tmp_path: Path) -> None:
    asked = "providers: [CUDAExecutionProvider, CPUExecutionProvider]\n"
    graphs.add_to_repository(tmp_path, "hopeful", graphs.double(), config=asked)
    graphs.add_to_repository(
        tmp_path, "strict", graphs.double(), config=asked + "strict_providers: true\nrequired: false"
    )
    with serving(tmp_path) as client:
        assert client.get("/health/ready").json() == {
            "ready": True,
            "providers": {"hopeful": {"CPUExecutionProvider": 1}},
            "missing_providers": {"hopeful": ["CUDAExecutionProvider"]},
        }
        refused = client.get("/v2/models/strict/ready")
        assert refused.status_code == 503
        assert "CUDAExecutionProvider was asked for and is not in use" in refused.json()["error"]


def test_the_plan_of_threads_and_nodes_is_in_the_metrics_and_goes_with_the_model(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.add(), config="instances: 1\nthreads: 1")
    with serving(tmp_path, repository_control=True) as client:
        told = {"model": "m", "version": "1"}
        assert sample(client, "headrace_cores") == cores()
        assert sample(client, "headrace_model_threads", **told) == 1
        assert sample(client, "headrace_model_nodes", **told, provider="CPUExecutionProvider") == 2
        assert client.post("/v2/repository/models/m/load").status_code == 200
        assert sample(client, "headrace_model_threads", **told) == 1
        assert client.post("/v2/repository/models/m/unload").status_code == 200
        assert sample(client, "headrace_model_threads", **told) == 0
        assert sample(client, "headrace_model_nodes", **told, provider="CPUExecutionProvider") == 0


def test_instances_and_threads_stay_within_the_cores_of_a_worker(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.double(), config="instances: 64\nthreads: 64")
    with serving(tmp_path, workers=cores()) as client:  # as one of so many: the supervisor starts the others
        assert sample(client, "headrace_model_threads", model="m", version="1") == 1


def test_a_request_id_is_echoed_if_it_is_harmless_and_made_up_otherwise(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "double", graphs.double())
    with serving(tmp_path) as client:
        assert client.get("/", headers={"x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
        for bad in ("", "a b", "é".encode("latin-1"), "x" * 200):
            made_up = client.get("/", headers=[(b"x-request-id", bad if isinstance(bad, bytes) else bad.encode())])
            assert len(made_up.headers["x-request-id"]) == 32
        assert len(client.get("/nowhere").headers["x-request-id"]) == 32


def test_metrics_count_requests_rows_and_runs_and_name_no_model_that_does_not_exist(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "double", graphs.double())
    with serving(tmp_path) as client:
        for _ in range(3):
            client.post("/v2/models/double/infer", json={"inputs": [{**X, "shape": [2, 3], "data": [0] * 6}]})
        client.post("/v1/models/double:predict", content=b"{")
        client.post("/v2/models/nobody/infer", json={})
        labels = {"model": "double", "protocol": "v2"}
        assert sample(client, "headrace_requests_total", **labels, status="200") == 3
        assert sample(client, "headrace_requests_total", model="double", protocol="v1", status="400") == 1
        assert sample(client, "headrace_requests_total", model="", protocol="v2", status="404") == 1
        assert sample(client, "headrace_request_seconds_count", **labels) == 3
        assert sample(client, "headrace_queue_seconds_count", model="double") == 3
        assert sample(client, "headrace_compute_seconds_count", model="double") == 3
        assert sample(client, "headrace_batch_rows_sum", model="double") == 6
        assert sample(client, "headrace_queue_rows", model="double") == 0
        assert sample(client, "headrace_process_resident_memory_bytes") > 10_000_000
        assert "nobody" not in client.get("/metrics").text


def test_a_scrape_leaves_the_event_loop_to_others() -> None:
    """Over 300 models it takes a fifth of a second."""
    asked, turned = threading.Event(), threading.Event()

    def loop_went_on() -> float:
        asked.set()
        return float(turned.wait(timeout=10))

    async def scrape() -> str:
        app = FastAPI()
        app.include_router(health.router)
        app.state.metrics = Metrics()
        app.state.metrics.inline_bound.set_function(loop_went_on)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://headrace") as client:
            scraped = asyncio.create_task(client.get("/metrics"))
            await asyncio.to_thread(asked.wait, 10)
            turned.set()
            return (await scraped).text

    assert "headrace_inline_bound_seconds 1.0" in asyncio.run(scrape())


def test_callers_at_one_time_share_runs(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=200), config="batching: {max_rows: 64}")
    with serving(tmp_path) as client:
        body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}
        with ThreadPoolExecutor(64) as callers:
            answers = list(callers.map(lambda _: client.post("/v2/models/slow/infer", json=body), range(256)))
        assert {answer.status_code for answer in answers} == {200}
        runs = sample(client, "headrace_batch_rows_count", model="slow")
        assert sample(client, "headrace_batch_rows_sum", model="slow") / runs > 4
