"""What callers send, and what is right to answer: requests of the Open Inference Protocol v2, JSON or binary.

Every server is sent the same JSON. Binary is the protocol's own extension for servers that speak it; a hand-written one
takes the bytes of the tensor and nothing else, which is less work.
"""

import json
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnxruntime

from benchmarks.networks import VOCABULARY, network

TOLERANCE = 2e-3
"""Largest difference to onnxruntime in this process: a batch is summed in another order, and peers' runtimes differ."""


@dataclass(frozen=True)
class Request:
    """One HTTP request, and what to compare the answer with.

    body:    as sent, with the headers that say how to read it.
    rows:    input rows, and so output rows.
    output:  (rows, ...) as onnxruntime gives it in this process.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    rows: int
    output: np.ndarray

    def problem(self, answer: bytes, headers: dict[str, str]) -> str | None:
        """What is wrong with an answer's body; headers have lower-case names."""
        try:
            values = answered(answer, headers)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return f"{type(error).__name__} in {answer[:200]!r}"
        if values.size != self.output.size:
            return f"{values.size} values, wanted {self.output.size}"
        difference = float(np.abs(values.reshape(self.output.shape) - self.output).max())
        return None if difference <= TOLERANCE else f"an answer that differs by {difference:.3g}"


@dataclass(frozen=True)
class Traffic:
    """Requests of one kind.

    rows:   in each request.
    binary: the tensors as bytes, both ways.
    """

    model: str
    rows: int = 1
    binary: bool = False

    def request(self, seed: int, *, bare_bytes: bool = False) -> Request:
        """The same for the same seed. bare_bytes: binary means the tensor's bytes alone."""
        session = opened(self.model)
        [spec] = session.get_inputs()
        values = sample(np.random.default_rng(seed), (self.rows, *spec.shape[1:]), spec.type)
        [output] = session.run(None, {spec.name: values})
        body, headers = self._body(spec.name, values, bare_bytes)
        return Request(f"/v2/models/{self.model}/infer", headers, body, self.rows, np.asarray(output))

    def _body(self, name: str, values: np.ndarray, bare_bytes: bool) -> tuple[bytes, dict[str, str]]:
        if not self.binary:
            return as_json(name, values), {"Content-Type": "application/json"}
        blob, octets = values.tobytes(), {"Content-Type": "application/octet-stream"}
        if bare_bytes:
            return blob, octets
        head = as_binary_head(name, values)
        return head + blob, {**octets, "Inference-Header-Content-Length": str(len(head))}


@cache
def opened(model: str) -> onnxruntime.InferenceSession:
    """The network in this process."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(network(model), options)


def sample(random: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Values of six digits, as a measurement has them, or whole numbers below VOCABULARY."""
    if kind == "tensor(int64)":
        return random.integers(0, VOCABULARY, shape)
    return random.uniform(0, 1, shape).round(6).astype(np.float32)


def as_json(name: str, values: np.ndarray) -> bytes:
    """An inference request with flat `data`; 345 bytes for a row of 30."""
    datatype, data = ("INT64", values) if values.dtype == np.int64 else ("FP32", values.astype(float).round(6))
    tensor = {"name": name, "datatype": datatype, "shape": values.shape, "data": data.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()


def as_binary_head(name: str, values: np.ndarray) -> bytes:
    """The JSON in front of the bytes, which asks for bytes in return."""
    size = {"binary_data_size": values.nbytes}
    tensor = {"name": name, "datatype": "FP32", "shape": values.shape, "parameters": size}
    return json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}, separators=(",", ":")).encode()


def answered(body: bytes, headers: dict[str, str]) -> np.ndarray:
    """The values of the only output, flat. Raises ValueError, KeyError, IndexError or TypeError at anything else."""
    if length := headers.get("inference-header-content-length"):
        return np.frombuffer(body[int(length) :], np.float32)
    if headers.get("content-type", "").startswith("application/octet-stream"):
        return np.frombuffer(body, np.float32)
    return np.array(json.loads(body)["outputs"][0]["data"], np.float32).ravel()
