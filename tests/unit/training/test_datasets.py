"""The splits that every figure rests on."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.datasets import breast_cancer, diabetes, digits, four_points
from training.datasets.augment import shift_and_rotate
from training.datasets.dataset import Column, Dataset, NotAName, Rows, divide, fingerprint
from training.networks.perceptron import Classifier

LOADERS = [breast_cancer.load, diabetes.load, digits.load]


def numbered(count: int) -> Rows:
    """Rows that tell which they are."""
    return Rows({"features": torch.arange(count, dtype=torch.float32).unsqueeze(1)}, torch.arange(count) % 2)


def parts(rows: Rows) -> list[set[float]]:
    return [set(part.inputs["features"].flatten().tolist()) for part in divide(rows, rows.targets.numpy())]


def test_a_split_has_every_row_once_and_no_row_twice() -> None:
    train, validation, test = parts(numbered(100))

    assert train | validation | test == set(range(100))
    assert [len(train), len(validation), len(test)] == [60, 20, 20]


def test_a_split_is_the_same_whatever_torch_was_seeded_with() -> None:
    torch.manual_seed(1)
    first = parts(numbered(50))
    torch.manual_seed(2)

    assert parts(numbered(50)) == first


def test_every_part_of_a_split_has_the_mixture_of_the_whole() -> None:
    rows = numbered(100)

    assert [part.targets.float().mean().item() for part in divide(rows, rows.targets.numpy())] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("load", LOADERS)
def test_a_data_set_describes_every_column_and_holds_every_value_within_its_range(load: Callable[[], Dataset]) -> None:
    dataset = load()
    for part in (dataset.train, dataset.validation, dataset.test):
        for tensor, columns in dataset.columns.items():
            values = part.inputs[tensor]
            assert values.shape[1:] == (columns[0].shape or (len(columns),))
            for at, column in enumerate(columns):
                value = values if column.shape else values[:, at]
                assert column.minimum is not None and column.maximum is not None and column.description
                assert value.min() >= column.minimum and value.max() <= column.maximum


def test_a_data_set_with_an_empty_part_is_refused() -> None:
    points = four_points.load()

    with pytest.raises(ValueError, match="no test rows, wanted some in each of train, validation and test"):
        replace(points, test=points.test.take(torch.arange(0)))


def test_a_data_set_whose_columns_are_not_those_of_its_tensors_is_refused() -> None:
    points = four_points.load()

    with pytest.raises(ValueError, match=r"a train row has shapes \{'features': \(1,\)\}, the columns describe"):
        replace(points, columns={"features": (Column("x", "a number"), Column("y", "another"))})


@pytest.mark.parametrize(
    ("name", "better"),
    [("od280/od315_of_diluted_wines", "od280_od315_of_diluted_wines"), ("2nd", "_2nd"), ("größe", "gr_e")],
)
def test_a_name_that_is_none_for_a_feature_is_answered_with_one_that_is(name: str, better: str) -> None:
    with pytest.raises(NotAName, match=f"such as '{better}'$"):
        Column(name, "a column")
    assert Column(better, "a column")


def test_the_fingerprint_changes_with_one_value() -> None:
    array = np.zeros((2, 3), np.float32)
    before = fingerprint(array)
    array[1, 2] = 1e-6

    assert fingerprint(array) != before


def test_scaling_is_fitted_on_the_training_rows_alone() -> None:
    dataset = breast_cancer.load()
    train = dataset.train.inputs["features"]
    network = Classifier(dataset.train.inputs, dataset.train.targets, hidden=(4,), dropout=0.0)

    scaled = network.scale(train)
    assert scaled.mean(dim=0).abs().max() < 1e-4
    torch.testing.assert_close(scaled.std(dim=0, correction=0), torch.ones(30))
    assert network.scale(dataset.test.inputs["features"]).mean(dim=0).abs().max() > 1e-2


def test_augmentation_without_movement_changes_nothing_and_with_it_keeps_the_size() -> None:
    images = Rows({"image": torch.rand(3, 8, 8)}, torch.arange(3))

    still = shift_and_rotate(images, torch.Generator(), pixels=0, degrees=0)
    moved = shift_and_rotate(images, torch.Generator().manual_seed(0), pixels=2, degrees=20)

    torch.testing.assert_close(still.inputs["image"], images.inputs["image"])
    assert moved.inputs["image"].shape == (3, 8, 8)
    assert not torch.allclose(moved.inputs["image"], images.inputs["image"])
