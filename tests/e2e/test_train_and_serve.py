"""From data to a served prediction, by the commands that a user types."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

from app.manifest import OutputTensor, read_manifest
from tests.serving import serving_process
from training.published import newest

pytestmark = pytest.mark.e2e

SHIPPED = Path(__file__).parents[2] / "models"


def test_breast_cancer_is_trained_published_served_and_predicted_by_both_protocols(tmp_path: Path) -> None:
    models, runs = tmp_path / "models", tmp_path / "runs"
    command = [sys.executable, "-m", "training", "fit", "breast-cancer", "--models", str(models), "--runs", str(runs)]
    fitted = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert fitted.returncode == 0, fitted.stderr
    assert f"Published as {models}/breast-cancer/1." in fitted.stdout
    [run] = (runs / "breast-cancer").iterdir()
    assert {"curves.png", "report.md", "report.json", "checkpoint.pt", "model.onnx"} <= {f.name for f in run.iterdir()}

    data = load_breast_cancer()
    manifest = json.loads((models / "breast-cancer/1/manifest.json").read_text())
    names = [feature["name"] for feature in manifest["inputs"][0]["features"]]
    instances = [dict(zip(names, row, strict=True)) for row in data.data.tolist()]
    tensor = {
        "name": "features",
        "shape": list(data.data.shape),
        "datatype": "FP32",
        "data": data.data.ravel().tolist(),
    }
    with serving_process(models, tmp_path / "log") as (client, _):
        by_hand = client.post("/v1/models/breast-cancer:predict", json={"instances": instances}).json()["predictions"]
        tensors = client.post("/v2/models/breast-cancer/infer", json={"inputs": [tensor]}).json()["outputs"][0]
    probabilities = np.array(tensors["data"]).reshape(tensors["shape"])
    labels = manifest["outputs"][0]["labels"]
    assert [one["label"] for one in by_hand] == [labels[place] for place in probabilities.argmax(axis=1)]
    assert [one["probability"] for one in by_hand] == probabilities.max(axis=1).tolist()
    diagnosis = np.array(data.target_names)[data.target]
    assert np.mean(diagnosis == [one["label"] for one in by_hand]) > 0.95


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of `python -m app serve` over the shipped models."""
    with serving_process(SHIPPED, tmp_path_factory.mktemp("log") / "log") as (client, _):
        yield client


def test_the_shipped_models_all_serve_and_answer_their_examples(client: httpx.Client) -> None:
    assert set(client.get("/v1/models").json()["models"]) == {model.name for model in SHIPPED.iterdir()}
    posts = {
        path: every["post"] for path, every in client.get("/openapi.json").json()["paths"].items() if "post" in every
    }
    calls = [path for path in posts if path.endswith((":predict", "/infer"))]
    assert len(calls) == 4 * sum(1 for _ in SHIPPED.iterdir())
    for path in calls:
        shown = posts[path]["requestBody"]["content"]["application/json"].get("examples")
        told = client.get(f"/v1/models/{path.split('/')[3].partition(':')[0]}/metadata").json()
        body = shown["real"]["value"] if shown else told["example_v2"]
        assert shown or path.startswith("/v2")
        assert client.post(path, json=body).status_code == 200, path


def test_the_shipped_models_predict_by_v1_what_training_computed_for_their_examples(
    client: httpx.Client,
) -> None:
    for version in newest(SHIPPED):
        manifest = read_manifest(version / "manifest.json")
        assert manifest
        features = [feature for one in manifest.inputs for feature in one.features]
        body = {"instances": [{feature.name: feature.example for feature in features}]}
        [prediction] = client.post(f"/v1/models/{manifest.name}:predict", json=body).json()["predictions"]
        first = {name: np.array(rows)[0] for name, rows in manifest.golden.outputs.items()}
        for output in manifest.outputs:
            assert_is_answer(prediction, output, first[output.tensor], manifest.golden.tolerance)


def assert_is_answer(
    prediction: dict[str, Any], output: OutputTensor, computed: NDArray[np.floating], tolerance: float
) -> None:
    """What V1 gives is, in the words of the manifest, what training computed."""
    if output.kind == "value":
        assert prediction[output.name] == pytest.approx(computed.item(), abs=tolerance, rel=1e-5)
    elif output.kind == "ranking":
        assert prediction[output.name] == [output.labels[int(place)] for place in computed]
    else:
        second = output.threshold is not None and computed[1] >= output.threshold
        place = int(second) if output.threshold is not None else int(computed.argmax())
        assert prediction["label"] == output.labels[place]
        assert prediction["probability"] == pytest.approx(computed[place], abs=tolerance)
