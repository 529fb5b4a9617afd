"""Which versions of a model serve, and which one answers."""

from pathlib import Path

import httpx
import pytest

from tests import graphs
from tests.serving import serving, wait_until


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for version in (1, 2, 10):
        graphs.add_to_repository(tmp_path, "m", graphs.times(version), version)
    return tmp_path


def factor(client: httpx.Client, version: str = "") -> float | int:
    """What the model multiplies by, or the status of its refusal."""
    answer = client.post(f"/v1/models/m{version}:predict", json={"instances": [[1]]})
    return float(answer.json()["predictions"][0][0]) if answer.status_code == 200 else answer.status_code


def test_the_highest_version_serves_alone_by_default_and_ten_is_above_two(models: Path) -> None:
    with serving(models) as client:
        assert factor(client) == factor(client, "/versions/10") == 10
        assert factor(client, "/versions/2") == 404


@pytest.mark.parametrize(
    ("policy", "served"), [("{latest: 2}", [2, 10]), ("all", [1, 2, 10]), ("[1, 2]", [1, 2]), ("[10]", [10])]
)
def test_a_policy_names_the_versions_that_serve(models: Path, policy: str, served: list[int]) -> None:
    (models / "m/config.yaml").write_text(f"versions: {policy}")
    with serving(models) as client:
        assert client.get("/v2/models/m").json()["versions"] == [str(version) for version in served]
        assert [factor(client, f"/versions/{version}") for version in served] == served
        assert factor(client) == max(served)


def test_the_highest_version_that_can_serve_answers_when_a_higher_one_is_broken(models: Path) -> None:
    (models / "m/10/model.onnx").write_bytes(b"broken")
    (models / "m/config.yaml").write_text("versions: all")
    with serving(models, until="/v2/models/m/versions/2/ready") as client:
        assert factor(client) == 2
        assert factor(client, "/versions/10") == 503
        assert "m: model.onnx" in client.get("/health/ready").json()["error"]


def test_labels_stand_for_versions_in_both_protocols(models: Path) -> None:
    (models / "m/config.yaml").write_text("versions: all\nlabels: {stable: 2, canary: 10}")
    with serving(models) as client:
        assert factor(client, "/labels/stable") == 2
        assert factor(client, "/labels/canary") == 10
        assert factor(client, "/labels/nobody") == 404
        assert client.get("/v2/models/m/versions/stable/ready").status_code == 200
        x = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}
        answer = client.post("/v2/models/m/versions/stable/infer", json={"inputs": [x]}).json()
        assert (answer["model_version"], answer["outputs"][0]["data"]) == ("2", [2])


def test_a_label_of_a_version_that_does_not_serve_is_told(models: Path) -> None:
    (models / "m/config.yaml").write_text("labels: {stable: 2}")
    with serving(models, until="/health/live") as client:
        assert "config.yaml labels versions [2]; it serves [10]" in client.get("/health/ready").json()["error"]


def test_a_policy_for_a_version_that_is_not_there_is_told(models: Path) -> None:
    (models / "m/config.yaml").write_text("versions: [3]")
    with serving(models, until="/health/live") as client:
        assert "config.yaml asks for versions [3]; there are [1, 2, 10]" in client.get("/health/ready").json()["error"]


def states(client: httpx.Client, path: str = "") -> tuple[int, bool, dict[str, tuple[str, str]]]:
    """Status, readiness, and each version's state with its message."""
    answer = client.get(f"/v1/models/m{path}")
    told = answer.json()
    versions = told["model_version_status"]
    return (
        answer.status_code,
        told["ready"],
        {v["version"]: (v["state"], v["status"]["error_message"]) for v in versions},
    )


def test_the_state_of_every_version_and_of_one_can_be_read(models: Path) -> None:
    (models / "m/config.yaml").write_text("versions: all\nlabels: {stable: 2, broken: 10}")
    (models / "m/10/model.onnx").write_bytes(b"broken")
    with serving(models, until="/v2/models/m/versions/2/ready") as client:
        good, broken = ("AVAILABLE", ""), states(client)[2]["10"]
        assert broken[0] == "END"
        assert "model.onnx" in broken[1]
        assert states(client) == (200, True, {"1": good, "2": good, "10": broken})
        assert states(client, "/versions/2") == states(client, "/labels/stable") == (200, True, {"2": good})
        assert states(client, "/versions/10") == states(client, "/labels/broken") == (503, False, {"10": broken})
        assert "version 10 is not ready" in client.get("/v1/models/m/versions/10").json()["error"]
        for unknown in ("/versions/3", "/labels/nobody"):
            assert client.get(f"/v1/models/m{unknown}").status_code == 404


def test_the_reasons_of_a_model_without_a_version_that_serves_can_be_read(models: Path) -> None:
    (models / "m/10/model.onnx").write_bytes(b"broken")
    with serving(models, until="/health/live") as client:
        wait_until(lambda: states(client)[2]["10"][0] == "END", "version 10 did not fail")
        status, ready, versions = states(client)
        assert (status, ready) == (503, False)
        assert "model.onnx" in versions["10"][1]
