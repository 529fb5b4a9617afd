"""`new` begins a recipe that works: it is listed, its own test passes, and nothing is overwritten."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from training import recipes
from training.__main__ import main
from training.errors import UnusableRecipe
from training.new import begin


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root whose recipes are found beside the real ones."""
    (tmp_path / "training/recipes").mkdir(parents=True)
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path / "training/recipes")])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_begun_recipe_is_listed_and_its_test_passes(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "my-irises"]) == 0
    assert main(["list"]) == 0
    assert "my-irises" in capsys.readouterr().out

    spec = spec_from_file_location("begun", checkout / "tests/unit/training/test_my_irises.py")
    assert spec and spec.loader
    begun = module_from_spec(spec)
    spec.loader.exec_module(begun)
    begun.test_my_irises_learns_what_it_promises()


def test_what_is_written_is_in_the_projects_own_style(checkout: Path) -> None:
    root = Path(__file__).parents[3]
    for file in begin("my-irises", checkout):
        for check in (["check"], ["format", "--check"]):
            ruff = Path(sys.executable).with_name("ruff")
            command = [str(ruff), *check, "--stdin-filename", str(file.relative_to(checkout)), "-"]
            told = subprocess.run(
                command, input=file.read_text(), capture_output=True, text=True, check=False, cwd=root
            )
            assert told.returncode == 0, told.stdout


def test_nothing_is_overwritten(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin("my-irises", checkout)

    assert main(["new", "my-irises"]) == 1
    assert "there is a 'my-irises' already, and nothing is overwritten" in capsys.readouterr().err
    assert main(["new", "digits"]) == 1


@pytest.mark.parametrize("name", ["My_Irises", "2nd", "a b", "../x", "class", ""])
def test_a_name_that_cannot_be_is_told_what_can(name: str, checkout: Path) -> None:
    with pytest.raises(UnusableRecipe, match="wanted small letters, digits and hyphens: my-model"):
        begin(name, checkout)


def test_outside_a_checkout_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UnusableRecipe, match="start this at the root of a checkout"):
        begin("my-irises", tmp_path)
    assert not list(tmp_path.iterdir())
