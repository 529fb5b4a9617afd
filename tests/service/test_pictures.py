"""The shipped models that take a picture: the same thing on black, on white, as a file of any size and kind."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.media import b64, picture
from tests.serving import serving

SHIPPED = Path(__file__).parents[2] / "models"
MODELS = ("fashion", "fashion-vit", "mnist")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    for name in MODELS:
        shutil.copytree(SHIPPED / name, folder / name)
    with serving(folder) as client:
        yield client


def metadata(client: httpx.Client, model: str) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/v1/models/{model}/metadata").json()
    return told


def example(client: httpx.Client, model: str) -> NDArray[np.uint8]:
    [instance] = metadata(client, model)["example"]["instances"]
    return np.array(instance["image"], np.uint8)


def predictions(client: httpx.Client, model: str, *images: Any) -> list[dict[str, Any]]:
    answer = client.post(f"/v1/models/{model}:predict", json={"instances": [{"image": image} for image in images]})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["predictions"]
    return rows


@pytest.mark.parametrize("model", MODELS)
def test_its_rows_share_runs_and_it_is_better_than_its_baseline_beyond_chance(client: httpx.Client, model: str) -> None:
    told = metadata(client, model)

    assert told["batched"], told["because"]
    assert "better than the baseline beyond chance" in told["manifest"]["evaluation"]["verdict"]


@pytest.mark.parametrize("model", MODELS)
def test_a_file_is_answered_as_its_pixels_on_black_and_on_white(client: httpx.Client, model: str) -> None:
    pixels = example(client, model)

    numbers, on_black, on_white = predictions(
        client, model, pixels.tolist(), b64(picture(pixels)), b64(picture(255 - pixels))
    )

    assert on_black == pytest.approx(numbers, abs=1e-5)
    assert on_white == pytest.approx(numbers, abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_large_colour_picture_on_white_gets_the_label_of_the_small_grey_one(
    client: httpx.Client, model: str, kind: str
) -> None:
    pixels = example(client, model)
    large = Image.fromarray(255 - pixels).resize((560, 560), Image.Resampling.BICUBIC).convert("RGB")

    small_grey, large_colour = predictions(client, model, pixels.tolist(), b64(picture(large, kind)))

    assert large_colour["label"] == small_grey["label"]
    assert large_colour["probability"] == pytest.approx(small_grey["probability"], abs=0.2)
