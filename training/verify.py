"""The exported graph against the network, opened by the code that will serve it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from app.errors import ServingError
from app.inference.session import Session
from app.inference.signature import Tensor
from app.manifest import Parity
from training.datasets.dataset import Rows
from training.errors import NotProbabilities, ParityFailed
from training.evaluate import answers
from training.metrics import Array
from training.networks.served import Served

BATCHES = (1, 2, 7, 64)

SUM_TOLERANCE = 1e-4
"""How far the probabilities of a row may be from summing to 1."""


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
    return Parity(rows=len(rows), batches=BATCHES, max_abs_difference=difference, tolerance=tolerance)


def check_probabilities(answers: Array, labels: Sequence[str]) -> None:
    """answers: (rows, classes). Raises NotProbabilities unless every row is a distribution over the labels."""
    fits = answers.ndim == 2 and answers.shape[1] == len(labels)
    if not (fits and (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=SUM_TOLERANCE)):
        raise NotProbabilities(
            f"the network's answers of shape {list(answers.shape)} are not probabilities of {', '.join(labels)}; "
            "give the recipe a `head`, such as softmax"
        )


def _difference(session: Session, served: Served, rows: Rows, size: int) -> float:
    """The largest over all batches of exactly this size; infinite if the shapes differ or a number is not finite."""
    count = -(-len(rows) // size) * size
    return max(
        _one_difference(session, served, rows.take(index)) for index in (torch.arange(count) % len(rows)).split(size)
    )


def _one_difference(session: Session, served: Served, batch: Rows) -> float:
    given = session.run(batch.sent()).values()
    return max(_distance(actual, wanted) for actual, wanted in zip(given, answers(served, batch), strict=True))


def _distance(actual: Tensor, wanted: Array) -> float:
    if actual.shape != wanted.shape or not np.isfinite(actual).all():
        return float("inf")
    return float(np.abs(actual.astype(np.float64) - wanted).max(initial=0))
