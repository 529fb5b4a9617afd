"""A store's models, brought into a folder version by version.

How it is known that an upload is over: a version folder is fetched when a look finds it, and shown when a later look
finds it unchanged and it is whole: every file as long as the store told and with its digest, every file that the graph
reads there, and all as the manifest's SHA-256 say. One rename shows it. What a look does not find goes when the next
does not either.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from time import monotonic

import structlog

from app.errors import ModelLoadFailed
from app.inference.graph import read_graph
from app.layout import VERSION, served
from app.manifest import ModelConfig, read_config, read_manifest
from app.remote.backoff import wait_s
from app.remote.cache import Cache, remove, write_whole
from app.remote.store import CHUNK, Broken, FileFailed, Store, StoreFailed, digest
from app.remote.upstream import CONFIG, RECORD, Files, Upstream, arranged, fact, facts, has, keep, record

AT_ONCE = 4
"""Version folders that are fetched at one time."""

MOST_BROKEN = 4
"""So many that could not be fetched, and the others of a look are not tried: each may take seconds."""

VERSIONS_ALL = ModelConfig(versions="all")

MOST_CONFIG_BYTES = 1024 * 1024

log = structlog.get_logger("headrace.mirror")


@dataclass
class Look:
    """What one look did.

    pending:    something waits for the next look.
    failed:     something could not be fetched, and may be in a later look.
    broken:     how many version folders could not, for reasons that may be the store's.
    incomplete: `name/version` -> why it is not shown.
    """

    shown: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    pending: bool = False
    failed: bool = False
    broken: int = 0
    incomplete: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """A version folder that could not be fetched. until: not tried again before, by the monotonic clock."""

    reason: str
    times: int
    until: float


class Mirror:
    """One store's models in one cache, which nobody else writes to. heard: told whenever something has progressed."""

    def __init__(self, store: Store, cache: Cache, heard: Callable[[], None]) -> None:
        self._store, self._cache, self._heard = store, cache, heard
        self._missed: set[str] = set()
        self._failed: dict[str, Failed] = {}
        self._refused: dict[str, tuple[object, str]] = {}
        self._again: dict[str, object] = {}
        self._spare: list[Path] = []
        self._bring_back()

    def look(self, model: str = "") -> Look:
        """Bring, show and remove what the store has by now; of one model alone if it is named. Raises StoreFailed."""
        if model:  # now, whatever went wrong before
            self._failed = {place: one for place, one in self._failed.items() if place.partition("/")[0] != model}
        look, upstream = Look(), arranged(self._store.files(model))
        if not upstream:  # nothing is the same as no folder in many stores: a mistake, not an order to unload
            raise StoreFailed(f"there is no model {model!r} in it" if model else "there is no model in it")
        wanted = {name: self._wanted(name, there, look) for name, there in upstream.items()}
        self._spare = [place for name, numbers in wanted.items() for place in self._spared(name, numbers)]
        work = [(name, n, upstream[name].versions[n]) for name, numbers in wanted.items() for n in numbers]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(partial(self._bring, look), work):
                pass
        for name, there in upstream.items():
            self._show_config(name, there, look)
        self._remove(upstream, model, look)
        self._clear(upstream, wanted)
        return look

    def _bring_back(self) -> None:
        """What a kill has caught between the two renames of a replacement."""
        for place in self._cache.replaced.glob("*/*"):
            shown = self._cache.models / place.relative_to(self._cache.replaced)
            if shown.parent.exists() and not shown.exists() and VERSION.fullmatch(place.name):
                place.rename(shown)
        shutil.rmtree(self._cache.replaced, ignore_errors=True)

    def _shown(self, name: str) -> list[Path]:
        """The version folders of a model that the service sees, ascending."""
        place = self._cache.models / name
        found = [one for one in place.iterdir() if VERSION.fullmatch(one.name)] if place.exists() else []
        return sorted(found, key=lambda one: int(one.name))

    def _wanted(self, name: str, there: Upstream, look: Look) -> list[int]:
        """The versions that the policy of the newest config.yaml serves; those that are shown, if it does not hold."""
        place = self._cache.incoming / name
        if there.config and record(place) != facts({CONFIG: there.config}):
            try:
                if there.config.size > MOST_CONFIG_BYTES:
                    raise FileFailed(f"{there.config.size} bytes, wanted {MOST_CONFIG_BYTES} at most")
                self._store.fetch(f"{name}/{CONFIG}", there.config, place / CONFIG)
                keep(place, {CONFIG: there.config})
                look.pending = True
            except FileFailed as error:
                look.failed, look.incomplete[f"{name}/{CONFIG}"] = True, str(error)
                return []
        config = self._config(name) if there.config else ModelConfig()
        shown = [int(one.name) for one in self._shown(name) if int(one.name) in there.versions]
        return served(there.versions, config) if config else shown or served(there.versions, ModelConfig())

    def _config(self, name: str) -> ModelConfig | None:
        """The newest config.yaml; None for one that does not hold, which the service says too once it is shown."""
        try:
            return read_config(self._cache.incoming / name / CONFIG)
        except ModelLoadFailed:
            return None

    def _spared(self, name: str, wanted: list[int]) -> list[Path]:
        """Versions that are shown and neither wanted nor served until those are there."""
        config, shown = self._config(name) or VERSIONS_ALL, self._shown(name)
        kept = {*wanted, *served([int(place.name) for place in shown], config)}
        return [place for place in shown if int(place.name) not in kept]

    def _bring(self, look: Look, wanted: tuple[str, int, Files]) -> None:
        """One version: fetched now, or shown if it was fetched before and is whole."""
        name, number, files = wanted
        place, told = f"{name}/{number}", facts(files)
        incoming, shown = self._cache.incoming / place, self._cache.models / place
        if record(shown) == told:
            return
        before, reason = self._refused.get(place, (None, ""))
        if before == told:
            look.incomplete[place] = reason
            return
        failed = self._failed.get(place, Failed("", 0, 0))
        if monotonic() < failed.until:
            look.failed, look.incomplete[place] = True, failed.reason
            return
        try:
            if record(incoming) != told:
                if look.broken >= MOST_BROKEN:
                    raise FileFailed("not tried, since too many others could not be fetched")
                self._fetch(place, files)
                self._failed.pop(place, None)
                look.pending = True
            elif self._is_whole(place, files):
                self._show(place)
                look.shown.append(place)
            else:
                look.pending = True
        except FileFailed as error:
            look.incomplete[place] = str(error)
            look.broken += isinstance(error, Broken)
            if record(incoming) == told:  # until the store has other files
                self._refused[place] = told, str(error)
            else:
                look.failed = True
                self._failed[place] = Failed(str(error), failed.times + 1, monotonic() + wait_s(failed.times))

    def _fetch(self, place: str, files: Files) -> None:
        """Into `incoming`, going on with what is there. Raises FileFailed."""
        incoming, shown = self._cache.incoming / place, self._cache.models / place
        have, same = record(incoming), record(shown)
        done = {file: told for file, told in files.items() if have.get(file) == fact(told)}
        if not done:
            shutil.rmtree(incoming, ignore_errors=True)
        for left in incoming.rglob("*"):
            if left.is_file() and left.name != RECORD and str(left.relative_to(incoming)) not in done:
                left.unlink()
        self._check_room(sum(told.size for file, told in files.items() if file not in done))
        try:
            for file, told in files.items():
                if file in done:
                    continue
                if same.get(file) == fact(told):
                    (incoming / file).parent.mkdir(parents=True, exist_ok=True)
                    self._copy(shown / file, incoming / file)
                else:
                    self._store.fetch(f"{place}/{file}", told, incoming / file)
                done[file] = told
                keep(incoming, done)
        except OSError as error:
            raise FileFailed(f"it cannot be kept: {error.strerror}") from error

    def _copy(self, file: Path, to: Path) -> None:
        """Bit by bit, since this takes long for gigabytes."""
        with file.open("rb") as source, to.open("wb") as target:
            while chunk := source.read(CHUNK):
                target.write(chunk)
                self._heard()

    def _check_room(self, size: int) -> None:
        """Versions that are not served go first, the oldest before the others. Raises FileFailed."""
        while (free := shutil.disk_usage(self._cache.root).free) < size:
            if not self._spare:
                raise FileFailed(f"no room for {size} bytes; {free} are free")
            self._take_away(self._spare.pop(0))

    def _is_whole(self, place: str, files: Files) -> bool:
        """False if it is fetched once more, as what may have been damaged on its way. Raises FileFailed if there are
        not all files that belong together; what they are worth, loading finds out."""
        folder = self._cache.incoming / place
        if "model.onnx" not in files:
            raise FileFailed("model.onnx is missing")
        sums, weights = _sums(folder / "manifest.json"), _weights(folder / "model.onnx")
        if missing := sorted((weights | sums.keys()) - files.keys()):
            raise FileFailed(f"missing: {', '.join(missing)}")
        wrong = [name for name, sha256 in sums.items() if digest(folder / name, "sha256", self._heard) != sha256]
        if not wrong:
            return True
        if all(files[name].md5 for name in wrong) or self._again.get(place) == facts(files):
            raise FileFailed(f"not what manifest.json was written for: {', '.join(wrong)}")
        self._again[place] = facts(files)
        shutil.rmtree(folder)
        return False

    def _show(self, place: str) -> None:
        """In one rename; what was shown there, in one before it."""
        shown = self._cache.models / place
        self._refused.pop(place, None)
        shown.parent.mkdir(exist_ok=True)
        if shown.exists():
            replaced = self._cache.replaced / place
            replaced.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(replaced, ignore_errors=True)
            shown.rename(replaced)
        (self._cache.incoming / place).rename(shown)
        shutil.rmtree(self._cache.replaced / place, ignore_errors=True)

    def _show_config(self, name: str, there: Upstream, look: Look) -> None:
        """After the versions, which it may name; of a model that has one."""
        incoming, shown = self._cache.incoming / name, self._cache.models / name
        if there.config is None or not self._shown(name):
            return
        told = facts({CONFIG: there.config})
        if record(incoming) == told != record(shown):
            write_whole(shown / CONFIG, (incoming / CONFIG).read_bytes())
            keep(shown, {CONFIG: there.config})
            look.shown.append(f"{name}/{CONFIG}")

    def _remove(self, upstream: Mapping[str, Upstream], model: str, look: Look) -> None:
        """What two looks, one after the other, have not found."""
        missing = {place for place in self._present(model, upstream) if not has(upstream, place)}
        for place in sorted(missing & self._missed):
            self._take_away(self._cache.models / place)
            look.removed.append(place)
        look.pending = look.pending or bool(missing - self._missed)
        others = {place for place in self._missed if model and place.partition("/")[0] != model}
        self._missed = others | (missing - self._missed)

    def _present(self, model: str, upstream: Mapping[str, Upstream]) -> Iterator[str]:
        """The places that are shown: `name`, and of those upstream `name/config.yaml` and `name/version`. model: this
        one alone, if it is named."""
        for folder in self._cache.models.iterdir():
            if model in ("", folder.name):
                yield folder.name
                if folder.name in upstream:
                    yield from (f"{folder.name}/{version.name}" for version in self._shown(folder.name))
                    if (folder / CONFIG).exists():
                        yield f"{folder.name}/{CONFIG}"

    def _take_away(self, shown: Path) -> None:
        place = shown.relative_to(self._cache.models)
        if shown.name == CONFIG:
            shown.unlink(missing_ok=True)
            (shown.parent / RECORD).unlink(missing_ok=True)
        else:
            remove(shown, self._cache.replaced / place)
            shutil.rmtree(self._cache.incoming / place, ignore_errors=True)

    def _clear(self, upstream: Mapping[str, Upstream], wanted: Mapping[str, list[int]]) -> None:
        """What was fetched and is not wanted any more."""
        for place in self._cache.incoming.glob("*/*"):
            name = place.parent.name
            if name in upstream and VERSION.fullmatch(place.name) and int(place.name) not in wanted[name]:
                shutil.rmtree(place)


def _sums(manifest: Path) -> Mapping[str, str]:
    """What a manifest says of its files; nothing where there is none that holds."""
    with suppress(ModelLoadFailed):
        found = read_manifest(manifest)
        return found.files if found else {}
    return {}


def _weights(model: Path) -> frozenset[str]:
    """The files that a graph reads below its folder; none of what is no graph."""
    with suppress(ModelLoadFailed):
        paths = [PurePosixPath(name) for name in read_graph(model).external]
        return frozenset(str(path) for path in paths if ".." not in path.parts and not path.is_absolute())
    return frozenset()
