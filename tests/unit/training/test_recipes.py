"""Every recipe there is, without training it: a new file is tested on arrival."""

import json
from importlib import import_module

import numpy as np
import pytest

from app.manifest import Feature
from training.errors import UnknownRecipe
from training.evaluate import predict
from training.recipe import load, names


@pytest.mark.parametrize("name", names())
def test_a_recipe_says_what_it_is_for_and_what_it_promises(name: str) -> None:
    recipe = load(name)
    promise = import_module(f"training.recipes.{name.replace('-', '_')}").__doc__

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
    recipe = load(name)
    dataset = recipe.dataset()

    answers = predict(recipe.untrained(dataset), dataset.test)

    if labels := dataset.target.labels:
        assert answers.shape == (len(dataset.test), len(labels))
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    else:
        assert answers.shape == (len(dataset.test),)
    assert all(np.isfinite(measure.of(answers, dataset.test.targets.numpy())) for measure in recipe.measures)


@pytest.mark.parametrize("name", names())
def test_a_recipes_columns_have_names_that_a_caller_can_send(name: str) -> None:
    columns = [column for some in load(name).dataset().columns.values() for column in some]

    assert len({column.name for column in columns}) == len(columns)
    assert all(Feature(name=column.name, example=0) for column in columns)


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownRecipe, match=r"no recipe 'brest-cancer'; there are .*breast-cancer.*digits"):
        load("brest-cancer")
