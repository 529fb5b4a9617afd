"""Texts to numbers: the graph that training reads with and that is served."""

import numpy as np
import pytest
from torch import Tensor

from training.datasets.words import KNOWN, PADDING, PLAIN, SHAPES, UNKNOWN, Extent, read, reader, vocabulary, word_of

EXTENT = Extent(lines=3, words=5)
TEXTS = ["Free money", "FREE, really", "(free) money!", "call 555", "call 123", "once"]
NUMBERS = vocabulary(TEXTS, EXTENT, size=10)


def numbered(*texts: str) -> dict[str, list[list[int]]]:
    made = read(reader("text", NUMBERS, EXTENT), {"text": np.array([[text] for text in texts], object)})
    return {name: tensor.tolist() for name, tensor in made.items()}


def test_spellings_of_a_word_share_a_number_and_words_of_more_texts_come_first() -> None:
    assert {NUMBERS[spelling] for spelling in ("Free", "FREE,", "(free)")} == {KNOWN}
    assert NUMBERS["555"] == NUMBERS["123"]
    assert NUMBERS["money"] == NUMBERS["money!"]
    assert "once" not in NUMBERS
    assert set(vocabulary(TEXTS, EXTENT, size=1).values()) == {KNOWN}


@pytest.mark.parametrize(
    ("spelling", "word"), [("Free!!", "free"), ("$1,99", "$#,##"), ("---", "---"), ("can't", "can't"), ("(A)", "a")]
)
def test_a_word_is_its_spelling_without_case_marks_around_and_digits(spelling: str, word: str) -> None:
    assert word_of(spelling) == word


def test_words_are_numbered_in_order_with_padding_behind() -> None:
    free, money = NUMBERS["Free"], NUMBERS["money"]
    [words] = numbered("money free  unheard\nfree")["words"]
    # "free" itself is no spelling that was seen.
    assert words == [money, UNKNOWN, UNKNOWN, UNKNOWN, PADDING]
    assert numbered("(free) Free")["words"] == [[free, free, PADDING, PADDING, PADDING]]


def test_only_the_first_words_of_the_first_lines_are_read() -> None:
    money = NUMBERS["money"]
    assert numbered("money " * 9)["words"] == [[money] * 5]
    assert numbered("money\n\n\nmoney")["words"] == [[money, 0, 0, 0, 0]]
    assert numbered("call\n" + "money " * 9)["words"] == [[NUMBERS["call"], *[money] * 4]]


def test_lines_of_mails_end_as_they_like() -> None:
    assert numbered("money\r\nmoney\r\n") == numbered("money\nmoney\n")


@pytest.mark.parametrize("text", ["", " ", "\n", "\r\n \n", " \n" * 50])
def test_a_text_without_words_is_all_padding(text: str) -> None:
    assert numbered(text) == {"words": [[PADDING] * 5], "shapes": [[PADDING] * 5]}


def test_rows_of_different_lengths_are_read_together_as_alone() -> None:
    texts = ["", "money", "Free money call\n555 once money", "a " * 100, "one\ntwo\nthree\nfour"]
    together = numbered(*texts)
    for row, text in enumerate(texts):
        assert {name: rows[0] for name, rows in numbered(text).items()} == {
            name: rows[row] for name, rows in together.items()
        }


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("$1,000", "amount"),
        ("($5", "amount"),
        ("12:30", "number"),
        ("50%", "number"),
        ("http://x.org", "link"),
        ("<WWW.x.org>", "link"),
        ("me@example.org", "address"),
        ("FREE", "shouted"),
        ("WIN!!!", "shouted"),
        ("now!", "urgent"),
        ("***", "marks"),
        ("mp3", "mixed"),
        ("café", None),
        ("I", None),
    ],
)
def test_what_a_word_looks_like_is_told_whether_it_is_known_or_not(word: str, shape: str | None) -> None:
    wanted = PLAIN if shape is None else PLAIN + 1 + list(SHAPES).index(shape)
    assert numbered(word)["shapes"][0][0] == wanted


def test_the_words_of_python_are_those_of_the_graph() -> None:
    texts = ["a  b\n\nc", "Free\r\nmoney", " x " * 9, "1 2\n3\n4\n5"]
    for text in texts:
        spelled = EXTENT.words_of(text)
        [words] = numbered(text)["words"]
        assert words == [NUMBERS.get(word, UNKNOWN) for word in spelled] + [PADDING] * (5 - len(spelled))


def test_what_is_read_is_made_of_whole_numbers() -> None:
    made = read(reader("text", NUMBERS, EXTENT), {"text": np.array([["money"]], object)})
    assert all(isinstance(tensor, Tensor) and not tensor.is_floating_point() for tensor in made.values())
