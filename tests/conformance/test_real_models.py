"""Networks that others trained and exported answer as onnxruntime does, for eight callers at once, at every batch size.

Each is a trap: state whose batch is the second axis, a scalar input, axes without names, numbers of bytes, graphs of
opsets 11 to 18. Kernels add in another order when there are more rows, so floats may differ in their last bits:
1e-5 relative to 1 + the largest answer, which magika's network keeps on real files (on bytes without meaning it
amplifies rounding to 0.004).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import orjson
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests import real_models
from tests.conformance.cases import Array, Arrays
from tests.conformance.wire import HEADER, from_bytes, to_bytes
from tests.serving import serving

ROOT = Path(__file__).parents[2]
CALLERS = 8
BATCHES = (1, 2, 5)
TOLERANCE = 1e-5
DATATYPES = {"float32": "FP32", "int32": "INT32", "int64": "INT64"}

SHAPES: dict[str, tuple[Any, ...]] = {
    "silero-vad": ((16000, 576), (8000, 288)),
    "silero-vad-ifless": ((16000, 576), (8000, 288)),
    "magika": ((0,), (1,)),
    "text-direction": ((3, 48, 192), (3, 32, 96)),
    "text-recognition": ((3, 48, 160), (3, 48, 96)),
    "text-detection": ((3, 96, 96), (3, 64, 128)),
}
"""Of one row: sampling rate and samples, which of the files, or channels, height and width."""

FILES = (
    ("README.md", "Makefile", "pyproject.toml", "LICENSE", "app/main.py"),
    ("Dockerfile", "docker-compose.yml", "CHANGELOG.md", "app/web.py", "models/quickstart/1/manifest.json"),
)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(real_models.fetch(), log_requests=False) as client:
        yield client


@cache
def session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(real_models.place(name), options)


def speech(rate: int, samples: int, rows: int, generator: np.random.Generator) -> Arrays:
    """A voice's pitch and its harmonics in noise, with some state of before."""
    pitch = generator.uniform(90, 250, (rows, 1)) * np.arange(samples) / rate
    voice = sum(np.sin(2 * np.pi * harmonic * pitch) / harmonic for harmonic in range(1, 12))
    noisy = 0.1 * voice + generator.normal(0, 0.01, (rows, samples))
    state = generator.normal(0, 0.1, (2, rows, 128))
    return {"input": noisy.astype(np.float32), "state": state.astype(np.float32), "sr": np.array(rate, np.int64)}


def files(names: tuple[str, ...], rows: int, generator: np.random.Generator) -> Arrays:
    """The first and the last 1024 bytes of real files, as magika takes them."""
    taken = [ends((ROOT / names[place]).read_bytes()) for place in generator.permutation(len(names))[:rows]]
    return {"bytes": np.array(taken, np.int32)}


def ends(content: bytes) -> list[int]:
    first, last = list(content.lstrip()[:1024]), list(content.rstrip()[-1024:])
    return first + [256] * (1024 - len(first)) + [256] * (1024 - len(last)) + last


def written(shape: tuple[int, int, int], rows: int, generator: np.random.Generator) -> Arrays:
    """Numbers in print, black on white."""
    _, height, width = shape
    pages = [page(f"Mill {generator.integers(10, 100)}", height, width) for _ in range(rows)]
    return {"x": np.array(pages) + generator.normal(0, 0.02, (rows, *shape)).astype(np.float32)}


def page(words: str, height: int, width: int) -> Array:
    """(3, height, width), from -1 for black to 1 for white."""
    canvas: Any = FigureCanvasAgg(Figure(figsize=(width / 100, height / 100), dpi=100))
    canvas.figure.text(0.5, 0.5, words, ha="center", va="center", fontsize=16)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    return (pixels.transpose(2, 0, 1) / 127.5 - 1).astype(np.float32)


def feed(name: str, shape: tuple[Any, ...], rows: int, seed: int) -> Arrays:
    generator = np.random.default_rng(seed)
    if name.startswith("silero"):
        return speech(shape[0], shape[1], rows, generator)
    if name == "magika":
        return files(FILES[shape[0]], rows, generator)
    return written(shape, rows, generator)


def infer(client: httpx.Client, name: str, tensors: Arrays, binary: bool) -> Arrays:
    """The answer of the service; all inputs and outputs in binary, or all in JSON."""
    inputs: list[dict[str, Any]] = []
    for given, array in tensors.items():
        data = {"parameters": {"binary_data_size": array.nbytes}} if binary else {"data": array.ravel().tolist()}
        inputs.append({"name": given, "datatype": DATATYPES[str(array.dtype)], "shape": array.shape, **data})
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": binary}})
    blobs = [to_bytes(array) for array in tensors.values()] if binary else []
    headers = {HEADER: str(len(head))} if binary else {}
    answer = client.post(f"/v2/models/{name}/infer", content=b"".join([head, *blobs]), headers=headers)
    assert answer.status_code == 200, answer.text
    length = int(answer.headers.get(HEADER, len(answer.content)))
    told, rest, found = orjson.loads(answer.content[:length]), answer.content[length:], {}
    for one in told["outputs"]:
        if not binary:
            found[one["name"]] = np.array(one["data"], np.float32).reshape(one["shape"])
            continue
        size = one["parameters"]["binary_data_size"]
        found[one["name"]], rest = from_bytes(rest[:size], one["datatype"], one["shape"]), rest[size:]
    return found


@pytest.mark.parametrize(("name", "turn"), list(product(SHAPES, (0, 1))))
def test_a_real_model_answers_eight_callers_as_onnxruntime_does(client: httpx.Client, name: str, turn: int) -> None:
    jobs = [(rows, caller) for rows in BATCHES for caller in range(CALLERS)]
    feeds = [feed(name, SHAPES[name][turn], rows, 100 * rows + caller) for rows, caller in jobs]
    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(
            callers.map(lambda job: infer(client, name, job[0], job[1][1] % 2 == 0), zip(feeds, jobs, strict=True))
        )
    outputs = [one.name for one in session(name).get_outputs()]
    for sent, got in zip(feeds, answers, strict=True):
        wanted = dict(zip(outputs, session(name).run(None, sent), strict=True))
        assert list(got) == outputs
        for output in outputs:
            assert got[output].shape == wanted[output].shape
            most = TOLERANCE * (1 + np.abs(wanted[output]).max())
            np.testing.assert_allclose(got[output], wanted[output], rtol=0, atol=most)
    assert np.ptp(np.concatenate([got[outputs[0]].ravel() for got in answers])) > 0.01  # not everywhere the same


def test_networks_share_runs_unless_they_have_a_state_or_a_scalar(client: httpx.Client) -> None:
    shares = {name: client.get(f"/v2/models/{name}/config").json()["max_batch_size"] > 0 for name in SHAPES}
    assert shares == {name: not name.startswith("silero") for name in SHAPES}
