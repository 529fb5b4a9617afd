"""What the hand-written peers share: bodies to tensors and back, as fast as a library does it, and a network."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import orjson

NETWORKS = Path(__file__).parents[2] / ".cache" / "bench" / "networks"
DTYPES = {"FP32": np.float32, "INT64": np.int64}


def arguments() -> argparse.Namespace:
    """The command line of every peer: port, models, binary and batching."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--binary", action="store_true", help="bodies are the bytes of float32 tensors")
    parser.add_argument("--batching", type=int, default=1, help="largest batch; 1 for none, with two workers instead")
    parser.add_argument("models", nargs="+")
    return parser.parse_args()


class Network:
    """An opened network with one input and one output."""

    def __init__(self, name: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would take the HTTP server's core
        self._session = onnxruntime.InferenceSession(NETWORKS / f"{name}.onnx", options)
        [takes], [gives] = self._session.get_inputs(), self._session.get_outputs()
        self._takes, self._gives, self._shape = takes.name, gives.name, (-1, *takes.shape[1:])

    def run(self, rows: np.ndarray) -> np.ndarray:
        """(batch, ...) -> (batch, ...)."""
        output: np.ndarray = self._session.run(None, {self._takes: rows})[0]
        return output

    def run_together(self, requests: list[np.ndarray]) -> list[np.ndarray]:
        """One run for several requests, each with rows of its own."""
        ends = np.cumsum([len(rows) for rows in requests])[:-1]
        return np.split(self.run(np.concatenate(requests)), ends)

    def decode(self, body: bytes, *, binary: bool) -> np.ndarray:
        """The only input, (rows, ...)."""
        if binary:
            return np.frombuffer(body, np.float32).reshape(self._shape)
        tensor = orjson.loads(body)["inputs"][0]
        return np.array(tensor["data"], DTYPES[tensor["datatype"]]).reshape(tensor["shape"])

    def encode(self, output: np.ndarray, *, binary: bool) -> bytes:
        """The only output."""
        if binary:
            return output.tobytes()
        tensor = {"name": self._gives, "datatype": "FP32", "shape": output.shape, "data": output.ravel()}
        return orjson.dumps({"outputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)
