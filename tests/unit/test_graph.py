"""What is read of an ONNX file before it is opened."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from app.errors import ModelLoadFailed
from app.inference.graph import read_graph
from tests import graphs


def outside(location: str) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), location)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_operators_and_files_are_found_wherever_they_stand(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=outside("in a constant"))], "inner", [], [], [outside("inner")]
    )
    branch = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    several = helper.make_node("Several", [], ["z"], domain="d")
    several.attribute.append(helper.make_attribute("graphs", [inner]))
    several.attribute.append(helper.make_attribute("tensors", [outside("in a list")]))
    sparse = onnx.SparseTensorProto(values=outside("sparse"), indices=outside("places"), dims=[9])
    whole = helper.make_graph([branch, several], "g", [], [], [outside("weights")], sparse_initializer=[sparse])
    function = helper.make_function("d", "F", [], ["o"], [helper.make_node("Loop", [], ["o"])], [])
    model = helper.make_model(whole, functions=[function])
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    found = read_graph(file)
    assert found.operators == {"If", "Constant", "Several", "Loop"}
    assert found.external == {"in a constant", "inner", "in a list", "sparse", "places", "weights"}


def test_what_is_read_is_what_the_library_of_onnx_reads(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    for made in (graphs.double(), graphs.slow(), graphs.dynamic_int8(), graphs.embedding(), graphs.softmax(3)):
        file.write_bytes(made)
        top = {node.op_type for node in onnx.load_from_string(made).graph.node}
        assert read_graph(file).operators >= top
        assert read_graph(file).external == frozenset()


@pytest.mark.parametrize("cut", [1, 7, 50, -1])
def test_a_file_that_breaks_off_is_no_model(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(graphs.double()[:cut])
    with pytest.raises(ModelLoadFailed, match=r"model\.onnx: this is no ONNX model"):
        read_graph(file)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x3b"]
)
def test_another_file_is_no_model(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelLoadFailed, match=r"model\.onnx: this is no ONNX model"):
        read_graph(file)


def test_graphs_within_graphs_have_an_end(tmp_path: Path) -> None:
    inner = b""
    for _ in range(2000):
        for key in (b"\x32", b"\x2a", b"\x0a"):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            inner = key + _varint(len(inner)) + inner
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\x3a" + _varint(len(inner)) + inner)
    with pytest.raises(ModelLoadFailed, match=r"model\.onnx: this is no ONNX model"):
        read_graph(file)


def _varint(value: int) -> bytes:
    told = b""
    while value >= 0x80:
        told += bytes([value & 0x7F | 0x80])
        value >>= 7
    return told + bytes([value])
