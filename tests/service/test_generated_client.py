"""A client that is generated from /openapi.json calls the committed models with typed arguments."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType

import httpx
import numpy as np
import pytest

from app.manifest import read_manifest
from tests import graphs, media
from tests.manifests import manifest
from tests.serving import serving
from training.published import newest

ROOT = Path(__file__).parents[2]

GENERATED = "generated_headrace_client"


def generate(client: httpx.Client, place: Path) -> None:
    """Writes a client package for what the service serves. Fails where the generator left anything out."""
    config = place / "config.json"
    config.write_text(json.dumps({"post_hooks": []}))  # its code works unformatted
    command = [
        *(sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{client.base_url}/openapi.json"),
        *("--meta", "none", "--config", str(config), "--output-path", str(place / GENERATED), "--fail-on-warning"),
    ]
    made = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warning" not in (made.stdout + made.stderr).lower(), made.stdout + made.stderr


GREY = {"name": "image", "kind": "image", "layout": "HW", "shape": [8, 8], "minimum": 0, "maximum": 16}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serves the committed models, and one of images."""
    folder = tmp_path_factory.mktemp("repository") / "models"
    shutil.copytree(ROOT / "models", folder)
    ones = np.ones((8, 8)).tolist()
    photo = manifest(
        inputs=[{"tensor": "x", "features": [{**GREY, "example": ones}]}],
        outputs=[{"tensor": "y", "kind": "value", "name": "ink", "unit": "g"}],
        golden={"inputs": {"x": [ones]}, "outputs": {"y": [1]}, "tolerance": 1e-6},
    )
    place = graphs.add_to_repository(folder, "photo", graphs.mean(("batch", 8, 8)))
    (place / "manifest.json").write_text(photo.model_dump_json())
    with serving(folder) as client:
        yield client


@pytest.fixture(scope="module")
def generated(service: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package; its modules are taken out again, so that no other test imports them."""
    place = tmp_path_factory.mktemp("client")
    generate(service, place)
    sys.path.insert(0, str(place))
    invalidate_caches()
    try:
        yield import_module(GENERATED)
    finally:
        sys.path.remove(str(place))
        for name in [name for name in sys.modules if name.startswith(GENERATED)]:
            del sys.modules[name]


def call(module: str) -> ModuleType:
    return import_module(f"{GENERATED}.api.{module}")


def example(service: httpx.Client, path: str) -> dict[str, list[dict[str, object]]]:
    """The body that the document shows for a call."""
    operation = service.get("/openapi.json").json()["paths"][path]["post"]
    body: dict[str, list[dict[str, object]]] = operation["requestBody"]["content"]["application/json"]["examples"][
        "real"
    ]["value"]
    return body


def test_a_prediction_takes_thirty_named_features_and_gives_a_label(
    service: httpx.Client, generated: ModuleType
) -> None:
    models = import_module(f"{GENERATED}.models")
    [version] = [version for version in newest(ROOT / "models") if version.parent.name == "breast-cancer"]
    described = read_manifest(version / "manifest.json")
    assert described
    [row] = example(service, "/v1/models/breast-cancer:predict")["instances"]
    assert len(row) == 30
    instance = models.BreastCancerInstance(**row)
    assert instance.mean_radius == row["mean_radius"]
    request = models.BreastCancerPredictRequest(instances=[instance, instance])
    with generated.Client(base_url=str(service.base_url)) as client:
        answer = call("breast_cancer.predict_breast_cancer").sync(client=client, body=request)
        pinned = call(f"breast_cancer.predict_breast_cancer_version_{version.name}").sync(client=client, body=request)
    assert isinstance(answer, models.BreastCancerPredictResponse)
    assert answer == pinned
    first, second = answer.predictions
    assert first == second
    assert first.label is models.BreastCancerPredictionLabel.MALIGNANT
    assert first.probability == pytest.approx(described.golden.outputs["probabilities"][0][0], abs=1e-6)


def test_an_image_is_a_file_or_its_numbers(service: httpx.Client, generated: ModuleType) -> None:
    models = import_module(f"{GENERATED}.models")
    white = models.ImageFile(**media.b64(media.picture(np.full((30, 30), 255, np.uint8))))
    images = [models.PhotoInstance(image=white), models.PhotoInstance(image=np.full((8, 8), 3.5).tolist())]
    request = models.PhotoPredictRequest(instances=images)
    with generated.Client(base_url=str(service.base_url)) as client:
        answer = call("photo.predict_photo").sync(client=client, body=request)
    assert [prediction.ink for prediction in answer.predictions] == [16, 3.5]


def test_the_probabilities_of_all_labels_are_a_dictionary(service: httpx.Client, generated: ModuleType) -> None:
    models = import_module(f"{GENERATED}.models")
    [row] = example(service, "/v1/models/digits:predict")["instances"]
    request = models.DigitsPredictRequest(
        instances=[models.DigitsInstance(**row)],
        parameters=models.DigitsPredictRequestParameters(probabilities=True),
    )
    with generated.Client(base_url=str(service.base_url)) as client:
        [prediction] = call("digits.predict_digits").sync(client=client, body=request).predictions
    shares = prediction.probabilities.additional_properties
    assert shares[prediction.label.value] == prediction.probability == max(shares.values())


def test_tensors_and_their_answer_are_typed_too(service: httpx.Client, generated: ModuleType) -> None:
    models = import_module(f"{GENERATED}.models")
    [tensor] = example(service, "/v2/models/digits/infer")["inputs"]
    request = models.DigitsInferRequest(
        id="one",
        inputs=[models.DigitsInputImage(**tensor)],
        outputs=[
            models.DigitsRequestedOutput(
                name=models.DigitsRequestedOutputName.PROBABILITIES,
                parameters=models.OutputParameters(classification=2),
            )
        ],
    )
    whole = models.DigitsInferRequest(inputs=request.inputs)
    with generated.Client(base_url=str(service.base_url)) as client:
        infer = call("digits.infer_digits")
        best, answer = infer.sync(client=client, body=request), infer.sync(client=client, body=whole)
    assert isinstance(answer.outputs[0], models.DigitsOutputProbabilities)
    assert (answer.model_name, answer.model_version, answer.outputs[0].shape) == ("digits", "1", [1, 10])
    assert sum(answer.outputs[0].data) == pytest.approx(1)
    assert isinstance(best.outputs[0], models.Classification)
    assert (best.id, best.outputs[0].shape, len(best.outputs[0].data)) == ("one", [1, 2], 2)


def test_a_mistake_comes_back_as_an_error_with_its_sentence(service: httpx.Client, generated: ModuleType) -> None:
    models = import_module(f"{GENERATED}.models")
    request = models.QuickstartPredictRequest(instances=[models.QuickstartInstance(x=-3)])
    with generated.Client(base_url=str(service.base_url), raise_on_unexpected_status=True) as client:
        refused = call("quickstart.predict_quickstart").sync(client=client, body=request)
    assert refused == models.Error(error="instances[0].x: -3, wanted 0 to 5")


def test_health_metadata_and_metrics_are_typed(service: httpx.Client, generated: ModuleType) -> None:
    models = import_module(f"{GENERATED}.models")
    with generated.Client(base_url=str(service.base_url), raise_on_unexpected_status=True) as client:
        assert call("health.get_health_live").sync(client=client).live is True
        assert call("health.get_health_ready").sync(client=client).ready is True
        assert "headrace_requests_total" in call("health.get_metrics").sync(client=client)
        assert "digits" in call("v1.get_v1_models").sync(client=client).models
        assert call("v1.get_v1_model").sync("digits", client=client).model_version_status[0].state == "AVAILABLE"
        v2 = "open_inference_protocol_v_2"
        assert call(f"{v2}.get_v2").sync(client=client).name == "headrace"
        metadata = call(f"{v2}.get_v2_model").sync("digits", client=client)
        assert metadata.inputs == [models.TensorMetadata(name="image", datatype="FP32", shape=[-1, 8, 8])]
        assert call(f"{v2}.get_v2_model_version_ready").sync("digits", "1", client=client).ready is True
        assert isinstance(call(f"{v2}.get_v2_model").sync("oak", client=client), models.Error)


def test_names_that_only_punctuation_tells_apart_become_classes_of_their_own(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in ("a-b", "a_b", "A.B", "1st"):
        graphs.add_to_repository(models, name, graphs.identities(["FP32", "BYTES", "BOOL"]))
    place = graphs.add_to_repository(models, "leaf", graphs.softmax(3))
    labels = [{"tensor": "y", "kind": "probabilities", "name": "kind", "labels": ["an oak", "an-oak", "+"]}]
    golden = {"inputs": {"x": [[1, 1, 1]]}, "outputs": {"y": [[1 / 3] * 3]}, "tolerance": 1e-6}
    (place / "manifest.json").write_text(manifest(outputs=labels, golden=golden).model_dump_json())
    with serving(models) as client:
        generate(client, tmp_path)
    written = {path.stem for path in (tmp_path / GENERATED / "models").iterdir()}
    assert len({name for name in written if "_infer_response" in name}) == 5
    assert "VALUE_2" in (tmp_path / GENERATED / "models/leaf_prediction_label.py").read_text()
