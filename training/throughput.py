"""How fast a graph answers by itself: the speed that a service cannot pass."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from app.inference.session import Session

BATCH_ROWS = 64

TIMED_S = 0.5


def rows_per_s(session: Session, batch: Mapping[str, NDArray[Any]]) -> float:
    """By onnxruntime in process, in the session's threads. batch: BATCH_ROWS rows."""
    session.run(batch)
    runs, began = 0, perf_counter()
    while perf_counter() - began < TIMED_S:
        session.run(batch)
        runs += 1
    return BATCH_ROWS * runs / (perf_counter() - began)
