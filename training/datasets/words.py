"""Texts to numbers by an ONNX graph: what a network learns from and what it is served with are read by the same nodes.

Words are what spaces and line ends leave. A vocabulary gives each spelling its number, and many spellings share one
("Free", "free!" and "(FREE)" are "free"), since ONNX has nothing that changes a text. What a word looks like is a
second number, so that capitals, marks and amounts are not lost, and a word out of the vocabulary still says something.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import parser
from torch import Tensor

from app.inference.session import Session
from training.datasets.dataset import Reader

PADDING, UNKNOWN, KNOWN = 0, 1, 2
"""Numbers of words: behind the last one; of one that is not in the vocabulary; of the first that is."""

PLAIN = 1
"""The shape of a word that none of SHAPES fits; PADDING is behind the last word here too."""

SHAPES = {
    "amount": r"[^A-Za-z0-9]*[$£€][0-9].*",
    "number": r"[^A-Za-z0-9@]*[0-9][0-9.,:/-]*[^A-Za-z0-9]*",
    "link": r"[^A-Za-z0-9]*(?i:https?://|www\.).*",
    "address": r".+@.+\..+",
    "shouted": r"[^A-Za-z]*[A-Z][A-Z'-]+[^A-Za-z]*",
    "urgent": r".*[A-Za-z0-9]!+",
    "marks": r"[^A-Za-z0-9]+",
    "mixed": r".*[0-9].*",
}
"""What a word may look like: RE2's regular expressions over all of it, of which the first that fits counts."""

EDGES = "\"'`()[]{}<>,.;:!?*_-=~|#/\\"

ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Extent:
    """How much of a text is read: its first lines, and of those the first words."""

    lines: int
    words: int

    def words_of(self, text: str) -> list[str]:
        """The words that the graph reads."""
        lines = (line.partition("\r")[0] for line in text.split("\n")[: self.lines])
        words = [[word for word in line.split(" ") if word][: self.words] for line in lines]
        return [word for line in words for word in line][: self.words]


def vocabulary(texts: Sequence[str], extent: Extent, *, size: int) -> dict[str, int]:
    """Each spelling that is read of these texts -> the number of its word, for the `size` words of the most texts.

    A word of one text alone has no number. The more texts have it, the lower its number.
    """
    spellings = {text: set(extent.words_of(text)) for text in set(texts)}
    counts = Counter(word for found in spellings.values() for word in {word_of(spelling) for spelling in found})
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:size]
    numbers = {word: KNOWN + place for place, word in enumerate(ranked) if counts[word] > 1}
    every = sorted(set().union(*spellings.values()))
    return {spelling: numbers[word_of(spelling)] for spelling in every if word_of(spelling) in numbers}


def word_of(spelling: str) -> str:
    """What spellings of one number share: lower case, no marks around it, # for each digit; marks alone stay."""
    return re.sub(r"[0-9]", "#", spelling.lower().strip(EDGES)) or spelling


def reader(text: str, vocabulary: Mapping[str, int], extent: Extent) -> Reader:
    """From texts (batch, 1) in a tensor of this name to `words` and `shapes`, (batch, extent.words) of int64.

    A shape is its place in SHAPES, counted from PLAIN + 1. StringSplit stops after so many pieces, so that a text of
    any length costs no more memory than what is read of it. It takes nothing for white space but spaces, and gives no
    piece at all where there is nothing to split: hence the endings that are put on before, and are not read.
    Source: the operators of ONNX 1.15, opset 20, and LabelEncoder of ai.onnx.ml 4.
    """
    graph = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 4]>
        reader (string[batch, 1] {text}) => (int64[batch, {extent.words}] words, int64[batch, {extent.words}] shapes) {{
            zero = Constant <value = int64[1] {{0}}> ()
            one = Constant <value = int64[1] {{1}}> ()
            two = Constant <value = int64[1] {{2}}> ()
            line_end = Constant <value = string[1] {{"\n"}}> ()
            return = Constant <value = string[1] {{"\r"}}> ()
            last_word = Constant <value = string[1] {{" ."}}> ()
            most_lines = Constant <value = int64[1] {{{extent.lines}}}> ()
            most_words = Constant <value = int64[1] {{{extent.words}}}> ()

            ended = StringConcat ({text}, line_end)
            pieces, _1 = StringSplit <delimiter = "\n", maxsplit = {extent.lines}> (ended)
            read = Slice (pieces, zero, most_lines, two)
            lines = Squeeze (read, one)
            returned = StringConcat (lines, return)
            halves, _2 = StringSplit <delimiter = "\r", maxsplit = 1> (returned)
            first_halves = Slice (halves, zero, one, two)
            bare_lines = Squeeze (first_halves, two)
            worded = StringConcat (bare_lines, last_word)
            line_words, counts = StringSplit <maxsplit = {extent.words}> (worded)

            own = Sub (counts, one)
            axis = Squeeze (one)
            ends = CumSum (own, axis)
            starts = Sub (ends, own)
            all = ReduceMax <keepdims = 1> (ends, one)
            nought = Squeeze (zero)
            step = Squeeze (one)
            limit = Squeeze (most_words)
            places = Range (nought, limit, step)
            there = Less (places, all)

            ends_3d = Unsqueeze (ends, two)
            before = LessOrEqual (ends_3d, places)
            before_int = Cast <to = 7> (before)
            line_or_end = ReduceSum <keepdims = 0> (before_int, one)
            line = Where (there, line_or_end, zero)
            start = GatherElements <axis = 1> (starts, line)
            behind = Sub (places, start)
            column = Where (there, behind, zero)
            width = Shape <start = 2> (line_words)
            above = Mul (line, width)
            index = Add (above, column)
            rows = Constant <value = int64[2] {{0, -1}}> ()
            flat = Reshape (line_words, rows)
            spelled = GatherElements <axis = 1> (flat, index)

            numbers = LabelEncoder <keys_strings = [""], values_int64s = [0], default_int64 = {UNKNOWN}> (spelled)
            words = Where (there, numbers, zero)
            {_shapes()}
            shapes = Where (there, shape_{len(SHAPES)}, zero)
        }}""")
    [encoder] = [node for node in graph.graph.node if node.op_type == "LabelEncoder"]
    for attribute in encoder.attribute:
        if attribute.name == "keys_strings":
            attribute.strings[:] = [spelling.encode() for spelling in vocabulary]
        elif attribute.name == "values_int64s":
            attribute.ints[:] = list(vocabulary.values())
    # The parser knows no domain for a node; its own is left empty.
    encoder.domain = "ai.onnx.ml"
    onnx.checker.check_model(graph)
    return Reader(graph)


def _shapes() -> str:
    """Nodes that end in `shape_N`; the last of SHAPES comes first, since a later node overrules it."""
    nodes = [f"shape_0 = Constant <value = int64[1] {{{PLAIN}}}> ()"]
    for step, (place, pattern) in enumerate(reversed(list(enumerate(SHAPES.values(), start=PLAIN + 1))), start=1):
        quoted = pattern.replace("\\", "\\\\").replace('"', '\\"')
        nodes += [
            f"is_{step} = Constant <value = int64[1] {{{place}}}> ()",
            f'fits_{step} = RegexFullMatch <pattern = "{quoted}"> (spelled)',
            f"shape_{step} = Where (fits_{step}, is_{step}, shape_{step - 1})",
        ]
    return "\n".join(nodes)


def read(reader: Reader, texts: Mapping[str, NDArray[np.object_]]) -> dict[str, Tensor]:
    """What the graph makes of these texts, by the onnxruntime that serves it. texts: as in `Rows`."""
    [(name, rows)] = texts.items()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reader.onnx"
        onnx.save(reader.graph, path)
        session = Session(path)
        parts = [session.run({name: rows[at : at + ROWS_AT_ONCE]}) for at in range(0, len(rows), ROWS_AT_ONCE)]
    return {output: torch.from_numpy(np.concatenate([part[output] for part in parts])) for output in parts[0]}
