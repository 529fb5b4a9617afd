"""`python -m training search`: what it measures, what it keeps and what it says."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from optuna import Trial
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from torch import Tensor
from torch.nn.functional import mse_loss

from training import recipe as recipes
from training.__main__ import main
from training.datasets.dataset import Dataset
from training.networks.perceptron import Regressor
from training.recipe import Recipe, load
from training.search import Searched

EPOCHS = 4


@pytest.fixture(scope="module")
def small() -> Recipe:
    """Diabetes by few rows and epochs."""
    whole = load("diabetes")
    full = whole.dataset()
    dataset = replace(full, train=full.train.take(torch.arange(60)), validation=full.validation.take(torch.arange(30)))
    return replace(whole, dataset=lambda: dataset, steps=replace(whole.steps, epochs=EPOCHS), members=2)


def drawn(small: Recipe, trial: Trial) -> Recipe:
    network = partial(Regressor, hidden=(trial.suggest_categorical("width", [4, 8]),), dropout=0.0)
    rate = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
    return replace(small, network=network, steps=replace(small.steps, learning_rate=rate))


class Searching:
    """`python -m training search small`, its recipe changed at will."""

    def __init__(self, folder: Path, patched: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.runs, self._patched, self._capsys = folder, patched, capsys

    def __call__(self, recipe: Recipe, draw: Callable[[Trial], Recipe], *flags: str) -> tuple[int, str]:
        """Its status, and all that it says."""
        self._patched.setattr(recipes, "load", lambda _: recipe)
        self._patched.setattr(recipes, "load_search", lambda _: draw)
        status = main(["search", "small", "--runs", str(self.runs), *flags])
        told = self._capsys.readouterr()
        return status, told.out + told.err

    @property
    def folders(self) -> list[Path]:
        return sorted(one for one in (self.runs / "small").iterdir() if one.is_dir())

    @property
    def trials(self) -> list[dict[str, object]]:
        """Of the last search's study."""
        found: list[dict[str, object]] = json.loads((self.folders[-1] / "search.json").read_text())["trials"]
        return found

    @property
    def studies(self) -> list[str]:
        journal = JournalStorage(JournalFileBackend(str(self.runs / "small" / "study.journal")))
        return [study.study_name for study in journal.get_all_studies()]


@pytest.fixture
def searching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Searching]:
    yield Searching(tmp_path, monkeypatch, capsys)


def test_a_search_tells_the_best_trials_what_to_change_and_draws_it(small: Recipe, searching: Searching) -> None:
    status, told = searching(small, partial(drawn, small), "--trials", "12")

    best = max(searching.trials, key=lambda trial: trial["value"] or -9.0)  # type: ignore[arg-type, return-value]
    assert status == 0 and "r2 of 30 validation rows, higher is better, seed 42" in told
    assert f"The best has {best['value']:.4g}" in told and "| the recipe as it is |" in told
    assert f"| learning_rate | {small.steps.learning_rate:.3g}" in " ".join(told.split())
    assert {one.name for one in searching.folders[-1].iterdir()} == {
        *("search.md", "search.json"),
        *("history.png", "slices.png", "importance.png"),
    }


def test_the_next_search_goes_on_and_one_of_a_changed_recipe_begins(small: Recipe, searching: Searching) -> None:
    other = replace(small, steps=replace(small.steps, batch_size=16))

    searching(small, partial(drawn, small), "--trials", "1")
    searching(small, partial(drawn, small), "--trials", "1")
    assert len(searching.trials) == 2 and len(searching.studies) == 1

    searching(other, partial(drawn, other), "--trials", "1")
    assert len(searching.trials) == 1 and len(searching.studies) == 2


def test_a_study_is_that_of_a_recipe_its_data_what_is_drawn_and_a_seed(small: Recipe) -> None:
    draw, dataset = partial(drawn, small), small.dataset()
    changed = replace(dataset, sha256="0" * 64)
    faster = replace(small, steps=replace(small.steps, batch_size=16))

    names = [
        Searched("small", recipe, draw, data, seed).identity()
        for recipe, draw, data, seed in (
            (small, draw, dataset, 1),
            (faster, draw, dataset, 1),
            (small, partial(narrower, small), dataset, 1),
            (small, draw, changed, 1),
            (small, draw, dataset, 2),
        )
    ]

    assert len(set(names)) == 5
    assert names[0] == Searched("small", replace(small), draw, dataset, 1).identity()


def narrower(small: Recipe, trial: Trial) -> Recipe:
    rate = trial.suggest_float("learning_rate", 1e-3, 1e-2)
    return replace(small, steps=replace(small.steps, learning_rate=rate))


def test_a_trial_is_measured_as_the_recipe_is_trained_and_never_by_the_test_rows(
    small: Recipe, searching: Searching
) -> None:
    unseen = without_test_rows(small.dataset())

    searching(replace(small, dataset=lambda: unseen), partial(drawn, small), "--trials", "1")

    [trial] = searching.trials
    params = trial["params"]
    assert isinstance(params, dict)
    network = partial(Regressor, hidden=(params["width"],), dropout=0.0)
    again = replace(small, network=network, steps=replace(small.steps, learning_rate=params["learning_rate"]))
    history = again.train(small.dataset(), small.seed).history
    assert (trial["value"], trial["epochs"]) == (history.best.score, EPOCHS)


def without_test_rows(dataset: Dataset) -> Dataset:
    unknown = {name: torch.full_like(values, torch.nan) for name, values in dataset.test.inputs.items()}
    return replace(dataset, test=replace(dataset.test, inputs=unknown))


def test_an_interrupted_search_tells_what_it_has_and_goes_on(small: Recipe, searching: Searching) -> None:
    def interrupted(trial: Trial) -> Recipe:
        if trial.number == 2:
            raise KeyboardInterrupt
        return drawn(small, trial)

    status, told = searching(small, interrupted, "--trials", "4")
    assert status == 1 and "interrupted; the same command goes on" in told and "2 trials came to their end" in told

    assert searching(small, partial(drawn, small), "--trials", "2")[0] == 0
    assert [trial["state"] for trial in searching.trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]


def test_losses_that_are_no_numbers_do_not_end_a_search(small: Recipe, searching: Searching) -> None:
    def lost(outputs: Tensor, targets: Tensor) -> Tensor:
        return mse_loss(outputs, targets) * torch.nan

    def sometimes(trial: Trial) -> Recipe:
        made = drawn(small, trial)
        return replace(made, steps=replace(made.steps, loss=lost)) if trial.number % 2 else made

    status, _ = searching(small, sometimes, "--trials", "4")

    assert status == 0
    assert [trial["state"] for trial in searching.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]


def test_a_search_in_which_nothing_gives_a_number_says_so(small: Recipe, searching: Searching) -> None:
    def lost(outputs: Tensor, targets: Tensor) -> Tensor:
        return mse_loss(outputs, targets) * torch.nan

    def never(trial: Trial) -> Recipe:
        made = drawn(small, trial)
        return replace(made, steps=replace(made.steps, loss=lost))

    status, told = searching(small, never, "--trials", "1")

    assert status == 1 and "no trial of small came to its end with a number" in told


def test_of_many_parameters_those_that_matter_most_are_shown(small: Recipe, searching: Searching) -> None:
    def many(trial: Trial) -> Recipe:
        for number in range(14):
            trial.suggest_float(f"p{number}", 0, 1)
        return drawn(small, trial)

    status, told = searching(small, many, "--trials", "11")

    head = next(line for line in told.splitlines() if line.startswith("| trial"))
    assert status == 0 and head.count("|") == 1 + 4 + 8
    assert len(searching.trials[0]["params"]) == 16  # type: ignore[arg-type]


def fails(trial: Trial) -> Recipe:
    raise KeyError(trial.number)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (fails, "training/recipes/small.py: search: KeyError: 0"),
        (lambda trial: trial.number, "training/recipes/small.py: search gives 0, wanted a Recipe"),
    ],
    ids=["fails", "no recipe"],
)
def test_a_search_function_that_does_not_work_is_named(
    draw: Callable[[Trial], Recipe], said: str, small: Recipe, searching: Searching
) -> None:
    status, told = searching(small, draw, "--trials", "1")

    assert status == 1 and said in told and "Traceback" not in told


def test_a_recipe_that_says_nothing_of_a_search_is_told_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "quickstart"]) == 1
    assert "training/recipes/quickstart.py: no `def search(trial: optuna.Trial) -> Recipe`" in capsys.readouterr().err
