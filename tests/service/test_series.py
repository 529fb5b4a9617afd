"""The published forecasts as a caller gets them: their examples, quantiles in order, orders by service level."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import serving

MODELS = Path(__file__).parents[2] / "models"
BAND = ("low", "lower", "median", "upper", "high")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    for name in ("demand", "volatility"):
        shutil.copytree(MODELS / name, folder / name)
    with serving(folder) as client:
        yield client


def example(client: httpx.Client, model: str) -> dict[str, Any]:
    [instance] = client.get(f"/v1/models/{model}/metadata").json()["example"]["instances"]
    given: dict[str, Any] = instance
    return given


def predicted(client: httpx.Client, model: str, *instances: dict[str, Any]) -> list[dict[str, float]]:
    answer = client.post(f"/v1/models/{model}:predict", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, float]] = answer.json()["predictions"]
    return found


def test_volatility_is_a_band_and_the_same_in_any_currency(client: httpx.Client) -> None:
    month = example(client, "volatility")
    cents = {name: [100 * price for price in series] for name, series in month.items()}

    points, others = predicted(client, "volatility", month, cents)

    assert list(month) == ["open", "high", "low", "close"]
    assert points["low_volatility"] < points["median_volatility"] < points["high_volatility"]
    assert others == pytest.approx(points, rel=1e-3)


def test_demand_is_a_band_and_an_order_that_grows_with_the_service_level(client: httpx.Client) -> None:
    article = example(client, "demand")
    asked = [article | {"service_level": level} for level in (0.5, 0.75, 0.8, 0.9, 0.95, 0.99)]

    given = predicted(client, "demand", *asked)

    quantiles = [given[0][name] for name in BAND]
    orders = [one["order"] for one in given]
    assert quantiles == sorted(quantiles) and quantiles[0] >= 0
    assert orders == sorted(orders) and orders[0] < orders[-1]
    assert [orders[0], orders[1], orders[3]] == pytest.approx([given[0][name] for name in ("median", "upper", "high")])


def test_an_order_without_a_service_level_is_one_for_nine_weeks_in_ten(client: httpx.Client) -> None:
    article = example(client, "demand")
    article.pop("service_level")

    [given] = predicted(client, "demand", article)

    assert given["order"] == pytest.approx(given["high"])


def test_a_month_that_is_a_day_short_is_told_so(client: httpx.Client) -> None:
    month = example(client, "volatility")
    answer = client.post("/v1/models/volatility:predict", json={"instances": [month | {"low": month["low"][1:]}]})

    assert answer.status_code == 400
    assert "instances[0].low: 21 elements, wanted 22" in answer.json()["error"]


def test_what_the_caller_chooses_has_no_distribution_and_a_series_has_that_of_its_numbers(client: httpx.Client) -> None:
    summaries = client.get("/v1/models/demand/metadata").json()["manifest"]["summaries"]

    assert summaries["service_level"]["deciles"] is None
    assert len(summaries["sales"]["deciles"]) == 11
