"""The exported graph against the network, opened by the code that will serve it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from app.errors import ServingError
from app.inference.session import Session
from training.datasets.dataset import Rows
from training.errors import ParityFailed
from training.evaluate import predict
from training.networks.served import Served

BATCHES = (1, 2, 7, 64)


@dataclass(frozen=True)
class Parity:
    """rows: different ones that were tried, in each of the batch sizes."""

    rows: int
    batches: tuple[int, ...]
    max_abs_difference: float
    tolerance: float


def verify(graph: Path, served: Served, rows: Rows, tolerance: float) -> Parity:
    """Every row, in batches of each size; rows are repeated where they are fewer than a batch.

    Raises ParityFailed if any output differs by more than the tolerance, or the graph does not run.
    """
    try:
        session = Session(graph)
        difference = max(_difference(session, served, rows, size) for size in BATCHES)
    except ServingError as error:
        raise ParityFailed(f"the exported graph does not run: {error}") from error
    if not difference <= tolerance:
        raise ParityFailed(f"PyTorch and onnxruntime differ by {difference:.2g}, wanted {tolerance:g} or less")
    return Parity(len(rows), BATCHES, difference, tolerance)


def _difference(session: Session, served: Served, rows: Rows, size: int) -> float:
    """The largest over all batches of exactly this size; infinite if the shapes differ or a number is not finite."""
    count = -(-len(rows) // size) * size
    return max(
        _one_difference(session, served, rows.take(index)) for index in (torch.arange(count) % len(rows)).split(size)
    )


def _one_difference(session: Session, served: Served, batch: Rows) -> float:
    [actual] = session.run({name: tensor.numpy() for name, tensor in batch.inputs.items()}).values()
    wanted = predict(served, batch)
    if actual.shape != wanted.shape or not np.isfinite(actual).all():
        return float("inf")
    return float(np.abs(actual.astype(np.float64) - wanted).max())
