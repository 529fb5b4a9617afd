"""A network as an ONNX graph: one file, a free batch axis, nothing of the machine it was made on, the same bytes again.

torch.onnx writes a source line with its local path on every node; all such metadata goes before anything is saved.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from google.protobuf.message import Message
from torch import Tensor, nn

from training.errors import ExportFailed
from training.networks.served import Served

BATCH_AXIS = "batch"
EXAMPLE_ROWS = 13
"""A size that no other axis has, so that the exporter cannot take the two for one."""


def export(
    served: Served, inputs: Mapping[str, Tensor], outputs: Sequence[str], reader: onnx.ModelProto | None = None
) -> bytes:
    """The graph of served(inputs) with its outputs under these names.

    inputs: some rows, whose shapes and types count and whose values do not.
    reader: a graph that makes the inputs out of texts; it is put in front.
    Raises ExportFailed if the graph does not take any number of rows.
    """
    example = {name: tensor[torch.arange(EXAMPLE_ROWS) % len(tensor)] for name, tensor in inputs.items()}
    graph = _trace(served.eval(), example, outputs)
    strip(graph)
    check_no_source_path(graph)  # the reader was not traced, and its words may look like a path
    if reader is not None:
        graph = _behind(reader, graph)
    check_batch_axis(graph)
    return bytes(graph.SerializeToString(deterministic=True))


def check_batch_axis(graph: onnx.ModelProto) -> None:
    """Raises ExportFailed unless the first axis of every input and output is the free batch axis."""
    for value in (*graph.graph.input, *graph.graph.output):
        axes = [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if axes[:1] != [BATCH_AXIS]:
            raise ExportFailed(f"{value.name}: shape {axes}, wanted '{BATCH_AXIS}' as its first axis")


def strip(message: Message) -> None:
    """Removes metadata and doc strings from a protobuf message and from all that it holds."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                strip(part)


def check_no_source_path(graph: onnx.ModelProto) -> None:
    """Raises ExportFailed if a path is left anywhere but in the weights, whose bytes may look like anything."""
    skeleton = onnx.ModelProto.FromString(graph.SerializeToString())
    skeleton.graph.ClearField("initializer")
    text = skeleton.SerializeToString()
    if left := [mark for mark in (".py", str(Path.cwd()), str(Path.home())) if mark.encode() in text]:
        raise ExportFailed(f"the graph still names source files: it holds {left[0]!r}")


def _behind(reader: onnx.ModelProto, graph: onnx.ModelProto) -> onnx.ModelProto:
    """Both in one, the reader's outputs as the graph's inputs."""
    names = [value.name for value in reader.graph.output]
    reader = onnx.compose.add_prefix(reader, "reader_", rename_inputs=False, rename_outputs=False)
    for model in (reader, graph):
        model.ir_version = max(reader.ir_version, graph.ir_version)
    return onnx.compose.merge_models(reader, graph, io_map=[(name, name) for name in names])


def _trace(served: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str]) -> onnx.ModelProto:
    # It warns of every torchvision operator that it cannot register; none is used here.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch's exporter calls its own deprecated tree functions.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        # Inputs that share the batch axis are what is wanted.
        warnings.filterwarnings("ignore", rf"# The axis name: {BATCH_AXIS} will not be used", UserWarning)
        # A recurrent layer, as torch itself takes it apart.
        warnings.filterwarnings("ignore", r"_check_is_size will be removed", FutureWarning)
        warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor that is not a leaf", UserWarning)
        warnings.filterwarnings("ignore", r"(?s).*_flat_weights.* assigned during export", UserWarning)
        try:
            program = torch.onnx.export(
                served,
                kwargs={"inputs": dict(example)},
                dynamo=True,
                external_data=False,
                dynamic_shapes={"inputs": {name: {0: BATCH_AXIS} for name in example}},
                input_names=list(example),
                output_names=list(outputs),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportFailed(f"the network cannot be exported for any number of rows: {_reason(error)}") from error
    assert program is not None  # only the old exporter returns nothing
    return program.model_proto


def _reason(error: Exception) -> str:
    """The exporter's own summary, without its advice before and its call stack after."""
    text = str(error)
    summary = text.partition("## Exception summary")[2] or text
    return " ".join(summary.partition("(Refer to the full stack trace")[0].split())
