"""All configuration of the service: flags of `python -m app serve` and HEADRACE_* variables, a flag winning.

What depends on one model stands in its config.yaml instead.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

OTEL_ASKS = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables of OpenTelemetry that ask for traces."""


class Settings(BaseSettings):
    """Serve a model repository over HTTP. A flag is also a variable: --max-body-bytes is HEADRACE_MAX_BODY_BYTES."""

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_",
        frozen=True,
        extra="forbid",
        cli_prog_name="python -m app serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
    )

    models: Annotated[
        str | Path,
        Field(
            description="the model repository, a folder of NAME/VERSION/model.onnx, or its address in a store: `s3://...`",
        ),
    ] = "models"
    mirror: Annotated[
        Path | None,
        Field(description="the folder for models from a store; none for one of the user's, below the temporary folder"),
    ] = None
    host: Annotated[str, Field(min_length=1, description="the address to listen on; 0.0.0.0 for every one")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="the port to listen on; 0 takes a free one")] = 8000
    workers: Annotated[int, Field(ge=1, description="processes that serve, each with a listening socket")] = 1
    api_key: Annotated[
        SecretStr,
        Field(description="a key that callers must send; empty lets all in; give it as a variable, flags show in `ps`"),
    ] = SecretStr("")
    keys_file: Annotated[
        Path | None,
        Field(description="hashed keys with scopes and rates, read again when it changes; see `python -m app key`"),
    ] = None
    open_metrics: Annotated[bool, Field(description="/metrics needs no key")] = False
    open_docs: Annotated[bool, Field(description="/openapi.json, which /docs shows, needs no key")] = False
    hosts: Annotated[
        tuple[str, ...],
        Field(description='host names to answer under, a JSON list, `"*.example.org"` for all below; empty for any'),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...], Field(description="origins whose pages may call from a browser, a JSON list")
    ] = ()
    tls_certificate: Annotated[
        Path | None, Field(description="the certificate chain, PEM; with it the service speaks HTTPS alone")
    ] = None
    tls_key: Annotated[
        Path | None, Field(description="the certificate's private key, PEM, if it is in another file")
    ] = None
    max_body_bytes: Annotated[int, Field(ge=1, description="the largest request body that is read, in bytes")] = (
        64 * 1024 * 1024
    )
    nonfinite: Annotated[
        Literal["token", "string", "null", "error"],
        Field(description='NaN and infinity in JSON, both ways: bare `NaN`, text `"NaN"`, `null` for NaN, or refused'),
    ] = "token"
    repository_control: Annotated[
        bool, Field(description="load and unload models over HTTP, on all workers at once")
    ] = False
    poll_s: Annotated[
        float, Field(ge=0, description="look every so many seconds for new, changed and removed models; 0 for never")
    ] = 0
    load_timeout_s: Annotated[
        float, Field(gt=0, description="seconds for a model to be opened, proven and measured; then it fails alone")
    ] = 600
    load_memory_bytes: Annotated[
        int,
        Field(ge=0, description="what loading models may take in a worker at one time; 0 for most of what is free"),
    ] = 0
    max_image_pixels: Annotated[
        int,
        Field(ge=1, description="pixels of all images of a request together, as sent or as the model takes them"),
    ] = 16 * 1024 * 1024
    max_audio_samples: Annotated[
        int,
        Field(ge=1, description="samples of all sounds of a request together, every channel counted"),
    ] = 16 * 1024 * 1024
    max_json_depth: Annotated[
        int, Field(ge=4, le=1000, description="how deep the lists and objects of a JSON body may be nested")
    ] = 64
    max_inputs: Annotated[int, Field(ge=1, description="tensors of one V2 request")] = 1024
    max_tensor_elements: Annotated[int, Field(ge=1, description="elements of one tensor of a request")] = 2**26
    max_explain_rows: Annotated[
        int, Field(ge=1, description="rows that the explanations of one request may take through the model")
    ] = 65536
    max_connections: Annotated[int, Field(ge=1, description="connections of one worker; more are refused")] = 8192
    max_in_flight: Annotated[
        int, Field(ge=1, description="predictions of one worker, not yet answered; more are refused")
    ] = 4096
    max_url_bytes: Annotated[int, Field(ge=64, description="of a request's path and query")] = 16 * 1024
    max_head_bytes: Annotated[int, Field(ge=256, description="of a request's line and headers")] = 64 * 1024
    head_timeout_s: Annotated[float, Field(gt=0, description="seconds for a request's head to arrive")] = 10
    body_timeout_s: Annotated[float, Field(gt=0, description="seconds for all of a request to arrive")] = 60
    answer_timeout_s: Annotated[
        float, Field(gt=0, description="seconds for a caller to take more of its answer, then the connection ends")
    ] = 60
    keep_alive_s: Annotated[
        float,
        Field(gt=0, description="seconds that a connection may rest; longer than its caller keeps it"),
    ] = 75
    drain_s: Annotated[
        float,
        Field(ge=0, description="seconds that a stop, not ready any more, still serves: load balancers need them"),
    ] = 0
    stop_timeout_s: Annotated[int, Field(ge=0, description="seconds that a stop then waits for answers under way")] = 30
    worker_timeout_s: Annotated[
        float, Field(ge=2, description="seconds after which one of several workers that gives no sign is replaced")
    ] = 30
    log_format: Annotated[
        Literal["auto", "json", "console"],
        Field(description="json for machines, console for people, auto by whether standard output is a terminal"),
    ] = "auto"
    traces: Annotated[
        bool,
        Field(description="send OpenTelemetry traces; also on where OTEL_TRACES_EXPORTER or an OTLP endpoint is set"),
    ] = False
    prediction_log: Annotated[
        Path | None, Field(description="a folder for what was asked and answered, for `python -m app replay`")
    ] = None
    prediction_log_share: Annotated[
        float, Field(gt=0, le=1, description="of the runs that are kept there, by chance")
    ] = 0.01
    prediction_log_bytes: Annotated[int, Field(ge=2**20, description="of its files together; the oldest go")] = 2**30
    fast_lane: Annotated[
        bool, Field(description="take ordinary predictions off the wire below ASGI; off for comparison")
    ] = True
    log_requests: Annotated[
        bool, Field(description="a log line for each request; errors of ours are always logged")
    ] = False

    @property
    def traced(self) -> bool:
        """Whether `traces` or OpenTelemetry's own variables ask for traces."""
        told = os.environ.get
        if told("OTEL_SDK_DISABLED", "").lower() == "true" or told("OTEL_TRACES_EXPORTER") == "none":
            return False
        return self.traces or any(os.environ.get(name) for name in OTEL_ASKS)


def table() -> str:
    """Every setting as a Markdown table; the README holds it."""
    lines = ["| variable | flag | default | what |", "| --- | --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = (
            "none"
            if default in ("", None, ())
            else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        flag = name.replace("_", "-")
        lines.append(f"| `HEADRACE_{name.upper()}` | `--{flag}` | {shown} | {field.description} |")
    return "\n".join(lines)
