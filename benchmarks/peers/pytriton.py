"""PyTriton: Triton's HTTP server before two callers of the network that batch what waits, without waiting for more.

Other settings have not been compared.
"""

import os
import sysconfig
from functools import partial

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.peers.wire import NETWORKS, Network, arguments

MAX_ROWS = 256
DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def infer(network: Network, **inputs: np.ndarray) -> list[np.ndarray]:
    """All rows of a batch at once."""
    [rows] = inputs.values()
    return [network.run(rows)]


def main() -> None:
    """Serve until stopped."""
    asked = arguments()
    # Triton's own interpreter must load the library of the Python whose modules it uses, not another of the system's.
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    triton = Triton(
        config=TritonConfig(http_address="127.0.0.1", http_port=asked.port, allow_grpc=False, allow_metrics=False)
    )
    for name in asked.models:
        session = onnxruntime.InferenceSession(NETWORKS / f"{name}.onnx")
        [takes], [gives] = session.get_inputs(), session.get_outputs()
        networks = [Network(name, threads=1) for _ in range(2)]
        triton.bind(
            model_name=name,
            infer_func=[batch(partial(infer, network)) for network in networks],
            inputs=[Tensor(name=takes.name, dtype=DTYPES[takes.type], shape=takes.shape[1:])],
            outputs=[Tensor(name=gives.name, dtype=np.float32, shape=gives.shape[1:])],
            config=ModelConfig(max_batch_size=MAX_ROWS, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
        )
    triton.serve()


if __name__ == "__main__":
    main()
