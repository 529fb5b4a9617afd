"""The page of a run: whole, the same each time, and with nothing in it that could run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.datasets.dataset import Rows
from training.evaluate import predict
from training.importance import gradients, shuffled
from training.metrics import ACCURACY, R2
from training.networks.served import Served, as_it_is
from training.recipe import load
from training.run import conclude, fit_made


@pytest.fixture(scope="module", params=["breast-cancer", "digits", "diabetes"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    full, runs = load(request.param), tmp_path_factory.mktemp("runs")
    short = replace(full, members=min(full.members, 2), steps=replace(full.steps, epochs=5))
    run = fit_made(request.param, short, runs, seed=1)
    conclude(run, None)
    return request.param, (run.folder / "report.html").read_text(), run.folder


def test_a_page_has_figures_pictures_and_mistakes_and_nothing_that_loads_or_runs(
    written: tuple[str, str, Path],
) -> None:
    name, page, _ = written
    for part in ("How good it is", "95 % interval", "How it was trained", "Held-out rows", "What it was made of"):
        assert part in page
    assert ("What counts" in page) == (name != "digits")
    assert "What went most wrong" in page or "None on the held-out rows" in page
    assert page.count("data:image/png;base64,") >= 2
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_features_that_a_network_rests_on_count_and_others_do_not() -> None:
    recipe = load("diabetes")
    dataset = recipe.dataset()

    class OnlyGlucose(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features[:, -1]

    served = Served([OnlyGlucose()], as_it_is, lambda outputs: (outputs,))
    weights = shuffled(dataset, served, R2)
    assert weights.pop("glucose") != 0
    assert set(weights.values()) == {0.0}
    assert shuffled(dataset, served, R2)["glucose"] == shuffled(dataset, served, R2)["glucose"]


def test_gradients_of_a_sum_are_the_pixels_that_it_adds() -> None:
    class Corner(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.stack([image[:, 0, 0], 3 * image[:, 1, 1]], dim=1)

    served = Served([Corner()], as_it_is, lambda outputs: (outputs,))
    rows = Rows({"image": torch.ones(2, 2, 2)}, torch.tensor([0, 1]))
    heat = gradients(served, rows, torch.tensor([0, 1]))
    np.testing.assert_allclose(heat, [[[1, 0], [0, 0]], [[0, 0], [0, 3]]], atol=1e-5)
    assert ACCURACY.of(predict(served, rows), rows.targets.numpy()) == 0.5
