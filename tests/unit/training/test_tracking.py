"""Runs in MLflow's own file: kept with all that they had, registered, and brought back to be served."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from app.manifest import Manifest
from training.errors import NotTracked
from training.recipe import load
from training.run import Run, conclude, fit
from training.tracking import Tracker


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    done = fit("quickstart", tmp_path_factory.mktemp("runs"), seed=None)
    conclude(done, None)
    return done


@pytest.fixture(scope="module")
def tracker(run: Run) -> Tracker:
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("MLFLOW_TRACKING_URI", raising=False)
        return Tracker(run.folder.parents[1])


@pytest.fixture(scope="module")
def number(run: Run, tracker: Tracker) -> str:
    return tracker.keep(run.folder, run.trained.history, run.seconds)


def test_a_run_is_kept_with_settings_curves_metrics_and_files(run: Run, number: str) -> None:
    client = MlflowClient(f"sqlite:///{run.folder.parents[1] / 'mlflow.db'}")
    kept = client.get_run(number)
    manifest = Manifest.model_validate_json((run.folder / "manifest.json").read_bytes())
    assert kept.data.params["learning_rate"] == str(load("quickstart").steps.learning_rate)
    assert kept.data.params["seed"] == "42"
    assert kept.data.metrics["test_accuracy"] == manifest.evaluation.metrics[1].model
    assert kept.data.tags["version.torch"].startswith("2.")
    losses = client.get_metric_history(number, "validation_loss")
    assert [one.value for one in losses] == [epoch.validation_loss for epoch in run.trained.history.epochs]
    files = {one.path for one in client.list_artifacts(number)}
    assert files >= {"model.onnx", "manifest.json", "report.html"}
    assert (run.folder.parents[1] / "mlflow.db").is_file()


def test_a_registered_model_comes_back_under_its_alias_and_only_once(
    run: Run, tracker: Tracker, number: str, tmp_path: Path
) -> None:
    version = tracker.register("quickstart", number, "best")
    first = tracker.fetch("models:/quickstart@best", tmp_path)
    assert first == tmp_path / "quickstart" / "1"
    assert (first / "model.onnx").read_bytes() == (run.folder / "model.onnx").read_bytes()
    assert sorted(file.name for file in first.iterdir()) == ["manifest.json", "model.onnx", "report.html"]
    assert tracker.fetch(f"models:/quickstart/{version}", tmp_path) == first
    shutil.copytree(first, tmp_path / "quickstart" / "7")
    (tmp_path / "quickstart" / "7" / "model.onnx").write_bytes(b"another")
    assert tracker.fetch("models:/quickstart@best", tmp_path) == tmp_path / "quickstart" / "8"


@pytest.mark.parametrize(
    "address", ["quickstart", "models:/quickstart", "models:/nobody@best", "models:/quickstart/99"]
)
def test_an_address_that_leads_nowhere_is_told_so(tracker: Tracker, tmp_path: Path, address: str) -> None:
    with pytest.raises(NotTracked):
        tracker.fetch(address, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_told_in_words(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(NotTracked, match="MLflow: "):
        Tracker(tmp_path).keep(run.folder, replace(run.trained.history), run.seconds)
