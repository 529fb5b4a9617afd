"""BentoML: two processes, no batching, one network at a time. Other settings have not been compared."""

import os
import sys
from typing import Any

import bentoml
import numpy as np

from benchmarks.peers.wire import DTYPES, Network, arguments

NAME = os.environ.get("NETWORK", "mlp")


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Predict:
    """The network that the environment names."""

    def __init__(self) -> None:
        self.network = Network(NAME, threads=1)

    @bentoml.api(route=f"/v2/models/{NAME}/infer")  # type: ignore[untyped-decorator]
    def infer(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        tensor = inputs[0]
        output = self.network.run(np.array(tensor["data"], DTYPES[tensor["datatype"]]).reshape(tensor["shape"]))
        return {"outputs": [{"datatype": "FP32", "shape": output.shape, "data": output.ravel().tolist()}]}


def main() -> None:
    """Become BentoML's own command."""
    asked = arguments()
    os.environ |= {"NETWORK": asked.models[0], "BENTOML_DO_NOT_TRACK": "1"}
    options = [f"--port={asked.port}", "--host=127.0.0.1"]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", "benchmarks.peers.bentoml:Predict", *options])  # noqa: S606


if __name__ == "__main__":
    main()
