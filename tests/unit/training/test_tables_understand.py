"""What columns are taken for, what is left out and why, and what is said of tables that nothing can be learnt from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.errors import UnfitTable, UnreadableTable
from training.tables import dates
from training.tables.columns import field_names
from training.tables.corrections import Corrections, read_file
from training.tables.read import Table
from training.tables.understand import Understanding, understand

ROWS = 120
YES_NO = ["yes", "no"] * (ROWS // 2)
SOME = [f"{value:.3f}" for value in np.random.default_rng(0).normal(size=ROWS)]
WORDS = ["the road was long", "it rained all day", "we saw the sea", "no bus came today"]
DAYS = [str(day) for day in np.datetime64("2023-01-30") + np.arange(ROWS)]


def understood(
    columns: Mapping[str, Any],
    target: str = "y",
    *,
    kinds: Sequence[str] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    time: str | None = None,
) -> Understanding:
    frame = pd.DataFrame({"x": SOME, **columns} if target == "y" else columns)
    texts = {name: frame[name].astype("str") for name in frame if isinstance(frame[name].iloc[0], str)}
    said = Corrections().with_flags(kinds, drop, keep, time)
    return understand("data.csv", Table(frame.assign(**texts)), target, said)


@pytest.mark.parametrize(
    ("values", "kind", "why_not"),
    [
        (SOME, "number", ""),
        ([str(n % 7) for n in range(ROWS)], "integer", ""),
        ([f"{n % 7},5" for n in range(ROWS)], "number", ""),
        ([f"1,{n % 9}00" for n in range(ROWS)], "integer", ""),
        ([f"{n % 90 + 0.5}" for n in range(ROWS - 1)] + ["unknown"], "number", ""),
        (DAYS, "date", ""),
        (["true", "false", "false"] * 40, "category", ""),
        ([True, False, None] * 40, "category", ""),
        (["red", "green", None] * 40, "category", ""),
        ([f"{WORDS[n % 4]} {n}" for n in range(ROWS)], "text", ""),
        ([f"{n:x}-user" for n in range(ROWS)], "category", "an identifier: another value in nearly every row"),
        ([str(n + 7) for n in range(ROWS)], "integer", "an identifier: it counts the rows"),
        (["same"] * ROWS, "category", "constant: the same value in every row"),
        ([3] * ROWS, "integer", "constant: the same value in every row"),
        ([None] * ROWS, "category", "all values are missing"),
        ([np.inf, 1.5, 2.5] * 40, "number", ""),
    ],
    ids=str,
)
def test_a_column_is_taken_for_what_it_is_or_left_out_with_the_reason(
    values: Sequence[Any], kind: str, why_not: str
) -> None:
    [_, found] = understood({"column": values, "y": YES_NO}).columns

    assert (found.kind, found.why_not) == (kind, why_not)


def test_numbers_with_commas_and_slips_of_the_pen_are_read_and_told() -> None:
    slips = [f"{n % 50}.25" for n in range(ROWS - 2)] + ["unknown", "n.v."]
    columns = {"a": [f"{n % 30},5" for n in range(ROWS)], "b": slips, "y": YES_NO}

    [_, comma, slipped] = understood(columns).columns

    assert comma.values[:3].tolist() == [0.5, 1.5, 2.5]
    assert slipped.missing == 2
    assert slipped.note == "no numbers, so they count as missing: 'unknown' (1), 'n.v.' (1)"


def test_an_identifier_by_its_name_is_left_out_and_kept_when_asked() -> None:
    numbers = np.random.default_rng(1).permutation(10_000)[:ROWS]

    assert "identifier" in understood({"customer_id": numbers, "y": YES_NO}).columns[1].why_not
    assert not understood({"customer_id": numbers, "y": YES_NO}, keep=["customer_id"]).columns[1].why_not
    assert not understood({"weight": numbers, "y": YES_NO}).columns[1].why_not


def test_flags_correct_what_was_understood() -> None:
    columns = {"grade": [n % 5 for n in range(ROWS)], "when": DAYS, "y": YES_NO}

    found = understood(columns, kinds=["grade=category", "when=text"], drop=["x"])

    assert [(one.name, one.kind, one.why_not) for one in found.columns] == [
        ("x", "number", "left out, as asked"),
        ("grade", "category", ""),
        ("when", "text", ""),
    ]
    assert found.columns[1].values[:3].tolist() == ["0", "1", "2"]


def test_a_file_of_corrections_says_what_flags_say_and_more(tmp_path: Path) -> None:
    found = understood({"grade": [n % 5 for n in range(ROWS)], "y": YES_NO})
    file = tmp_path / "columns.yaml"
    file.write_text(found.as_file().replace("    kind: integer\n", "    kind: category\n    description: A mark.\n"))

    said = read_file(file)

    assert said.of("grade").kind == "category" and said.of("grade").description == "A mark."
    assert said.of("x").kind == "number" and said.time == "none"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns: {a: {knd: text}}", "columns.a: unknown key knd; wanted some of kind, date_format, use"),
        ("columns: {a: {kind: word}}", "columns.a.kind: Input should be 'number', 'integer', 'date'"),
        ("a: [", "not YAML: "),
        ("- a", "wanted|valid"),
    ],
)
def test_a_file_of_corrections_that_is_none_is_told_where(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "columns.yaml").write_text(text)
    with pytest.raises(UnreadableTable, match=said):
        read_file(tmp_path / "columns.yaml")


def test_a_flag_that_names_no_kind_is_told_the_kinds() -> None:
    with pytest.raises(UnreadableTable, match="--kind x=word: wanted column=kind, a kind being number, integer, date"):
        Corrections().with_flags(["x=word"], [], [], None)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"yy": YES_NO}, r"no column 'y', did you mean 'yy'\? \(there are x, yy\)"),
        ({"y": ["yes"] * ROWS}, "'y' is yes in all 120 rows: one class only, and nothing to predict"),
        ({"y": [2.5] * ROWS}, "'y' is 2.5 in all 120 rows"),
        ({"y": ["yes"] * 40 + [None] * 80}, "40 rows with a 'y' are too few, wanted 50 or more"),
        ({"y": ["a"] * 115 + ["b"] * 5}, r"classes of too few rows, wanted 10 or more of each: 'b' \(5\)"),
        ({"y": [f"{n}-id" for n in range(ROWS)]}, "'y' has 120 classes, wanted 100 or fewer"),
        ({"y": DAYS}, "'y' holds dates, which cannot be predicted"),
        ({"z": ["1", "0"] * 60, "y": YES_NO}, "'z' equals the target 'y' in every row.*--drop 'z'.*--keep 'z'"),
        (
            {"day": (["2024-01-02", "03.04.2024", "May 3, 2024"] * 40), "y": YES_NO},
            r"'day' holds dates in 3 formats: %Y-%m-%d \(40 rows, such as '2024-01-02'\), .*--drop 'day'",
        ),
        (
            {"day": [f"0{n % 9 + 1}/0{n % 8 + 1}/2024" for n in range(ROWS)], "y": YES_NO},
            "can be read in 2 ways: .*; say which by --kind 'day=date:%d/%m/%Y'",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_table_that_nothing_can_be_learnt_from_gets_words(columns: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UnfitTable, match=said):
        understood(columns)


def test_ten_rows_are_too_few() -> None:
    with pytest.raises(UnfitTable, match="10 rows with a 'y' are too few, wanted 50 or more"):
        understand("data.csv", Table(pd.DataFrame({"x": range(10), "y": YES_NO[:10]})), "y", Corrections())


def test_a_table_of_its_target_alone_has_nothing_to_predict_from() -> None:
    with pytest.raises(UnfitTable, match="no column but 'y' can be used"):
        understand("data.csv", Table(pd.DataFrame({"y": YES_NO})), "y", Corrections())


def test_a_number_that_is_a_multiple_of_the_target_is_a_leak() -> None:
    values = np.random.default_rng(2).normal(size=ROWS)
    with pytest.raises(UnfitTable, match="'cents' equals the target 'euros'"):
        understood({"cents": 100 * values, "euros": values}, target="euros")
    kept = understood({"cents": 100 * values, "euros": values}, target="euros", keep=["cents"])
    assert any("'cents' alone nearly tells 'euros'" in note for note in kept.notes)


def test_a_feature_that_nearly_gives_the_target_away_is_pointed_out() -> None:
    nearly = [f"{1.0 if answer == 'yes' else 0.0:.1f}" for answer in YES_NO]
    nearly[0], nearly[5], nearly[6] = "0.5", "0.4", "0.7"

    [note] = understood({"score": nearly, "y": YES_NO}).notes

    assert note == "'score' alone nearly tells 'y': is it known before? --drop 'score' leaves it out"


def test_rows_are_split_by_the_only_date_unless_it_is_a_birthday_or_asked_otherwise() -> None:
    assert understood({"when": DAYS, "y": YES_NO}).time is not None
    assert understood({"birthday": DAYS, "y": YES_NO}).time is None
    assert understood({"when": DAYS, "y": YES_NO}, time="none").time is None
    assert understood({"x": SOME, "y": YES_NO}).time is None
    [note] = understood({"from": DAYS, "to": DAYS, "y": YES_NO}).notes
    assert note == "rows are split by chance; --time 'from' splits them by a date"


def test_a_column_without_dates_cannot_split() -> None:
    with pytest.raises(UnfitTable, match="'c' is category, wanted dates or numbers to split by"):
        understood({"c": ["u", "v", "w"] * 40, "y": YES_NO}, time="c")


def test_few_integers_are_classes_and_many_a_number_unless_asked_otherwise() -> None:
    grades = [n % 5 for n in range(ROWS)]
    assert understood({"y": grades}).goal.labels == ("0", "1", "2", "3", "4")
    assert understood({"y": grades}, kinds=["y=number"]).goal.labels == ()
    assert understood({"y": range(ROWS)}).goal.labels == ()


def test_names_become_fields_each_once() -> None:
    assert field_names(["größe m", "grosse_m", "2nd", "价格", "ok"]) == {
        "größe m": "grosse_m",
        "grosse_m": "grosse_m_2",
        "2nd": "_2nd",
        "价格": "column_4",
        "ok": "ok",
    }


def test_what_is_understood_is_shown_as_a_table() -> None:
    text = understood({"hue (%)": SOME[::-1], "same": [1] * ROWS, "y": YES_NO}).text()

    assert "hue (%) -> hue" in text
    assert "no: constant: the same value in every row" in text
    assert "target: y, 2 classes: no (60), yes (60)" in text and "split: by chance" in text


@pytest.mark.parametrize(
    ("text", "way", "day"),
    [
        ("2024-02-29", "%Y-%m-%d", 19782),
        ("2024-02-29T23:59:00+00:00", "%Y-%m-%d", 19782),
        ("29.02.2024", "%d.%m.%Y", 19782),
        ("2/29/2024 10:30 PM", "%m/%d/%Y", 19782),
        ("29 Feb 2024", "%d %b %Y", 19782),
        ("1960-01-01", "%Y-%m-%d", -3653),
    ],
)
def test_dates_are_read_in_the_usual_ways(text: str, way: str, day: int) -> None:
    texts = pd.Series([text], dtype="str")

    assert [one.format for one in dates.ways(texts)][:1] == [way]
    assert dates.days(texts, way).tolist() == [day]
