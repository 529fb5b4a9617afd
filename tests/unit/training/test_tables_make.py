"""The search and the command: a fixed order, words for mistakes, and a run like any other's."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from training import run
from training.__main__ import main
from training.networks.perceptron import Classifier
from training.recipe import load
from training.tables.corrections import Corrections
from training.tables.make import make
from training.tables.read import read
from training.tables.search import Choice, Search, search
from training.tables.understand import understand


def searched(seed: int, trials: int, seconds: float = 300) -> Search:
    whole = load("breast-cancer").dataset()
    dataset = replace(
        whole, train=whole.train.take(torch.arange(40)), validation=whole.validation.take(torch.arange(20))
    )
    return search(
        dataset,
        lambda one: Classifier(
            dataset.train.inputs, dataset.train.targets, hidden=one.hidden[:1] or (4,), dropout=one.dropout
        ),
        cross_entropy,
        seconds=seconds,
        trials=trials,
        seed=seed,
    )


def test_trials_come_in_an_order_that_the_seed_fixes_and_the_best_gives_the_steps() -> None:
    first, again = searched(seed=1, trials=3), searched(seed=1, trials=3)

    assert [trial.choice for trial in first.trials] == [trial.choice for trial in again.trials]
    assert first.trials[0].choice == Choice() and first.trials[1].choice != Choice()
    assert first.best.loss == min(trial.loss for trial in first.trials)
    assert first.steps.learning_rate == first.best.choice.learning_rate


def test_one_network_is_fitted_however_short_the_time_is() -> None:
    found = searched(seed=1, trials=5, seconds=1e-6)

    assert len(found.trials) == 1 and math.isfinite(found.best.loss)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(5)
    size = random.normal(size=(150, 2)).round(2)
    frame = pd.DataFrame({"width": size[:, 0], "height (m)": size[:, 1], "price": (3 * size[:, 0] + 50).round(3)})
    file = tmp_path_factory.mktemp("tables") / "my data.csv"
    frame.assign(price=frame["price"] + random.normal(scale=0.3, size=150)).to_csv(file, index=False)
    return file


def test_a_table_becomes_a_run_with_all_that_was_understood_and_tried(file: Path, tmp_path: Path) -> None:
    found = understand(file.name, read(file), "price", Corrections())
    made = make(found, seconds=300, trials=2, seed=3)

    trained = run.fit_made("prices", made.recipe, tmp_path / "runs", 3)
    made.save(trained.folder)
    report = run.conclude(trained, tmp_path / "models")

    assert not report.failed and (tmp_path / "models/prices/1/model.onnx").is_file()
    assert report.evaluation.metrics[0].name == "r2" and report.evaluation.metrics[0].model > 0.8
    assert "2 networks were fitted" in report.card and "ridge regression" in report.card
    assert len(json.loads((trained.folder / "trials.json").read_text())) == 2
    assert "height (m) -> height_m" in (trained.folder / "columns.txt").read_text()
    [width, height] = trained.trained.dataset.columns["numbers"]
    assert (width.name, height.name, height.description) == ("width", "height_m", "height (m)")


def test_a_target_that_nothing_tells_of_is_not_published(tmp_path: Path) -> None:
    noise = pd.DataFrame({"x": np.random.default_rng(6).normal(size=300), "y": np.arange(300) * 7919 % 13})
    noise.to_csv(tmp_path / "noise.csv", index=False)
    arguments = ["--target", "y", "--minutes", "0.02", "--kind", "y=number", "--runs", str(tmp_path / "runs")]

    assert main(["table", str(tmp_path / "noise.csv"), *arguments, "--models", str(tmp_path / "models")]) == 1
    assert not (tmp_path / "models").exists()


def test_a_dry_run_shows_what_is_understood_and_writes_it_to_be_corrected(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, runs = tmp_path / "columns.yaml", tmp_path / "runs"
    asked = ["table", str(file), "--target", "price", "--name", "p", "--runs", str(runs)]

    assert main([*asked, "--write-columns", str(columns)]) == 0
    columns.write_text(columns.read_text().replace("width:\n    kind: number", "width:\n    use: false"))
    assert main([*asked, "--columns", str(columns), "--dry-run"]) == 0

    assert "no: left out, as asked" in capsys.readouterr().out
    assert not runs.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.csv", "--target", "y"], "nowhere.csv: No such file or directory"),
        (["{file}", "--target", "prize", "--name", "p"], "no column 'prize', did you mean 'price'?"),
        (["{file}", "--target", "price"], "a model cannot be called 'my data', wanted letters, digits"),
        (["{file}", "--target", "price", "--name", "digits"], "there is a recipe 'digits' already"),
        (["{file}", "--target", "price", "--name", "p", "--drop", "depth"], "no column 'depth'"),
        (["{file}", "--target", "price", "--name", "p", "--kind", "width"], "--kind width: wanted column=kind"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence_and_status_1(
    arguments: list[str], said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", *(one.format(file=file) for one in arguments)]) == 1

    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told
