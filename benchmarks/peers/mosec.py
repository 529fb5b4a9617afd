"""mosec: an HTTP server in Rust in front of Python processes.

Two settings, of which the better one counts in each case:
two processes of one thread that take one request at a time, and one
process of two threads that takes up to `--batching` requests, waiting for them 1 ms at most, the shortest there is.
"""

import os
import sys
from typing import Any

import numpy as np
from mosec import Server, Worker

from benchmarks.peers.wire import Network, arguments


class Predict(Worker):  # type: ignore[misc]
    """One network, named by the environment of the process."""

    binary = False

    def __init__(self) -> None:
        super().__init__()
        self.network = Network(os.environ["NETWORK"], threads=2 if self.max_batch_size > 1 else 1)

    def deserialize(self, data: bytes) -> Any:
        return self.network.decode(data, binary=self.binary)

    def forward(self, data: Any) -> Any:
        return self.network.run_together(data) if self.max_batch_size > 1 else self.network.run(data)

    def serialize(self, data: np.ndarray) -> bytes:
        return self.network.encode(data, binary=self.binary)


class PredictBytes(Predict):
    """The same with tensors as bytes."""

    binary = True
    resp_mime_type = "application/octet-stream"


def main() -> None:
    """Serve until stopped."""
    asked = arguments()
    sys.argv[1:] = ["--address=127.0.0.1", f"--port={asked.port}", "--timeout=10000", "--log-level=error"]
    server = Server()
    for name in asked.models:
        processes = 1 if asked.batching > 1 else 2
        server.append_worker(
            PredictBytes if asked.binary else Predict,
            num=processes,
            max_batch_size=asked.batching,
            max_wait_time=1 if asked.batching > 1 else 0,
            env=[{"NETWORK": name}] * processes,
            route=f"/v2/models/{name}/infer",
        )
    server.run()


if __name__ == "__main__":
    main()
