"""The two files that may stand beside a model, as pydantic models.

`manifest.json` says what the model is: training writes it, the service reads it, both through `Manifest`.
`config.yaml` says how to serve it. In both an unknown key is an error that names the known ones.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from app.errors import ModelLoadFailed
from app.feature import Feature, Record


class InputTensor(Record):
    """An input of the graph and the features that fill it.

    Scalar features are its columns, in order: tensor (rows, len(features)). One feature with a shape is the whole
    tensor: (rows, *shape).
    """

    tensor: str
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _columns_or_one_block(self) -> Self:
        if len(self.features) > 1 and any(feature.shape for feature in self.features):
            raise ValueError(f"{self.tensor}: a feature with a shape must be the only one of its tensor")
        return self


class OutputTensor(Record):
    """An output of the graph, as V1 answers it.

    probabilities: (rows, len(labels)) -> fields `label` and `probability`, and on request `probabilities`, of all.
    value:         (rows,) or (rows, 1) -> one number in the field `name`, in `unit`.
    ranking:       (rows, k) of places in `labels`, the best first -> a list of k labels in the field `name`.
    threshold:     of two labels, the second is answered from this probability of it on; None answers the likelier.
    level:         of a value that is a quantile: the share of cases that shall lie below it.
    """

    tensor: str
    kind: Literal["probabilities", "value", "ranking"]
    name: str
    description: str = ""
    unit: str = ""
    labels: tuple[str, ...] = ()
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    level: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _classes_have_labels(self) -> Self:
        if self.kind == "probabilities" and len(set(self.labels)) != max(2, len(self.labels)):
            raise ValueError(f"{self.tensor}: probabilities need two labels or more, each once")
        if self.threshold is not None and (self.kind != "probabilities" or len(self.labels) != 2):
            raise ValueError(f"{self.tensor}: a threshold decides between the probabilities of two labels")
        if self.level is not None and self.kind != "value":
            raise ValueError(f"{self.tensor}: a level tells which quantile a value is")
        if self.kind == "ranking" and not self.labels:
            raise ValueError(f"{self.tensor}: a ranking needs the labels that its numbers are the places of")
        return self


PAGE = "report.html"
"""Beside the two: the page of the training, for people."""


class Data(Record):
    """Where the training data came from and how they were divided."""

    name: str
    source: str
    licence: str
    sha256: str
    split: str
    rows: dict[Literal["train", "validation", "test"], int]


class Metric(Record):
    """One figure on the held-out test split, the network's beside the baseline's.

    interval: of the network's, 95 % of what other rows of the same kind would give; None where there are too few.
    """

    name: str
    model: float
    baseline: float
    higher_is_better: bool
    interval: tuple[float, float] | None = None


class Slice(Record):
    """The first metric over one group of the test rows, such as the loans of one term.

    interval: as a metric's. A figure may differ between groups for what they are made of, not for how they are judged.
    """

    group: str
    rows: int
    model: float
    baseline: float
    interval: tuple[float, float] | None = None


class Evaluation(Record):
    """The test split, looked at once.

    baseline: what the network is compared with, in words.
    verdict:  one honest sentence on whether the network earns its keep.
    slices:   by group, where the data have groups; they may overlap.
    """

    baseline: str
    metrics: tuple[Metric, ...]
    verdict: str
    slices: tuple[Slice, ...] = ()


class Curves(Record):
    """How training went, epoch by epoch; a long run is thinned, and the epoch that was kept always among them.

    measure: the metric that `score` is, on the validation split.
    epochs:  their numbers, counted from 1.
    """

    measure: str
    epochs: tuple[int, ...]
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    score: tuple[float, ...]

    @model_validator(mode="after")
    def _are_of_one_length(self) -> Self:
        lengths = {len(self.epochs), len(self.train_loss), len(self.validation_loss), len(self.score)}
        if len(lengths) > 1:
            raise ValueError(f"curves of {sorted(lengths)} points, wanted one of each for every epoch")
        return self


class Training(Record):
    """What is needed to run the training again. epsilon: of the differential privacy of the training rows, if any."""

    recipe: str
    seed: int
    epochs: int
    best_epoch: int
    settings: dict[str, str | int | float | bool | None]
    versions: dict[str, str]
    curves: Curves | None = None
    epsilon: float | None = None


class Summary(Record):
    """A feature's distribution over the training split.

    deciles: 11 values, from the minimum to the maximum, a tenth of the rows between neighbours.
    at_most: for each decile the share of rows whose value is no larger, which is more than tenths tell of a value that
             many rows have.
    shares:  of a category, in place of the figures of a number: category -> its share of the rows with a value.
    missing: share of rows without a value, 0 to 1.
    """

    mean: float | None = None
    standard_deviation: float | None = None
    deciles: tuple[float, ...] | None = None
    at_most: tuple[float, ...] | None = None
    shares: dict[str, float] = Field(default_factory=dict)
    missing: float

    @model_validator(mode="after")
    def _tells_as_much_of_every_decile(self) -> Self:
        if self.at_most is not None and len(self.at_most) != len(self.deciles or ()):
            raise ValueError(f"{len(self.at_most)} shares at most, wanted one for each decile")
        return self


class Parity(Record):
    """The largest difference between the PyTorch network and the exported graph, over held-out rows."""

    rows: int
    batches: tuple[int, ...]
    max_abs_difference: float
    tolerance: float


class Golden(Record):
    """A few inputs with the outputs that training computed for them; replayed whenever the model is loaded.

    inputs, outputs: tensor name -> nested lists, the first axis the row.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    tolerance: float


class Manifest(Record):
    """manifest.json: what a model version is. `app` owns it, `training` writes it.

    predictions: output tensor -> what the network answers to the validation split: of probabilities the labels' shares,
                 and the distribution of the answered label's probability; of a value its own.
    """

    manifest_version: Literal[1] = 1
    name: str
    title: str
    task: str
    description: str
    intended_use: str
    limits: str
    card: str = ""
    inputs: Annotated[tuple[InputTensor, ...], Field(min_length=1)]
    outputs: Annotated[tuple[OutputTensor, ...], Field(min_length=1)]
    preprocessing_outside_graph: tuple[str, ...] = ()
    data: Data
    evaluation: Evaluation
    training: Training
    summaries: dict[str, Summary]
    predictions: dict[str, Summary] = Field(default_factory=dict)
    parity: Parity
    golden: Golden
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    """SHA-256 of model.onnx and of the external data that it reads; checked at load where they are given."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _unique("input", [one.tensor for one in self.inputs])
        _unique("feature", [feature.name for feature in self.features])
        _unique("output", [one.tensor for one in self.outputs])
        _unique("output field", [one.name for one in self.outputs])
        classes = sum(one.kind == "probabilities" for one in self.outputs)
        if classes > 1:
            raise ValueError("one output of probabilities at most: a prediction has one label")
        values = {one.name for one in self.outputs if one.kind != "probabilities"}
        if classes and (taken := values & {"label", "probability", "probabilities"}):
            raise ValueError(f"a value cannot be called {', '.join(sorted(taken))} beside probabilities")
        return self

    @property
    def features(self) -> tuple[Feature, ...]:
        return tuple(feature for tensor in self.inputs for feature in tensor.features)


def _unique(what: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{what} {', '.join(twice)} is described twice")


class Batching(Record):
    """How requests of one model share a run.

    max_rows: rows of one run; a larger request is cut into several. None: as many as pay, by runs measured at load.
    queue_delay_ms: how long an idle model waits for company; 0 runs at once.
    max_queue_rows: rows that may wait before callers are refused.
    """

    max_rows: Annotated[int, Field(ge=1)] | None = None
    queue_delay_ms: Annotated[float, Field(ge=0)] = 0
    max_queue_rows: Annotated[int, Field(ge=1)] = 4096


class VersionPolicy(Record):
    """Serve the `latest` n versions by number."""

    latest: Annotated[int, Field(ge=1)] = 1


class ModelConfig(Record):
    """config.yaml: how to serve a model; every key is optional.

    labels:    names for versions that serve, such as stable and canary.
    instances: runs of this model at one time; None fills the cores.
    threads:   intra-op threads of one run.
    redact:    features, answers or tensors whose values stay out of the prediction log.
    """

    versions: VersionPolicy | Literal["all"] | tuple[Annotated[int, Field(ge=1)], ...] = VersionPolicy()
    labels: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$")], int] = Field(default_factory=dict)
    batching: Batching | Literal[False] = Batching()
    deadline_ms: Annotated[int, Field(ge=1)] = 30_000
    instances: Annotated[int, Field(ge=1)] | None = None
    threads: Annotated[int, Field(ge=1)] = 1
    providers: tuple[str, ...] = ()
    strict_providers: bool = False
    required: bool = True
    redact: tuple[str, ...] = ()


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at path, None if there is none. Raises ModelLoadFailed on a manifest that does not hold."""
    if not path.exists():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelLoadFailed(f"{path.name}: {explain(error)}") from error
    except OSError as error:
        raise ModelLoadFailed(f"{path.name}: {error.strerror}") from error


def read_config(path: Path) -> ModelConfig:
    """The config at path, the defaults if there is none. Raises ModelLoadFailed on a config that does not hold."""
    if not path.exists():
        return ModelConfig()
    try:
        read = yaml.safe_load(path.read_bytes()) or {}
    except OSError as error:
        raise ModelLoadFailed(f"{path.name}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ModelLoadFailed(f"{path.name}: not YAML: {_place(error)}") from error
    try:
        return ModelConfig.model_validate(read)
    except ValidationError as error:
        raise ModelLoadFailed(f"{path.name}: {explain(error)}") from error


def _place(error: yaml.YAMLError | ValueError) -> str:
    """What is wrong and where, without the line itself: the file may be a link to one that is nobody's business."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return "a value that is none" if isinstance(error, ValueError) else "unknown characters"


def explain(error: ValidationError) -> str:
    """pydantic's findings in one line: where, and what was wanted."""
    findings = []
    for finding in error.errors(include_url=False):
        place = ".".join(str(part) for part in finding["loc"])
        message = finding["msg"].removeprefix("Value error, ")
        findings.append(f"{place}: {message}" if place else message)
    return "; ".join(findings)
