"""Which graphs may share runs: found out by running them."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from app.inference.probe import Finding, probe
from app.inference.session import Session
from tests import graphs


def finding(tmp_path: Path, model: bytes) -> Finding:
    file = tmp_path / "model.onnx"
    file.write_bytes(model)
    return probe(Session(file))


@pytest.mark.parametrize(
    "model",
    [
        graphs.double(),
        graphs.double((None, 3)),
        graphs.double(("batch", "length")),
        graphs.double(("unk__12", 4)),
        graphs.add(),
        graphs.embedding(),
        *(graphs.identity(datatype) for datatype in graphs.ONNX_TYPES),
    ],
)
def test_rows_that_do_not_meet_may_share_a_run(tmp_path: Path, model: bytes) -> None:
    found = finding(tmp_path, model)
    assert found.batched, found.reason


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (graphs.softmax_over_rows(), "a row alone and in a batch differ"),
        (graphs.cumulative_sum(), "a row alone and in a batch differ"),
        (graphs.dynamic_int8(), "dynamic int8 takes its scale over the whole batch"),
        (graphs.divided_by_largest("INT32"), "a row alone and in a batch differ"),
        (graphs.divided_by_largest("UINT8"), "a row alone and in a batch differ"),
        (graphs.added_to_the_eighth_next(), "a row alone and in a batch differ"),
        (graphs.silenced_by_infinity(), "another answer beside infinite neighbours"),
        (graphs.silenced_by_huge(), "another answer beside huge neighbours"),
        (graphs.double((2, 3)), "the first axis of x, y is not free"),
        (graphs.double(()), "the first axis of x, y is not free"),
        (graphs.reshape_to_pairs(), "different names: length, pairs"),
    ],
)
def test_graphs_that_only_look_batchable_are_found_out(tmp_path: Path, model: bytes, reason: str) -> None:
    found = finding(tmp_path, model)
    assert not found.batched
    assert re.search(reason, found.reason)


@pytest.mark.parametrize(
    ("model", "invariant"),
    [
        (graphs.double(), "exact"),
        (graphs.identity("BYTES"), "exact"),
        (graphs.cumulative_sum(), "no"),
        (graphs.dynamic_int8(), "no"),
        (graphs.double((2, 3)), "no"),
    ],
)
def test_how_far_company_moves_a_row_is_told(tmp_path: Path, model: bytes, invariant: str) -> None:
    assert finding(tmp_path, model).invariant == invariant


def test_a_difference_that_the_size_of_a_batch_makes_is_told(tmp_path: Path) -> None:
    """y = x + 1e-7 for each row of the batch."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], start=0, end=1),
        helper.make_node("Cast", ["shape"], ["rows"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["rows", "little"], ["more"]),
        helper.make_node("Add", ["x", "more"], ["y"]),
    ]
    x, y = (graphs.value(name, ("batch", 2)) for name in "xy")
    found = finding(tmp_path, graphs.graph(nodes, [x], [y], {"little": np.array([1e-7], np.float32)}))
    assert found.batched
    assert re.fullmatch(r"within [1-9]e-06", found.invariant)


def test_a_difference_that_huge_neighbours_make_is_told(tmp_path: Path) -> None:
    """y = x + 1e-9 of the largest finite number in the batch, which rounds to x beside ordinary rows."""
    nodes = [
        helper.make_node("Abs", ["x"], ["sizes"]),
        helper.make_node("Less", ["sizes", "limit"], ["finite"]),
        helper.make_node("Where", ["finite", "sizes", "zero"], ["kept"]),
        helper.make_node("ReduceMax", ["kept"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "little"], ["more"]),
        helper.make_node("Add", ["x", "more"], ["y"]),
    ]
    x, y = (graphs.value(name, ("batch", 2)) for name in "xy")
    numbers = {"limit": np.float32(1e30), "zero": np.float32(0), "little": np.float32(1e-9)}
    found = finding(tmp_path, graphs.graph(nodes, [x], [y], {name: np.array(n) for name, n in numbers.items()}))
    assert found.batched, found.reason
    assert re.fullmatch(r"within [1-9]e-0[67]", found.invariant)


def test_a_finding_has_an_example_that_the_graph_runs(tmp_path: Path) -> None:
    found = finding(tmp_path, graphs.add())
    assert found.example is not None
    assert {name: tensor.shape for name, tensor in found.example.items()} == {"a": (1, 2), "b": (1, 2)}


def test_a_graph_of_many_free_axes_is_opened_without_filling_the_memory(tmp_path: Path) -> None:
    found = finding(tmp_path, graphs.double(("batch", *[None] * 8)))
    assert found.batched, found.reason
    assert found.example is not None
    assert found.example["x"].size <= 2**18


def test_a_row_of_many_fixed_elements_is_tried_all_the_same(tmp_path: Path) -> None:
    found = finding(tmp_path, graphs.double(("batch", 3, 400, 400)))
    assert found.batched, found.reason
