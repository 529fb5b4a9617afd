"""Names that stay apart in the document and in every client that is generated from it."""

import re
from collections.abc import Iterable
from zlib import crc32


class Names:
    """The names of one kind, such as components or operations.

    Two names are the same to a generator when they differ in case and punctuation only: it writes `a-b` and `a_b` as
    one class in one file.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {_folded(name) for name in taken}

    def claim(self, wanted: str, owner: str) -> str:
        """The name wanted, or, where another has it, one that is the owner's own whoever else is there."""
        name = wanted if _folded(wanted) not in self._taken else f"{wanted}_{crc32(owner.encode()):08x}"
        self._taken.add(_folded(name))
        return name


def pascal(text: str) -> str:
    """`breast-cancer` as `BreastCancer`: letters and digits, a letter first."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return joined if joined[:1].isalpha() else f"N{joined}"


def snake(text: str) -> str:
    """`breast-cancer` as `breast_cancer`."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower()


def enum(values: Iterable[str]) -> dict[str, object]:
    """An enum of texts; where generators would take two of them for one, with a name for each."""
    texts = list(values)
    folded = [_folded(text) for text in texts]
    if len({text for text in folded if text}) == len(folded):
        return {"enum": texts}
    return {"enum": texts, "x-enum-varnames": [f"VALUE_{place}" for place in range(len(texts))]}


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
