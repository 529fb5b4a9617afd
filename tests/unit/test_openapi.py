"""Names in the document, and its table of errors."""

from app.openapi.errors import ERRORS, table
from app.openapi.names import Names, enum, pascal, snake
from app.refusals import STATUS

UNSEEN = 499
"""The caller has hung up."""

BY_ROUTER = 405
"""Of a method that no route has."""


def test_names_that_only_case_and_punctuation_tell_apart_become_two_and_keep_theirs_whoever_else_is_there() -> None:
    names = Names(["Error"])
    assert names.claim("AB", "a-b") == "AB"
    other = names.claim("A_b", "a_b")
    assert other.startswith("A_b_")
    assert Names(["ab"]).claim("A_b", "a_b") == other
    assert names.claim("error", "error") != "error"


def test_a_name_is_written_as_the_languages_of_clients_write_it() -> None:
    assert [pascal(name) for name in ("breast-cancer", "a_b.c", "1st", "dense:0", "été", "...")] == [
        "BreastCancer",
        "ABC",
        "N1st",
        "Dense0",
        "T",
        "N",
    ]
    assert snake("breast-cancer version 1") == "breast_cancer_version_1"


def test_an_enum_whose_texts_look_alike_to_a_generator_has_names_for_them() -> None:
    assert enum(["oak", "elm"]) == {"enum": ["oak", "elm"]}
    assert enum(["a b", "a-b"])["x-enum-varnames"] == ["VALUE_0", "VALUE_1"]
    assert enum(["+", "-"])["x-enum-varnames"] == ["VALUE_0", "VALUE_1"]


def test_the_table_of_errors_has_every_status_that_a_caller_can_see() -> None:
    assert set(ERRORS) == {*STATUS.values(), BY_ROUTER} - {UNSEEN}
    assert all(f"| {status} | {error.when} | {error.remedy} |" in table() for status, error in ERRORS.items())
