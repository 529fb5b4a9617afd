"""The loop: which epoch is kept, and that nothing is left to chance."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from training import checkpoint, reproducible
from training.checkpoint import Checkpoint
from training.datasets.dataset import Rows
from training.errors import Diverged, RunNotFound
from training.fit import History, Steps, fit
from training.metrics import auc, cross_entropy, r2
from training.privacy import Privacy
from training.recipe import load
from training.schedules import one_cycle

LINE = Rows({"x": torch.tensor([[1.0], [2.0], [3.0], [4.0]])}, torch.tensor([2.0, 4.0, 6.0, 8.0]))


class Slope(nn.Module):
    """One weight, from 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).squeeze(1)


STEPS = Steps(loss=mse_loss, epochs=200, batch_size=2, learning_rate=0.05, patience=5)


def train(network: nn.Module, validation: Rows, steps: Steps = STEPS) -> History:
    return fit(network, LINE, validation, steps, score=lambda: 0.0, seed=0)


def test_early_stopping_keeps_the_epoch_with_the_lowest_validation_loss() -> None:
    network = Slope()
    # Training pulls the weight to 2; validation is happiest at 1, on the way.
    validation = Rows({"x": torch.tensor([[1.0]])}, torch.tensor([1.0]))

    history = train(network, validation)

    losses = [epoch.validation_loss for epoch in history.epochs]
    assert history.best_epoch == losses.index(min(losses)) + 1
    assert len(losses) == history.best_epoch + 5
    assert mse_loss(network(torch.tensor([[1.0]])), torch.tensor([1.0])).item() == min(losses)


def test_a_loss_that_never_was_a_number_is_reported_and_not_kept() -> None:
    nowhere = Rows({"x": torch.tensor([[math.nan]])}, torch.tensor([1.0]))

    with pytest.raises(Diverged, match="never a number in 5 epochs"):
        train(Slope(), nowhere)


def test_two_fits_with_one_seed_have_the_same_weights_and_another_seed_has_others() -> None:
    full = load("breast-cancer")
    recipe = replace(full, members=2, steps=replace(full.steps, epochs=20))
    dataset = recipe.dataset()

    first, second, other = (recipe.train(dataset, seed) for seed in (1, 1, 2))

    assert first.history == second.history
    weights, again = first.served.state_dict(), second.served.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert other.history != first.history


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    network = Slope()
    history = train(network, LINE)
    checkpoint.save(Checkpoint(network.state_dict(), history, 7, {"epochs": 200}, 1.5), tmp_path)

    loaded = checkpoint.load(tmp_path)

    assert loaded.weights["weight"] == network.weight
    assert (loaded.history, loaded.seed, loaded.settings, loaded.seconds) == (history, 7, {"epochs": 200}, 1.5)


def test_a_damaged_checkpoint_is_called_one(tmp_path: Path) -> None:
    (tmp_path / checkpoint.FILE).write_bytes(b"not a checkpoint")

    with pytest.raises(RunNotFound, match="damaged"):
        checkpoint.load(tmp_path)


def test_the_versions_name_all_that_makes_weights_and_graph() -> None:
    assert {"python", "torch", "onnx", "onnxruntime", "scikit-learn"} <= reproducible.versions().keys()


def test_metrics_have_their_textbook_values() -> None:
    classes = torch.tensor([1, 0, 1, 0]).numpy()
    second = torch.tensor([0.9, 0.1, 0.8, 0.2]).numpy()
    probabilities = torch.tensor([[1 - p, p] for p in second.tolist()]).numpy()

    assert cross_entropy(probabilities, classes) == pytest.approx(0.16425, abs=5e-6)
    assert auc(probabilities, classes) == 1.0
    assert r2(second, second) == 1.0
    assert r2(second.mean().repeat(4), second) == 0.0


class Killed(BaseException):
    """As from outside."""


@pytest.mark.parametrize("batches", [15, 45, 75, 115], ids=["first", "first, later", "second", "second, later"])
def test_a_fit_that_is_killed_goes_on_to_the_weights_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr("training.fit.KEPT_EVERY_S", -1)
    full = load("breast-cancer")
    steps = replace(full.steps, epochs=5, patience=5, schedule=partial(one_cycle, peak=5.0))
    recipe = replace(full, members=2, steps=steps)
    dataset = recipe.dataset()
    unbroken = recipe.train(dataset, 3)
    calls = iter(range(batches))

    def dies(outputs: Tensor, targets: Tensor) -> Tensor:
        if next(calls, None) is None:
            raise Killed
        return full.steps.loss(outputs, targets)

    with pytest.raises(Killed):
        replace(recipe, steps=replace(steps, loss=dies)).train(dataset, 3, tmp_path)
    torch.rand(100)
    resumed = recipe.train(dataset, 3, tmp_path)

    assert resumed.history == unbroken.history
    weights, again = unbroken.served.state_dict(), resumed.served.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_private_fit_keeps_to_its_epsilon_and_learns_less_the_smaller_that_is() -> None:
    full = load("breast-cancer")
    dataset = full.dataset()
    losses = {}
    for epsilon in (0.1, 8.0):
        steps = replace(full.steps, epochs=20, patience=20, weight_decay=0.0, privacy=Privacy(epsilon, delta=1e-3))
        recipe = replace(full, members=1, steps=steps)
        trained, again = recipe.train(dataset, 1), recipe.train(dataset, 1)
        assert trained.history == again.history
        assert trained.history.epsilon is not None
        assert 0.9 * epsilon <= trained.history.epsilon <= epsilon
        losses[epsilon] = min(epoch.validation_loss for epoch in trained.history.epochs)
        assert {name for name in trained.served.state_dict() if "_module" in name} == set()
    assert losses[8.0] < losses[0.1]
