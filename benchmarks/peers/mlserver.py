"""MLServer: the network in the process that serves HTTP, no batching. Other settings have not been compared."""

import json
import os
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.wire import Network, arguments


class Predict(MLModel):  # type: ignore[misc]
    """One network, named by the model's settings."""

    async def load(self) -> bool:
        self.network = Network(self.name, threads=2)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        output = self.network.run(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("output", output)])


def main() -> None:
    """Write its settings files and become MLServer's own command."""
    asked = arguments()
    folder = Path(tempfile.mkdtemp())
    settings = {"host": "127.0.0.1", "http_port": asked.port, "grpc_port": 0, "metrics_endpoint": None, "debug": False}
    (folder / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0}))
    for name in asked.models:
        (folder / name).mkdir()
        model = {"name": name, "implementation": "benchmarks.peers.mlserver.Predict"}
        (folder / name / "model-settings.json").write_text(json.dumps(model))
    os.environ["PYTHONPATH"] = str(Path.cwd())
    os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", str(folder)])  # noqa: S606


if __name__ == "__main__":
    main()
