"""What the routes that predict nothing answer, as pydantic models: the OpenAPI document is written from them."""

from typing import Literal

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
    missing_providers: dict[str, list[str]] = Field(
        {}, description="Models that run without an execution provider that their config.yaml asks for."
    )


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


class ModelMetadata(Answer):
    """What a model takes and gives."""

    name: str
    versions: list[str] = Field(description="Those that serve, ascending; the last answers calls without a version.")
    platform: Literal["onnx_onnxv1"]
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReadiness(Answer):
    """The model, or the version, answers."""

    name: str
    ready: Literal[True]
