"""The sweep over learning rates: what is read out of it, and that it runs to its end."""

from pathlib import Path

import numpy as np
import pytest

from training import range_test
from training.__main__ import main
from training.range_test import HIGHEST, LOWEST, read
from training.recipe import load

RATES = np.geomspace(LOWEST, HIGHEST, 300)


def falling_at(rate: float) -> np.ndarray:
    """A loss that falls from 2 to 1 around a rate."""
    return 1 + 1 / (1 + (RATES / rate) ** 2)


def test_the_suggested_rate_is_where_the_loss_falls_fastest() -> None:
    noise = np.random.default_rng(0).normal(0, 0.03, len(RATES))

    found = read(RATES, falling_at(1e-2) + noise)

    assert found.suggested == pytest.approx(1e-2, rel=0.5)


@pytest.mark.parametrize("lost", [np.nan, np.inf, 1e6])
def test_a_sweep_ends_where_the_loss_is_lost(lost: float) -> None:
    found = read(RATES, np.where(RATES > 0.1, lost, falling_at(1e-3)))

    assert 0.05 < found.rates[-1] < 0.1
    assert len(found.rates) == len(found.losses) == len(found.smooth)
    assert found.suggested == pytest.approx(1e-3, rel=0.5)


def test_the_words_name_both_rates_and_where_it_ends() -> None:
    falling = read(RATES, falling_at(1e-2))
    rising = read(RATES, falling_at(1e-2) + np.where(RATES > 0.1, RATES, 0))

    assert "falls up to the highest" in falling.words(1e-3) and "the recipe has 1.0e-03" in falling.words(1e-3)
    assert f"no longer falls beyond {rising.lowest:.1e}" in rising.words(1e-3)


def test_a_pass_is_repeated_until_there_are_enough_steps_each_at_a_higher_rate() -> None:
    recipe = load("breast-cancer")
    dataset = recipe.dataset()
    network = recipe.network(dataset.train.inputs, dataset.train.targets)

    found = range_test.sweep(network, dataset.train, recipe.steps, seed=0)

    assert found.rates[0] == pytest.approx(LOWEST)
    assert np.allclose(np.diff(np.log(found.rates)), np.log(HIGHEST / LOWEST) / 307)  # 28 passes of 11 steps
    assert 1e-4 < found.suggested < 1e-1


def test_a_network_that_is_lost_at_once_is_still_read() -> None:
    found = read(np.geomspace(LOWEST, HIGHEST, 20), np.append(np.linspace(3, 1, 10), [np.nan] * 10))
    assert found.suggested < found.lowest < HIGHEST


def test_the_command_draws_and_says_what_to_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["range", "diabetes", "--runs", str(tmp_path)]) == 0

    [folder] = (tmp_path / "diabetes").iterdir()
    said = capsys.readouterr().out
    assert "Suggested: " in said and str(folder / "range.png") in said
    assert {file.name for file in folder.iterdir()} == {"range.png", "range.json"}
