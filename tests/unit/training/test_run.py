"""A whole run, on the four points: what it publishes, what it refuses to, and what its commands say."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.inference.session import Session
from app.manifest import Manifest, read_manifest
from training import run
from training.__main__ import main
from training.datasets.dataset import Column, Dataset
from training.errors import NotProbabilities, RunNotFound, UnfitDataset
from training.evaluate import evaluate
from training.networks.served import Served, as_it_is
from training.publish import publish
from training.recipe import load
from training.run import Run, conclude


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run.fit("quickstart", tmp_path_factory.mktemp("runs"), seed=None)


@pytest.fixture(scope="module")
def published(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/ with version 1 in it."""
    models = tmp_path_factory.mktemp("models")
    report = conclude(trained, models)
    assert not report.failed and "Published as" in report.outcome
    return models


@pytest.fixture
def models(published: Path, tmp_path: Path) -> Path:
    """A copy of the published models, for tests that change them."""
    return shutil.copytree(published, tmp_path / "models")


def manifest(models: Path, version: int = 1) -> Manifest:
    found = read_manifest(models / "quickstart" / str(version) / "manifest.json")
    assert found
    return found


def test_a_published_version_is_a_graph_its_manifest_its_page_and_nothing_else(published: Path) -> None:
    found = {str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()}

    assert found == {f"quickstart/1/{name}" for name in ("model.onnx", "manifest.json", "report.html")}


def test_the_golden_rows_come_out_of_the_published_graph(published: Path) -> None:
    golden = manifest(published).golden

    outputs = Session(published / "quickstart" / "1" / "model.onnx").run(
        {name: np.array(rows, np.float32) for name, rows in golden.inputs.items()}
    )

    for name, rows in golden.outputs.items():
        assert np.abs(outputs[name].astype(float) - np.array(rows)).max() <= golden.tolerance


def test_the_manifest_says_what_the_model_was_made_of(published: Path) -> None:
    found = manifest(published)

    assert (found.name, found.training.recipe, found.training.seed) == ("quickstart", "quickstart", 42)
    assert [feature.name for feature in found.features] == ["x"]
    assert found.outputs[0].labels == ("0", "1")
    assert found.summaries["x"].mean == 2.5 and len(found.summaries["x"].deciles or ()) == 11
    assert found.summaries["x"].at_most == (0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.75, 0.75, 0.75, 1)
    assert {metric.name for metric in found.evaluation.metrics} == {"cross_entropy", "accuracy", "largest_error"}


def test_the_manifest_says_what_the_model_answers_to_the_validation_split(published: Path) -> None:
    answered = manifest(published).predictions["probabilities"]

    assert answered.shares == {"0": 0.5, "1": 0.5}
    assert answered.deciles is not None
    assert answered.at_most is not None
    assert 0.9 < answered.deciles[0] <= answered.deciles[10] <= 1


def test_the_card_sets_the_brief_as_written_beside_what_was_published(published: Path) -> None:
    card = manifest(published).card

    assert "| 1 | 1 | 0.96 | 0.578 |" in card
    assert "| cross-entropy | | 0.0930 | 0.6513 |" in card


@pytest.mark.usefixtures("published")
def test_the_run_folder_holds_report_curves_weights_and_graph(trained: Run) -> None:
    assert {file.name for file in trained.folder.iterdir()} == {
        "checkpoint.pt",
        "curves.png",
        "manifest.json",
        "model.onnx",
        "report.html",
        "report.json",
        "report.md",
    }
    assert json.loads((trained.folder / "report.json").read_text())["recipe"] == "quickstart"


def test_the_same_training_again_publishes_nothing(trained: Run, models: Path) -> None:
    again = run.fit("quickstart", trained.folder.parent.parent, seed=None)

    assert "Unchanged" in conclude(again, models).outcome
    assert [folder.name for folder in (models / "quickstart").iterdir()] == ["1"]


def test_another_graph_becomes_the_next_version_by_number(models: Path) -> None:
    (models / "quickstart" / "1").rename(models / "quickstart" / "9")

    added = publish(b"another graph", manifest(models, version=9), "a page", models)

    assert added.added and added.folder == models / "quickstart" / "10"


def test_a_publication_that_breaks_off_leaves_nothing_behind(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(models.rglob("*"))

    def full(hidden: Path, version: Path) -> None:
        assert sorted(file.name for file in hidden.iterdir()) == ["manifest.json", "model.onnx", "report.html"]
        assert hidden.name.startswith(".") and hidden.parent == version.parent
        raise OSError("disk full")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="disk full"):
        publish(b"another graph", manifest(models), "a page", models)

    assert sorted(models.rglob("*")) == before


def test_below_its_bounds_nothing_is_published(trained: Run, tmp_path: Path) -> None:
    report = conclude(replace(trained, recipe=replace(trained.recipe, accept={"cross_entropy": 0.0})), tmp_path)

    assert report.failed and "wanted 0 or less" in report.outcome
    assert not list(tmp_path.iterdir())


def test_without_parity_nothing_is_published(trained: Run, tmp_path: Path) -> None:
    report = conclude(replace(trained, recipe=replace(trained.recipe, tolerance=-1.0)), tmp_path)

    assert report.failed and "PyTorch and onnxruntime differ" in report.outcome
    assert not list(tmp_path.iterdir())


def test_a_classifier_without_a_head_is_told_to_have_one(trained: Run) -> None:
    ours = trained.trained.served
    served = Served([*ours.members], as_it_is, ours.split)
    headless = replace(trained, trained=replace(trained.trained, served=served))
    with pytest.raises(NotProbabilities, match="give the recipe a `head`, such as softmax"):
        run.verified_graph(headless)


def test_a_feature_that_cannot_be_a_field_is_refused_before_it_is_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wine = replace(load("quickstart"), dataset=lambda: Column("od280/od315", "a ratio"))  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(run, "load", lambda _: wine)
    with pytest.raises(UnfitDataset, match=r"feature 'od280/od315': wanted letters.* such as 'od280_od315'"):
        run.fit("wine", tmp_path, seed=None)


def test_a_data_set_that_cannot_be_loaded_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partless = replace(load("quickstart"), dataset=lambda: Dataset(name="partless"))  # type: ignore[call-arg]
    monkeypatch.setattr(run, "load", lambda _: partless)
    with pytest.raises(UnfitDataset, match=r"cannot be loaded: TypeError: .* missing .*'test'"):
        run.fit("partless", tmp_path, seed=None)


def test_a_manifest_that_would_not_hold_is_a_sentence(trained: Run, tmp_path: Path) -> None:
    column = Column("x", "a number", minimum=5, maximum=0)
    dataset = replace(trained.trained.dataset, columns={"features": (column,)})

    report = conclude(replace(trained, trained=replace(trained.trained, dataset=dataset)), tmp_path)

    assert report.failed and "x: minimum 5.0 is above maximum 0.0" in report.outcome


def test_the_help_of_fit_says_which_recipe_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])

    said = " ".join(capsys.readouterr().out.split())
    assert "breast_cancer.py for a classifier, training/recipes/diabetes.py for a regression" in said
    assert "training/datasets/" in said


def test_a_run_on_other_data_is_not_taken_for_this_one(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(trained.trained.dataset, sha256="0" * 64)
    monkeypatch.setattr(run, "load", lambda _: replace(trained.recipe, dataset=lambda: other))
    with pytest.raises(RunNotFound, match="or its data have changed"):
        run.reopen("quickstart", trained.folder.parent, trained.folder)


def test_a_withheld_recipe_is_reported_and_not_published(trained: Run, tmp_path: Path) -> None:
    report = conclude(replace(trained, recipe=replace(trained.recipe, withheld="it is a joke")), tmp_path)

    assert not report.failed and report.outcome == "Never published: it is a joke."
    assert not list(tmp_path.iterdir())


def test_a_saved_run_is_measured_as_it_was_when_trained(trained: Run, published: Path) -> None:
    reopened = run.reopen("quickstart", trained.folder.parent.parent, trained.folder)

    assert [metric.model for metric in evaluate(run.seen(reopened), reopened.recipe.measures).metrics] == [
        metric.model for metric in manifest(published).evaluation.metrics
    ]


def test_a_run_of_another_recipe_is_not_taken_for_this_one(
    trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["export", "breast-cancer", "--run", str(trained.folder), "--models", str(tmp_path)])

    assert status == 1
    assert "breast-cancer or its data have changed since the run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "brest-cancer"], "no recipe 'brest-cancer'; there are breast-cancer"),
        (["evaluate", "digits", "--runs", "nowhere"], "no run of digits in nowhere; `fit digits` makes one"),
        (["export", "digits", "--run", "nowhere"], "nowhere holds no checkpoint.pt; `fit` makes one"),
    ],
)
def test_a_users_mistake_is_answered_with_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


def test_the_list_names_every_recipe_and_marks_the_withheld(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0

    listed = capsys.readouterr().out
    assert "breast-cancer" in listed and "quickstart-as-written" in listed and "(never published)" in listed
