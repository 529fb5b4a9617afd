"""The file of keys, as an operator writes it."""

from pathlib import Path

import pytest

from app.keys import Keys, digest, read_keys

GOOD = f"- name: a\n  sha256: {digest(b'k')}\n  scopes: [read]\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- name: [", "keys.yaml: not YAML"),
        ("a: 1", "keys.yaml: "),
        ("- {}", "0.name: Field required"),
        (GOOD.replace("name: a", "name: a b"), "0.name: String should match pattern"),
        (GOOD.replace("[read]", "[write]"), "0.scopes.0: Input should be 'infer', 'read' or 'admin'"),
        (GOOD.replace("[read]", "[]"), "0.scopes: "),
        (GOOD.replace("sha256: ", "sha256: 0"), "0.sha256: String should match pattern"),
        (GOOD + "  requests_per_second: 0\n", "0.requests_per_second: Input should be greater than 0"),
        (GOOD + "  colour: red\n", "0.colour: Extra inputs are not permitted"),
        (GOOD * 2, "a name stands twice"),
        (GOOD + GOOD.replace("name: a", "name: b"), "a sha256 stands twice"),
    ],
)
def test_what_is_wrong_with_a_file_of_keys_is_told_without_its_values(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"keys\.yaml") as error:
        read_keys(file)
    assert sentence in str(error.value)
    assert digest(b"k") not in str(error.value)


def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("")
    keys = Keys("", file, 1)
    assert keys.wanted
    assert keys.find(b"") is None
    assert keys.find(b"k") is None


def test_workers_share_a_keys_rate(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(GOOD + "  requests_per_second: 40\n")
    caller = Keys("", file, 1 / 4).find(b"k")
    assert caller is not None
    assert [caller.refusal() for _ in range(10)] == [None] * 10
    refusal = caller.refusal()
    assert refusal is not None
    assert 0 < refusal.retry_after_s <= 0.1
