"""The shipped models that take a text and a list that ends early, and answer with a label and with a ranking."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serving import serving

SHIPPED = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    for name in ("spam", "next-items"):
        shutil.copytree(SHIPPED / name, folder / name)
    with serving(folder, log_requests=False) as client:
        yield client


def metadata(client: httpx.Client, model: str) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/v1/models/{model}/metadata").json()
    return told


def predictions(client: httpx.Client, model: str, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = client.post(f"/v1/models/{model}:predict", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["predictions"]
    return rows


@pytest.mark.parametrize("model", ["spam", "next-items"])
def test_its_rows_share_runs_and_its_example_is_answered_in_both_protocols(client: httpx.Client, model: str) -> None:
    told = metadata(client, model)
    assert told["batched"], told["because"]
    assert len(predictions(client, model, told["example"]["instances"])) == 1
    assert client.post(f"/v2/models/{model}/infer", json=told["example_v2"]).status_code == 200


def test_mails_of_every_length_are_answered_together_as_alone(client: httpx.Client) -> None:
    texts = ["", "Hi", "Free money!!!\n\nclick here", "word " * 5000, "a\nb\n" * 500, "\r\n", "caf\u00e9 \U0001f600"]
    rows = [{"text": text} for text in texts]
    for row, together in zip(rows, predictions(client, "spam", rows), strict=True):
        [alone] = predictions(client, "spam", [row])
        assert alone["label"] == together["label"]
        assert alone["probability"] == pytest.approx(together["probability"], abs=1e-5)


def test_lines_that_end_in_two_characters_make_no_difference(client: httpx.Client) -> None:
    text = "Free money\n\nclick here\nto be removed"
    one, other = predictions(client, "spam", [{"text": text}, {"text": text.replace("\n", "\r\n")}])
    assert one == pytest.approx(other)


def test_a_label_follows_the_threshold_of_the_manifest(client: httpx.Client) -> None:
    threshold = metadata(client, "spam")["manifest"]["outputs"][0]["threshold"]
    text = "FREE MONEY\n\nclick here to receive your $1,000 now, no credit check!"
    asked = {"instances": [{"text": text}], "parameters": {"probabilities": True}}
    [answer] = client.post("/v1/models/spam:predict", json=asked).json()["predictions"]
    assert (answer["label"] == "spam") == (answer["probabilities"]["spam"] >= threshold)


def test_a_ranking_has_ten_articles_and_none_of_the_basket_however_full(client: httpx.Client) -> None:
    [basket] = [one["features"][0] for one in metadata(client, "next-items")["manifest"]["inputs"]]
    nothing, *articles = basket["categories"]
    random = np.random.default_rng(0)
    baskets = [random.choice(articles, size, replace=False).tolist() for size in (1, 2, 7, 20, 20)]
    for given, answer in zip(
        baskets, predictions(client, "next-items", [{"basket": one} for one in baskets]), strict=True
    ):
        ranked = answer["articles"]
        assert len({*ranked}) == 10
        assert not {*ranked} & {nothing, *given}
        assert predictions(client, "next-items", [{"basket": given}]) == [answer]


def test_an_article_that_is_not_sold_and_an_empty_basket_are_refused(client: httpx.Client) -> None:
    asked = {"instances": [{"basket": []}, {"basket": ["A SWORD"]}]}
    answer = client.post("/v1/models/next-items:predict", json=asked)
    assert answer.status_code == 400
    assert "instances[0].basket: 0 elements, wanted a list of 1 to 20, each one of (nothing), " in answer.text
    assert "instances[1].basket[0]: 'A SWORD', wanted one of (nothing), " in answer.text
    assert len(answer.text) < 2000


def test_a_ranking_is_not_explained(client: httpx.Client) -> None:
    answer = client.post("/v1/models/next-items:explain", json=metadata(client, "next-items")["example"])
    assert answer.status_code == 400
    assert "cannot be explained: it gives no numbers" in answer.text


def test_the_document_says_that_a_basket_may_be_shorter(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    basket = schemas["NextItemsInstance"]["properties"]["basket"]
    assert (basket["minItems"], basket["maxItems"]) == (1, 20)
    assert None in basket["items"]["enum"]
