"""The model repository: `models/` on disk becomes ready Models.

models/<name>/[config.yaml], <version>/{model.onnx, [manifest.json]}: Triton's layout. A version that cannot be loaded
keeps its reason and does not stop the others.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import structlog

from app.errors import ModelLoadFailed, ModelNotFound, ModelNotReady
from app.inference.model import Model, Opened, open_version
from app.manifest import ModelConfig, VersionPolicy, read_config, read_manifest
from app.metrics import Metrics

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
RESERVED = {"stats"}  # GET /v2/models/stats would hide a model of this name

log = structlog.get_logger("headrace.repository")


class State(StrEnum):
    """A version's state, in the words of the protocol's model repository extension."""

    LOADING = "LOADING"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass
class Version:
    """One version of a model: it is loading until it has either a `model` or a `reason` why there is none."""

    name: str
    number: int
    config: ModelConfig
    file: Path
    reason: str = ""
    model: Model | None = None

    @property
    def state(self) -> State:
        if self.model is not None:
            return State.READY
        return State.UNAVAILABLE if self.reason else State.LOADING


@dataclass
class Entry:
    """A model folder: its versions, or the reason why it has none."""

    name: str
    required: bool
    versions: dict[int, Version]
    reason: str = ""
    labels: Mapping[str, int] = field(default_factory=dict)


class Repository:
    """Every model of one folder: known from the start, serving once `load` has opened them.

    cores: of this worker; each model's instances x threads stays within them.
    """

    def __init__(self, folder: Path, metrics: Metrics, cores: int) -> None:
        self._metrics, self._cores = metrics, cores
        self._entries = {entry.name: entry for entry in scan(folder)}
        self.generation = 0

    async def load(self) -> None:
        """Open every version that its model's policy names, as many at a time as there are cores."""
        for entry in self._entries.values():
            if entry.reason:
                log.error("model_failed", model=entry.name, reason=entry.reason)
        gate = asyncio.Semaphore(self._cores)
        await asyncio.gather(*(self._load_version(version, gate) for version in self.versions()))

    async def _load_version(self, version: Version, gate: asyncio.Semaphore) -> None:
        try:
            async with gate:
                opened = await asyncio.to_thread(open_from, version, self._cores)
            version.model = Model(version.name, version.number, opened, version.config, self._metrics)
            log.info("model_ready", **described(version.model))
            _warn(version.model, version.config)
        except ModelLoadFailed as error:
            version.reason = str(error)
            log.error("model_failed", model=version.name, version=version.number, reason=version.reason)
        except Exception:
            version.reason = "it cannot be loaded; the server's log has the reason"
            log.exception("model_failed", model=version.name, version=version.number)
        self._metrics.model_ready.labels(version.name, version.number).set(version.state is State.READY)
        self.generation += 1

    def versions(self) -> list[Version]:
        """Every version known, by name and number."""
        return [version for entry in self._entries.values() for version in entry.versions.values()]

    def models(self) -> list[Model]:
        """Every version that serves."""
        return [version.model for version in self.versions() if version.model is not None]

    def serving(self, name: str) -> list[Model]:
        """The versions of one model that serve, by number; the last answers calls without a version.

        Raises ModelNotFound for an unknown name, ModelNotReady when none of its versions serves.
        """
        entry = self._entry(name)
        ready = [version.model for version in entry.versions.values() if version.model is not None]
        if not ready:
            loading = any(version.state is State.LOADING for version in entry.versions.values())
            raise ModelNotReady(f"model {name} is not ready: {self._why_not(entry)}", loading)
        return ready

    def get(self, name: str, number: int | None = None) -> Model:
        """The model version that answers a call; the highest one that serves if no number is given.

        Raises ModelNotFound, ModelNotReady.
        """
        if number is None:
            return self.serving(name)[-1]
        entry = self._entry(name)
        if number not in entry.versions:
            told = ", ".join(map(str, entry.versions)) or "none"
            raise ModelNotFound(f"model {name} has no version {number}; versions: {told}")
        version = entry.versions[number]
        if version.model is None:
            why = version.reason or "it is loading"
            raise ModelNotReady(f"model {name} version {number} is not ready: {why}", version.state is State.LOADING)
        return version.model

    def labelled(self, name: str, label: str) -> int:
        """The version that a label of config.yaml stands for. Raises ModelNotFound."""
        labels = self._entry(name).labels
        if label not in labels:
            told = ", ".join(labels) or "none"
            raise ModelNotFound(f"model {name} has no version or label {label!r}; labels: {told}")
        return labels[label]

    def waiting(self) -> dict[str, str]:
        """Required models that do not serve, each with the reason; empty when the service is ready."""
        return {
            entry.name: self._why_not(entry)
            for entry in self._entries.values()
            if entry.required and (not entry.versions or any(v.model is None for v in entry.versions.values()))
        }

    def missing_providers(self) -> dict[str, list[str]]:
        """Models that run without an execution provider that was asked for."""
        return {model.name: model.missing_providers for model in self.models() if model.missing_providers}

    async def close(self) -> None:
        """Answer what was accepted, then close every model."""
        await asyncio.gather(*(model.close() for model in self.models()))

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            told = ", ".join(self._entries) or "none"
            raise ModelNotFound(f"no model {name!r}; models: {told}")
        return self._entries[name]

    @staticmethod
    def _why_not(entry: Entry) -> str:
        reasons = [v.reason for v in entry.versions.values() if v.reason]
        return entry.reason or "; ".join(reasons) or "it is loading"


def open_from(version: Version, cores: int) -> Opened:
    """Reads the manifest and opens the graph of one version. Blocking; raises ModelLoadFailed."""
    return open_version(version.file, read_manifest(version.file.parent / "manifest.json"), version.config, cores)


def _warn(model: Model, config: ModelConfig) -> None:
    """What config.yaml asks for and this machine does not have."""
    if model.missing_providers:
        log.warning("provider_missing", model=model.name, missing=model.missing_providers, used=model.providers)
    asked = (config.instances or model.share.instances, config.threads)
    if asked != (model.share.instances, model.share.threads):
        log.warning(
            "cores_missing", model=model.name, asked="{} instances x {} threads".format(*asked), got=model.share
        )


def described(model: Model) -> dict[str, object]:
    """What an operator wants to read of a model that is ready."""
    return {
        "model": model.name,
        "version": model.version,
        "batched": model.signature.batched,
        "because": model.batching,
        "providers": model.providers,
        "missing_providers": model.missing_providers,
        "instances": model.share.instances,
        "threads": model.share.threads,
    }


def scan(folder: Path) -> list[Entry]:
    """The model folders, by name; hidden files, loose files and folders such as `.git` are passed over."""
    places = sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))
    return [_read_entry(place) for place in places]


def _read_entry(place: Path) -> Entry:
    name = place.name
    if not NAME.fullmatch(name) or name in RESERVED:
        return Entry(name, False, {}, f"cannot be a model's name; wanted {NAME.pattern}, not {', '.join(RESERVED)}")
    try:
        config = read_config(place / "config.yaml")
        numbers = _chosen(place, config)
    except ModelLoadFailed as error:
        return Entry(name, True, {}, str(error))
    except OSError as error:
        return Entry(name, True, {}, f"the folder cannot be read: {error.strerror}")
    versions = {n: Version(name, n, config, place / str(n) / "model.onnx") for n in numbers}
    return Entry(name, config.required, versions, labels=config.labels)


def _chosen(place: Path, config: ModelConfig) -> list[int]:
    """The versions that the policy serves, ascending. Raises ModelLoadFailed when there are none."""
    present = sorted(int(p.name) for p in place.iterdir() if re.fullmatch(r"[1-9][0-9]*", p.name) and p.is_dir())
    if isinstance(config.versions, VersionPolicy):
        chosen = present[-config.versions.latest :]
    elif config.versions == "all":
        chosen = present
    else:
        chosen = sorted(set(config.versions))
        if absent := set(chosen) - set(present):
            raise ModelLoadFailed(f"config.yaml asks for versions {sorted(absent)}; there are {present}")
    if unserved := sorted(set(config.labels.values()) - set(chosen)):
        raise ModelLoadFailed(f"config.yaml labels versions {unserved}; it serves {chosen}")
    if not chosen:
        raise ModelLoadFailed("no version folder; wanted <version>/model.onnx with a positive integer")
    return chosen
