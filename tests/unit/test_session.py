"""Where a graph's weights lie: copied into each worker's memory, or mapped from their file once for all."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from app.inference.session import MAPPED_BYTES
from tests import graphs

SIDE = 2048

WEIGHT_MIB = SIDE * SIDE * 4 // 2**20

OWN_MEMORY = """
import sys
from pathlib import Path
import numpy as np
from app.inference.session import Session

def own_mib():
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return int(rollup.split("Anonymous:")[1].split()[0]) // 1024

before = own_mib()
session = Session(Path(sys.argv[1]))
answer = session.run({"x": np.ones((2, int(sys.argv[2])), np.float32)})["y"]
assert (answer == 1).all()
print(own_mib() - before)
"""
"""Prints by how many MiB of its own the process has grown: pages of files count only once written to."""


def write_graph(folder: Path, operator: str, file_bytes: int) -> Path:
    """y = x through a weight of WEIGHT_MIB, the start of an external file of so many bytes."""
    weight = np.eye(SIDE, dtype=np.float32)
    nodes = {
        "MatMul": [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        "Gemm": [helper.make_node("Gemm", ["x", "weight"], ["y"], transB=1)],
        "Transpose": [
            helper.make_node("Transpose", ["weight"], ["turned"], perm=[1, 0]),
            helper.make_node("MatMul", ["x", "turned"], ["y"]),
        ],
    }[operator]
    x, y = (graphs.value(name, ("batch", SIDE)) for name in "xy")
    file = folder / "model.onnx"
    file.write_bytes(graphs.with_external_weights("weights", graphs.graph(nodes, [x], [y], {"weight": weight})))
    with (folder / "weights").open("wb") as weights:
        weights.write(weight.tobytes())
        weights.truncate(file_bytes)  # a hole: no disk is used
    return file


def own_mib(file: Path) -> int:
    """How many MiB of its own a process takes for opening and running the graph."""
    command = [sys.executable, "-c", OWN_MEMORY, str(file), str(SIDE)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("operator", ["MatMul", "Gemm", "Transpose"])
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux whose pages they are")
def test_weights_beside_a_large_graph_stay_mapped_from_their_file(tmp_path: Path, operator: str) -> None:
    assert own_mib(write_graph(tmp_path, operator, MAPPED_BYTES)) < WEIGHT_MIB


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux whose pages they are")
def test_weights_beside_a_smaller_graph_are_copied_into_the_order_that_runs_fastest(tmp_path: Path) -> None:
    assert own_mib(write_graph(tmp_path, "MatMul", WEIGHT_MIB * 2**20)) >= WEIGHT_MIB
