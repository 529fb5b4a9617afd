"""`python -m app` over models in S3, as an operator meets it: they come, change and go, and so does the store."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import graphs
from tests.e2e.test_process import app
from tests.manifests import manifest
from tests.serving import listening, serving_process, wait_for, wait_until
from tests.stores import SECRET, Bucket, bucket_server, upload

pytestmark = pytest.mark.e2e

WRONG = "the-secret-of-somebody-else"

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An S3 server, which the processes that a test starts find by their environment."""
    with bucket_server(tmp_path / "buckets") as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        yield bucket


def answer(client: httpx.Client) -> float:
    """What the model m makes of 3; 0 where it does not serve."""
    told = client.post("/v2/models/m/infer", json=ROW)
    return float(told.json()["outputs"][0]["data"][0]) if told.status_code == 200 else 0


def figure(client: httpx.Client, name: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return next(s.value for family in families for s in family.samples if s.name == f"headrace_store_{name}")


@contextmanager
def calling(client: httpx.Client) -> Iterator[set[float]]:
    """A caller who never stops, and all that they were answered."""
    stop, answers = threading.Event(), set[float]()

    def call() -> None:
        with httpx.Client(base_url=client.base_url, timeout=30) as own:
            while not stop.wait(0.01):
                answers.add(answer(own))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def test_models_come_change_and_go_with_the_store_and_outlast_it(bucket: Bucket, tmp_path: Path) -> None:
    models, log = bucket.folder / "b" / "models", tmp_path / "log"
    flags = ("--poll-s", "0.2", "--mirror", str(tmp_path / "mirror"))
    with serving_process("s3://b/models", log, *flags, until="/health/live") as (client, process):
        reason = "the models' store: there is no such bucket, folder or file"
        wait_until(lambda: reason in client.get("/health/ready").text, "nobody says that there is no bucket")
        assert client.get("/health/ready").status_code == 503
        upload(models, "m", graphs.times(2))
        wait_for(client, "/health/ready")
        assert answer(client) == 6
        with calling(client) as answers:
            upload(models, "m", graphs.times(5), 2)
            wait_until(lambda: answer(client) == 15, "the new version never served")
            shutil.rmtree(models / "m" / "2")
            wait_until(lambda: answer(client) == 6, "the old version never came back")
            bucket.kill()
            wait_until(lambda: "store" in client.get("/health/ready").json(), "nobody says that the store is down")
            assert client.get("/health/ready").json()["ready"]
            assert figure(client, "up") == 0
            upload(models, "m", graphs.times(7), 3)
            bucket.start()
            wait_until(lambda: answer(client) == 21, "nobody looked at the store again")
        assert {6, 15} <= answers <= {6, 15, 21}
        assert "store" not in client.get("/health/ready").json()
        assert figure(client, "up") == 1
        assert figure(client, "last_look_timestamp_seconds") > 0
    assert process.returncode == 0
    with serving_process("s3://b/models", log, *flags, AWS_SECRET_ACCESS_KEY=WRONG) as (client, _):
        assert answer(client) == 21
        refused = lambda: client.get("/health/ready").json().get("store") == "it refuses the key"  # noqa: E731
        wait_until(refused, "nobody says that the key is wrong")
    assert WRONG not in log.read_text()
    assert SECRET not in log.read_text()


def test_a_load_brings_the_version_to_every_worker_and_says_what_the_store_does_not_give(
    bucket: Bucket, tmp_path: Path
) -> None:
    models = bucket.folder / "b" / "models"
    upload(models, "m", graphs.times(2))
    upload(models, "other", graphs.times(2))
    flags = ("--workers", "2", "--repository-control", "--mirror", str(tmp_path / "mirror"))
    with serving_process("s3://b/models", tmp_path / "log", *flags) as (client, process):

        def load(model: str = "m") -> httpx.Response:
            return httpx.post(f"{client.base_url}/v2/repository/models/{model}/load", timeout=60)

        def answers() -> set[float]:
            with httpx.Client(base_url=client.base_url, headers={"connection": "close"}) as fresh:
                return {answer(fresh) for _ in range(40)}

        wait_until(lambda: len(listening(process)) == 2, "the second worker never served")
        upload(models, "m", graphs.times(5), 2)
        upload(models, "other", graphs.times(5), 2)
        assert load().status_code == 200
        assert answers() == {15}
        unknown = load("none")
        assert unknown.status_code == 404
        assert unknown.json()["error"].endswith("; the models' store: there is no model 'none' in it")
        assert load("..").status_code == load("a%2Fb").status_code == 404
        cut = upload(models, "m", graphs.times(7)[:-7], 3)
        sums = {"model.onnx": hashlib.sha256(graphs.times(7)).hexdigest()}
        (cut / "manifest.json").write_text(manifest(files=sums).model_dump_json())
        refused = load()
        assert refused.status_code == 503
        assert "m/3: not what manifest.json was written for: model.onnx" in refused.json()["error"]
        wait_until(lambda: figure(client, "incomplete_versions") == 1, "no figure tells of the version")
        bucket.kill()
        refused = load()
        assert refused.status_code == 503
        assert "serves what was mirrored before; the models' store: it cannot be read" in refused.json()["error"]
        assert answers() == {15}
        assert httpx.get(f"{client.base_url}/v2/models/other").json()["versions"] == ["1"]  # nobody asked for it
        workers = {worker.pid for worker in listening(process)}
        spawned = [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]
        [mirrors] = [child for child in spawned if child.pid not in workers]
        mirrors.kill()
        wait_until(lambda: "mirror_replaced" in (tmp_path / "log").read_text(), "nobody saw that the mirror ended")
        assert answers() == {15}


def test_check_looks_into_a_store_and_fails_on_what_is_not_whole(bucket: Bucket) -> None:
    upload(bucket.folder / "b" / "models", "good", graphs.double())
    upload(bucket.folder / "b" / "models", "half", graphs.with_external_weights("weights.bin"))
    checked = app("check", "s3://b/models")
    assert (checked.returncode, checked.stderr) == (1, "")
    assert "ok      good version 1: x FP32[-1, 3] -> y FP32[-1, 3]" in checked.stdout
    assert "FAILED  half/1: missing: weights.bin" in checked.stdout
