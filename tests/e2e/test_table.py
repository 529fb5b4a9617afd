"""Three tables that are not in the repository go to served endpoints, by the two commands that a user types."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from tests.serving import serving_process
from training.__main__ import main

pytestmark = pytest.mark.e2e

ROWS = 400
QUICK = ("--minutes", "1", "--trials", "1")
"""One network, with time enough on a busy machine."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/ after `python -m training table` has taken the three tables: one as typed, two within this process."""
    folder = tmp_path_factory.mktemp("tables")
    load_wine(as_frame=True).frame.to_csv(folder / "wine.csv", index=False)
    shop().to_parquet(folder / "shop.parquet")
    tickets().to_csv(folder / "tickets.csv", index=False)
    places = ("--models", str(folder / "models"), "--runs", str(folder / "runs"))
    typed = [sys.executable, "-m", "training", *asked(folder / "tickets.csv", "urgent"), *places]
    told = subprocess.run(typed, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == 0 and "Published as" in told.stdout, told.stdout + told.stderr
    assert main([*asked(folder / "wine.csv", "target"), *places]) == 0
    assert main([*asked(folder / "shop.parquet", "revenue"), *places]) == 0
    return folder / "models"


def asked(file: Path, target: str) -> tuple[str, ...]:
    return ("table", str(file), "--target", target, "--name", file.stem, *QUICK)


def shop() -> pd.DataFrame:
    """A shop's days: dates, gaps, a category, a number to predict."""
    random = np.random.default_rng(1)
    day = pd.Timestamp("2022-03-01") + pd.to_timedelta(np.arange(ROWS), unit="D")
    weather = random.choice(["sun", "rain", "snow"], ROWS, p=[0.5, 0.45, 0.05])
    degrees = np.where(random.random(ROWS) < 0.2, np.nan, random.normal(15, 8, ROWS).round(1))
    weekend = day.day_of_week >= 5
    revenue = 500 + 300 * weekend + 10 * np.nan_to_num(degrees, nan=15) - 100 * (weather == "rain")
    return pd.DataFrame(
        {
            "day": day,
            "weather": pd.Series(weather).where(random.random(ROWS) > 0.1),
            "degrees": degrees,
            "visitors yesterday": random.integers(20, 200, ROWS),
            "revenue": (revenue + random.normal(0, 30, ROWS)).round(2),
        }
    )


def tickets() -> pd.DataFrame:
    """Free text that tells the answer, beside a number that does not."""
    random = np.random.default_rng(2)
    calm = ["please", "update", "invoice", "address", "question", "thanks", "about", "my"]
    pressing = ["server", "down", "broken", "cannot", "login", "error", "now", "data"]
    urgent = random.random(ROWS) < 0.4
    texts = [
        " ".join([*random.choice(pressing if one else calm, 4), *random.choice(["the", "a", "is", "on"], 3)])
        for one in urgent
    ]
    return pd.DataFrame(
        {
            "ticket_id": [f"T-{n:05}" for n in range(ROWS)],
            "text": [text.capitalize() + random.choice([".", "!"]) for text in texts],
            "length": random.integers(10, 90, ROWS),
            "urgent": np.where(urgent, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def client(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of `python -m app serve` over them."""
    with serving_process(models, tmp_path_factory.mktemp("log") / "log") as (client, _):
        yield client


def features(client: httpx.Client, name: str) -> dict[str, dict[str, Any]]:
    inputs = client.get(f"/v1/models/{name}/metadata").json()["manifest"]["inputs"]
    return {feature["name"]: feature for one in inputs for feature in one["features"]}


def predict(client: httpx.Client, name: str, *instances: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post(f"/v1/models/{name}:predict", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    predictions: list[dict[str, Any]] = answer.json()["predictions"]
    return predictions


def example(client: httpx.Client, name: str) -> dict[str, Any]:
    return {field: feature["example"] for field, feature in features(client, name).items()}


def refused(client: httpx.Client, name: str, instance: dict[str, Any]) -> str:
    answer = client.post(f"/v1/models/{name}:predict", json={"instances": [instance]})
    assert answer.status_code == 400
    return str(answer.json()["error"])


def test_rows_share_runs_of_every_model(client: httpx.Client) -> None:
    for name in ("wine", "shop", "tickets"):
        assert client.get(f"/v1/models/{name}/metadata").json()["batched"] is True


def test_wine_is_served_by_its_measurements(client: httpx.Client) -> None:
    wine = load_wine(as_frame=True).frame
    columns = [*features(client, "wine")]
    assert columns[0] == "alcohol" and "od280_od315_of_diluted_wines" in columns

    rows = [dict(zip(columns, row, strict=True)) for row in wine.drop(columns="target").itertuples(index=False)]
    answers = predict(client, "wine", *({key: float(value) for key, value in row.items()} for row in rows))

    assert np.mean([one["label"] == str(true) for one, true in zip(answers, wine["target"], strict=True)]) > 0.9
    assert "wanted 0 to" in refused(client, "wine", {**example(client, "wine"), "hue": 99})
    assert "wanted an integer" in refused(client, "wine", {**example(client, "wine"), "proline": 0.5})


def test_a_shop_is_served_by_dates_with_what_is_missing_as_in_training(client: httpx.Client) -> None:
    found, row = features(client, "shop"), example(client, "shop")
    assert (found["day"]["kind"], found["degrees"]["missing"]) == ("date", "nan")
    assert found["weather"]["categories"][-1] == found["weather"]["fill"] == "(missing)"
    assert found["visitors_yesterday"]["description"] == "visitors yesterday"

    monday, saturday = ({**row, "day": day} for day in ("2023-04-03", "2023-04-08"))
    [weekday, weekend] = predict(client, "shop", monday, saturday)
    assert weekend["revenue"] > weekday["revenue"] + 50

    [absent, null, named] = predict(
        client,
        "shop",
        {key: value for key, value in row.items() if key not in ("degrees", "weather")},
        {**row, "degrees": None, "weather": None},
        {**row, "degrees": None, "weather": "(missing)"},
    )
    assert absent == null == named
    assert "wanted a date, " in refused(client, "shop", {**row, "day": "3.4.2023"})
    assert "'hail', wanted one of rain, s" in refused(client, "shop", {**row, "weather": "hail"})
    schema = client.get("/openapi.json").json()["components"]["schemas"]["ShopInstance"]["properties"]
    assert schema["day"]["format"] == "date" and schema["weather"]["type"] == ["string", "null"]


def test_tickets_are_served_by_their_words(client: httpx.Client) -> None:
    found, row = features(client, "tickets"), example(client, "tickets")
    assert {name: one["kind"] for name, one in found.items()} == {"length": "integer", "text": "text"}

    texts = ["Server DOWN, cannot login now!", "A question about my invoice, thanks.", "xyzzy", ""]
    answers = predict(client, "tickets", *({**row, "text": text} for text in texts))

    assert [one["label"] for one in answers[:2]] == ["yes", "no"]
    assert answers[2]["probability"] < answers[0]["probability"]
    one_by_one = [predict(client, "tickets", {**row, "text": text})[0]["probability"] for text in texts]
    np.testing.assert_allclose(one_by_one, [one["probability"] for one in answers], atol=1e-6)


def test_every_model_says_how_it_was_made(client: httpx.Client) -> None:
    for name in ("wine", "shop", "tickets"):
        manifest = client.get(f"/v1/models/{name}/metadata").json()["manifest"]
        assert "## Columns" in manifest["card"] and "## Search" in manifest["card"]
        assert "gradient boosting" in manifest["card"] and "regression" in manifest["card"]
        assert manifest["evaluation"]["verdict"]
