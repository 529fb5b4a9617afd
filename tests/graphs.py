"""Tiny ONNX graphs with known answers, and graphs that only look harmless."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

Shape = Sequence[int | str | None]


def value(name: str, shape: Shape, datatype: str = "FP32") -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, ONNX_TYPES[datatype], shape)


def graph(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 18,
) -> bytes:
    tensors = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    made = helper.make_graph(nodes, "test", inputs, outputs, tensors)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def double(shape: Shape = ("batch", 3)) -> bytes:
    """y = 2 x."""
    node = helper.make_node("Add", ["x", "x"], ["y"])
    return graph([node], [value("x", shape)], [value("y", shape)])


def times(factor: float) -> bytes:
    """y = factor x, a row of one number."""
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    constants = {"factor": np.array([factor], np.float32)}
    return graph([node], [value("x", ("batch", 1))], [value("y", ("batch", 1))], constants)


def scaled() -> bytes:
    """y = factor x, a row of two numbers; the factor is 2 unless a caller gives another."""
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    row = ("batch", 2)
    constants = {"factor": np.array([2], np.float32)}
    return graph([node], [value("x", row), value("factor", (1,))], [value("y", row)], constants)


def constant() -> bytes:
    """y = 1.5, 2.5 without any input."""
    node = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.array([1.5, 2.5], np.float32)))
    return graph([node], [], [value("y", (2,))])


def logarithm() -> bytes:
    """y = log x: NaN below 0, -infinity at 0."""
    return graph([helper.make_node("Log", ["x"], ["y"])], [value("x", ("batch", 3))], [value("y", ("batch", 3))])


def add() -> bytes:
    """total = a + b, and their difference."""
    nodes = [helper.make_node("Add", ["a", "b"], ["total"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    row = ("batch", 2)
    return graph(nodes, [value("a", row), value("b", row)], [value("total", row), value("difference", row)])


def identity(datatype: str, shape: Shape = ("batch", 2)) -> bytes:
    """y = x of any datatype."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return graph([node], [value("x", shape, datatype)], [value("y", shape, datatype)])


def identities(datatypes: Sequence[str]) -> bytes:
    """For each datatype an input `x_int8` and an equal output `y_int8`, a row of two."""
    names = [datatype.lower() for datatype in datatypes]
    nodes = [helper.make_node("Identity", [f"x_{name}"], [f"y_{name}"]) for name in names]
    inputs = [value(f"x_{name}", ("batch", 2), name.upper()) for name in names]
    outputs = [value(f"y_{name}", ("batch", 2), name.upper()) for name in names]
    return graph(nodes, inputs, outputs)


def softmax(columns: int) -> bytes:
    """y = softmax(x), a row of as many numbers as there are columns."""
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    return graph([node], [value("x", ("batch", columns))], [value("y", ("batch", columns))])


def softmax_over_rows() -> bytes:
    """Looks batchable; every row depends on all others."""
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    return graph([node], [value("x", ("batch", 3))], [value("y", ("batch", 3))])


def cumulative_sum() -> bytes:
    """Looks batchable; its first axis is time."""
    node = helper.make_node("CumSum", ["x", "axis"], ["y"])
    return graph([node], [value("x", ("n", 3))], [value("y", ("n", 3))], {"axis": np.array(0, np.int64)})


def dynamic_int8() -> bytes:
    """Looks batchable; its scale is taken over all rows."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    return graph(nodes, [value("x", ("batch", 3))], [value("y", ("batch", 3))])


def divided_by_largest(datatype: str) -> bytes:
    """Looks batchable; whole numbers are divided by the largest of all rows."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["f"], ["largest"], keepdims=0),
        helper.make_node("Div", ["f", "largest"], ["y"]),
    ]
    return graph(nodes, [value("x", ("batch", 3), datatype)], [value("y", ("batch", 3))])


def added_to_the_eighth_next() -> bytes:
    """Looks batchable; every row is added to the one eight places on, in batches of more than eight."""
    nodes = [
        helper.make_node("Slice", ["x", "zero", "end"], ["head"]),
        helper.make_node("Slice", ["x", "eight", "end"], ["tail"]),
        helper.make_node("Shape", ["tail"], ["tail_shape"]),
        helper.make_node("Slice", ["tail_shape", "zero", "one"], ["tail_rows"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["rows"]),
        helper.make_node("Sub", ["rows", "tail_rows"], ["missing"]),
        helper.make_node("Concat", ["zero", "zero", "missing", "zero"], ["padding"], axis=0),
        helper.make_node("Pad", ["tail", "padding"], ["shifted"]),
        helper.make_node("Add", ["head", "shifted"], ["y"]),
    ]
    numbers = {"zero": 0, "one": 1, "eight": 8, "end": 2**31}
    constants: dict[str, np.ndarray] = {name: np.array([number], np.int64) for name, number in numbers.items()}
    return graph(nodes, [value("x", ("batch", 3))], [value("y", ("batch", 3))], constants)


def silenced_by_infinity() -> bytes:
    """Looks batchable; one infinity anywhere makes every answer 0."""
    nodes = [
        helper.make_node("IsInf", ["x"], ["infinite"]),
        helper.make_node("Cast", ["infinite"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["number"], ["any"], keepdims=0),
        helper.make_node("Cast", ["any"], ["silent"], to=TensorProto.BOOL),
        helper.make_node("Where", ["silent", "zero", "x"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {"zero": np.array(0, np.float32)}
    return graph(nodes, [value("x", ("batch", 3))], [value("y", ("batch", 3))], constants)


def silenced_by_huge() -> bytes:
    """Looks batchable; one number above 500 makes every answer 0, unless an infinity is among them."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "most"], ["is_huge"]),
        helper.make_node("IsInf", ["largest"], ["is_infinite"]),
        helper.make_node("Not", ["is_infinite"], ["is_finite"]),
        helper.make_node("And", ["is_huge", "is_finite"], ["silent"]),
        helper.make_node("Where", ["silent", "zero", "x"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {"most": np.array(500, np.float32), "zero": np.array(0, np.float32)}
    return graph(nodes, [value("x", ("batch", 3))], [value("y", ("batch", 3))], constants)


def mean(shape: Shape) -> bytes:
    """y = the mean of all numbers of a row."""
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    constants = {"axes": np.arange(1, len(shape), dtype=np.int64)}
    return graph([node], [value("x", shape)], [value("y", shape[:1])], constants)


def word_count() -> bytes:
    """y = how many words the text of a row has."""
    nodes = [
        helper.make_node("StringSplit", ["x"], ["words", "count"]),
        helper.make_node("Cast", ["count"], ["y"], to=TensorProto.FLOAT),
    ]
    return graph(nodes, [value("x", ("batch", 1), "BYTES")], [value("y", ("batch", 1))], opset=20)


def totals(inputs: dict[str, tuple[str, Shape]]) -> bytes:
    """For each input, `week` of a datatype and a shape without the rows, its row's sum: `week_total`, (batch, 1)."""
    nodes = []
    for name in inputs:
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_numbers"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", [f"{name}_numbers"], [f"{name}_flat"]),
            helper.make_node("ReduceSum", [f"{name}_flat", "axis"], [f"{name}_total"]),
        ]
    given = [value(name, ("batch", *shape), datatype) for name, (datatype, shape) in inputs.items()]
    sums = [value(f"{name}_total", ("batch", 1)) for name in inputs]
    return graph(nodes, given, sums, {"axis": np.array([1])})


def embedding(rows: int = 4) -> bytes:
    """y = table[ids]; an id out of range makes onnxruntime fail."""
    table = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    node = helper.make_node("Gather", ["table", "ids"], ["y"])
    return graph([node], [value("ids", ("batch", 1), "INT64")], [value("y", ("batch", 1, 2))], {"table": table})


def zeros_of_any_size() -> bytes:
    """As many zeros as the caller names: more than any memory holds, too."""
    node = helper.make_node("ConstantOfShape", ["sizes"], ["y"])
    return graph([node], [value("sizes", (2,), "INT64")], [value("y", (None, None))])


def greedy(elements: int) -> bytes:
    """y = x, by way of so many ones."""
    nodes = [
        helper.make_node(
            "ConstantOfShape", ["size"], ["ones"], value=numpy_helper.from_array(np.array([1], np.float32))
        ),
        helper.make_node("ReduceMax", ["ones"], ["one"], keepdims=0),
        helper.make_node("Mul", ["x", "one"], ["y"]),
    ]
    constants = {"size": np.array([elements], np.int64)}
    return graph(nodes, [value("x", ("batch", 1))], [value("y", ("batch", 1))], constants)


def reshape_to_pairs() -> bytes:
    """Fails in the middle of a run where the length of x is odd."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    constants = {"shape": np.array([-1, 2], np.int64)}
    return graph([node], [value("x", ("length",))], [value("y", ("pairs", 2))], constants)


def with_external_weights(location: str, model: bytes | None = None) -> bytes:
    """The model, y = 2 x if there is none, its one constant at the start of another file."""
    parsed = onnx.ModelProto.FromString(model or times(2))
    [weight] = parsed.graph.initializer
    weight.external_data.add(key="location", value=location)
    weight.external_data.add(key="length", value=str(len(weight.raw_data)))
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    return bytes(parsed.SerializeToString())


def slow(turns: int = 300) -> bytes:
    """y = x after `turns` products of 256 x 256 matrices: about a millisecond each."""
    return _after_turns([], {"turns": np.array(turns, np.int64)})


def as_slow_as_asked() -> bytes:
    """y = x after as many such products as the largest x says."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["turns"], to=TensorProto.INT64),
    ]
    return _after_turns(nodes, {})


def _after_turns(before: list[onnx.NodeProto], given: dict[str, np.ndarray]) -> bytes:
    """turns: given, or an output of the nodes before."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["condition"], ["go_on"]),
            helper.make_node("MatMul", ["state", "unit"], ["product"]),
        ],
        "turn",
        [value("turn", (), "INT64"), value("condition", (), "BOOL"), value("state", (256, 256))],
        [value("go_on", (), "BOOL"), value("product", (256, 256))],
    )
    nodes = [
        *before,
        helper.make_node("Loop", ["turns", "", "unit"], ["last"], body=body),
        helper.make_node("Gather", ["last", "first"], ["row"]),
        helper.make_node("ReduceSum", ["row"], ["one"], keepdims=0),
        helper.make_node("Mul", ["x", "one"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {
        "unit": np.eye(256, dtype=np.float32),
        "first": np.array([0], np.int64),
    }
    return graph(nodes, [value("x", ("batch", 1))], [value("y", ("batch", 1))], constants | given)


def add_to_repository(folder: Path, name: str, model: bytes, version: int = 1, config: str = "") -> Path:
    """Writes models/<name>/<version>/model.onnx, and config.yaml if there is one; the version's folder."""
    place = folder / name / str(version)
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(model)
    if config:
        (folder / name / "config.yaml").write_text(config)
    return place
