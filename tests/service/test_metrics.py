"""What an operator is told in figures: named as Prometheus wants it, and counted for what happened."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import graphs
from tests.service.test_health_and_metrics import sample
from tests.serving import serving, wait_until

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}
INFER = "/v2/models/m/infer"


def runs(client: httpx.Client, model: str = "m") -> dict[str, float]:
    """How many began, by what released them."""
    return {
        released: sample(client, "headrace_runs_total", model=model, released=released)
        for released in ("free", "full", "delay", "whole")
    }


def failures(client: httpx.Client, reason: str, model: str = "m") -> float:
    return sample(client, "headrace_request_failures_total", model=model, reason=reason)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool; tests/install brings it")
def test_names_and_units_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    with serving(tmp_path) as client:
        client.post(INFER, json=ROW)
        client.post(INFER, json={})
        told = client.get("/metrics").content
    checked = subprocess.run(["promtool", "check", "metrics"], input=told, capture_output=True, check=False)  # noqa: S607
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_run_is_counted_by_what_released_it(tmp_path: Path, fast_lane: bool) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.times(2), config="batching: {max_rows: 4}")
    graphs.add_to_repository(tmp_path, "late", graphs.times(2), config="batching: {queue_delay_ms: 20}")
    graphs.add_to_repository(tmp_path, "whole", graphs.softmax_over_rows())
    many = {"inputs": [{"name": "x", "shape": [8, 1], "datatype": "FP32", "data": [1] * 8}]}
    with serving(tmp_path, fast_lane=fast_lane) as client:
        assert runs(client) == {"free": 0, "full": 0, "delay": 0, "whole": 0}
        client.post(INFER, json=ROW).raise_for_status()
        assert runs(client) == {"free": 1, "full": 0, "delay": 0, "whole": 0}
        client.post(INFER, json=many).raise_for_status()
        assert runs(client) == {"free": 1, "full": 2, "delay": 0, "whole": 0}
        client.post("/v2/models/late/infer", json=ROW).raise_for_status()
        assert runs(client, "late") == {"free": 0, "full": 0, "delay": 1, "whole": 0}
        wide = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}
        client.post("/v2/models/whole/infer", json=wide).raise_for_status()
        assert runs(client, "whole") == {"free": 0, "full": 0, "delay": 0, "whole": 1}


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_failure_is_counted_by_its_reason(tmp_path: Path, fast_lane: bool) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    graphs.add_to_repository(
        tmp_path, "slow", graphs.slow(turns=200), config="batching: {max_rows: 1, max_queue_rows: 1}\ninstances: 1"
    )
    graphs.add_to_repository(tmp_path, "late", graphs.slow(turns=500), config="deadline_ms: 10")
    with serving(tmp_path, fast_lane=fast_lane) as client, ThreadPoolExecutor(8) as callers:
        assert client.post(INFER, json={"inputs": []}).status_code == 400
        assert failures(client, "invalid_input") == 1
        assert client.post("/v2/models/none/infer", json=ROW).status_code == 404
        assert failures(client, "model_not_found", model="") == 1
        assert client.post("/v2/models/late/infer", json=ROW).status_code == 504
        assert failures(client, "deadline_exceeded", model="late") == 1
        answers = [callers.submit(client.post, "/v2/models/slow/infer", json=ROW) for _ in range(8)]
        told = [answer.result().status_code for answer in answers]
        assert {*told} == {200, 429}
        assert failures(client, "queue_rows", model="slow") == told.count(429)


def test_what_serves_and_what_it_holds_is_told(tmp_path: Path) -> None:
    place = graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    with serving(tmp_path) as client:
        assert sample(client, "headrace_build_info", version="0.1.0") == 1
        size = (place / "model.onnx").stat().st_size
        assert sample(client, "headrace_model_file_bytes", model="m", version="1") == size
        wait_until(lambda: sample(client, "headrace_event_loop_stall_seconds_count") > 2, "the loop is not watched")
