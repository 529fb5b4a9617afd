"""Images and sounds over a socket: the same answer as numbers, bombs refused, and nobody's picture for another's."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests import graphs
from tests.manifests import LENGTH, manifest
from tests.media import b64, claiming, lasting, noise, picture, sine, sound
from tests.serving import serving

RATE = 16_000
PHOTO = {"name": "photo", "kind": "image", "shape": [3, 8, 8], "layout": "CHW", "minimum": 0, "maximum": 255}
CLIP = {"name": "clip", "kind": "audio", "shape": [RATE], "sample_rate": RATE}
VALUE = {"tensor": "y", "kind": "value", "name": "mean"}


def describe(place: Path, feature: dict[str, Any], example: Any, answer: float) -> None:
    golden = {"inputs": {"x": [example]}, "outputs": {"y": [answer]}, "tolerance": 1e-4}
    inputs = [{"tensor": "x", "features": [{**feature, "example": example}]}]
    (place / "manifest.json").write_text(manifest(inputs=inputs, outputs=[VALUE], golden=golden).model_dump_json())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    place = graphs.add_to_repository(folder, "photo", graphs.mean(("batch", 3, 8, 8)))
    describe(place, PHOTO, np.full((3, 8, 8), 7.0).tolist(), 7)
    place = graphs.add_to_repository(folder, "clip", graphs.mean(("batch", RATE)))
    describe(place, CLIP, [0.5] * RATE, 0.5)
    place = graphs.add_to_repository(folder, "sparse", graphs.identity("FP32", ("batch", 1)))
    golden = {"inputs": {"x": [[1]]}, "outputs": {"y": [[1]]}, "tolerance": 0}
    inputs = [{"tensor": "x", "features": [{**LENGTH, "missing": "nan"}]}]
    (place / "manifest.json").write_text(manifest(inputs=inputs, outputs=[VALUE], golden=golden).model_dump_json())
    return folder


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[httpx.Client]:
    with serving(models) as client:
        yield client


def predict(client: httpx.Client, model: str, *values: Any) -> httpx.Response:
    return client.post(f"/v1/models/{model}:predict", json={"instances": [{model: value} for value in values]})


def means(client: httpx.Client, model: str, *values: Any) -> list[float]:
    answer = predict(client, model, *values)
    assert answer.status_code == 200, answer.text
    return [one["mean"] for one in answer.json()["predictions"]]


def test_an_image_as_a_file_and_as_numbers_gives_the_same_answer(client: httpx.Client) -> None:
    pixels = noise(8, 8, 3)
    by_file, by_numbers = means(client, "photo", b64(picture(pixels)), pixels.transpose(2, 0, 1).tolist())
    assert by_file == by_numbers == pytest.approx(pixels.mean())
    [compressed] = means(client, "photo", b64(picture(pixels, "JPEG", quality=100, subsampling=0)))
    assert compressed == pytest.approx(pixels.mean(), abs=2)


def test_a_sound_as_a_file_and_as_numbers_gives_the_same_answer(client: httpx.Client) -> None:
    samples = np.abs(sine(440, RATE))
    by_file, by_numbers = means(client, "clip", b64(sound(samples, RATE)), samples.tolist())
    assert by_file == by_numbers == pytest.approx(float(samples.mean()), abs=1e-4)


@pytest.mark.parametrize(
    ("model", "data", "status", "message"),
    [
        ("photo", claiming(30_000, 30_000), 413, "the images come to more than 16777216 pixels, all of a request"),
        ("photo", picture(noise(8, 8))[:60], 400, "instances[1].photo: a PNG image that is broken or cut off"),
        (
            "photo",
            picture(noise(8, 8), "JPEG")[:300],
            400,
            "instances[1].photo: a JPEG image that is broken or cut off",
        ),
        ("photo", b"%PDF-1.7", 400, "instances[1].photo: not a PNG, JPEG or WebP image"),
        ("clip", lasting(3 * 3600 * RATE), 400, "instances[1].clip: 10800 s, wanted at most 1 s"),
        ("clip", sound(sine(440, RATE), RATE)[:5000], 400, "instances[1].clip: a sound that breaks off"),
        ("clip", picture(noise(8, 8)), 400, "instances[1].clip: not a WAV, FLAC, OGG or MP3 sound"),
    ],
)
def test_a_file_that_is_none_or_a_bomb_is_told(
    client: httpx.Client, model: str, data: bytes, status: int, message: str
) -> None:
    good = b64(picture(noise(8, 8)) if model == "photo" else sound(sine(440, RATE), RATE))
    answer = predict(client, model, good, b64(data))
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert predict(client, model, good).status_code == 200


@pytest.mark.parametrize("value", [{"b64": "???"}, {"b64": "AAA"}, {"b64": None}, {"b64": "", "x": 1}, {}, "x", None])
def test_what_is_no_base64_is_told(client: httpx.Client, value: Any) -> None:
    answer = predict(client, "photo", value)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("instances[0].photo: ")


def test_many_small_bombs_share_one_limit(models: Path) -> None:
    bomb = b64(picture(np.zeros((100, 100), np.uint8)))
    with serving(models, max_image_pixels=50_000, max_audio_samples=3 * RATE) as client:
        assert predict(client, "photo", *[bomb] * 5).status_code == 200
        assert predict(client, "photo", *[bomb] * 6).status_code == 413
        assert predict(client, "clip", *[[0.5]] * 3).status_code == 200
        assert predict(client, "clip", *[[0.5]] * 4).status_code == 413


def test_eight_callers_with_images_of_different_sizes_each_get_their_own(client: httpx.Client) -> None:
    def grey(level: int, size: int) -> NDArray[np.uint8]:
        return np.full((size, 2 * size, 3), level, np.uint8)

    def call(caller: int) -> None:
        for turn in range(5):
            levels = [10 * caller + turn, 100 + 10 * caller + turn]
            kinds = ("PNG", "WEBP") if caller % 2 else ("WEBP", "PNG")
            files = [
                b64(picture(grey(level, 4 << caller), kind, **({"lossless": True} if kind == "WEBP" else {})))
                for level, kind in zip(levels, kinds, strict=True)
            ]
            assert means(client, "photo", *files) == levels

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(call, range(8)))


def test_a_missing_value_passes_as_nan_in_both_protocols(client: httpx.Client) -> None:
    for value in ({}, {"length": None}, {"length": 4}):
        answer = client.post("/v1/models/sparse:predict", json={"instances": [value]})
        assert answer.status_code == 200, answer.text
        assert ("NaN" in answer.text) is (value.get("length") is None)
    x = {"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [float("nan"), 60]}
    body = f'{{"inputs": [{x}]}}'.replace("'", '"').replace("nan", "NaN")
    answer = client.post("/v2/models/sparse/infer", content=body)
    assert answer.json()["error"] == "x[1, 0] (length): 60, wanted 0 to 50 mm"
    assert client.post("/v2/models/sparse/infer", content=body.replace("60", "6")).status_code == 200


def test_the_document_tells_files_what_may_be_missing_and_what_can_be_asked(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]

    def fields(model: str) -> dict[str, Any]:
        instance: dict[str, Any] = schemas[f"{model.capitalize()}Instance"]
        return instance

    file, numbers = fields("photo")["properties"]["photo"]["oneOf"]
    assert file == {"$ref": "#/components/schemas/ImageFile"}
    assert (schemas["ImageFile"]["required"], numbers["minItems"], numbers["items"]["minItems"]) == (["b64"], 3, 8)
    assert fields("clip")["properties"]["clip"]["oneOf"][1]["items"] == {"type": "number", "minimum": -1, "maximum": 1}
    assert (fields("sparse")["required"], fields("sparse")["properties"]["length"]["type"]) == ([], ["number", "null"])
