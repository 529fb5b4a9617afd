"""schemathesis calls the service with what /openapi.json allows and with what it forbids; all its checks hold.

`schemathesis.toml` has what the document cannot say.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.feature import Feature
from app.manifest import InputTensor
from tests import graphs
from tests.manifests import HEIGHT, LENGTH, WIDTH, manifest
from tests.serving import serving

ROOT = Path(__file__).parents[2]
KEY = "sesame"
TWINS = r"(leaf|picture|photo|basket|all|scalar|free)/versions/1"
"""The same models, graphs and schemas once more."""
SOME = r"leaf[:/]|\{name\}|^/v2$|health|metrics"
COLOUR = {
    "name": "colour",
    "kind": "category",
    "categories": ["green", "red"],
    "missing": "fill",
    "fill": "red",
    "example": "red",
}
BASKET = {
    "name": "basket",
    "kind": "category",
    "shape": [3],
    "categories": ["none", "fig", "kiwi"],
    "missing": "fill",
    "fill": "none",
    "example": ["kiwi"],
}
DAY = {"name": "day", "kind": "date", "missing": "fill", "fill": "2024-02-29", "example": "1999-12-31"}
GREY = {"name": "image", "shape": [8, 8], "minimum": 0, "maximum": 16, "example": np.ones((8, 8)).tolist()}

PHOTO = Feature.model_validate({**GREY, "kind": "image", "layout": "HW"})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With manifests and without, of every datatype, batched and not, one and several of everything."""
    folder = tmp_path_factory.mktemp("models")
    leaf = manifest(
        inputs=[{"tensor": "x", "features": [LENGTH, WIDTH, HEIGHT, COLOUR, DAY]}],
        outputs=[
            {"tensor": "y", "kind": "probabilities", "name": "kind", "labels": ["oak", "elm", "ash", "Oak", "fir"]}
        ],
        golden={"inputs": {"x": [[1, 1, 1, 1, 1]]}, "outputs": {"y": [[0.2] * 5]}, "tolerance": 1e-6},
    )
    picture = manifest(
        inputs=[{"tensor": "x", "features": [GREY]}],
        outputs=[{"tensor": "y", "kind": "value", "name": "ink", "unit": "g"}],
        golden={"inputs": {"x": [GREY["example"]]}, "outputs": {"y": [1]}, "tolerance": 1e-6},
    )
    photo = picture.model_copy(update={"inputs": (InputTensor(tensor="x", features=(PHOTO,)),)})
    basket = manifest(
        inputs=[{"tensor": "x", "features": [BASKET]}],
        outputs=[{"tensor": "y", "kind": "ranking", "name": "next", "labels": ["none", "fig", "kiwi"]}],
        golden={"inputs": {"x": [[2, 0, 0]]}, "outputs": {"y": [[2, 0, 0]]}, "tolerance": 1e-6},
    )
    average = graphs.mean(("batch", 8, 8))
    for name, graph, described in (
        ("leaf", graphs.softmax(5), leaf),
        ("picture", average, picture),
        ("photo", average, photo),
        ("basket", graphs.identity("INT64", ("batch", 3)), basket),
    ):
        place = graphs.add_to_repository(folder, name, graph)
        (place / "manifest.json").write_text(described.model_dump_json())
    graphs.add_to_repository(folder, "all", graphs.identities(["BOOL", "UINT8", "INT64", "FP16", "FP64"]))
    graphs.add_to_repository(folder, "plain", graphs.identity("FP32"), config="versions: all")
    graphs.add_to_repository(folder, "plain", graphs.identity("BYTES", ("batch", 3)), version=2)
    graphs.add_to_repository(folder, "scalar", graphs.identity("FP32", ()))
    graphs.add_to_repository(folder, "free", graphs.identity("INT64", ("batch", "n")))
    return folder


@pytest.mark.parametrize(
    ("settings", "flags", "least"),
    [
        ({}, ("--max-examples", "6", "--exclude-path-regex", TWINS), 2000),
        (
            {"api_key": KEY},
            ("--max-examples", "3", "--include-path-regex", SOME, "--header", f"Authorization: Bearer {KEY}"),
            500,
        ),
        (
            {"repository_control": True},
            (
                "--phases",
                "examples,coverage,fuzzing",
                "--max-examples",
                "10",
                "--include-path-regex",
                "^/v2/repository/",
            ),
            40,
        ),
    ],
    ids=["open", "with a key", "with repository control"],
)
def test_the_service_does_what_its_document_says_and_refuses_the_rest(
    models: Path, tmp_path: Path, settings: dict[str, Any], flags: tuple[str, ...], least: int
) -> None:
    with serving(models, log_requests=False, **settings) as client:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(ROOT / "schemathesis.toml")),
            *("run", f"{client.base_url}/openapi.json", "--checks", "all", "--seed", "1", "--no-color"),
            *("--generation-deterministic", *flags),
        ]
        tried = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    print(tried.stdout, tried.stderr)  # what pytest shows of a failure, and with -rP of a success
    assert tried.returncode == 0
    generated = re.search(r"(\d+) generated", tried.stdout)
    assert generated
    assert int(generated[1]) > least
