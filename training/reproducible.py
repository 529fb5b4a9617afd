"""What makes two runs of one recipe on one machine equal to the last bit."""

import platform
from importlib.metadata import version

import torch

PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "scikit-learn", "numpy")


def start(seed: int) -> None:
    """Seeds torch and fixes all that could change the order of a sum.

    One thread: sums are split over threads, so their number is part of the result, and networks this small are no
    faster with more.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)


def versions() -> dict[str, str]:
    """Everything that had a hand in the weights and the graph."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
