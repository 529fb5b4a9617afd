"""The service that the pages are opened on: the shipped models, and small ones for what those have not."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser

from tests import graphs
from tests.browser.browsing import chromium
from tests.manifests import manifest
from tests.serving import serving, wait_until

SHIPPED = Path(__file__).parents[2] / "models"

CURVES = {
    "measure": "accuracy",
    "epochs": [1, 2, 3, 4],
    "train_loss": [2, 0.9, 0.4, 0.3],
    "validation_loss": [1.9, 1, 0.52, 0.61],
    "score": [0.3, 0.6, 0.82, 0.8],
}
TRAINING = {"recipe": "leaf", "seed": 7, "epochs": 4, "best_epoch": 3, "settings": {}, "versions": {}, "curves": CURVES}
DECILES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
SUMMARIES = {"length": {"mean": 5, "standard_deviation": 3, "deciles": DECILES, "missing": 0}}

COLOUR = {"name": "colour", "kind": "category", "categories": ["red", "green", "blue"], "example": "green"}
PHOTO = {
    "name": "photo",
    "kind": "image",
    "shape": [3, 8, 8],
    "layout": "CHW",
    "minimum": 0,
    "maximum": 255,
    "example": np.zeros((3, 8, 8)).tolist(),
}
CLIP = {"name": "clip", "kind": "audio", "shape": [800], "sample_rate": 8000, "example": np.zeros(800).tolist()}
READING = {"name": "reading", "missing": "nan", "example": 1}
DAY = {"name": "day", "kind": "date", "missing": "nan", "minimum": 0, "maximum": 20000, "example": "2024-02-29"}
REMARK = {"name": "remark", "kind": "text", "example": "none"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One of a module's own: where Playwright runs, no other test can start an event loop."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    leaf = graphs.add_to_repository(folder, "leaf", graphs.double(), config="labels: {stable: 1}")
    (leaf / "manifest.json").write_text(manifest(training=TRAINING, summaries=SUMMARIES).model_dump_json())
    colour = graphs.add_to_repository(folder, "colour", graphs.times(2))
    (colour / "manifest.json").write_text(_one_field("colour", COLOUR, [[1]], [[2]]))
    photo = graphs.add_to_repository(folder, "photo", graphs.mean(("batch", 3, 8, 8)))
    (photo / "manifest.json").write_text(_one_field("photo", PHOTO, np.zeros((1, 3, 8, 8)).tolist(), [0]))
    clip = graphs.add_to_repository(folder, "clip", graphs.mean(("batch", 800)))
    (clip / "manifest.json").write_text(_one_field("clip", CLIP, np.zeros((1, 800)).tolist(), [0]))
    reading = graphs.add_to_repository(folder, "reading", graphs.identity("FP32", ("batch", 1)))
    (reading / "manifest.json").write_text(_one_field("reading", READING, [[1]], [[1]]))
    day = graphs.add_to_repository(folder, "day", graphs.identity("FP32", ("batch", 1)))
    (day / "manifest.json").write_text(_one_field("day", DAY, [[19782]], [[19782]]))
    remark = graphs.add_to_repository(folder, "remark", graphs.identity("BYTES", ("batch", 1)))
    (remark / "manifest.json").write_text(_one_field("remark", REMARK, [["none"]], [["none"]]))
    noted = graphs.add_to_repository(folder, "noted", graphs.word_count())
    (noted / "manifest.json").write_text(_one_field("noted", REMARK, [["none"]], [[1]]))
    graphs.add_to_repository(folder, "bare", graphs.add(), config="versions: all")
    graphs.add_to_repository(folder, "bare", graphs.add(), version=2)
    graphs.add_to_repository(folder, "damaged", b"not a graph", config="required: false")
    (folder / "nothing-in-it").mkdir()
    (folder / "nothing-in-it/config.yaml").write_text("required: false")
    return folder


def _one_field(name: str, feature: Mapping[str, object], given: object, gives: object) -> str:
    return manifest(
        name=name,
        title=name.capitalize(),
        inputs=[{"tensor": "x", "features": [feature]}],
        outputs=[{"tensor": "y", "kind": "value", "name": "said"}],
        golden={"inputs": {"x": given}, "outputs": {"y": gives}, "tolerance": 1e-6},
    ).model_dump_json()


@pytest.fixture(scope="module")
def service(models: Path) -> Iterator[httpx.Client]:
    with serving(models, until="/v2/models/remark/ready", log_requests=False) as client:
        wait_until(lambda: not _loading(client), "some model neither loaded nor failed")
        yield client


def _loading(client: httpx.Client) -> bool:
    versions = [version for one in client.get("/page/overview").json()["models"] for version in one["versions"]]
    return any(version["state"] == "LOADING" for version in versions)


@pytest.fixture(scope="module")
def address(service: httpx.Client) -> str:
    return str(service.base_url).rstrip("/")
