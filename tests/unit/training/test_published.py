"""Every recipe fitted, one behind the other, and the table of what came of it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from training import __main__ as commands
from training.datasets.dataset import Dataset
from training.errors import DataNotFetched, NoPlaceForTable
from training.published import newest, table, write
from training.recipe import load
from training.recipes import diabetes

LINE = re.compile(r"\| `quickstart` \|.*\| 4 \| \de-\d\d \| 2 kB \| \d+ s \| [\d,]+00 \|")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("all")


def not_there() -> Dataset:
    raise DataNotFetched("nothing can be reached")


def fit_all(folder: Path, monkeypatch: pytest.MonkeyPatch, recipes: list[str], *more: str) -> int:
    monkeypatch.setattr(commands, "names", lambda: recipes)
    return commands.main(["fit", "--all", "--runs", str(folder / "runs"), "--models", str(folder / "models"), *more])


def test_all_recipes_are_fitted_but_those_that_are_withheld(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit_all(folder, monkeypatch, ["quickstart", "quickstart-as-written"]) == 0
    assert [version.parent.name for version in newest(folder / "models")] == ["quickstart"]
    assert LINE.fullmatch(table(folder / "models", folder / "runs").splitlines()[-1])


def test_what_has_been_fitted_is_not_fitted_again_and_what_comes_to_nothing_stops_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diabetes, "recipe", replace(load("diabetes"), dataset=not_there))
    before = sorted((folder / "runs" / "quickstart").iterdir())
    assert fit_all(folder, monkeypatch, ["diabetes", "quickstart"], "--resume") == 1
    told = capsys.readouterr()
    assert "nothing can be reached" in told.err and "came to nothing: diabetes" in told.err
    assert "Unchanged: " in told.out
    assert sorted((folder / "runs" / "quickstart").iterdir()) == before


def test_a_model_of_another_run_has_no_seconds(folder: Path, tmp_path: Path) -> None:
    assert " | 2 kB |  | " in table(folder / "models", tmp_path)


def test_the_table_takes_the_place_of_the_one_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- published -->\n\nold\n\n<!-- /published -->\nafter\n")
    write("| new |", file)
    write("| newer |", file)
    assert file.read_text() == "before\n<!-- published -->\n\n| newer |\n\n<!-- /published -->\nafter\n"


def test_a_file_without_a_place_for_it_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("<!-- published -->\nno end\n")
    with pytest.raises(NoPlaceForTable, match="no lines"):
        write("| new |", file)
    assert file.read_text() == "<!-- published -->\nno end\n"
