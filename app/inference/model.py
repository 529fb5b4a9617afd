"""A model version ready to serve: opened and proven at load, then checks and schedules every request."""

import asyncio
import hashlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from time import perf_counter

import numpy as np

from app.errors import InferenceFailed, InvalidInput, ModelLoadFailed
from app.feature import Feature
from app.inference.batch import Rows
from app.inference.comparison import relative_difference
from app.inference.domain import check_domains, domains
from app.inference.drift import Drift, watched
from app.inference.graph import check_place
from app.inference.pace import Pace, measure
from app.inference.probe import probe
from app.inference.runs import Entry, Outcome, See
from app.inference.scheduler import Limits, Scheduler
from app.inference.session import Opening, Session
from app.inference.signature import DTYPES, Signature, Tensor, Tensors, TensorSpec, listed
from app.inference.threads import Share, share
from app.inference.timing import Timing
from app.manifest import Batching, InputTensor, Manifest, ModelConfig
from app.metrics import Metrics
from app.tally import ModelTally

LARGE_BYTES = 1 << 20
"""From this size on a request's values are checked off the event loop."""


@dataclass(frozen=True)
class Opened:
    """A graph that has been opened, agrees with its manifest and has been run: all that blocks is behind it.

    batching: why rows may share a run, or why not. invariant: see `Finding`.
    example:  a feed that the graph runs, of one row where it is batched; None if none is known.
    pace:     how long runs of it take.
    digest:   SHA-256 of model.onnx.
    """

    session: Session
    signature: Signature
    manifest: Manifest | None
    batching: str
    invariant: str
    example: Tensors | None
    share: Share
    pace: Pace
    digest: str


def open_version(
    file: Path, manifest: Manifest | None, config: ModelConfig, cores: int, opening: Opening | None = None
) -> Opened:
    """Opens model.onnx, replays the manifest's golden rows and probes whether rows may share a run. Blocking.

    cores: of this worker. opening: by which another thread may end this.

    Raises ModelLoadFailed with the reason.
    """
    if manifest is not None:
        _check_hashes(file.parent, manifest.files)
    taken = share(config.instances, config.threads, cores)
    session = Session(
        file, threads=taken.threads, asked=config.providers, strict=config.strict_providers, opening=opening
    )
    golden = None
    if manifest is not None:
        unnamed = {one.name for one in session.files} - set(manifest.files)
        if manifest.files and unnamed:
            raise ModelLoadFailed(f"the manifest has hashes, and none of {', '.join(sorted(unnamed))}")
        _agree(session, manifest)
        golden = _typed(session.inputs, manifest.golden.inputs)
        _replay(session, manifest, golden)
    finding = probe(session, golden)
    batched = finding.batched and config.batching is not False
    reason = finding.reason if batched or not finding.batched else "switched off in config.yaml"
    signature = Signature(session.inputs, session.outputs, batched, session.optional_inputs)
    texts = any(spec.datatype == "BYTES" for spec in session.inputs)  # of any length
    steady = not session.loops and not texts
    pace = measure(session.run, finding.example, batched=batched, steady=steady)
    return Opened(
        session, signature, manifest, reason, finding.invariant, finding.example, taken, pace, sha256_of(file)
    )


class Model:
    """One version of a model behind its queue.

    count:   one request has been decoded, answered and encoded; see `ModelTally.request`.
    run_now: requests that have been checked run at once, if they need not queue; see `Scheduler.run_now`.
    refusal: why no request is taken now; see `Scheduler.refusal`.
    drift:   how far requests and answers lie from the training; None where the manifest tells nothing of that.
    """

    def __init__(
        self,
        name: str,
        version: int,
        opened: Opened,
        config: ModelConfig,
        metrics: Metrics,
        log: See | None = None,
    ) -> None:
        """log: is shown every run that answered callers, too."""
        self.name, self.version = name, version
        self.signature, self.manifest, self.batching = opened.signature, opened.manifest, opened.batching
        self.invariant = opened.invariant
        self.nodes, self.missing_providers = opened.session.nodes, opened.session.missing_providers
        self.example = opened.example
        self.share = opened.share
        self.labels = {one.tensor: one.labels for one in opened.manifest.outputs} if opened.manifest else {}
        self._domains = domains(opened.manifest.inputs, opened.session.inputs) if opened.manifest else ()
        self.limits = _limits(config, opened.pace if self.signature.batched else None, self.share.instances)
        tally = ModelTally(metrics, name, version)
        self.count = tally.request
        what = watched(opened.manifest, opened.session.outputs) if opened.manifest else []
        self.drift = Drift(what) if what else None
        self._scheduler = Scheduler(
            opened.session.run,
            opened.session.begin,
            self.limits,
            opened.pace,
            tally,
            name,
            [*([self._see_drift] if self.drift else []), *([log] if log else [])],
        )
        self.run_now, self.refusal = self._scheduler.run_now, self._scheduler.refusal

    def _see_drift(self, outcome: Outcome, _: Sequence[int], __: Sequence[Timing]) -> None:
        assert self.drift
        self.drift.see(outcome.inputs, outcome.results[0].outputs, outcome.rows)

    async def infer(self, tensors: Tensors, deadline_s: float | None = None, priority: int = 0) -> Tensors:
        """All outputs for a request: name -> array, in the graph's order.

        deadline_s: nearer than the model's own, if not None.
        priority:   1 goes first; 0 is the default.

        Raises InvalidInput for tensors that the signature or the manifest's ranges refuse, and what
        `Scheduler.submit` raises.
        """
        rows = self.signature.check(tensors)
        if sum(tensor.nbytes for tensor in tensors.values()) < LARGE_BYTES:
            self.check_domains(tensors)
        else:
            await asyncio.to_thread(self.check_domains, tensors)
        alone = self.signature.runs_alone(tensors)
        return await self._scheduler.submit(tensors, rows, deadline_s, priority, alone=alone)

    def check_domains(self, tensors: Tensors) -> None:
        """Raises OutsideDomain for values that the manifest's ranges refuse. tensors: as the signature wants them."""
        if self._domains:
            check_domains(self._domains, tensors)

    def enter(
        self, tensors: Tensors, rows: int, kind: Hashable, done: Callable[[Rows | Exception], None], timing: Timing
    ) -> Entry:
        """Queue a request that has been checked. See `Scheduler.enter`."""
        return self._scheduler.enter(tensors, rows, kind, done, timing)

    def dispatch(self) -> None:
        """Run what has entered."""
        self._scheduler.dispatch()

    def leave(self, entry: Entry) -> None:
        """The caller has gone."""
        self._scheduler.leave(entry)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around the decoding, the run and the encoding of one request: counts it and its time."""
        started, succeeded = perf_counter(), False
        try:
            yield
            succeeded = True
        except InvalidInput as error:
            if self.drift:
                self.drift.refuse(error.features)
            raise
        finally:
            self.count(perf_counter() - started, succeeded)

    async def drained(self) -> None:
        """Once all that was accepted is answered. Later requests are still answered, as long as somebody holds on to
        this version; then its session goes."""
        await self._scheduler.drained()

    async def close(self) -> None:
        """Answer what was accepted, then let go of the session."""
        await self._scheduler.close()


def _limits(config: ModelConfig, pace: Pace | None, instances: int) -> Limits:
    """pace: of a model that is batched."""
    batching = config.batching or Batching()
    return Limits(
        max_rows=(batching.max_rows or pace.best_rows) if pace else None,
        queue_delay_s=batching.queue_delay_ms / 1000,
        max_queue_rows=batching.max_queue_rows,
        deadline_s=config.deadline_ms / 1000,
        instances=instances,
    )


def _check_hashes(folder: Path, hashes: Mapping[str, str]) -> None:
    """Raises ModelLoadFailed for a file that is not what the manifest says. hashes: by name in the version's folder."""
    for name, wanted in hashes.items():
        check_place(folder / name, folder, name)
        if sha256_of(folder / name) != wanted:
            raise ModelLoadFailed(f"{name} is not the file that the manifest was written for: its SHA-256 differs")


def sha256_of(path: Path) -> str:
    """In hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _agree(session: Session, manifest: Manifest) -> None:
    """Raises ModelLoadFailed unless the manifest names the graph's tensors and its features fill them."""
    inputs, outputs = ({spec.name: spec for spec in side} for side in (session.inputs, session.outputs))
    described = {one.tensor for one in manifest.inputs}
    if described != set(inputs):
        raise ModelLoadFailed(f"the manifest describes inputs {sorted(described)}, the graph has {sorted(inputs)}")
    if unknown := {one.tensor for one in manifest.outputs} - set(outputs):
        raise ModelLoadFailed(f"the manifest describes outputs {sorted(unknown)}, the graph has {sorted(outputs)}")
    for one in manifest.inputs:
        trailing, wanted = inputs[one.tensor].shape[1:], _trailing(one)
        if trailing != wanted:
            raise ModelLoadFailed(f"{one.tensor}: the manifest's features fill {wanted}, the graph takes {trailing}")
        for feature in one.features:
            if (datatype := inputs[one.tensor].datatype) not in (fitting := _datatypes(feature)):
                told = f"{feature.kind}, missing: {feature.missing}"
                raise ModelLoadFailed(f"{feature.name} ({told}) needs {listed(fitting)}, {one.tensor} is {datatype}")
    for output in manifest.outputs:
        shape, labels = outputs[output.tensor].shape, len(output.labels)
        if output.kind == "probabilities" and (len(shape) != 2 or shape[1] not in (-1, labels)):
            raise ModelLoadFailed(f"{output.tensor}: {labels} labels, the graph gives {list(shape)}")


DAY_BYTES = 4
"""Of a number that holds every day of the calendar."""


def _datatypes(feature: Feature) -> list[str]:
    """The datatypes of a tensor that can hold the feature's values."""
    if feature.kind == "category":
        kinds = "iufO"
    elif feature.kind == "text":
        kinds = "O"
    elif feature.kind == "date":
        kinds = "f" if feature.missing == "nan" else "if"
        return [name for name, dtype in DTYPES.items() if dtype.kind in kinds and dtype.itemsize >= DAY_BYTES]
    elif feature.kind == "audio" or feature.missing == "nan":
        kinds = "f"
    else:
        kinds = "iuf" if feature.kind == "image" else "iufb"
    return [name for name, dtype in DTYPES.items() if dtype.kind in kinds]


def _trailing(one: InputTensor) -> tuple[int, ...]:
    return one.features[0].shape or (len(one.features),)


def _typed(specs: tuple[TensorSpec, ...], values: dict[str, object]) -> Tensors:
    try:
        return {spec.name: np.array(values[spec.name], DTYPES[spec.datatype]) for spec in specs}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelLoadFailed(f"golden rows do not fit the graph: {error}") from error


def _replay(session: Session, manifest: Manifest, golden: Tensors) -> None:
    """Raises ModelLoadFailed if the graph no longer gives the outputs that training computed for the golden rows."""
    try:
        outputs = session.run(golden)
    except (InvalidInput, InferenceFailed) as error:
        raise ModelLoadFailed(f"golden rows cannot be run: {error}") from error
    _check_widths(manifest, outputs)
    for name, values in manifest.golden.outputs.items():
        if name not in outputs:
            raise ModelLoadFailed(f"golden rows: the graph has no output {name}")
        got, wanted = outputs[name], np.array(values, outputs[name].dtype)
        if wanted.shape != got.shape or not _is_same(wanted, got, manifest.golden.tolerance):
            raise ModelLoadFailed(f"golden rows: output {name} is not what training computed")


def _check_widths(manifest: Manifest, outputs: Tensors) -> None:
    """Raises ModelLoadFailed unless a row has as many numbers as the manifest's words for it: what a graph declares of
    its outputs may be wrong, so what it gave counts."""
    for one in manifest.outputs:
        shape = outputs[one.tensor].shape
        if one.kind == "ranking":
            if outputs[one.tensor].dtype.kind not in "iu" or len(shape) != 2:
                raise ModelLoadFailed(f"golden rows: {one.tensor} has shape {list(shape)}, wanted integers, (rows, k)")
            continue
        wanted = len(one.labels) if one.kind == "probabilities" else 1
        if prod(shape[1:]) != wanted:
            raise ModelLoadFailed(f"golden rows: {one.tensor} has shape {list(shape)}, wanted {wanted} a row")


def _is_same(wanted: Tensor, got: Tensor, tolerance: float) -> bool:
    return relative_difference(wanted, got) <= tolerance if got.dtype.kind == "f" else np.array_equal(wanted, got)
