"""Folds: every row is held out once, the test rows never, and the table says what was found."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.__main__ import main
from training.datasets import breast_cancer, diabetes, four_points
from training.datasets.dataset import Dataset, Rows
from training.errors import UnfitDataset
from training.folds import Figure, Folds, cross_validate, parts
from training.metrics import ACCURACY, RMSE


def as_set(rows: Rows) -> set[tuple[float, ...]]:
    return set(map(tuple, rows.inputs["features"].tolist()))


@pytest.mark.parametrize("dataset", [breast_cancer.load(), diabetes.load()], ids=["labels", "values"])
def test_every_train_and_validation_row_is_held_out_once_and_no_test_row_ever(dataset: Dataset) -> None:
    wanted = as_set(dataset.train) | as_set(dataset.validation)
    held: list[tuple[float, ...]] = []

    for part in parts(dataset, 4):
        assert as_set(part.train) | as_set(part.validation) | as_set(part.test) == wanted
        assert sum(map(len, (part.train, part.validation, part.test))) == len(wanted)
        held += as_set(part.test)

    assert len(held) == len(wanted) and set(held) == wanted


def test_folds_of_labels_have_the_mixture_of_the_whole() -> None:
    dataset = breast_cancer.load()
    whole = dataset.train.targets.float().mean().item()

    for part in parts(dataset, 5):
        for rows in (part.train, part.validation, part.test):
            assert rows.targets.float().mean().item() == pytest.approx(whole, abs=0.02)


def test_the_folds_are_the_same_every_time() -> None:
    first, again = ([part.test.targets for part in parts(breast_cancer.load(), 3)] for _ in range(2))
    assert all(map(torch.equal, first, again))


def test_more_folds_than_rows_of_a_label_are_refused() -> None:
    with pytest.raises(UnfitDataset, match="5 folds want 10 rows of each label or more, one has 4"):
        next(parts(four_points.load(), 5))


def test_each_method_is_measured_at_its_own_threshold_on_rows_that_it_was_not_made_from() -> None:
    made_from: list[int] = []

    def sure(part: Dataset) -> tuple[object, float]:
        made_from.append(len(part.train) + len(part.validation))
        return lambda rows: np.stack([1 - rows.targets.numpy(), rows.targets.numpy()], axis=1).astype(float), 0.5

    def never(_: Dataset) -> tuple[object, float]:
        return lambda rows: np.tile([0.2, 0.8], (len(rows), 1)), 0.9

    decided = type(ACCURACY)("accuracy", True, ACCURACY.of, decided=True)
    [found] = cross_validate(breast_cancer.load(), 5, [decided], sure, never)  # type: ignore[arg-type]

    assert made_from == [364] * 5
    assert found.network == (1.0,) * 5
    assert found.baseline == pytest.approx([0.37] * 5, abs=0.02)


def test_the_table_has_mean_and_deviation_and_the_advantage_fold_by_fold() -> None:
    figure = Figure(RMSE.name, RMSE.higher_is_better, (1.0, 2.0, 3.0), (2.0, 2.0, 5.0))
    told = Folds("few", 7, 30, 1.25, (figure,)).text()

    assert "| rmse   | 2.0000 ± 1.0000 | 3.0000 ± 1.7321 | +1.0000 ± 1.0000 | lower     |" in told
    assert "over 3 folds of 30 train and validation rows, seed 7, 1.2 s" in told


def test_the_command_saves_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["folds", "diabetes", "--folds", "2", "--runs", str(tmp_path)]) == 0

    [folder] = (tmp_path / "diabetes").iterdir()
    assert capsys.readouterr().out == (folder / "folds.md").read_text()
    assert {file.name for file in folder.iterdir()} == {"folds.md", "folds.json"}


@pytest.mark.parametrize("count", ["1", "0", "-3", "many"])
def test_fewer_than_two_folds_are_none(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["folds", "diabetes", "--folds", count])
    assert "is not a whole number from 2 on" in capsys.readouterr().err
