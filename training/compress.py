"""A trained network made smaller: half precision, int8, pruned; what each costs in accuracy, gives in size and speed.

Measured on the validation split, since the test split has had its look. Dynamic int8 takes its scales over a whole
batch, so that a row's answer depends on its company; the service would not batch it, and it is refused here.
"""

import gzip
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import nn
from torch.nn.utils import prune
from tqdm import tqdm

from app.inference.probe import probe
from app.inference.session import Session
from training.datasets.dataset import Dataset, Rows
from training.export import export
from training.fit import Steps, fit
from training.metrics import Array, Measure
from training.networks.served import Served
from training.throughput import BATCH_ROWS, rows_per_s

CALIBRATION_ROWS = 256

SHARES = (0.5, 0.8, 0.9)
"""Of the weights that are pruned."""


@dataclass(frozen=True)
class Compressed:
    """One way to make a graph smaller.

    score:     of the recipe's first measure, on the validation rows.
    batched:   as the service would find it; `reason` says why, or why not.
    gzipped:   bytes of the graph as an archive holds it: zeros weigh nothing there.
    rows_per_s: of batches of BATCH_ROWS in one thread, by onnxruntime in process.
    """

    name: str
    score: float
    batched: bool
    reason: str
    size: int
    gzipped: int
    rows_per_s: float


def compress(served: Served, dataset: Dataset, steps: Steps, measure: Measure, seed: int) -> list[Compressed]:
    """The exported network as it is, and each of the ways. steps, seed: of the fits after a pruning."""
    graph = exported(served, dataset)
    ways: dict[str, Callable[[], bytes]] = {
        "fp32": lambda: graph,
        "fp16": lambda: half(graph),
        "int8, static": lambda: static_int8(graph, dataset.train),
        "int8, dynamic": lambda: dynamic_int8(graph),
    }
    for share in SHARES:
        smaller = pruned(served, share)
        ways[f"{share:.0%} pruned"] = partial(exported, smaller, dataset)
        ways[f"{share:.0%} pruned, fitted again"] = partial(_refitted_graph, smaller, dataset, steps, seed)
    return [
        _measured(name, way(), dataset.validation, measure)
        for name, way in tqdm(ways.items(), desc="compress", disable=None)
    ]


def _refitted_graph(served: Served, dataset: Dataset, steps: Steps, seed: int) -> bytes:
    return exported(refitted(deepcopy(served), dataset, steps, seed), dataset)


def exported(served: Served, dataset: Dataset) -> bytes:
    """The graph with all answers together as its output, so that it can be measured."""
    whole = Served([*served.members], served.head, lambda outputs: (outputs,), calibrated=served.calibrated)
    whole.load_state_dict(served.state_dict())
    return export(whole, dataset.validation.inputs, ["output"])


def half(graph: bytes) -> bytes:
    """Weights and arithmetic in 16 bits, inputs and outputs as they were."""
    smaller: onnx.ModelProto = convert_float_to_float16(onnx.load_from_string(graph), keep_io_types=True)
    return bytes(smaller.SerializeToString())


def static_int8(graph: bytes, train: Rows) -> bytes:
    """Weights and activations in 8 bits, each with a fixed scale: of activations, from training rows."""
    rows = train.take(torch.linspace(0, len(train) - 1, min(CALIBRATION_ROWS, len(train))).long()).sent()

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = iter([rows])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared, quantised = Path(folder) / "prepared.onnx", Path(folder) / "quantised.onnx"
        quant_pre_process(onnx.load_from_string(graph), prepared)
        quantize_static(prepared, quantised, Reader(), quant_format=QuantFormat.QDQ, per_channel=True)
        return quantised.read_bytes()


def dynamic_int8(graph: bytes) -> bytes:
    """Weights in 8 bits, activations in 8 bits with a scale that is taken over each batch."""
    with tempfile.TemporaryDirectory() as folder:
        prepared, quantised = Path(folder) / "prepared.onnx", Path(folder) / "quantised.onnx"
        quant_pre_process(onnx.load_from_string(graph), prepared)
        quantize_dynamic(prepared, quantised)
        return quantised.read_bytes()


def pruned(served: Served, share: float) -> Served:
    """The weights of linear and convolutional layers that are nearest to 0 are 0, so many of all of them.

    Source: Han et al., Learning both Weights and Connections, 2015.
    """
    smaller = deepcopy(served)
    prune.global_unstructured(_weights(smaller), pruning_method=prune.L1Unstructured, amount=share)
    return _settled(smaller)


def refitted(served: Served, dataset: Dataset, steps: Steps, seed: int) -> Served:
    """The weights that are not 0 learn again, for a fifth of the epochs; those that are stay so. In place."""
    steps = replace(steps, epochs=max(1, steps.epochs // 5), schedule=None)
    for member in served.members:
        for layer, name in _weights(member):
            prune.custom_from_mask(layer, name, layer.weight != 0)
        fit(member, dataset.train, dataset.validation, steps, score=lambda: 0.0, seed=seed)
    return _settled(served)


def _weights(network: nn.Module) -> list[tuple[nn.Module, str]]:
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d)
    return [(layer, "weight") for layer in network.modules() if isinstance(layer, layers)]


def _settled(served: Served) -> Served:
    """Masks become part of the weights."""
    for layer, name in _weights(served):
        prune.remove(layer, name)
    return served


def _measured(name: str, graph: bytes, rows: Rows, measure: Measure) -> Compressed:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(graph)
        session = Session(file)
        found = probe(session, rows.take(torch.arange(4)).sent())
        outputs = _answers(session, rows)
        rate = rows_per_s(session, rows.take(torch.arange(BATCH_ROWS) % len(rows)).sent())
    score = measure.of(outputs, rows.targets.numpy())
    return Compressed(name, score, found.batched, found.reason, len(graph), len(gzip.compress(graph)), rate)


def _answers(session: Session, rows: Rows) -> Array:
    parts = [
        next(iter(session.run(rows.take(index).sent()).values())) for index in torch.arange(len(rows)).split(BATCH_ROWS)
    ]
    outputs: Array = np.concatenate(parts)
    return outputs


def table(found: Sequence[Compressed], measure: Measure) -> str:
    """Markdown, beside the first of them."""
    first = found[0]
    lines = [
        f"| {one.name} | {one.score:.4f} | {one.score - first.score:+.4f} | {one.size / 1000:.1f} | "
        f"{one.gzipped / 1000:.1f} | {one.rows_per_s / first.rows_per_s:.2f} | "
        f"{'yes' if one.batched else f'no: {one.reason}'} |"
        for one in found
    ]
    head = f"| graph | {measure.name}, validation | change | kB | kB gzipped | times the rows/s | rows may share runs |"
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: | ---: | --- |", *lines])
