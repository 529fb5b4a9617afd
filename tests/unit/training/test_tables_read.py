"""Files that are tables, and what is said of those that are none."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest

from training.errors import UnreadableTable
from training.tables.read import read


def written(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_the_first_line_is_made_of(separator: str, tmp_path: Path) -> None:
    text = "name,size (m)\nash,1.5\nelm,NA\n".replace(",", separator)

    frame = read(written(tmp_path, "\ufeff" + text)).frame

    assert list(frame.columns) == ["name", "size (m)"]
    assert frame["name"].tolist() == ["ash", "elm"]
    assert frame["size (m)"].isna().tolist() == [False, True]


def test_values_are_stripped_and_a_column_without_a_name_gets_a_number(tmp_path: Path) -> None:
    frame = read(written(tmp_path, ',b\n0, x \n1," y"\n')).frame

    assert frame.to_dict("list") == {"column_1": ["0", "1"], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("", "data.csv", "is empty"),
        ("a,b\n", "data.csv", "has a line of names and no rows"),
        ("a,b,a\n1,2,3\n", "data.csv", "2 columns are called 'a', number 1 and 3; rename all but one"),
        ("1.5,2,3\n4,5,6\n", "data.csv", r"the first line holds values \(1.5, 2, 3\), wanted the columns' names"),
        ("a,b\n1,2\n1,2,3\n", "data.csv", "line 3 has 3 values, the first line 2 names"),
        ("a,b\n1,2,3,4\n1,2,3,4\n", "data.csv", "there are lines with more values than the 2 names"),
        ('a,b\n1,"2\n3,4\n', "data.csv", "a quote is opened and never closed"),
        (b"a,b\n1,\xe4\n", "data.csv", "byte 0xe4 is not UTF-8; save the table as UTF-8"),
        ("a,b\n1,2\n", "data.xlsx", "wanted a table in a .csv or .parquet file"),
        ("a,b\n1,2\n", "data.parquet", "not Parquet that can be read"),
        ("a,b\n1," + "x" * 50_000_000, "data.csv", "'b' of row 1 is 50,000,000 letters long, wanted 100,000 or fewer"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_that_is_no_table_is_answered_with_a_sentence(
    content: str | bytes, name: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UnreadableTable, match=said):
        read(written(tmp_path, content, name))


def test_a_table_that_does_not_fit_in_memory_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(available=10)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(UnreadableTable, match=r"with 0\.0 GB of memory free; a sample of its rows would do"):
        read(written(tmp_path, "a,b\n1,2\n"))


def test_parquet_keeps_its_types_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "count": [1, 2, None],
            "day": pd.to_datetime(["2024-01-01", None, "2024-05-05"]),
            "yes": [True, None, False],
            "name": ["x", "NA", " y "],
            "plan": pd.Categorical(["u", "v", None]),
            "list": [[1], [2], [3]],
        }
    )
    frame.to_parquet(tmp_path / "data.parquet")

    table = read(tmp_path / "data.parquet")

    assert list(table.frame.columns) == ["count", "day", "yes", "name", "plan"]
    assert table.frame["name"].isna().tolist() == [False, True, False] and table.frame["name"][2] == "y"
    assert str(table.frame["day"].dtype).startswith("datetime64")
    assert "list" in table.left_out["list"] and "neither a number" in table.left_out["list"]
