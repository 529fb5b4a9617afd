"""What the page reads: the overview of all models, and a version's metadata."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import graphs
from tests.manifests import manifest
from tests.serving import serving, serving_process, wait_until

BODY = {"instances": [{"length": 1, "width": 2, "height": 3}]}


def overview(client: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/page/overview").json()
    return answer


def live(client: httpx.Client, name: str) -> dict[str, Any]:
    return next(one["live"] for one in overview(client)["models"] if one["name"] == name)


def add_leaf(folder: Path, config: str = "") -> None:
    place = graphs.add_to_repository(folder, "leaf", graphs.double(), config=config)
    (place / "manifest.json").write_text(manifest().model_dump_json())


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    add_leaf(tmp_path, "labels: {stable: 1}\nproviders: [CUDAExecutionProvider, CPUExecutionProvider]")
    graphs.add_to_repository(tmp_path, "scalar", graphs.double(()))
    graphs.add_to_repository(tmp_path, "damaged", b"", config="required: false")
    (tmp_path / "empty").mkdir()
    with serving(tmp_path, until="/v2/models/scalar/ready") as client:
        wait_until(lambda: "LOADING" not in client.get("/page/overview").text, "some model neither loaded nor failed")
        yield client


def test_a_browser_gets_the_page_and_a_program_a_sign_of_life(client: httpx.Client) -> None:
    page = client.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert (page.headers["x-content-type-options"], page.headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert page.headers["vary"] == client.get("/").headers["vary"] == "accept"
    assert client.get("/").json() == {"status": "alive"}
    script = client.get("/static/page/main.js")
    assert "javascript" in script.headers["content-type"]
    assert (script.headers["cache-control"], script.headers["x-content-type-options"]) == ("no-cache", "nosniff")


def test_the_overview_has_every_model_those_that_failed_with_their_reason(client: httpx.Client) -> None:
    seen = overview(client)
    models = {one["name"]: one for one in seen["models"]}
    assert list(models) == ["damaged", "empty", "leaf", "scalar"]
    assert (models["leaf"]["title"], models["leaf"]["task"]) == ("Leaves", "classification")
    assert models["leaf"]["versions"] == [
        {
            "version": 1,
            "state": "READY",
            "reason": "",
            "labels": ["stable"],
            "default": True,
            "batched": True,
            "providers": ["CPUExecutionProvider"],
            "missing_providers": ["CUDAExecutionProvider"],
        }
    ]
    assert models["damaged"]["versions"][0]["state"] == "UNAVAILABLE"
    assert "model.onnx" in models["damaged"]["versions"][0]["reason"]
    assert models["empty"]["versions"] == []
    assert "no version folder" in models["empty"]["reason"]
    assert seen["service"]["ready"] is False
    assert list(seen["service"]["waiting"]) == ["empty"]


def test_the_figures_count_calls_refusals_and_latency(client: httpx.Client) -> None:
    before = live(client, "scalar")["requests"]
    client.get("/v2/models/scalar/ready")
    wait_until(lambda: live(client, "scalar")["requests"] == before + 1, "the probe was not counted")
    for instances in (BODY["instances"], BODY["instances"], []):
        asked = {"instances": instances, "parameters": {"probabilities": True}}  # which passes through the queue
        client.post("/v1/models/leaf:predict", json=asked)
    wait_until(lambda: live(client, "leaf")["requests"] == 3, "the calls were not counted")
    seen = live(client, "leaf")
    assert (seen["failures"], seen["rows"], seen["runs"], seen["queue_rows"]) == (1, 2, 2, 0)
    assert seen["queue_seconds"] > 0
    assert seen["compute_seconds"] > 0
    bounds, counts = zip(*seen["latency"], strict=True)
    assert bounds[0] == 0.0005
    assert bounds[-1] is None
    assert counts[-1] == 3
    assert list(counts) == sorted(counts)


def test_the_figures_are_of_all_workers(tmp_path: Path) -> None:
    models = tmp_path / "models"
    add_leaf(models)
    with serving_process(models, tmp_path / "log", "--workers", "2") as (client, _):
        for _ in range(8):
            with httpx.Client(base_url=client.base_url) as caller:  # a connection of its own, to either worker
                assert caller.post("/v1/models/leaf:predict", json=BODY).status_code == 200
        wait_until(lambda: live(client, "leaf")["rows"] == 8, "a worker's rows are missing")


def test_the_metadata_has_the_card_without_golden_rows_and_bodies_that_work(client: httpx.Client) -> None:
    for path in ("", "/versions/1", "/labels/stable"):
        told = client.get(f"/v1/models/leaf{path}/metadata").json()
        assert (told["name"], told["version"], told["labels"]) == ("leaf", 1, ["stable"])
    assert told["manifest"] == manifest().model_dump(mode="json", exclude={"golden"})
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    assert (told["batched"], told["deadline_ms"]) == (True, 30_000)
    assert told["max_rows"] >= 64
    assert "CUDAExecutionProvider" in told["missing_providers"]
    assert client.post("/v1/models/leaf:predict", json=told["example"]).status_code == 200
    assert client.post("/v2/models/leaf/infer", json=told["example_v2"]).status_code == 200


def test_a_graph_whose_rows_are_none_has_an_example_for_tensors_only(client: httpx.Client) -> None:
    told = client.get("/v1/models/scalar/metadata").json()
    assert (told["manifest"], told["example"], told["batched"], told["max_rows"]) == (None, None, False, None)
    assert client.post("/v2/models/scalar/infer", json=told["example_v2"]).status_code == 200
    assert client.get("/v1/models/damaged/metadata").status_code == 503
    assert client.get("/v1/models/nobody/metadata").status_code == 404


def test_a_report_of_the_training_is_shown_and_can_load_and_run_nothing(tmp_path: Path) -> None:
    place = graphs.add_to_repository(tmp_path, "told", graphs.double())
    (place / "report.html").write_text("<h1>Told</h1>")
    graphs.add_to_repository(tmp_path, "untold", graphs.double())
    outside = tmp_path.parent / f"{tmp_path.name}.html"
    outside.write_text("secret")
    linked = graphs.add_to_repository(tmp_path, "linked", graphs.double())
    (linked / "report.html").symlink_to(outside)
    with serving(tmp_path) as client:
        shown = client.get("/page/models/told/versions/1/report")
        assert (shown.status_code, shown.text) == (200, "<h1>Told</h1>")
        assert shown.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        assert "sandbox" in shown.headers["content-security-policy"]
        for name in ("untold", "linked", "unknown"):
            assert client.get(f"/page/models/{name}/versions/1/report").status_code == 404
        reports = {name: client.get(f"/v1/models/{name}/metadata").json()["report"] for name in ("told", "untold")}
        assert reports == {"told": True, "untold": False}
        assert client.get("/v1/models/linked/metadata").json()["report"] is False
