"""One onnxruntime session on its execution providers; blocking, and safe to run from several threads.

The only module that imports onnxruntime, so that its telemetry is switched off before it is loaded, and so that its
exceptions become ours in one place.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from app.errors import InferenceFailed, InvalidInput, ModelLoadFailed
from app.inference import providers
from app.inference.graph import external_files, read_graph
from app.inference.signature import Tensors, TensorSpec

VERSION: str = ort.__version__

DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""onnxruntime's type -> the protocol's. Sequences, maps, complex numbers, 4- and 8-bit floats have none."""

PROVIDER_OPTIONS = {
    # TF32 rounds to ten bits, which the golden rows would notice; an exhaustive search runs anew for every batch size.
    "CUDAExecutionProvider": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"},
}

LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
    RuntimeError,
    ValueError,
    MemoryError,
)
RUN_ERRORS = (ort_errors.Fail, ort_errors.RuntimeException, ort_errors.NotImplemented, ort_errors.EPFail, RuntimeError)

MAPPED_BYTES = 2**30
"""External data from this size on stay where they are mapped from their files, once for all workers, on the CPU.

onnxruntime maps them by itself and then copies each weight, for every worker, into the order that its kernels read
fastest ("prepacking"), or folds a transposition into it. Without the copies a graph of 12 products of 8192 x 8192
(3 GiB) takes 3 GiB for all workers instead of 3 GiB for each, and opens in 0.01 s instead of 9. Runs of one row take
0.75 of the time, of 8 rows 2.6 times, of 64 rows 1.5 times; where the weights are stored transposed (Gemm with transB,
as PyTorch exports it) 0.7, 1.3 and 1.1 times. Smaller models keep their copies.
"""

FOLDED_BYTES = 2**20
"""Of a constant that is computed at load all the same: shapes and masks, no weights."""

OURS = re.compile(r"alloc|out of memory|CUDA|cuDNN|cublas", re.IGNORECASE)
"""In onnxruntime's words: a failure that no other input would have avoided."""


def available_providers() -> list[str]:
    """The execution providers that this build of onnxruntime holds; whether they load shows only in a session."""
    return list(ort.get_available_providers())


class Opening:
    """The opening of a graph and its runs until it serves, which another thread can give up."""

    def __init__(self) -> None:
        self.session, self.runs = ort.SessionOptions(), ort.RunOptions()

    def give_up(self) -> None:
        """onnxruntime looks whether it shall go on between two steps of the opening and two nodes of a run."""
        self.session.set_load_cancellation_flag(True)
        self.runs.terminate = True


class Session:
    """A graph opened for inference.

    asked: execution providers by name, in order; empty takes the CPU. `self.nodes` has those that are in the session,
    each with the number of the graph's nodes that run on it, and `self.missing_providers` what was asked for and is not
    in use. `self.optional_inputs` have a default in the graph. `self.scales_by_batch` is true of dynamic int8,
    `self.loops` of a graph whose values may decide how long it runs. `self.files` are those that hold the graph and its
    weights.
    Raises ModelLoadFailed if the file cannot be opened, has weights outside of its folder, speaks types that no
    protocol here carries, or `strict` and a provider is missing.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        asked: Sequence[str] = (),
        strict: bool = False,
        opening: Opening | None = None,
    ) -> None:
        opening = opening or Opening()
        graph = read_graph(path)
        external = external_files(graph, path.parent)
        self.files = [path, *external]
        asked = list(asked) or [providers.CPU]
        tried = providers.tried(asked, ort.get_all_providers(), ort.get_available_providers())
        if "CUDAExecutionProvider" in tried:
            ort.preload_dlls()  # finds the CUDA libraries that pip installed
        _set_options(opening.session, threads, mapped=tried == [providers.CPU] and _are_large(external))
        try:
            self._session = ort.InferenceSession(
                path, opening.session, providers=[(name, PROVIDER_OPTIONS.get(name, {})) for name in tried]
            )
        except LOAD_ERRORS as error:
            raise ModelLoadFailed(f"{path.name}: {_without_paths(_first_line(error))}") from error
        self.nodes = dict.fromkeys(self._session.get_providers(), 0)
        for part in self._session.get_provider_graph_assignment_info():
            self.nodes[part.ep_name] += len(part.get_nodes())
        self.missing_providers = providers.missing(asked, self.nodes)
        if strict and self.missing_providers:
            raise ModelLoadFailed(
                f"execution provider {', '.join(self.missing_providers)} was asked for and is not in use; "
                f"in use: {', '.join(self.nodes)}"
            )
        self.inputs = _specs(self._session.get_inputs())
        self.optional_inputs = _specs(self._session.get_overridable_initializers())
        self.outputs = _specs(self._session.get_outputs())
        self.scales_by_batch = "DynamicQuantizeLinear" in graph.operators
        self.loops = "Loop" in graph.operators
        self._output_names = [spec.name for spec in self.outputs]
        self._options = opening.runs

    def begin(self) -> "Run":
        """Runs that can be given up."""
        return Run(self)

    def run(self, tensors: Tensors, options: ort.RunOptions | None = None) -> Tensors:
        """All outputs for one feed: name -> array, in the graph's order.

        Raises InvalidInput where the graph cannot run on these values or sizes, which it has run on others at load;
        InferenceFailed where memory or a device is to blame.
        """
        try:
            outputs = self._session.run(self._output_names, dict(tensors), options or self._options)
            return dict(zip(self._output_names, outputs, strict=True))
        except UnicodeEncodeError as error:
            raise InvalidInput(f"a text is not UTF-8: {error.reason}") from error
        except ort_errors.InvalidArgument as error:
            raise InvalidInput(f"the model refuses these values: {_reason(error)}") from error
        except RUN_ERRORS as error:
            if OURS.search(str(error)):
                raise InferenceFailed(_first_line(error)) from error
            raise InvalidInput(f"the model cannot run on this input: {_reason(error)}") from error


class Run:
    """Runs of a session that another thread can give up; see `app.inference.runs.Abandonable`.

    onnxruntime looks whether it shall go on before each node of the graph, so a node that is under way is finished.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._options = session, ort.RunOptions()

    def __call__(self, tensors: Tensors) -> Tensors:
        """As `Session.run`. Raises InvalidInput once it is abandoned: who reads that has left."""
        return self._session.run(tensors, self._options)

    def abandon(self) -> None:
        """From any thread, before the run, in it or after it."""
        self._options.terminate = True


def _set_options(options: ort.SessionOptions, threads: int, *, mapped: bool) -> None:
    """mapped: weights stay in their files' pages."""
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it would print of a failing run arrives as an exception
    # Spinning threads burn the cores that HTTP needs, and the arena keeps the largest batch ever seen.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    if mapped:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # above, Conv's are reordered
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(FOLDED_BYTES))


def _are_large(external: Sequence[Path]) -> bool:
    """Whether the files of external data come to MAPPED_BYTES."""
    return sum(file.stat().st_size for file in external) >= MAPPED_BYTES


def _specs(values: Sequence[ort.NodeArg]) -> tuple[TensorSpec, ...]:
    for value in values:
        if value.type not in DATATYPES:
            raise ModelLoadFailed(f"{value.name}: type {value.type} cannot be served; wanted a plain tensor")
    return tuple(TensorSpec(v.name, DATATYPES[v.type], tuple(None if d == "" else d for d in v.shape)) for v in values)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _without_paths(text: str) -> str:
    """The text with the last part alone of every path: what lies where on this machine is nobody's business."""
    return re.sub(r"/(?:[^\s/\"':]+/)+", "", text)


def _reason(error: Exception) -> str:
    """onnxruntime's own reason, without the node's source place in front of it."""
    message = _without_paths(_first_line(error).rsplit("Status Message: ", 1)[-1])
    return re.sub(r"\S+\.(?:cc|h):\d+ [^(]*\([^)]*\) ?", "", message)
