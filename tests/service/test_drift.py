"""A model that is asked otherwise than it was trained says so, to Prometheus and to its page."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.inference.drift import ROWS_A_SECOND
from tests import graphs
from tests.manifests import manifest
from tests.serving import serving, wait_until

TRAINED = np.random.default_rng(0).normal(size=5000)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    described = manifest(
        inputs=[{"tensor": "x", "features": [{"name": "size", "example": 0}]}],
        outputs=[{"tensor": "y", "kind": "value", "name": "double"}],
        golden={"inputs": {"x": [[1]]}, "outputs": {"y": [[2]]}, "tolerance": 1e-6},
    )
    told = json.loads(described.model_dump_json())
    told["summaries"] = {"size": summary(TRAINED)}
    told["predictions"] = {"y": summary(2 * TRAINED)}
    place = graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    (place / "manifest.json").write_text(json.dumps(told))
    return tmp_path


def summary(values: np.ndarray) -> dict[str, object]:
    deciles = np.quantile(values, np.linspace(0, 1, 11))
    at_most = [float((values <= decile).mean()) for decile in deciles]
    spread = {"mean": float(values.mean()), "standard_deviation": float(values.std()), "missing": 0}
    return {**spread, "deciles": deciles.tolist(), "at_most": at_most}


def ask(client: httpx.Client, values: np.ndarray, seen: int = 0) -> None:
    """As many rows as are counted in a second, until all have been counted. seen: before."""
    for start in range(0, len(values), ROWS_A_SECOND):
        part = values[start : start + ROWS_A_SECOND]
        body = {"instances": [{"size": float(value)} for value in part]}
        client.post("/v1/models/m:predict", json=body).raise_for_status()
        seen += len(part)
        wait_until(lambda seen=seen: {one["rows"] for one in drift(client)} == {seen}, "rows were not counted")


def drift(client: httpx.Client) -> list[dict[str, object]]:
    told: list[dict[str, object]] = client.get("/page/models/m/versions/1/drift").json()["drift"]
    return told


@pytest.mark.parametrize(("moved", "least", "most"), [(0.0, 0.0, 0.1), (1.0, 0.25, 10.0)])
def test_the_index_is_small_for_rows_of_the_same_kind_and_large_for_others(
    models: Path, moved: float, least: float, most: float
) -> None:
    with serving(models) as client:
        assert drift(client) == []
        ask(client, np.random.default_rng(1).normal(moved, size=3 * ROWS_A_SECOND))
        told = {one["name"]: one for one in drift(client)}
        assert {name: one["kind"] for name, one in told.items()} == {"size": "feature", "double": "answer"}
        assert all(least <= one["stability"] < most for one in told.values())
        told_to_prometheus = 'headrace_drift_stability_index{kind="feature",model="m",name="size",version="1"}'
        wait_until(lambda: told_to_prometheus in client.get("/metrics").text, "no index in the metrics")


def test_explanations_are_no_drift(models: Path) -> None:
    with serving(models) as client:
        ask(client, TRAINED[:10])
        client.post("/v1/models/m:explain", json={"instances": [{"size": 100}]}).raise_for_status()
        ask(client, TRAINED[10:20], seen=10)
