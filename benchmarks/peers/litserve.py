"""LitServe: two processes for the network, two for HTTP, no batching. Other settings have not been compared."""

from typing import Any

import litserve
import numpy as np

from benchmarks.peers.wire import DTYPES, Network, arguments


class Predict(litserve.LitAPI):  # type: ignore[misc]
    """One network."""

    def __init__(self, name: str) -> None:
        super().__init__(api_path=f"/v2/models/{name}/infer")
        self.name = name

    def setup(self, device: str) -> None:  # noqa: ARG002
        self.network = Network(self.name, threads=1)

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        tensor = request["inputs"][0]
        return np.array(tensor["data"], DTYPES[tensor["datatype"]]).reshape(tensor["shape"])

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.network.run(rows)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"outputs": [{"datatype": "FP32", "shape": output.shape, "data": output.ravel().tolist()}]}


def main() -> None:
    """Serve until stopped."""
    asked = arguments()
    apis = [Predict(name) for name in asked.models]
    server = litserve.LitServer(apis, accelerator="cpu", workers_per_device=2)
    server.run(
        host="127.0.0.1",
        port=asked.port,
        num_api_servers=2,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    main()
