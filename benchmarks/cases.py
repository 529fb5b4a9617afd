"""What is measured: the kinds of traffic, and what is wanted of Headrace beside the best peer."""

from dataclasses import dataclass

from benchmarks.traffic import Traffic


@dataclass(frozen=True)
class Case:
    """One kind of traffic in a closed loop.

    wanted: so many times the rows a second of the best peer.
    of_onnxruntime: so much of what onnxruntime alone gives is wanted too; None if nothing is.
    bare_p50s: no more times the median latency of bare uvicorn is wanted; None likewise.
    least_s: of load in a round, so that a slow network answers often enough.
    quick:  part of `make bench-quick`.
    """

    name: str
    traffic: Traffic
    connections: int
    wanted: float
    of_onnxruntime: float | None = None
    bare_p50s: float | None = None
    least_s: int = 1
    quick: bool = True


CASES = (
    Case("tiny, 1 connection", Traffic("mlp"), 1, wanted=1.9, bare_p50s=1.5),
    Case("tiny, 16 connections", Traffic("mlp"), 16, wanted=2),
    Case("tiny, 64 connections", Traffic("mlp"), 64, wanted=2),
    Case("tiny, 256 connections", Traffic("mlp"), 256, wanted=2, quick=False),
    Case("tiny, 256 rows, 8 connections", Traffic("mlp", rows=256), 8, wanted=2),
    Case("image, JSON, 16 connections", Traffic("cnn"), 16, wanted=1.7),
    Case(
        "16 images, binary, 8 connections",
        Traffic("cnn", rows=16, binary=True),
        8,
        wanted=1.3,
        of_onnxruntime=0.8,
        quick=False,
    ),
    Case("encoder, 16 connections", Traffic("encoder"), 16, wanted=1, of_onnxruntime=0.95, least_s=2),
)
