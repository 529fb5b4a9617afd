"""The splits that every figure rests on."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.datasets import breast_cancer, diabetes, digits, four_points
from training.datasets.augment import shift_and_rotate
from training.datasets.dataset import Column, Dataset, NotAName, Rows, divide, fingerprint
from training.networks.convnet import ConvNet
from training.networks.perceptron import Classifier
from training.networks.scaling import light_on_dark
from training.networks.vision_transformer import VisionTransformer

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


def test_a_mirrored_image_is_the_image_or_its_mirror_image() -> None:
    images = torch.rand(200, 6, 8)

    seen = shift_and_rotate(
        Rows({"image": images}, torch.arange(200)),
        torch.Generator().manual_seed(0),
        pixels=0,
        degrees=0,
        mirrored=True,
    ).inputs["image"]

    kept = [torch.allclose(one, other, atol=1e-5) for one, other in zip(seen, images, strict=True)]
    turned = [torch.allclose(one, other.flip(1), atol=1e-5) for one, other in zip(seen, images, strict=True)]
    assert all(one != other for one, other in zip(kept, turned, strict=True))
    assert 70 < sum(turned) < 130


@pytest.mark.parametrize(
    "network",
    [
        partial(ConvNet, channels=2, dropout=0.0, blocks=3, either_ground=True),
        partial(VisionTransformer, width=8, layers=1, heads=2, dropout=0.0),
    ],
    ids=["convolutional", "transformer"],
)
def test_ink_on_paper_is_answered_as_light_on_dark(network: partial[nn.Module]) -> None:
    images = torch.zeros(5, 28, 28)
    images[:, 4:24, 4:24] = 255 * torch.rand(5, 20, 20)
    ready = network({"image": images}, torch.arange(5), brightest=255.0).eval()

    with torch.no_grad():
        torch.testing.assert_close(ready(255 - images), ready(images))
        assert not torch.allclose(ready(images[:1]), ready(images[1:2]))


def test_a_picture_is_turned_round_by_its_own_border_alone() -> None:
    grey = torch.full((3, 4, 4), 0.2)
    grey[1, 0] = grey[1, -1] = grey[1, :, 0] = grey[1, :, -1] = 0.9
    grey[2, 1:3, 1:3] = 1.0

    turned = light_on_dark(grey)

    torch.testing.assert_close(turned, torch.stack([grey[0], 1 - grey[1], grey[2]]))


def test_each_patch_of_a_transformer_hears_of_all_others() -> None:
    images = torch.rand(1, 28, 28, requires_grad=True)
    network = VisionTransformer(
        {"image": images}, torch.arange(3), brightest=1.0, width=8, layers=1, heads=2, dropout=0.0
    )
    told: list[Tensor] = []
    network.layers[0].register_forward_hook(lambda *given: told.append(given[-1]))

    network(images)
    told[0][0, 0].sum().backward()

    assert told[0].shape == (1, 16, 8)
    assert images.grad is not None and (images.grad.abs().amax(dim=0) > 0).float().mean() > 0.9
