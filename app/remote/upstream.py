"""What a store has, by model and version, and what a folder that was fetched from it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from app.layout import NAME, VERSION
from app.remote.cache import write_whole
from app.remote.store import Told, is_plain

CONFIG = "config.yaml"

RECORD = ".store.json"
"""In a fetched folder: which files it holds, with the size and the tag that the store told."""

Files = Mapping[str, Told]
"""By their path in the folder that is meant."""


@dataclass
class Upstream:
    """What a store has of one model: its config.yaml, and the files of each version by their path in its folder."""

    config: Told | None = None
    versions: dict[int, dict[str, Told]] = field(default_factory=dict)


def arranged(files: Files) -> dict[str, Upstream]:
    """By model. Passed over: what is no part of a model, and every name that is hidden or could lead elsewhere."""
    models: dict[str, Upstream] = {}
    for path, told in files.items():
        name, *rest = path.split("/")
        if not rest or not NAME.fullmatch(name) or not all(map(is_plain, rest)):
            continue
        if rest == [CONFIG]:
            models.setdefault(name, Upstream()).config = told
        elif len(rest) > 1 and VERSION.fullmatch(rest[0]):
            versions = models.setdefault(name, Upstream()).versions
            versions.setdefault(int(rest[0]), {})["/".join(rest[1:])] = told
    return models


def has(upstream: Mapping[str, Upstream], place: str) -> bool:
    """Whether the store has `name`, `name/config.yaml` or `name/version`."""
    name, _, part = place.partition("/")
    if name not in upstream:
        return False
    if part == CONFIG:
        return upstream[name].config is not None
    return not part or int(part) in upstream[name].versions


def fact(told: Told) -> list[object]:
    """What a record has of one file."""
    return [told.size, told.tag]


def facts(files: Files) -> dict[str, object]:
    """What a record has of a folder."""
    return {file: fact(told) for file, told in files.items()}


def record(folder: Path) -> dict[str, object]:
    """The facts of a folder as it was fetched; empty for one that was not."""
    try:
        found: dict[str, object] = orjson.loads((folder / RECORD).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found


def keep(folder: Path, files: Files) -> None:
    """Write the record of a folder that holds these files. Raises OSError."""
    write_whole(folder / RECORD, orjson.dumps(facts(files)))
