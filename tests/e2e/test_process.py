"""`python -m app` as an operator meets it: a process, its signals, its workers, its words."""

import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.sockets import listen
from tests import graphs
from tests.serving import listening, serving_process, wait_until

pytestmark = pytest.mark.e2e

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}


def app(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def total(metrics: str, name: str) -> float:
    families = text_string_to_metric_families(metrics)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_a_stop_answers_what_was_accepted_and_exits_with_zero(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "slow", graphs.slow(turns=300), config="batching: {max_rows: 1}")
    with serving_process(tmp_path / "models", tmp_path / "log") as (client, process), ThreadPoolExecutor(8) as callers:
        answers = [callers.submit(client.post, "/v2/models/slow/infer", json=ROW) for _ in range(8)]
        entered = lambda: total(client.get("/metrics").text, "headrace_queue_rows") >= 4  # noqa: E731
        wait_until(entered, "four requests never waited")
        process.send_signal(signal.SIGTERM)
        assert [answer.result().status_code for answer in answers] == [200] * 8
        assert process.wait(timeout=30) == 0


def test_logs_are_one_json_line_a_request_with_its_id(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    with serving_process(tmp_path / "models", tmp_path / "log", "--log-requests") as (client, _):
        client.post("/v2/models/m/infer", json=ROW, headers={"x-request-id": "a-1"})
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["status"] for line in lines if line.get("request_id") == "a-1"] == [200]
    starting = next(line for line in lines if line["event"] == "starting")
    assert starting["threads_for_runs"] >= 1
    assert lines[-1]["event"] == "stopped"


def test_a_stop_whose_time_is_over_computes_nothing_that_still_waits(tmp_path: Path) -> None:
    graphs.add_to_repository(
        tmp_path / "models", "slow", graphs.slow(turns=400), config="batching: {max_rows: 1}\ninstances: 1"
    )
    one = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}

    def call(address: httpx.URL) -> int:
        try:
            return httpx.post(f"{address}/v2/models/slow/infer", json=one, timeout=60).status_code
        except httpx.TransportError:
            return 0

    log = tmp_path / "log"
    with serving_process(tmp_path / "models", log, "--stop-timeout-s", "1") as (client, process):
        with ThreadPoolExecutor(32) as callers:
            answers = [callers.submit(call, client.base_url) for _ in range(32)]
            waiting = lambda: total(client.get("/metrics").text, "headrace_queue_rows") > 25  # noqa: E731
            wait_until(waiting, "the callers never waited")
            process.terminate()
            process.wait(timeout=60)
        assert [answer.result() for answer in answers].count(0) > 16


def test_two_workers_serve_and_any_of_them_tells_the_metrics_of_both(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    with serving_process(tmp_path / "models", tmp_path / "log", "--workers", "2") as (client, process):
        workers = [
            child.pid for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2

        def call(_: int) -> int:
            return httpx.post(f"{client.base_url}/v2/models/m/infer", json=ROW).status_code

        wait_until(lambda: len(listening(process)) == 2, "the second worker never served")
        with ThreadPoolExecutor(8) as callers:
            assert set(callers.map(call, range(100))) == {200}
        counted = lambda: total(client.get("/metrics").text, "headrace_batch_rows_sum") == 100  # noqa: E731
        wait_until(counted, "a worker's rows are missing")
        for _ in range(10):
            metrics = httpx.get(f"{client.base_url}/metrics").text
            assert total(metrics, "headrace_batch_rows_sum") == 100
            assert {int(pid) for pid in re.findall(r'resident_memory_bytes\{pid="(\d+)"\}', metrics)} == set(workers)


def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    with serving_process(tmp_path / "models", tmp_path / "log", "--workers", "2") as (client, process):
        wait_until(lambda: len(listening(process)) == 2, "the second worker never served")
        supervisor = psutil.Process(process.pid)
        before = {child.pid for child in supervisor.children()}
        victim = next(child for child in supervisor.children() if "spawn_main" in " ".join(child.cmdline()))
        victim.kill()
        wait_until(lambda: bool({child.pid for child in supervisor.children()} - before), "nobody took its place")

        def call(_: int) -> int:
            return httpx.post(f"{client.base_url}/v2/models/m/infer", json=ROW).status_code

        def calls_while_one_is_new() -> bool:
            """No caller notices, until the new one answers too."""
            assert [call(i) for i in range(20)] == [200] * 20
            return len(listening(process)) == 2

        wait_until(calls_while_one_is_new, "the new worker never served")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_a_load_answers_once_every_worker_serves_the_new_version_and_a_replaced_worker_knows_it(
    tmp_path: Path,
) -> None:
    models = tmp_path / "models"
    graphs.add_to_repository(models, "m", graphs.times(2))
    graphs.add_to_repository(models, "other", graphs.times(2))
    flags = ("--workers", "2", "--repository-control")
    with serving_process(models, tmp_path / "log", *flags) as (client, process):

        def answers(model: str) -> set[str]:
            """What forty connections, spread over both workers, are told."""
            told = [httpx.post(f"{client.base_url}/v2/models/{model}/infer", json=ROW).json() for _ in range(40)]
            return {one.get("model_version") or one["error"] for one in told}

        def order(verb: str, model: str) -> httpx.Response:
            return httpx.post(f"{client.base_url}/v2/repository/models/{model}/{verb}", timeout=60)

        wait_until(lambda: len(listening(process)) == 2, "the second worker never served")
        for version in range(2, 5):
            graphs.add_to_repository(models, "m", graphs.times(version), version)
            assert order("load", "m").status_code == 200
            assert answers("m") == {str(version)}
        graphs.add_to_repository(models, "m", b"garbage", 5)
        assert order("load", "m").json()["error"].startswith("model m: version 5: model.onnx: ")
        assert answers("m") == {"4"}
        assert order("unload", "other").status_code == 200
        assert answers("other") == {"model other is not ready: unloaded"}
        victim = next(c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline()))
        victim.kill()
        wait_until(lambda: not victim.is_running(), "the worker outlived its end")
        assert order("load", "none").status_code == 404
        wait_until(lambda: len(listening(process)) == 2, "nobody took its place")
        assert answers("other") == {"model other is not ready: unloaded"}


def test_a_load_under_way_is_answered_when_the_service_stops(tmp_path: Path) -> None:
    models = tmp_path / "models"
    graphs.add_to_repository(models, "m", graphs.times(2))
    flags = ("--workers", "2", "--repository-control")
    with (
        serving_process(models, tmp_path / "log", *flags) as (client, process),
        ThreadPoolExecutor(1) as caller,
    ):
        graphs.add_to_repository(models, "slow", graphs.slow(turns=400))
        load = caller.submit(httpx.post, f"{client.base_url}/v2/repository/models/slow/load", timeout=60)
        loading = lambda: any(  # noqa: E731
            (one["name"], one["state"]) == ("slow", "LOADING") for one in client.post("/v2/repository/index").json()
        )
        wait_until(loading, "the load never began")
        process.send_signal(signal.SIGTERM)
        assert load.result().status_code == 200
        assert process.wait(timeout=20) == 0


def test_workers_stop_when_their_supervisor_was_killed(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    with serving_process(tmp_path / "models", tmp_path / "log", "--workers", "2") as (_, process):
        workers = psutil.Process(process.pid).children()
        process.kill()
        wait_until(lambda: not any(worker.is_running() for worker in workers), "a worker outlived its supervisor")


def test_a_port_in_use_and_a_missing_folder_are_told_in_a_sentence(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0, shared=False) as taken:
        taken.listen()
        for workers in ("1", "2"):
            refused = app(
                "serve", "--models", str(tmp_path), "--port", str(taken.getsockname()[1]), "--workers", workers
            )
            assert refused.returncode == 1
            assert "cannot listen on 127.0.0.1" in refused.stderr
    refused = app("serve", "--models", str(tmp_path / "none"))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--models names the model repository" in refused.stderr


def test_wrong_words_on_the_command_line_are_told_the_right_ones() -> None:
    assert "serve" in app("--help").stdout
    assert "--max-body-bytes" in app("serve", "--help").stdout
    assert app("sevre").returncode == 2
    assert "unknown command 'sevre'" in app("sevre").stderr
    refused = app("serve", "--port", "http")
    assert refused.returncode == 2
    assert "port: Input should be a valid integer" in refused.stderr
    assert app("check").returncode == 2


def test_check_says_how_each_model_would_be_served_and_fails_on_a_broken_one(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "good", graphs.double())
    checked = app("check", str(tmp_path))
    assert checked.returncode == 0
    assert "ok      good version 1: x FP32[-1, 3] -> y FP32[-1, 3]" in checked.stdout
    graphs.add_to_repository(tmp_path, "bad", b"garbage")
    checked = app("check", str(tmp_path))
    assert checked.returncode == 1
    assert "FAILED  bad version 1: model.onnx: " in checked.stdout


def test_the_service_starts_and_answers_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    (tmp_path / "blocked").mkdir()
    for package in ("torch", "onnx", "sklearn"):
        (tmp_path / "blocked" / f"{package}.py").write_text("raise ImportError('not installed')")
    with serving_process(tmp_path / "models", tmp_path / "log", PYTHONPATH=str(tmp_path / "blocked")) as (client, _):
        assert client.post("/v2/models/m/infer", json=ROW).json()["outputs"][0]["data"] == [6]
