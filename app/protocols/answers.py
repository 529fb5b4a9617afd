"""What the routes that predict nothing answer, as pydantic models: the OpenAPI document is written from them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Immutable. A field with a default may be absent."""

    model_config = ConfigDict(frozen=True)


class Liveness(Answer):
    """The process answers."""

    live: Literal[True]


class Readiness(Answer):
    """Every required model is loaded and warm."""

    ready: Literal[True]
    live: Literal[True] = Field(True, description="As the protocol's own example calls it; under /v2 only.")
    providers: dict[str, dict[str, int]] = Field(
        {}, description="Models whose config.yaml names execution providers: how many nodes of each run on which."
    )
    missing_providers: dict[str, list[str]] = Field(
        {}, description="Models that run without an execution provider that their config.yaml asks for."
    )
    store: str = Field("", description="Why the store that models come from cannot be read now; those serve on.")


class Unreadiness(Answer):
    """A required model is not loaded, or not yet."""

    error: str = Field(description="Each model that is waited for, with the reason.")
    ready: Literal[False]
    live: Literal[False] = Field(False, description="As above; under /v2 only.")


class ModelNames(Answer):
    """The models that answer now."""

    models: list[str] = Field(description="In alphabetical order.")


class LoadStatus(Answer):
    """How loading went, as TensorFlow Serving tells it."""

    error_code: Literal["OK", "UNKNOWN"]
    error_message: str = Field(description="Empty, or why the version does not serve.")


class VersionStatus(Answer):
    """A version that is known."""

    version: str
    state: Literal["AVAILABLE", "LOADING", "END"]
    status: LoadStatus


class ModelStatus(Answer):
    """A model that answers, and each of its versions."""

    name: str
    ready: Literal[True]
    model_version_status: list[VersionStatus]


class ModelUnready(Answer):
    """A model that does not answer, or not yet, and each of its versions."""

    error: str
    name: str
    ready: Literal[False]
    model_version_status: list[VersionStatus]


class Server(Answer):
    """The server and the protocol's extensions that it serves."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Answer):
    """An input or an output of a graph."""

    name: str
    datatype: str = Field(description="BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64 or BYTES.")
    shape: list[int] = Field(description="-1 is a free axis.")
    parameters: dict[str, bool] = Field({}, description="`optional`: the graph has a default for it.")


class ModelMetadata(Answer):
    """What a model takes and gives."""

    name: str
    versions: list[str] = Field(description="Those that serve, ascending; the last answers calls without a version.")
    platform: Literal["onnx_onnxv1"]
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelDescription(Answer):
    """What a model version is and how it is called and served."""

    name: str
    version: int
    labels: list[str] = Field(description="That stand for this version.")
    batched: bool
    because: str = Field(description="Why rows share runs, or why not.")
    batch_invariant: str = Field(
        description="Whether a row's answer depends on its company: exact (to the bit, it does not), within a "
        "difference relative to 1 + the row's largest number, or no, and then rows share no runs."
    )
    max_rows: int | None = Field(description="Of one run; null where each request is a run.")
    deadline_ms: float
    providers: dict[str, int] = Field(description="Execution providers in use, and how many nodes run on each.")
    missing_providers: list[str] = Field(description="Asked for in config.yaml and not in use.")
    instances: int
    threads: int
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    manifest: dict[str, Any] | None = Field(description="What training wrote of it, without the golden rows.")
    report: bool = Field(description="Whether its training has left a page, /page/models/NAME/versions/VERSION/report.")
    explainable: bool = Field(description="Whether V1 explains its predictions.")
    example: dict[str, Any] | None = Field(description="A V1 body that gives a real prediction.")
    example_v2: dict[str, Any] | None = Field(description="The same for the Open Inference Protocol.")


class ModelReadiness(Answer):
    """The model, or the version, answers."""

    name: str
    ready: Literal[True]


class IndexEntry(Answer):
    """A version that is known, or a folder that has none."""

    name: str
    version: str = Field("", description="Absent where the model has no version.")
    state: Literal["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
    reason: str = Field(description="Empty, or why it does not serve.")


class ConfiguredTensor(Answer):
    """An input or an output, as Triton's configuration has it."""

    name: str
    data_type: str = Field(description="TYPE_FP32 and so on; TYPE_STRING for BYTES.")
    dims: list[int] = Field(description="Without the batch axis.")
    optional: bool = False


class InstanceGroup(Answer):
    """Runs of a model at one time."""

    name: str
    kind: Literal["KIND_CPU", "KIND_GPU"]
    count: int


class Configuration(Answer):
    """How a model is served, with Triton's names and units."""

    name: str
    platform: str
    backend: str
    version_policy: dict[str, dict[str, Any]]
    max_batch_size: int = Field(description="0 where rows do not share a run.")
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]
    instance_group: list[InstanceGroup]
    dynamic_batching: dict[str, int] = {}
    default_model_filename: str
    parameters: dict[str, dict[str, str]] = Field(description="Nodes of the graph by execution provider.")


class Series(Answer):
    """How often, and how long in all."""

    count: int
    ns: int


class InferenceStatistics(Answer):
    """Of requests, from their arrival to their answer, and of the stages of those that succeeded."""

    success: Series
    fail: Series
    queue: Series
    compute_input: Series
    compute_infer: Series
    compute_output: Series
    cache_hit: Series
    cache_miss: Series


class BatchStatistics(Answer):
    """Of the runs of one size."""

    batch_size: int = Field(description="Rows; above 1024 the next power of two.")
    compute_input: Series
    compute_infer: Series
    compute_output: Series


class ModelStatistics(Answer):
    """What a version has done since the service started."""

    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since 1970; 0 if there was none.")
    inference_count: int = Field(description="Rows.")
    execution_count: int = Field(description="Runs.")
    inference_stats: InferenceStatistics
    response_stats: dict[str, Any]
    batch_stats: list[BatchStatistics]
    memory_usage: list[dict[str, Any]]


class AllStatistics(Answer):
    """One entry a version."""

    model_stats: list[ModelStatistics]
