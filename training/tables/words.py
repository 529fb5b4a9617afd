"""Free text to numbers of words, inside the graph: the same nodes read what is learnt from and what is served.

Words are what spaces leave. ONNX changes no letters, so the vocabulary's keys are spellings, of which many share a
word: "Slow", "slow," and "(slow)" are "slow". A word that is not in it has number 0, as the padding has, and counts
for nothing.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor

from training.datasets.dataset import Reader
from training.datasets.words import read

MOST_WORDS = 5000
"""In the vocabulary."""

LONGEST = 128
"""Words of a text that are read."""

FEWEST_TEXTS = 3
"""With a word, for it to be in the vocabulary."""

EDGES = "\"'`()[]{}<>,.;:!?*_-=~|#/\\\r\n\t"

SPELLINGS = ("{}", "{}.", "{},", "{}!", "{}?", "{};", "{}:", '"{}"', "({})")
"""Of every word, beside those that the training rows have."""

TEXTS, WORDS = "texts", "words"
"""The tensors' names."""


def vocabulary(texts: NDArray[np.object_]) -> dict[str, int]:
    """Spelling -> number of its word, from 1, the commoner the lower.

    texts: (rows, columns) of the training rows.
    """
    read = [set(text.split(" ")[:LONGEST]) for text in texts.ravel()]
    counts = Counter(word for found in read for word in {word_of(one) for one in found})
    ranked = sorted((word for word in counts if word and counts[word] >= FEWEST_TEXTS), key=lambda w: (-counts[w], w))
    numbers = {word: place for place, word in enumerate(ranked[:MOST_WORDS], start=1)}
    found = {spelling: numbers[word] for word in numbers for spelling in _spellings(word)}
    seen = sorted(set().union(*read)) if read else []
    return found | {one: numbers[word_of(one)] for one in seen if word_of(one) in numbers}


def word_of(spelling: str) -> str:
    """What spellings of one word share: lower case, no marks around it."""
    return spelling.strip(EDGES).lower()


def longest(texts: NDArray[np.object_]) -> int:
    """So many words are read of a text: all, up to LONGEST."""
    return min(LONGEST, max(len(text.split()) for text in texts.ravel()) or 1)


def reader(vocabulary: Mapping[str, int], columns: int, width: int) -> Reader:
    """From `texts` (batch, columns) to `words` (batch, columns, width) of int64, 0 behind the last one.

    StringSplit stops after so many words, so that a text of any length costs what is read of it.
    Source: the operators of ONNX 1.15, opset 20, and LabelEncoder of ai.onnx.ml 4.
    """
    constants = {"pads": [0, 0, 0, 0, 0, width], "start": [0], "end": [width], "axis": [2]}
    encode = helper.make_node(
        "LabelEncoder",
        ["pieces"],
        ["numbers"],
        domain="ai.onnx.ml",
        keys_strings=list(vocabulary) or [" "],
        values_int64s=list(vocabulary.values()) or [0],
        default_int64=0,
    )
    nodes = [
        *(
            helper.make_node("Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, [len(v)], v))
            for name, v in constants.items()
        ),
        helper.make_node("StringSplit", [TEXTS], ["pieces", "counts"], maxsplit=width),
        encode,
        helper.make_node("Pad", ["numbers", "pads"], ["padded"]),
        helper.make_node("Slice", ["padded", "start", "end", "axis"], [WORDS]),
    ]
    given = helper.make_tensor_value_info(TEXTS, TensorProto.STRING, ["batch", columns])
    made = helper.make_tensor_value_info(WORDS, TensorProto.INT64, ["batch", columns, width])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)]
    graph = helper.make_model(helper.make_graph(nodes, "reader", [given], [made]), opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(graph)
    return Reader(graph)


def words(reader: Reader, texts: NDArray[np.object_]) -> Tensor:
    """(rows, columns) -> (rows, columns, width), by the graph itself."""
    return read(reader, {TEXTS: texts})[WORDS]


def _spellings(word: str) -> list[str]:
    cases = dict.fromkeys((word, word.capitalize(), word.upper()))
    return [form.format(case) for case in cases for form in SPELLINGS]
