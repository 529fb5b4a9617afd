"""Fits in processes of their own: killed with -9 and resumed, and two of them at one network."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from tests.serving import wait_until
from training import checkpoint, recipes, run
from training.__main__ import main
from training.checkpoint import Checkpoint
from training.errors import NotTogether
from training.privacy import Privacy
from training.processes import Processes
from training.recipe import load

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["training.__main__", "training.tracking", "onnxscript", "torch._inductor.config"])

CALLS_AN_EPOCH = 12
"""Of the loss: eleven batches, the last of one row, and the validation rows."""

RECIPES = '''
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from training import fit
from training.datasets.augment import shift_and_rotate
from training.recipe import load
from training.schedules import one_cycle

fit.KEPT_EVERY_S = -1
calls = 0


def loss(outputs, targets):
    """Stands still at a call, to be killed there."""
    global calls
    calls += 1
    if calls == int(os.environ.get("HALT_AT", "0")):
        Path(os.environ["HALTED"]).touch()
        signal.pause()
    return cross_entropy(outputs, targets)


def recipe_of(name, **changes):
    whole = load(name)
    return replace(whole, accept={}, steps=replace(whole.steps, loss=loss, epochs=4, patience=4, **changes))


'''

TABLE = """
recipe = replace(recipe_of("breast-cancer", batch_size=34, l1=1e-4, schedule=partial(one_cycle, peak=3.0)), members=3)
"""

IMAGES = """
whole = load("digits").dataset()
few = replace(whole, train=whole.train.take(torch.arange(101)), validation=whole.validation.take(torch.arange(50)))
recipe = replace(recipe_of("digits", batch_size=25), dataset=lambda: few)
"""


class Commands:
    """`python -m training` in processes of their own, which know two small recipes more."""

    def __init__(self, folder: Path) -> None:
        self.runs, self.recipes = folder / "runs", folder / "recipes"
        self._halted, self._said = folder / "halted", folder / "said"
        self.recipes.mkdir()
        (self.recipes / "a_table.py").write_text(RECIPES + TABLE)
        (self.recipes / "some_images.py").write_text(RECIPES + IMAGES)

    def start(self, *arguments: str, **environment: str) -> BaseProcess:
        asked = ("fit", *arguments, "--no-publish", "--runs", str(self.runs))
        given = (str(self.recipes), str(self._said), environment | {"HALTED": str(self._halted)}, asked)
        process = FORKED.Process(target=command, args=given)
        process.start()
        return process

    def start_two(self, *arguments: str, **of_second: str) -> list[BaseProcess]:
        """As torchrun does."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
        return [self.start(*arguments, RANK=str(rank), **address, **(of_second if rank else {})) for rank in (0, 1)]

    def kill_halted(self, process: "BaseProcess | subprocess.Popen[bytes]") -> None:
        """Once it stands still."""
        wait_until(lambda: any(self.runs.glob(f"*/*/{run.BEGUN}")), "it does not begin")
        wait_until(self._halted.exists, "it goes on and on")
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        self._halted.unlink()

    def said(self) -> str:
        return self._said.read_text()

    def ended(self, name: str) -> Checkpoint:
        """What the only run of a recipe came to."""
        [folder] = (self.runs / name).iterdir()
        assert not [*folder.glob("*member*"), *folder.glob(run.BEGUN)]
        return checkpoint.load(folder)

    def state(self, name: str, number: int) -> Path:
        [folder] = (self.runs / name).iterdir()
        return folder / f"member-{number}.pt"


def command(written: str, output: str, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    os.environ.update(environment)
    with Path(output).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    recipes.__path__.append(written)
    sys.exit(main([*arguments]))


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands(tmp_path)
    known(monkeypatch, made)
    return made


def known(patched: pytest.MonkeyPatch, commands: Commands) -> None:
    """Their recipes, in this process too."""
    patched.setattr(recipes, "__path__", [*recipes.__path__, str(commands.recipes)])
    patched.setattr("training.fit.KEPT_EVERY_S", -1)
    for name in ("a_table", "some_images"):
        patched.delitem(sys.modules, f"training.recipes.{name}", raising=False)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """Recipe -> its run of one process that nobody killed."""
    folder = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patched:
        known(patched, Commands(folder))
        return {name: checkpoint.load(run.fit(name, folder, None).folder) for name in ("a-table", "some-images")}


def is_same(one: Checkpoint, other: Checkpoint) -> bool:
    """To the last bit."""
    same = all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    return same and one.history == other.history


def assert_near(one: Checkpoint, other: Checkpoint) -> None:
    """By the weights, and by the metric of every epoch."""
    assert [epoch.score for epoch in one.history.epochs] == [epoch.score for epoch in other.history.epochs]
    for name, value in other.weights.items():
        torch.testing.assert_close(one.weights[name], value, rtol=0, atol=1e-4)


def test_a_fit_that_is_killed_again_and_again_comes_to_the_weights_of_an_unbroken_one(
    commands: Commands, unbroken: dict[str, Checkpoint]
) -> None:
    within_second_epoch, between_members = CALLS_AN_EPOCH + 5, 3 * CALLS_AN_EPOCH + 1

    commands.kill_halted(commands.start("a-table", HALT_AT=str(within_second_epoch)))
    assert commands.state("a-table", 1).is_file()
    commands.kill_halted(commands.start("a-table", "--resume", HALT_AT=str(between_members)))
    assert not commands.state("a-table", 2).exists()
    commands.kill_halted(commands.start("a-table", "--resume", HALT_AT=str(2 * CALLS_AN_EPOCH + 1)))
    half = commands.state("a-table", 2).read_bytes()
    commands.state("a-table", 2).with_name(".member-2.pt").write_bytes(half[: len(half) // 2])
    run.resume("a-table", commands.runs, None)

    assert is_same(commands.ended("a-table"), unbroken["a-table"])


@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_damaged_state_is_fitted_anew_to_the_same_weights(
    kept: float, commands: Commands, unbroken: dict[str, Checkpoint]
) -> None:
    commands.kill_halted(commands.start("a-table", HALT_AT=str(6 * CALLS_AN_EPOCH)))
    for number in (1, 2):
        whole = commands.state("a-table", number).read_bytes()
        commands.state("a-table", number).write_bytes(whole[: int(kept * len(whole))])
    commands.state("a-table", 1).with_name(checkpoint.FILE).write_bytes(b"half a checkpoint")
    run.resume("a-table", commands.runs, None)

    assert is_same(commands.ended("a-table"), unbroken["a-table"])


def test_the_command_itself_is_killed_and_resumed(
    commands: Commands, unbroken: dict[str, Checkpoint], tmp_path: Path
) -> None:
    runs = "import runpy, sys; from training import recipes; recipes.__path__.append(sys.argv.pop(1)); "
    runs += "runpy.run_module('training', run_name='__main__', alter_sys=True)"
    asked = (str(commands.recipes), "fit", "a-table", "--no-publish", "--runs", str(commands.runs))
    halting = os.environ | {"HALT_AT": str(5 * CALLS_AN_EPOCH), "HALTED": str(tmp_path / "halted")}

    with subprocess.Popen([sys.executable, "-c", runs, *asked], env=halting) as process:
        commands.kill_halted(process)
    run.resume("a-table", commands.runs, None)

    assert process.returncode == -signal.SIGKILL
    assert is_same(commands.ended("a-table"), unbroken["a-table"])


def test_two_processes_come_to_the_weights_of_one(commands: Commands, unbroken: dict[str, Checkpoint]) -> None:
    both = commands.start_two("some-images")
    for process in both:
        process.join()

    assert [process.exitcode for process in both] == [0, 0], commands.said()
    assert_near(commands.ended("some-images"), unbroken["some-images"])
    assert commands.said().count("## Held-out test split") == 1


def test_when_one_of_two_is_killed_the_other_says_so_and_both_resume(
    commands: Commands, unbroken: dict[str, Checkpoint]
) -> None:
    first, second = commands.start_two("a-table", HALT_AT=str(2 * CALLS_AN_EPOCH))
    commands.kill_halted(second)
    first.join()
    assert first.exitcode == 1
    assert commands.said() == "training: another process of the fit has ended; the fit goes on with --resume\n"
    both = commands.start_two("a-table", "--resume")
    for process in both:
        process.join()

    assert [process.exitcode for process in both] == [0, 0], commands.said()
    assert_near(commands.ended("a-table"), unbroken["a-table"])


def test_what_is_wrong_for_both_is_said_once(commands: Commands) -> None:
    for process in commands.start_two("a-tabel"):
        process.join()

    assert commands.said().count("no recipe 'a-tabel'") == 1 and "Traceback" not in commands.said()


def test_a_private_fit_is_not_divided() -> None:
    whole = load("breast-cancer")
    private = replace(whole, steps=replace(whole.steps, privacy=Privacy(8.0, delta=1e-3)))

    with pytest.raises(NotTogether, match="a private fit is made by one process"):
        private.train(private.dataset(), 1, processes=Processes(rank=0, count=2))


def test_every_row_of_a_batch_counts_once_however_few_there_are() -> None:
    for rows in range(1, 9):
        parts = [Processes(rank, 3).part(rows) for rank in range(3)]
        counted = torch.zeros(rows)
        for part in parts:
            counted[part.start : part.stop] += part.share / (part.stop - part.start)
        torch.testing.assert_close(counted, torch.full((rows,), 1 / rows))
