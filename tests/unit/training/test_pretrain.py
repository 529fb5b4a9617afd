"""Pre-training: what is carried over, what begins anew, and that a killed run goes on to the same weights."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training import run, transfer
from training.__main__ import main
from training.datasets import digits
from training.datasets.dataset import Dataset, Target
from training.errors import RunNotFound, UnusableRecipe
from training.metrics import ACCURACY
from training.networks.convnet import ConvNet
from training.networks.served import Served
from training.pretrain import Pretraining, carry_over
from training.recipe import Recipe, load
from training.schedules import one_cycle

DIGITS = load("digits")


def small(dataset: Dataset, rows: int) -> Dataset:
    return replace(dataset, train=dataset.train.take(torch.arange(rows)))


def odd_or_even() -> Dataset:
    """The same pictures with two classes."""
    full = digits.load()
    parts = {name: getattr(full, name) for name in ("train", "validation", "test")}
    other = {name: replace(rows, targets=rows.targets % 2) for name, rows in parts.items()}
    target = Target("parity", "Odd or even", labels=("even", "odd"))
    return replace(full, target=target, sha256="0" * 64, **other)


STEPS = replace(DIGITS.steps, epochs=2, patience=2, schedule=partial(one_cycle, peak=5.0))

RECIPE = replace(
    DIGITS,
    dataset=lambda: small(digits.load(), 200),
    network=partial(ConvNet, brightest=16.0, channels=4, dropout=0.3),
    pretrain=Pretraining(dataset=lambda: small(odd_or_even(), 200), steps=STEPS),
    steps=STEPS,
)


def body(network: nn.Module) -> dict[str, Tensor]:
    return {name: values for name, values in network.state_dict().items() if not name.startswith("output.")}


def frozen(recipe: Recipe) -> Recipe:
    assert recipe.pretrain
    return replace(recipe, pretrain=replace(recipe.pretrain, frozen=True))


def member(served: Served) -> nn.Module:
    return served.members[0]


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_body_is_carried_over_and_the_last_layer_is_not() -> None:
    dataset = digits.load()
    two = odd_or_even().train
    taught = ConvNet(two.inputs, two.targets, brightest=16.0, channels=4, dropout=0.0)
    network = ConvNet(dataset.train.inputs, dataset.train.targets, brightest=16.0, channels=4, dropout=0.0)
    last = network.output.weight.clone()

    carry_over(taught, network, frozen=False)

    assert same(body(network), body(taught))
    assert torch.equal(network.output.weight, last) and len(last) == 10
    assert all(weights.requires_grad for weights in network.parameters())


def test_a_frozen_body_stays_as_it_was_pre_trained_while_the_last_layer_learns(tmp_path: Path) -> None:
    dataset = RECIPE.dataset()

    learnt = member(frozen(RECIPE).train(dataset, 1, tmp_path).served)

    pretrained = torch.load(tmp_path / "pretraining-1.pt", weights_only=True)["best_weights"]
    assert same(body(learnt), {name: values for name, values in pretrained.items() if not name.startswith("output.")})
    free = member(RECIPE.train(dataset, 1).served)
    assert not same(body(free), body(learnt))
    torch.manual_seed(1)
    untouched = member(RECIPE.untrained(dataset)).state_dict()["output.weight"]
    assert not torch.equal(learnt.state_dict()["output.weight"], untouched)


class Killed(BaseException):
    """As from outside."""


@pytest.mark.parametrize("batches", [3, 6, 9, 19], ids=["pre-training", "its last", "fine-tuning", "second member"])
def test_a_training_that_is_killed_goes_on_to_the_weights_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr("training.fit.KEPT_EVERY_S", -1)
    two = replace(RECIPE, members=2)
    dataset = two.dataset()
    unbroken = two.train(dataset, 3)
    calls = iter(range(batches))

    def dies(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.requires_grad and next(calls, None) is None:
            raise Killed
        return STEPS.loss(outputs, targets)

    assert two.pretrain
    deadly = replace(STEPS, loss=dies)
    with pytest.raises(Killed):
        replace(two, steps=deadly, pretrain=replace(two.pretrain, steps=deadly)).train(dataset, 3, tmp_path)
    torch.rand(100)
    resumed = two.train(dataset, 3, tmp_path)

    assert resumed.history == unbroken.history
    assert same(unbroken.served.state_dict(), resumed.served.state_dict())


def test_a_run_that_is_killed_after_its_pre_training_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: nn.Module, frozen: bool) -> None:
        raise Killed(f"before {frozen=}")

    monkeypatch.setattr(run, "load", lambda _: RECIPE)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("training.recipe.carry_over", dies)
        run.fit("digits", tmp_path, seed=1)

    resumed = run.resume("digits", tmp_path, None)

    unbroken = RECIPE.train(RECIPE.dataset(), 1)
    assert same(unbroken.served.state_dict(), resumed.trained.served.state_dict())
    assert {file.name for file in resumed.folder.iterdir()} == {"checkpoint.pt", "curves.png"}


def test_the_settings_tell_what_a_network_was_pre_trained_on_and_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load", lambda _: RECIPE)

    saved = run.fit("digits", tmp_path, seed=1)

    settings = RECIPE.made_from(saved.trained.dataset)
    assert settings["pretrain_data"] == f"{digits.load().name}; CC BY 4.0; SHA-256 {'0' * 64}"
    assert (settings["pretrain_epochs"], settings["pretrain_frozen"]) == (2, False)
    assert not [name for name in DIGITS.settings() if name.startswith("pretrain")]
    assert run.reopen("digits", tmp_path, None).trained.history == saved.trained.history


def test_a_run_that_was_pre_trained_on_other_data_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load", lambda _: RECIPE)
    run.fit("digits", tmp_path, seed=1)
    assert RECIPE.pretrain
    other = replace(RECIPE.pretrain, dataset=lambda: replace(odd_or_even(), sha256="1" * 64))
    monkeypatch.setattr(run, "load", lambda _: replace(RECIPE, pretrain=other))

    with pytest.raises(RunNotFound, match="or its data have changed"):
        run.reopen("digits", tmp_path, None)


class Headless(nn.Module):
    """Its last layer has a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)


class Wide(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(4, width), nn.Linear(width, 2)


def test_a_network_that_cannot_take_a_body_is_told_why() -> None:
    with pytest.raises(UnusableRecipe, match="Headless cannot be pre-trained: its last layer is not called `output`"):
        carry_over(Headless(), Headless(), frozen=False)
    with pytest.raises(UnusableRecipe, match=r"does not fit this network: hidden\.weight, hidden\.bias differ"):
        carry_over(Wide(3), Wide(5), frozen=False)


def test_few_labels_have_every_class_and_come_as_often_as_an_epoch_has_room() -> None:
    dataset = digits.load()

    few = transfer.with_labels(dataset, 100, seed=1)

    assert len(few.train) == transfer.EPOCH_ROWS
    assert len(few.train.inputs["image"].unique(dim=0)) == 100
    assert few.train.targets.bincount().min() >= 45
    assert few.validation is dataset.validation
    assert not torch.equal(few.train.targets, transfer.with_labels(dataset, 100, seed=2).train.targets)


def test_the_table_of_a_transfer_has_every_way_with_few_labels_and_with_all() -> None:
    dataset = digits.load()
    ways = {"rows": lambda part, _: float(len(part.train)), "seeds": lambda _, seed: float(seed)}

    table = [line.strip("| ").split() for line in transfer.compare(dataset, ways, ACCURACY).splitlines()]

    assert " ".join(table[0]) == "labels, accuracy | rows | seeds"
    assert [" ".join(line) for line in table[2:]] == [
        "100 | 500.0000 ± 0.0000 | 2.0000 ± 1.0000",
        "500 | 500.0000 ± 0.0000 | 2.0000 ± 1.0000",
        f"{len(dataset.train):,} | {len(dataset.train)}.0000 ± 0.0000 | 2.0000 ± 1.0000",
    ]


def test_the_command_compares_from_scratch_with_pre_trained_and_keeps_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "load", lambda _: RECIPE)
    monkeypatch.setattr(transfer, "LABELS", (50,))
    monkeypatch.setattr(transfer, "EPOCH_ROWS", 100)
    monkeypatch.setattr(transfer, "SEEDS", (1, 2))

    assert main(["transfer", "digits", "--runs", str(tmp_path)]) == 0

    said = capsys.readouterr().out
    for told in ("labels, accuracy", "from scratch", "body frozen", "all fine-tuned", "| 50 ", "| 200 "):
        assert told in said
    [folder] = (tmp_path / "digits").iterdir()
    assert (folder / "transfer.md").read_text() in said


def test_a_recipe_without_pre_training_has_nothing_to_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transfer", "digits", "--runs", str(tmp_path)]) == 1
    assert "digits is not pre-trained; `pretrain` in its recipe says on what" in capsys.readouterr().err
