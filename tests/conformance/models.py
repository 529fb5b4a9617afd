"""The models of the suite: every datatype, of every rank, as each kind of graph; no config file beside any of them.

A graph changes what it is given wherever onnxruntime has an operator for the datatype, so that an answer that only
passed through would be found: numbers are doubled or their bits turned over, booleans negated, texts repeated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from tests import graphs

DATATYPES = tuple(graphs.ONNX_TYPES)
KINDS = ("batchable", "fixed", "several-inputs", "several-outputs")

OPSET = 20
"""The first with StringConcat."""

SHAPES: dict[str, tuple[int, ...]] = {
    "scalar": (),
    "zero-size": (2, 3, 0),
    "rank-1": (3,),
    "rank-2": (3, 2),
    "rank-3": (2, 3, 2),
    "rank-4": (2, 1, 3, 2),
    "rank-5": (3, 1, 2, 1, 2),
}

FREE: dict[str, graphs.Shape] = {
    "zero-size": ("batch", 3, None),
    "rank-1": ("batch",),
    "rank-2": ("batch", 2),
    "rank-3": ("batch", None, 2),
    "rank-4": ("batch", "height", "width", 2),
    "rank-5": ("batch", 1, None, None, 2),
}
"""The same with a free first axis, and free axes with a name and without one behind it."""

WITH_WHERE = {"UINT8", "UINT32", "INT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"}
"""Datatypes for which onnxruntime's CPU has the operator Where."""

CAST = {"BOOL": "INT64", "FP16": "FP32", "FP32": "FP64", "FP64": "FP32", "BYTES": "BYTES"}
"""What a third output is cast to; whole numbers become FP64."""


@dataclass(frozen=True)
class Port:
    """One input or output of a graph."""

    name: str
    datatype: str
    dims: graphs.Shape

    def declared(self) -> onnx.ValueInfoProto:
        return graphs.value(self.name, self.dims, self.datatype)


@dataclass(frozen=True)
class Model:
    """One graph and the shapes that it is fed with.

    feeds:     input -> shape, one mapping for each feed.
    defaults:  inputs that a request may leave out, and what they are then.
    tolerance: by how much an answer may differ, relative to 1 + the largest; 0 means bit for bit.
    """

    name: str
    kind: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[onnx.NodeProto, ...]
    feeds: tuple[Mapping[str, tuple[int, ...]], ...]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    defaults: dict[str, np.ndarray] = field(default_factory=dict)
    tolerance: float = 0.0

    @property
    def batchable(self) -> bool:
        """Whether the first axis of every input is free and counts rows."""
        given = [port for port in self.inputs if port.name not in self.defaults]
        return bool(given) and all(port.dims and port.dims[0] in ("batch", None) for port in given)

    def graph(self) -> bytes:
        declared = [port.declared() for port in self.inputs], [port.declared() for port in self.outputs]
        return graphs.graph(list(self.nodes), *declared, {**self.constants, **self.defaults}, OPSET)


def changed(datatype: str, taken: str, given: str) -> onnx.NodeProto:
    """given = what the datatype's operator makes of taken."""
    if datatype == "BOOL":
        return helper.make_node("Not", [taken], [given])
    if datatype == "BYTES":
        return helper.make_node("StringConcat", [taken, taken], [given])
    if datatype.startswith("FP"):
        return helper.make_node("Add", [taken, taken], [given])
    return helper.make_node("BitwiseNot", [taken], [given])


def single(name: str, kind: str, datatype: str, dims: graphs.Shape, *shapes: tuple[int, ...]) -> Model:
    """y is x, changed."""
    x, y = Port("x", datatype, dims), Port("y", datatype, dims)
    return Model(name, kind, (x,), (y,), (changed(datatype, "x", "y"),), tuple({"x": shape} for shape in shapes))


def several_inputs(name: str, datatype: str, dims: graphs.Shape, *shapes: tuple[int, ...]) -> Model:
    """y is x where `chosen`, and changed elsewhere; beside them an input of another datatype and of another shape."""
    other = DATATYPES[(DATATYPES.index(datatype) + 1) % len(DATATYPES)]
    beside = dims[:1]
    inputs = (Port("chosen", "BOOL", dims), Port("x", datatype, dims), Port("beside", other, beside))
    outputs = (Port("y", datatype, dims), Port("refused", "BOOL", dims), Port("z", other, beside))
    has_where = datatype in WITH_WHERE
    nodes = [
        helper.make_node("Not", ["chosen"], ["refused"]),
        changed(other, "beside", "z"),
        changed(datatype, "x", "changed" if has_where else "y"),
    ]
    if has_where:
        nodes.append(helper.make_node("Where", ["chosen", "x", "changed"], ["y"]))
    feeds = tuple({"chosen": shape, "x": shape, "beside": shape[:1]} for shape in shapes)
    return Model(name, "several-inputs", inputs, outputs, tuple(nodes), feeds)


def several_outputs(name: str, datatype: str, dims: graphs.Shape, *shapes: tuple[int, ...]) -> Model:
    """x changed, x as it is, and x as another datatype."""
    other = CAST.get(datatype, "FP64")
    outputs = (Port("y", datatype, dims), Port("same", datatype, dims), Port("cast", other, dims))
    nodes = (
        changed(datatype, "x", "y"),
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Cast", ["x"], ["cast"], to=graphs.ONNX_TYPES[other]),
    )
    return Model(
        name, "several-outputs", (Port("x", datatype, dims),), outputs, nodes, tuple({"x": shape} for shape in shapes)
    )


def systematic() -> Iterator[Model]:
    """Every kind of every shape and datatype. A scalar has no row axis, so there is no batchable one."""
    for kind, shape, datatype in product(KINDS, SHAPES, DATATYPES):
        name = f"{kind}-{shape}-{datatype}"
        sizes = [SHAPES[shape], (0, 3, 2)] if shape == "zero-size" else [SHAPES[shape]]
        if kind == "fixed":
            yield single(name, kind, datatype, SHAPES[shape], SHAPES[shape])
        elif kind == "several-inputs":
            yield several_inputs(name, datatype, FREE.get(shape, ()), *sizes)
        elif kind == "several-outputs":
            yield several_outputs(name, datatype, FREE.get(shape, ()), *sizes)
        elif shape in FREE:
            yield single(name, kind, datatype, FREE[shape], *sizes)


def optional_inputs(datatype: str) -> Model:
    """y is x where `chosen`, and `instead` elsewhere; a request may leave out either, or both."""
    row: graphs.Shape = ("batch", 2)
    shapes: dict[str, tuple[int, ...]] = {"x": (3, 2), "chosen": (2,), "instead": (1,)}
    defaults = {"chosen": np.array([True, False]), "instead": np.array(numbers_of(datatype)[-1:], DTYPES[datatype])}
    return Model(
        f"optional-inputs-{datatype}",
        "optional-inputs",
        (Port("x", datatype, row), Port("chosen", "BOOL", (2,)), Port("instead", datatype, (1,))),
        (Port("y", datatype, row),),
        (helper.make_node("Where", ["chosen", "x", "instead"], ["y"]),),
        tuple({"x": shapes["x"]} | {name: shapes[name] for name in given} for given in given_of(defaults)),
        defaults=defaults,
    )


def given_of(defaults: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    """No default, each one, all of them."""
    return [(), *((name,) for name in defaults), tuple(defaults)]


NAMES = ("onnx::Flatten_0", "gpu_0/data_0", "serving_default_input_2:0", "größe", 'a "quoted" name', "a.b[0]")
"""Of inputs, as exporters write them and worse."""


def peculiar() -> Iterator[Model]:
    """What exporters really write."""
    row: graphs.Shape = ("batch", 2)
    for place, name in enumerate(NAMES):
        given = f"StatefulPartitionedCall:{place}/{name}"
        yield Model(
            f"name-{place}",
            "peculiar",
            (Port(name, "FP32", row),),
            (Port(given, "FP32", row),),
            (changed("FP32", name, given),),
            ({name: (3, 2)},),
        )
    unnamed = single("unnamed-axes", "peculiar", "FP32", (None, None, 3), (2, 4, 3), (5, 1, 3))
    yield unnamed
    yield Model(
        "no-inputs",
        "peculiar",
        (),
        (Port("numbers", "INT64", (3,)), Port("texts", "BYTES", (1,))),
        (
            helper.make_node("Constant", [], ["numbers"], value_ints=[2**53 + 1, -(2**63), 2**63 - 1]),
            helper.make_node("Constant", [], ["texts"], value_strings=["é"]),
        ),
        ({},),
    )
    yield Model(
        "time-first",
        "peculiar",
        (Port("x", "FP32", ("time", 3)),),
        (Port("y", "FP32", ("time", 3)),),
        (helper.make_node("CumSum", ["x", "axis"], ["y"]),),
        ({"x": (4, 3)}, {"x": (1, 3)}),
        {"axis": np.array(0, np.int64)},
    )
    yield Model(
        "wrongly-declared",
        "peculiar",
        (Port("x", "FP32", ("batch", 3)),),
        (Port("y", "FP32", ("batch", 3)),),
        (helper.make_node("Reshape", ["x", "shape"], ["y"]),),
        ({"x": (2, 3)},),
        {"shape": np.array([-1, 1, 3, 1], np.int64)},
    )
    yield Model(
        "dense",
        "peculiar",
        (Port("x", "FP32", ("batch", 16)),),
        (Port("y", "FP32", ("batch", 8)), Port("classes", "INT64", ("batch",))),
        (
            helper.make_node("MatMul", ["x", "weights"], ["product"]),
            helper.make_node("Softmax", ["product"], ["y"], axis=1),
            helper.make_node("ArgMax", ["product"], ["classes"], axis=1, keepdims=0),
        ),
        ({"x": (1, 16)}, {"x": (7, 16)}),
        {"weights": np.random.default_rng(0).standard_normal((16, 8)).astype(np.float32)},
        # matrix products add in another order when there are more rows, which moves the last bits of a sum of 16
        tolerance=1e-6,
    )
    yield Model(
        "input-passed-through",
        "peculiar",
        (Port("x", "INT32", row), Port("unused", "BYTES", row)),
        (Port("y", "INT32", row), Port("kept", "INT32", row)),
        (changed("INT32", "x", "y"), helper.make_node("Identity", ["x"], ["kept"])),
        ({"x": (3, 2), "unused": (3, 2)},),
    )


def numbers_of(datatype: str) -> list[object]:
    """The values at which a datatype is easily got wrong."""
    dtype = np.dtype(DTYPES[datatype])
    if datatype == "BOOL":
        return [True, False]
    if datatype == "BYTES":
        return ["", "a", "\0", "a\0b", "é", "日本語", "\U0001f600", 'a "b"\\\n', "\x7f\u2028", "x" * 300, " "]
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        tiny, smallest = float(limits.tiny), float(limits.smallest_subnormal)
        edges = [float(limits.max), float(limits.min), tiny, smallest, -smallest, tiny - smallest]
        return [*edges, 0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, np.nan, np.inf, -np.inf]
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    inside = [number for number in (-1, 0, 1, 127, 128, 2**31, 2**53 + 1, -(2**53) - 1) if low <= number <= high]
    return [low, high, high // 2 + 1, high - 1, *inside]


DTYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": "O",
}
"""Written out again here, so that the service's own table is under test too."""


MODELS = {model.name: model for model in (*systematic(), *map(optional_inputs, sorted(WITH_WHERE)), *peculiar())}


def write_repository(folder: Path) -> Path:
    """Every model as <name>/1/model.onnx in the folder, and nothing else."""
    for model in MODELS.values():
        graphs.add_to_repository(folder, model.name, model.graph())
    return folder
