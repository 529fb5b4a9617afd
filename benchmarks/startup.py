"""How long the service takes to be ready, and how much memory: shipped models, 1,000 small ones, one of 3 GB.

    python -m benchmarks.startup             all three
    python -m benchmarks.startup shipped     only this one

Seconds are from the command to the first 200 of /health/ready; memory is the proportional set size of all its processes
after a hundred predictions, so that what two workers share counts once. The 3 GB are written to .cache/bench once.
"""

import argparse
import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import numpy as np
import onnx
from onnx import TensorProto, helper
from tqdm import tqdm

from benchmarks import processes
from benchmarks.networks import CACHE, floats, network
from benchmarks.servers import environment, free_port

PATIENCE_S = 300
PREDICTIONS = 100
MANY = 1000
SIDE, LAYERS = 16384, 3
"""Of the square weights of the large network: 1 GiB each."""


@dataclass(frozen=True)
class Start:
    """One repository. tensor: name and width of what its first model takes. wanted_mib: 0 if no figure is wanted."""

    name: str
    repository: Callable[[], Path]
    model: str
    tensor: tuple[str, int]
    wanted_s: float
    wanted_mib: int = 0
    workers: int = 1


def shipped() -> Path:
    """The models that come with a checkout."""
    return Path(__file__).parents[1] / "models"


def many() -> Path:
    """MANY models, each a copy of one small file."""
    folder = CACHE / "repositories" / "many"
    for number in range(MANY):
        place = folder / f"model-{number:04}" / "1" / "model.onnx"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        shutil.copyfile(network("mlp"), place)
    return folder


def large() -> Path:
    """x (batch, 4) -> y (batch, 4) through LAYERS square layers whose weights stand in a file beside the graph."""
    folder = CACHE / "repositories" / "large"
    place = folder / "large" / "1" / "model.onnx"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        shapes = [(4, SIDE), *[(SIDE, SIDE)] * LAYERS, (SIDE, 4)]
        weights = write_weights(place.with_name("weights.bin"), shapes)
        names = ["x", *(f"layer_{n}" for n in range(LAYERS + 1)), "y"]
        nodes = [helper.make_node("MatMul", [names[n], w.name], [names[n + 1]]) for n, w in enumerate(weights)]
        graph = helper.make_graph(nodes, "large", [floats("x", 4)], [floats("y", 4)], weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), place)
    return folder


def write_weights(file: Path, shapes: list[tuple[int, int]]) -> list[onnx.TensorProto]:
    """Random weights one behind the other in a file, and the tensors that point into it."""
    tensors = []
    random = np.random.default_rng(5)
    with file.open("wb") as output:
        for number, shape in enumerate(shapes):
            offset = output.tell()
            output.write((random.random(shape, np.float32) / shape[0]).data)
            tensor = TensorProto(name=f"weights_{number}", data_type=TensorProto.FLOAT, dims=shape)
            tensor.data_location = TensorProto.EXTERNAL
            where = {"location": file.name, "offset": offset, "length": output.tell() - offset}
            for key, value in where.items():
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
    return tensors


STARTS = {
    "shipped": Start("the shipped models", shipped, "quickstart", ("features", 1), wanted_s=2),
    "many": Start("1,000 small models", many, "model-0000", ("features", 30), wanted_s=10, wanted_mib=1500),
    "large": Start("3 GB of weights, 2 workers", large, "large", ("x", 4), wanted_s=15, wanted_mib=3600, workers=2),
}


@contextmanager
def serving(start: Start) -> Iterator[tuple[int, int, float]]:
    """Port and process of a service that is ready, and the seconds that it took. Raises TimeoutError."""
    models = start.repository()
    port = free_port()
    command = [sys.executable, "-m", "app", "serve", "--models", str(models), "--port", str(port)]
    if start.workers > 1:
        command += ["--workers", str(start.workers)]
    began = monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())  # noqa: S603
    try:
        while ask(port, "GET", "/health/ready") != 200:
            if process.poll() is not None or monotonic() > began + PATIENCE_S:
                raise TimeoutError(f"{start.name}: not ready after {monotonic() - began:.0f} s")
            sleep(0.01)
        yield port, process.pid, monotonic() - began
    finally:
        processes.end(process.pid)
        process.wait()


def ask(port: int, method: str, path: str, body: bytes | None = None) -> int:
    """The status of an answer, on a connection of its own so that both workers get some; 0 for none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def measure(start: Start) -> tuple[float, float]:
    """Seconds to ready, and MiB after predictions. Raises ValueError if one of them fails."""
    name, width = start.tensor
    tensor = {"name": name, "datatype": "FP32", "shape": [1, width], "data": [1.0] * width}
    body = json.dumps({"inputs": [tensor]}).encode()
    with serving(start) as (port, pid, ready_s):
        for _ in range(PREDICTIONS):
            if (status := ask(port, "POST", f"/v2/models/{start.model}/infer", body)) != 200:
                raise ValueError(f"{start.name}: a prediction was answered by {status}")
        return ready_s, processes.memory_mib(pid)


def main() -> int:
    """Measure and print; 1 if a figure is not the one wanted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.startup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("starts", nargs="*", metavar="START", help=f"of {', '.join(STARTS)}; all if none is named")
    parser.add_argument("--repeats", type=int, default=3, help="starts of each, of which the median counts (3)")
    asked = parser.parse_args()
    print("| started with | ready after s | wanted | MiB | wanted |\n| --- | ---: | ---: | ---: | ---: |")
    missed = False
    for name in asked.starts or STARTS:
        start = STARTS[name]
        found = [measure(start) for _ in tqdm(range(asked.repeats), desc=name, file=sys.stderr, disable=None)]
        ready_s, mib = median(ready for ready, _ in found), median(memory for _, memory in found)
        missed |= ready_s > start.wanted_s or 0 < start.wanted_mib < mib
        print(
            f"| {start.name} | {ready_s:.1f} | {start.wanted_s} | {mib:,.0f} | {start.wanted_mib or '-'} |", flush=True
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
