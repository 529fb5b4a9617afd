"""Runs and models in MLflow: the one module that knows it.

Without MLFLOW_TRACKING_URI everything lies in runs/: a SQLite file and the artifacts beside it; else on that server.
`mlflow ui --backend-store-uri sqlite:///runs/mlflow.db` shows them.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from app.manifest import PAGE, Manifest
from training.errors import NotTracked
from training.fit import History

SERVER = "MLFLOW_TRACKING_URI"

ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))")

FILES = ("model.onnx", "manifest.json", PAGE)


class Tracker:
    """Where runs are kept. runs: the folder of the runs, for the SQLite file and its artifacts."""

    def __init__(self, runs: Path) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._artifacts: str | None = None
        where = os.environ.get(SERVER)
        if where is None:
            runs.mkdir(parents=True, exist_ok=True)
            self._artifacts = (runs / "mlflow-artifacts").resolve().as_uri()
            where = f"sqlite:///{(runs / 'mlflow.db').resolve()}"
        # Told to the client alone: mlflow.set_tracking_uri would hand it on to other processes as if it were a server.
        self._client = MlflowClient(where)

    def keep(self, folder: Path, history: History, seconds: float) -> str:
        """The run in a folder with its settings, curves, held-out metrics and files; its number. Raises NotTracked."""
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
        with _in_words():
            run = self._client.create_run(self._experiment(manifest.training.recipe), run_name=folder.name)
            number: str = run.info.run_id
            told = {**manifest.training.settings, "seed": manifest.training.seed, "data_sha256": manifest.data.sha256}
            params = [Param(name, str(value)) for name, value in told.items()]
            tags = [RunTag(f"version.{name}", version) for name, version in manifest.training.versions.items()]
            self._client.log_batch(number, list(_metrics(manifest, history, seconds)), params, tags)
            for name in (*FILES, "report.md", "curves.png"):
                if (folder / name).is_file():
                    self._client.log_artifact(number, str(folder / name))
            self._client.set_terminated(number)
            return number

    def register(self, name: str, run: str, alias: str) -> int:
        """A run's model as the next version of a registered one, for which the alias then stands. Raises NotTracked."""
        with _in_words():
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            source = self._run(run).info.artifact_uri
            version = self._client.create_model_version(name, source=source, run_id=run).version
            self._client.set_registered_model_alias(name, alias, str(version))
            return int(version)

    def fetch(self, address: str, models: Path) -> Path:
        """The model at `models:/NAME/VERSION` or `models:/NAME@ALIAS` as the next version of models/NAME, or the newest
        one there if that is the same; its folder. Raises NotTracked."""
        found = ADDRESS.fullmatch(address)
        if found is None:
            raise NotTracked(f"{address!r}: wanted models:/NAME/VERSION or models:/NAME@ALIAS")
        with _in_words(), TemporaryDirectory() as folder:
            if found["alias"]:
                version = self._client.get_model_version_by_alias(found["name"], found["alias"])
            else:
                version = self._client.get_model_version(found["name"], found["version"])
            if version.run_id is None:
                raise NotTracked(f"{address}: it is of no run that was kept here")
            for name in FILES:
                self._client.download_artifacts(version.run_id, name, folder)
            return _placed(Path(folder), models / found["name"])

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        return str(self._client.create_experiment(name, self._artifacts and f"{self._artifacts}/{name}"))

    def _run(self, number: str) -> Run:
        return self._client.get_run(number)


def _metrics(manifest: Manifest, history: History, seconds: float) -> Iterator[Metric]:
    """Of every epoch, then of the test split."""
    measure = manifest.evaluation.metrics[0].name
    for number, epoch in enumerate(history.epochs, 1):
        yield Metric("train_loss", epoch.train_loss, 0, number)
        yield Metric("validation_loss", epoch.validation_loss, 0, number)
        yield Metric(f"validation_{measure}", epoch.score, 0, number)
    for one in manifest.evaluation.metrics:
        yield Metric(f"test_{one.name}", one.model, 0, history.best_epoch)
        yield Metric(f"baseline_{one.name}", one.baseline, 0, history.best_epoch)
    yield Metric("seconds", seconds, 0, history.best_epoch)


def _placed(files: Path, model: Path) -> Path:
    """Files of a version, in one rename, unless the newest one has the same graph and manifest."""
    present = [int(place.name) for place in model.glob("*") if place.name.isdecimal()]
    newest = model / str(max(present, default=0))
    same = (newest / name for name in FILES[:2])
    if present and all(one.is_file() and one.read_bytes() == (files / one.name).read_bytes() for one in same):
        return newest
    hidden, version = model / f".{uuid4().hex}", model / str(max(present, default=0) + 1)
    shutil.copytree(files, hidden)
    hidden.rename(version)
    return version


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        raise NotTracked(f"MLflow: {str(error).splitlines()[0]}") from error
