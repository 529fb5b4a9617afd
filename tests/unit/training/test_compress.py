"""Smaller graphs of a network that has learnt: what they cost, what they give, and which may not be batched."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from training.compress import compress, exported, pruned, refitted, table
from training.recipe import Recipe, Trained, load


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    full = load("breast-cancer")
    return replace(full, members=1, steps=replace(full.steps, epochs=60))


@pytest.fixture(scope="module")
def trained(recipe: Recipe) -> Trained:
    return recipe.train(recipe.dataset(), 1)


def test_each_way_is_measured_and_only_dynamic_int8_may_not_be_batched(recipe: Recipe, trained: Trained) -> None:
    found = {
        one.name: one for one in compress(trained.served, trained.dataset, recipe.steps, recipe.measures[0], seed=1)
    }
    full = found["fp32"]
    assert {name for name, one in found.items() if not one.batched} == {"int8, dynamic"}
    assert found["fp16"].size < 0.7 * full.size
    assert found["90% pruned"].gzipped < 0.5 * full.gzipped
    for name in ("fp16", "int8, static", "50% pruned", "90% pruned, fitted again"):
        assert found[name].score > full.score - 0.05
    told = table([*found.values()], recipe.measures[0])
    assert "| int8, dynamic |" in told
    assert "no: dynamic int8 takes its scale over the whole batch" in told


@pytest.mark.parametrize("again", [False, True])
def test_pruned_weights_are_zero_and_stay_so_while_the_others_learn(
    recipe: Recipe, trained: Trained, again: bool
) -> None:
    before = {name: weight.clone() for name, weight in trained.served.state_dict().items()}
    smaller = pruned(trained.served, 0.8)
    if again:
        smaller = refitted(smaller, trained.dataset, recipe.steps, seed=1)
    graph = onnx.load_from_string(exported(smaller, trained.dataset))
    weights = [numpy_helper.to_array(one) for one in graph.graph.initializer]
    matrices = np.concatenate([one.ravel() for one in weights if one.ndim == 2 and one.size > 100])
    assert (matrices == 0).mean() == pytest.approx(0.8, abs=0.02)
    after = trained.served.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items()), "the original has changed"
