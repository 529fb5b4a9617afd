"""A model repository on disk: which models and versions its folders hold, before any of them is opened.

models/<name>/[config.yaml], <version>/{model.onnx, [manifest.json]}: Triton's layout.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import ModelLoadFailed, ModelNotFound
from app.inference.graph import check_place
from app.manifest import ModelConfig, VersionPolicy, read_config

if TYPE_CHECKING:
    from app.inference.model import Model

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION = re.compile(r"[1-9][0-9]*")
RESERVED = {"stats"}  # GET /v2/models/stats would hide a model of this name


class State(StrEnum):
    """A version's state, in the words of the protocol's model repository extension."""

    LOADING = "LOADING"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass
class Version:
    """One version of a model: it is loading until it has either a `model` or a `reason` why there is none.

    reason:  beside a model, why its newer files do not serve.
    awaited: readiness waits for it: so it does for what is there at the start, and not for what comes to a service
             that is ready.
    """

    name: str
    number: int
    config: ModelConfig
    file: Path
    reason: str = ""
    model: "Model | None" = None
    awaited: bool = True

    @property
    def state(self) -> State:
        if self.model is not None:
            return State.READY
        return State.UNAVAILABLE if self.reason else State.LOADING


@dataclass
class Entry:
    """A model folder: its versions by number, ascending, or the reason why it has none."""

    name: str
    required: bool
    versions: dict[int, Version]
    reason: str = ""
    labels: Mapping[str, int] = field(default_factory=dict)

    def labels_of(self, number: int) -> list[str]:
        """The labels that stand for a version."""
        return [label for label, labelled in self.labels.items() if labelled == number]

    @property
    def serving(self) -> list[Version]:
        return [version for version in self.versions.values() if version.model is not None]


def scan(folder: Path) -> list[Entry]:
    """The model folders, by name; hidden files, loose files and folders such as `.git` are passed over."""
    return [read_entry(place) for place in _places(folder)]


def folders(folder: Path) -> list[str]:
    """The names of the model folders."""
    return [place.name for place in _places(folder)]


Snapshot = tuple[tuple[str, int, int, int], ...]
"""The files of a model's folder: path, size, time of change and inode."""


def snapshots(folder: Path) -> dict[str, Snapshot]:
    """Each model folder as it is now, by name."""
    return {place.name: snapshot(place) for place in _places(folder)}


def snapshot(place: Path) -> Snapshot:
    """A model's folder as it is now: any change of what is served from it shows."""
    files = []
    for file in (place / "config.yaml", *place.glob("*/*")):
        with suppress(OSError):  # it goes while we look
            told = file.stat()
            files.append((str(file.relative_to(place)), told.st_size, told.st_mtime_ns, told.st_ino))
    return tuple(sorted(files))


def find_entry(folder: Path, name: str, config: ModelConfig | None) -> Entry:
    """What one model's folder holds now. Raises ModelNotFound for a name that is no folder of the repository.

    config: instead of the folder's config.yaml.
    """
    if not NAME.fullmatch(name) or not (folder / name).is_dir():
        raise ModelNotFound(f"the repository has no model {name!r}; models: {', '.join(folders(folder)) or 'none'}")
    return read_entry(folder / name, config)


def find_version(folder: Path, name: str, number: int | None) -> Version:
    """A version that is served; the newest of them for None. Raises ModelNotFound."""
    entry = find_entry(folder, name, None)
    if entry.reason:
        raise ModelNotFound(f"model {name}: {entry.reason}")
    if number is not None and number not in entry.versions:
        raise ModelNotFound(f"model {name} has no version {number}; it serves {', '.join(map(str, entry.versions))}")
    return entry.versions[max(entry.versions) if number is None else number]


def read_entry(place: Path, config: ModelConfig | None = None) -> Entry:
    """What a model's folder holds. Its entry has the reason if nothing of it can be served."""
    name = place.name
    if not NAME.fullmatch(name) or name in RESERVED:
        return Entry(name, False, {}, f"cannot be a model's name; wanted {NAME.pattern}, not {', '.join(RESERVED)}")
    try:
        for file in (place, place / "config.yaml"):
            if file.exists() or file.is_symlink():
                check_place(file, place.parent, file.name)
        config = config or read_config(place / "config.yaml")
        numbers = _chosen(place, config)
    except ModelLoadFailed as error:
        return Entry(name, True, {}, str(error))
    except OSError as error:
        return Entry(name, True, {}, f"the folder cannot be read: {error.strerror}")
    versions = {n: Version(name, n, config, place / str(n) / "model.onnx") for n in numbers}
    return Entry(name, config.required, versions, labels=config.labels)


def _places(folder: Path) -> list[Path]:
    return sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def served(present: Iterable[int], config: ModelConfig) -> list[int]:
    """Those of the versions that the policy serves, ascending."""
    if isinstance(config.versions, VersionPolicy):
        return sorted(present)[-config.versions.latest :]
    return sorted(present if config.versions == "all" else set(present) & set(config.versions))


def _chosen(place: Path, config: ModelConfig) -> list[int]:
    """The versions that the policy serves, ascending. Raises ModelLoadFailed when there are none."""
    present = sorted(int(p.name) for p in place.iterdir() if VERSION.fullmatch(p.name) and p.is_dir())
    chosen = served(present, config)
    if isinstance(config.versions, tuple) and (absent := set(config.versions) - set(present)):
        raise ModelLoadFailed(f"config.yaml asks for versions {sorted(absent)}; there are {present}")
    if unserved := sorted(set(config.labels.values()) - set(chosen)):
        raise ModelLoadFailed(f"config.yaml labels versions {unserved}; it serves {chosen}")
    if not chosen:
        raise ModelLoadFailed("no version folder; wanted <version>/model.onnx with a positive integer")
    return chosen
