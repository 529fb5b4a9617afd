"""Every recipe there is, without training it: a new file is tested on arrival."""

import json
from dataclasses import asdict, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import optuna
import pytest
import torch
from torch import nn

from app.feature import Feature
from training import recipes
from training.datasets.dataset import Dataset
from training.errors import DataNotFetched, NotProbabilities, UnknownRecipe, UnusableRecipe
from training.evaluate import predict
from training.networks.served import as_it_is
from training.recipe import load, load_search, names


def module_of(name: str) -> ModuleType:
    return import_module(f"training.recipes.{name.replace('-', '_')}")


MOST_ROWS = 2000
"""Of a test split: as many as tell what a network answers with."""


@cache
def loaded(name: str) -> Dataset | None:
    """None where the data would have to be fetched: without a PATH there is nothing to fetch them with."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", "")
        try:
            return load(name).dataset()
        except DataNotFetched:
            return None


def dataset_of(name: str) -> Dataset:
    dataset = loaded(name)
    if dataset is None:
        pytest.skip("its data have not been fetched; `make train` does that")
    return dataset


@pytest.mark.parametrize("name", names())
def test_a_recipe_says_what_it_is_for_and_what_it_promises(name: str) -> None:
    recipe = load(name)
    promise = module_of(name).__doc__

    assert promise and "Expect: " in promise
    assert all((recipe.title, recipe.task, recipe.description, recipe.intended_use, recipe.limits))
    assert len(json.dumps(recipe.settings())) > 2


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_bounded_by_its_own_measures_or_withheld_with_a_reason(name: str) -> None:
    recipe = load(name)

    assert recipe.withheld or recipe.accept
    assert recipe.accept.keys() <= {measure.name for measure in recipe.measures}


@pytest.mark.parametrize("name", names())
def test_a_recipes_network_gives_one_answer_a_row_of_the_kind_that_its_target_has(name: str) -> None:
    recipe, dataset = load(name), dataset_of(name)
    rows = dataset.test.take(torch.arange(len(dataset.test))[:: 1 + len(dataset.test) // MOST_ROWS])

    answers = predict(recipe.untrained(dataset), rows)

    if dataset.target.top:
        assert answers.shape == (len(rows), len(dataset.target.labels))
    elif labels := dataset.target.labels:
        assert answers.shape == (len(rows), len(labels))
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    else:
        count = len(recipe.answers_of(dataset))
        assert answers.shape == ((len(rows),) if count == 1 else (len(rows), count))
    assert all(np.isfinite(measure.of(answers, rows.targets.numpy())) for measure in recipe.measures)


@pytest.mark.parametrize("name", names())
def test_a_recipes_columns_are_features_that_a_caller_can_send(name: str) -> None:
    columns = [column for some in dataset_of(name).columns.values() for column in some]

    assert len({column.name for column in columns}) == len(columns)
    assert all(Feature(**asdict(column), example=0) for column in columns)


@pytest.mark.parametrize("name", [name for name in names() if hasattr(module_of(name), "search")])
def test_a_recipes_search_draws_recipes_whose_networks_can_be_built(name: str) -> None:
    dataset, search = dataset_of(name), load_search(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))

    drawn = [search(study.ask()) for _ in range(5)]

    assert all(one.untrained(dataset).members for one in drawn)
    assert len({json.dumps(one.settings()) for one in drawn}) == 5
    assert all(one.measures == load(name).measures for one in drawn)


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownRecipe, match=r"no recipe 'brest-cancer'; there are .*breast-cancer.*digits"):
        load("brest-cancer")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("unwritten", "import training.datasets.unwritten", "ModuleNotFoundError: No module named"),
        ("unclosed", "recipe = Recipe(", "SyntaxError: '\\(' was never closed"),
        ("bare", '"""Nothing yet."""', r"no `recipe = Recipe\(...\)` in it"),
    ],
)
def test_a_file_without_a_recipe_that_works_is_named_with_what_is_wrong(
    name: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])

    with pytest.raises(UnusableRecipe, match=f"training/recipes/{name}.py: {said}"):
        load(name)


def test_a_bound_on_a_metric_that_is_not_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="accept bounds acuracy, wanted some of accuracy, cross_entropy"):
        replace(load("digits"), accept={"acuracy": 0.9})


@pytest.mark.parametrize("name", ["breast-cancer", "quickstart"])
def test_a_classifier_without_a_head_is_not_even_trained(name: str) -> None:
    headless = replace(load(name), head=as_it_is)

    with pytest.raises(NotProbabilities, match="give the recipe a `head`"):
        headless.train(headless.dataset(), seed=0)


def test_a_loss_that_is_a_module_is_named_by_its_class() -> None:
    digits = load("digits")
    steps = replace(digits.steps, loss=nn.CrossEntropyLoss())
    assert replace(digits, steps=steps).settings()["loss"] == "CrossEntropyLoss"
