"""The graph: any number of rows, the same bytes, nothing of this machine; and the gate that compares it."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from training.datasets.dataset import Rows
from training.errors import ExportFailed, ParityFailed
from training.export import check_batch_axis, check_no_source_path, export, strip
from training.networks.served import Served, as_it_is
from training.verify import BATCHES, verify

ROWS = Rows({"user": torch.rand(5, 2), "item": torch.rand(5, 3)}, torch.zeros(5))


class Dot(nn.Module):
    """Two inputs, whose names are not in the order of the alphabet."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 3))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (user @ self.weight * item).sum(dim=1)


class Fixed(nn.Module):
    """Believes in 13 rows."""

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return user.reshape(13, 2) + item.reshape(13, 3)[:, :2]


@pytest.fixture(scope="module")
def dot() -> Served:
    return Served([Dot()], as_it_is, lambda outputs: (outputs,))


@pytest.fixture(scope="module")
def graph(dot: Served) -> bytes:
    return export(dot, ROWS.inputs, ["value"])


@pytest.fixture
def file(graph: bytes, tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(graph)
    return tmp_path / "model.onnx"


def test_the_first_axis_of_every_input_and_output_is_free(graph: bytes) -> None:
    values = onnx.load_from_string(graph).graph

    first = {v.name: v.type.tensor_type.shape.dim[0].dim_param for v in (*values.input, *values.output)}
    assert first == {"user": "batch", "item": "batch", "value": "batch"}


def test_two_exports_are_the_same_bytes(dot: Served, graph: bytes) -> None:
    assert export(dot, ROWS.inputs, ["value"]) == graph


def test_a_network_that_fixes_the_number_of_rows_is_refused() -> None:
    with pytest.raises(ExportFailed, match="static shape of 13"):
        export(Served([Fixed()], as_it_is, lambda outputs: (outputs,)), ROWS.inputs, ["value"])


def test_a_graph_with_a_static_batch_axis_is_refused() -> None:
    with pytest.raises(ExportFailed, match=r"y: shape \[1, 2\], wanted 'batch' as its first axis"):
        check_batch_axis(identity(["batch", 2], [1, 2]))


def test_metadata_is_stripped_from_the_model_its_values_and_its_nodes() -> None:
    graph = identity(["batch", 2], ["batch", 2])
    for place in (graph, graph.graph, graph.graph.node[0], graph.graph.input[0]):
        place.metadata_props.add(key="stack_trace", value="/home/somebody/network.py")

    strip(graph)

    assert b"somebody" not in graph.SerializeToString()
    check_no_source_path(graph)


def test_no_metadata_and_no_source_path_is_left_in_an_export(graph: bytes) -> None:
    assert b"stack_trace" not in graph
    assert b".py" not in graph


def test_a_graph_that_names_a_source_file_is_refused() -> None:
    graph = identity(["batch", 2], ["batch", 2])
    graph.graph.node[0].name = "network.py:7"

    with pytest.raises(ExportFailed, match="source files"):
        check_no_source_path(graph)


def test_the_graph_answers_as_the_network_in_every_batch_size(dot: Served, file: Path) -> None:
    parity = verify(file, dot, ROWS, tolerance=1e-5)

    assert (parity.rows, parity.batches) == (5, BATCHES)
    assert parity.max_abs_difference <= 1e-5


def test_a_graph_of_another_network_is_refused(file: Path) -> None:
    other = Served([Dot()], as_it_is, lambda outputs: (outputs,))
    other.load_state_dict({"members.0.weight": torch.full((2, 3), 1.01)})

    with pytest.raises(ParityFailed, match="wanted 1e-05 or less"):
        verify(file, other, ROWS, tolerance=1e-5)


def test_a_file_that_is_no_graph_is_refused(dot: Served, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")

    with pytest.raises(ParityFailed, match="does not run"):
        verify(tmp_path / "model.onnx", dot, ROWS, tolerance=1e-5)


def identity(input_shape: list[int | str], output_shape: list[int | str]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)
    return helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", [x], [y]))
