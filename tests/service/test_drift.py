"""A model that is asked otherwise than it was trained says so, to Prometheus and to its page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.inference.drift import ROWS_A_SECOND
from tests import graphs
from tests.manifests import SIZES, fitted, manifest
from tests.serving import serving, wait_until

COLOUR = {"name": "colour", "kind": "category", "categories": ["red", "blue"], "example": "red"}


@pytest.fixture(autouse=True)
def _told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus each second, too."""
    monkeypatch.setattr("app.main.TOLD_EVERY", 1)


def add(models: Path, **changes: object) -> None:
    """A model that gives twice its size."""
    place = graphs.add_to_repository(models, "m", graphs.times(2))
    (place / "manifest.json").write_text(fitted(**changes))


def ask(client: httpx.Client, values: np.ndarray, seen: int = 0) -> None:
    """As many rows as are counted in a second, until all have been counted. seen: before."""
    for start in range(0, len(values), ROWS_A_SECOND):
        part = values[start : start + ROWS_A_SECOND]
        body = {"instances": [{"size": float(value)} for value in part]}
        client.post("/v1/models/m:predict", json=body).raise_for_status()
        seen += len(part)
        wait_until(lambda seen=seen: {one["rows"] for one in drift(client)} == {seen}, "rows were not counted")  # type: ignore[misc]


def page(client: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/page/models/m/versions/1/drift").json()
    return told


def drift(client: httpx.Client) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = page(client)["drift"]
    return told


def series(client: httpx.Client, name: str, feature: str) -> float | None:
    """A figure as Prometheus is told it."""
    place = f'headrace_drift_{name}{{kind="feature",model="m",name="{feature}",version="1"}} '
    found = [line for line in client.get("/metrics").text.splitlines() if line.startswith(place)]
    return float(found[0].removeprefix(place)) if found else None


@pytest.mark.parametrize(("moved", "least", "most"), [(0.0, 0.0, 0.1), (1.0, 0.25, 10.0)])
def test_the_index_is_small_for_rows_of_the_same_kind_and_large_for_others(
    tmp_path: Path, moved: float, least: float, most: float
) -> None:
    add(tmp_path)
    with serving(tmp_path) as client:
        assert page(client) == {"fewest_rows": 500, "compares": ["answer", "feature"], "drift": []}
        ask(client, np.random.default_rng(1).normal(moved, size=3 * ROWS_A_SECOND))
        told: Mapping[str, dict[str, Any]] = {one["name"]: one for one in drift(client)}
        assert {name: one["kind"] for name, one in told.items()} == {"size": "feature", "double": "answer"}
        assert all(least <= one["stability"] < most for one in told.values())
        assert all(one["chance"] < 0.1 for one in told.values())
        wait_until(lambda: series(client, "rows", "size") == 3 * ROWS_A_SECOND, "not all rows in the metrics")
        assert series(client, "stability_index", "size") == pytest.approx(told["size"]["stability"])
        assert series(client, "outside_ratio", "size") == pytest.approx(told["size"]["outside"])


def test_explanations_are_no_drift(tmp_path: Path) -> None:
    add(tmp_path)
    with serving(tmp_path) as client:
        ask(client, SIZES[:10])
        client.post("/v1/models/m:explain", json={"instances": [{"size": 100}]}).raise_for_status()
        ask(client, SIZES[10:20], seen=10)


def test_what_is_refused_is_counted_by_its_feature(tmp_path: Path) -> None:
    """It never comes to a run."""
    add(tmp_path)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [-2000]}
    with serving(tmp_path) as client:
        for instance in ({"size": -2000}, {"size": "large"}, {}):
            assert client.post("/v1/models/m:predict", json={"instances": [instance]}).status_code == 400
        columns = {"inputs": {"size": [-2000, 0, -3000]}}
        assert client.post("/v1/models/m:predict", json=columns).status_code == 400
        assert client.post("/v2/models/m/infer", json={"inputs": [tensor]}).status_code == 400
        wait_until(lambda: series(client, "refused_values", "size") == 6, "refused values are not in the metrics")
        assert {one["name"]: (one["rows"], one["refused"]) for one in drift(client)} == {
            "size": (0, 6),
            "double": (0, 0),
        }


def test_a_category_sent_as_a_text_may_be_unknown_to_the_manifest(tmp_path: Path) -> None:
    """Through V2, where the graph decides; V1 knows the names and refuses."""
    place = graphs.add_to_repository(tmp_path, "m", graphs.identity("BYTES", ("batch", 1)))
    described = manifest(
        inputs=[{"tensor": "x", "features": [COLOUR]}],
        outputs=[{"tensor": "y", "kind": "value", "name": "said"}],
        summaries={"colour": {"shares": {"red": 0.5, "blue": 0.5}, "missing": 0}},
        golden={"inputs": {"x": [["red"]]}, "outputs": {"y": [["red"]]}, "tolerance": 1e-6},
    )
    (place / "manifest.json").write_text(described.model_dump_json())
    tensor = {"name": "x", "datatype": "BYTES", "shape": [4, 1], "data": ["red", "pink", "blue", "red"]}
    with serving(tmp_path) as client:
        client.post("/v2/models/m/infer", json={"inputs": [tensor]}).raise_for_status()
        assert client.post("/v1/models/m:predict", json={"instances": [{"colour": "pink"}]}).status_code == 400
        wait_until(lambda: series(client, "refused_values", "colour") == 1, "the refused value is not in the metrics")
        wait_until(lambda: series(client, "unknown_ratio", "colour") == 0.25, "the unknown one is not in the metrics")
        assert series(client, "outside_ratio", "colour") is None


def test_a_model_that_has_gone_has_not_drifted(tmp_path: Path) -> None:
    add(tmp_path)
    with serving(tmp_path, repository_control=True) as client:
        ask(client, SIZES[:10])
        wait_until(lambda: series(client, "rows", "size") == 10, "the rows are not in the metrics")
        client.post("/v2/repository/models/m/unload").raise_for_status()
        wait_until(lambda: series(client, "rows", "size") == 0, "the rows are still in the metrics")


def test_a_manifest_without_answers_or_summaries_has_nothing_to_compare_with(tmp_path: Path) -> None:
    add(tmp_path, predictions={}, summaries={})
    with serving(tmp_path) as client:
        client.post("/v1/models/m:predict", json={"instances": [{"size": 1}]}).raise_for_status()
        assert page(client) == {"fewest_rows": 500, "compares": [], "drift": []}
        assert series(client, "rows", "size") is None
