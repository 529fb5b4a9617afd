"""What an ONNX file says of itself before it is opened: its operators, and the files that it reads beside itself.

The file is walked as protobuf's wire format, without a copy of any weight: only keys and lengths are read.
Sources: https://protobuf.dev/programming-guides/encoding/, and the field numbers of onnx.proto (ONNX 1.19).
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.errors import ModelLoadFailed

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; the others are groups, which ONNX has none of."""

MODEL_GRAPH, MODEL_FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
FUNCTION_NODE = 7
NODE_OPERATOR, NODE_ATTRIBUTE = 4, 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
SPARSE_VALUES, SPARSE_INDICES = 1, 2
TENSOR_EXTERNAL = 13
ENTRY_KEY, ENTRY_VALUE = 1, 2

DEEPEST = 64
"""Graphs within attributes of nodes."""


@dataclass(frozen=True)
class Graph:
    """operators: their names, whatever the domain. external: where weights outside the file lie, as it says."""

    operators: frozenset[str]
    external: frozenset[str]


class _Malformed(Exception):
    pass


class _Walk:
    def __init__(self, pages: mmap.mmap) -> None:
        self._pages = pages
        self.operators: set[bytes] = set()
        self.external: set[bytes] = set()

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self._pages[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise _Malformed

    def _fields(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The number, the start and the end of each field that is a text or a message."""
        while at < end:
            key, at = self._varint(at, end)
            kind = key & 7
            if kind == BYTES:
                size, at = self._varint(at, end)
                if at + size > end:
                    raise _Malformed
                yield key >> 3, at, at + size
                at += size
            elif kind == VARINT:
                _, at = self._varint(at, end)
            elif kind in (FIXED64, FIXED32):
                at += 8 if kind == FIXED64 else 4
            else:
                raise _Malformed
        if at != end:
            raise _Malformed

    def model(self) -> None:
        for number, at, end in self._fields(0, len(self._pages)):
            if number == MODEL_GRAPH:
                self._graph(at, end, 0)
            elif number == MODEL_FUNCTIONS:
                for inner, start, stop in self._fields(at, end):
                    if inner == FUNCTION_NODE:
                        self._node(start, stop, 0)

    def _graph(self, at: int, end: int, depth: int) -> None:
        if depth > DEEPEST:
            raise _Malformed
        for number, start, stop in self._fields(at, end):
            if number == GRAPH_NODE:
                self._node(start, stop, depth)
            elif number == GRAPH_INITIALIZER:
                self._tensor(start, stop)
            elif number == GRAPH_SPARSE:
                for inner, first, last in self._fields(start, stop):
                    if inner in (SPARSE_VALUES, SPARSE_INDICES):
                        self._tensor(first, last)

    def _node(self, at: int, end: int, depth: int) -> None:
        for number, start, stop in self._fields(at, end):
            if number == NODE_OPERATOR:
                self.operators.add(self._pages[start:stop])
            elif number == NODE_ATTRIBUTE:
                for inner, first, last in self._fields(start, stop):
                    if inner in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                        self._graph(first, last, depth + 1)
                    elif inner in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
                        self._tensor(first, last)

    def _tensor(self, at: int, end: int) -> None:
        for number, start, stop in self._fields(at, end):
            if number == TENSOR_EXTERNAL:
                entry = {inner: self._pages[first:last] for inner, first, last in self._fields(start, stop)}
                if entry.get(ENTRY_KEY) == b"location":
                    self.external.add(entry.get(ENTRY_VALUE, b""))


def read_graph(file: Path) -> Graph:
    """Raises ModelLoadFailed for a file that is no ONNX model."""
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as pages:
            walk = _Walk(pages)
            walk.model()
        return Graph(
            frozenset(operator.decode() for operator in walk.operators),
            frozenset(location.decode() for location in walk.external),
        )
    except OSError as error:
        raise ModelLoadFailed(f"{file.name}: {error.strerror}") from error
    except (_Malformed, ValueError) as error:  # a file without bytes cannot be mapped, and a name may be no text
        raise ModelLoadFailed(f"{file.name}: this is no ONNX model") from error


def check_place(file: Path, within: Path, what: str) -> None:
    """Raises ModelLoadFailed unless what is there, wherever links lead, is a plain file or folder in the folder."""
    try:
        place = file.resolve(strict=True)
    except OSError as error:
        raise ModelLoadFailed(f"{what}: {error.strerror}") from error
    except RuntimeError as error:  # links in a circle
        raise ModelLoadFailed(f"{what}: a link that leads nowhere") from error
    if not place.is_relative_to(within.resolve()):
        raise ModelLoadFailed(f"{what} leads out of its folder")
    if not (place.is_file() or place.is_dir()):
        raise ModelLoadFailed(f"{what} is no plain file")


def check_links(file: Path, within: Path) -> None:
    """Raises ModelLoadFailed if the file has names outside of the folder, by hard links."""
    told = file.stat()
    if told.st_nlink > 1 and file.is_file():
        places = [one.lstat() for one in within.rglob("*")]
        inside = sum((place.st_dev, place.st_ino) == (told.st_dev, told.st_ino) for place in places)
        if inside < told.st_nlink:
            raise ModelLoadFailed(
                f"{file.name} is a hard link, with names outside of the model's folder; copy it instead"
            )


def external_files(graph: Graph, folder: Path) -> list[Path]:
    """The files of the graph's weights, by name. folder: the graph's own.

    Raises ModelLoadFailed for one outside of the folder: onnxruntime would read whatever the graph names.
    """
    files = []
    for location in sorted(graph.external):
        path = PurePosixPath(location)
        if not location or path.is_absolute() or ".." in path.parts or "\0" in location:
            raise ModelLoadFailed(f"weights in {path.name!r}, somewhere else: wanted a file beside the graph")
        check_place(folder / path, folder, f"weights in {location!r}")
        check_links(folder / path, folder.parent)
        files.append(folder / path)
    return files
