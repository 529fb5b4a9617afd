"""The prediction log of a real service, and its requests run again by `python -m app replay`."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.__main__ import main
from app.prediction_log import files_in
from tests import graphs
from tests.serving import serving, serving_process, wait_until

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"

X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files_in(folder) for line in file.read_text().splitlines()]


@contextmanager
def logging(models: Path, folder: Path, **settings: object) -> Iterator[httpx.Client]:
    asked: dict[str, Any] = {"prediction_log": folder, "prediction_log_share": 1, **settings}
    with serving(models, **asked) as client:
        yield client


def ask(client: httpx.Client, identity: str, model: str = "m", **tensor: object) -> httpx.Response:
    answer = client.post(f"/v2/models/{model}/infer", json={"inputs": [X | tensor]}, headers={"x-request-id": identity})
    assert answer.status_code == 200, answer.text
    return answer


def replay(identity: str, folder: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["replay", identity, str(folder), "--models", str(models)])
    return status, capsys.readouterr().out


def test_a_request_is_kept_with_its_id_its_tensors_and_the_graphs_digest(tmp_path: Path) -> None:
    version = graphs.add_to_repository(tmp_path / "models", "m", graphs.double())
    with logging(tmp_path / "models", tmp_path / "log") as client:
        ask(client, "first")
        wait_until(lambda: bool(lines_of(tmp_path / "log")), "nothing was written")
        assert 'headrace_prediction_log_runs_total{outcome="written"} 1.0' in client.get("/metrics").text
    [line] = lines_of(tmp_path / "log")
    digest = hashlib.sha256((version / "model.onnx").read_bytes()).hexdigest()
    assert line | {"time": ""} == {
        "time": "",
        "model": "m",
        "version": 1,
        "graph": digest,
        "requests": [{"id": "first", "rows": 1}],
        "redacted": [],
        "inputs": {"x": {"datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}},
        "outputs": {"y": {"datatype": "FP32", "shape": [1, 3], "data": [2, 4, 6]}},
    }
    [written] = files_in(tmp_path / "log")
    assert written.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("model", ["diabetes", "spam", "loan-risk", "digits"])
def test_what_was_answered_in_company_is_answered_again(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads(next((MODELS / model).glob("*/manifest.json")).read_text())
    row = {feature["name"]: feature["example"] for tensor in manifest["inputs"] for feature in tensor["features"]}

    def predict(client: httpx.Client, number: int) -> None:
        body = {"instances": [row] * (1 + number % 3)}
        answer = client.post(f"/v1/models/{model}:predict", json=body, headers={"x-request-id": f"r{number}"})
        assert answer.status_code == 200, answer.text

    with logging(MODELS, tmp_path / "log") as client, ThreadPoolExecutor(8) as callers:
        list(callers.map(lambda number: predict(client, number), range(64)))
    kept = lines_of(tmp_path / "log")
    together = max(kept, key=lambda line: len(line["requests"]))
    identity = together["requests"][-1]["id"]
    status, told = replay(identity, tmp_path / "log", MODELS, capsys)
    assert status == 0
    assert f"{model} version" in told
    assert f"in its batch, of {len(together['requests'])} requests" in told
    apart = [line.rpartition(": ")[2] for line in told.splitlines() if "rows: " in line]
    assert apart
    for sentence in apart:
        assert sentence == "equal to the last bit" or float(sentence.split()[-9]) < 1e-5, told


def test_requests_that_shared_a_run_are_one_line_and_each_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = "batching: {queue_delay_ms: 300, max_rows: 16}"
    graphs.add_to_repository(tmp_path / "models", "m", graphs.double(), config=config)
    with logging(tmp_path / "models", tmp_path / "log") as client, ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda number: ask(client, f"r{number}"), range(4)))
    [line] = [line for line in lines_of(tmp_path / "log") if len(line["requests"]) > 1][:1]
    for request in line["requests"]:
        status, told = replay(request["id"], tmp_path / "log", tmp_path / "models", capsys)
        assert status == 0
        assert told.count("equal to the last bit") == 2


def test_a_model_that_has_changed_is_told_and_how_far_its_answers_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    with logging(tmp_path / "models", tmp_path / "log") as client:
        ask(client, "changed", shape=[1, 1], data=[3])
    (tmp_path / "models/m/1/model.onnx").write_bytes(graphs.times(3))
    _, told = replay("changed", tmp_path / "log", tmp_path / "models", capsys)
    assert "model.onnx is another file than it was then" in told
    assert "y differs by 3 at most" in told


def test_redacted_values_never_reach_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = tmp_path / "models"
    shutil.copytree(MODELS / "diabetes" / "1", models / "diabetes" / "1")
    (models / "diabetes" / "config.yaml").write_text("redact: [age, progression]")
    manifest = json.loads((models / "diabetes/1/manifest.json").read_text())
    row = {feature["name"]: feature["example"] for feature in manifest["inputs"][0]["features"]} | {"age": 77}
    with logging(models, tmp_path / "log") as client:
        client.post(
            "/v1/models/diabetes:predict", json={"instances": [row]}, headers={"x-request-id": "secret"}
        ).raise_for_status()
    [line] = lines_of(tmp_path / "log")
    names = [feature["name"] for feature in manifest["inputs"][0]["features"]]
    sent = dict(zip(names, next(iter(line["inputs"].values()))["data"], strict=True))
    assert np.isnan(sent.pop("age"))
    assert sent == pytest.approx({name: row[name] for name in sent})
    assert all(np.isnan(one["data"]).all() for one in line["outputs"].values())
    _, told = replay("secret", tmp_path / "log", models, capsys)
    assert "cannot be run again: the log does not have age, progression" in told


def test_a_name_to_redact_that_is_none_fails_the_model_alone(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.double(), config="redact: [age]")
    graphs.add_to_repository(tmp_path / "models", "other", graphs.double())
    with logging(tmp_path / "models", tmp_path / "log", until="/health/live") as client:
        wait_until(lambda: client.get("/v2/models/other/ready").status_code == 200, "the other never served")
        wait_until(lambda: client.get("/v2/models/m/ready").status_code == 503, "it was served")
        index = client.post("/v2/repository/index", json={}).json()
    [reason] = [one["reason"] for one in index if one["name"] == "m"]
    assert reason == "config.yaml: redact: age; the model has x, y"


def test_the_oldest_go_when_the_bound_is_reached(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.double())
    data = list(range(3000))
    with logging(tmp_path / "models", tmp_path / "log", prediction_log_bytes=2**20) as client:
        for number in range(120):
            ask(client, f"r{number}", shape=[1000, 3], data=data)
    sizes = [file.stat().st_size for file in files_in(tmp_path / "log")]
    assert 2**19 < sum(sizes) <= 2**20
    assert max(sizes) <= 2**16
    identities = [line["requests"][0]["id"] for line in lines_of(tmp_path / "log")]
    assert identities[-1] == "r119"
    assert "r0" not in identities


def test_a_folder_that_cannot_be_written_to_costs_no_answer(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.double())
    (tmp_path / "log").write_text("a file in its place")
    with logging(tmp_path / "models", tmp_path / "log") as client:
        ask(client, "kept by nobody")
        wait_until(
            lambda: 'headrace_prediction_log_runs_total{outcome="dropped"} 1.0' in client.get("/metrics").text,
            "it was not told",
        )
        ask(client, "still answered")


def test_two_workers_write_files_of_their_own_and_a_stop_loses_none(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.double())
    flags = ("--workers", "2", "--prediction-log", str(tmp_path / "kept"), "--prediction-log-share", "1")
    with serving_process(tmp_path / "models", tmp_path / "log", *flags) as (client, process):
        for number in range(40):
            with httpx.Client(base_url=client.base_url) as once:
                ask(once, f"r{number}")
        process.terminate()
        process.wait(timeout=60)
    asked = {request["id"] for line in lines_of(tmp_path / "kept") for request in line["requests"]}
    assert asked == {f"r{number}" for number in range(40)}


def test_nothing_is_kept_where_nobody_asks_and_a_share_where_a_share_is(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.double())
    with logging(tmp_path / "models", tmp_path / "log", prediction_log_share=0.25) as client:
        for number in range(400):
            ask(client, f"r{number}")
    assert 50 < len(lines_of(tmp_path / "log")) < 150
    with serving(tmp_path / "models") as client:
        ask(client, "unseen")


def test_an_unknown_request_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "replay", "nobody", str(tmp_path), "--models", str(MODELS)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith(f"replay: no request nobody in {tmp_path}; runs are sampled")
