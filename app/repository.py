"""The model repository: `models/` on disk becomes ready Models, which come and go while others serve.

A version that cannot be loaded keeps its reason and does not stop the others. Loading a model again serves its old
versions until the new ones are ready; a new one that fails leaves the old ones serving.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from app.errors import ModelLoadFailed, ModelNotFound, ModelNotReady, ServingError
from app.heap import collect
from app.inference.graph import check_links, check_place
from app.inference.memory import Room
from app.inference.model import Model, Opened, open_version
from app.inference.runs import See
from app.inference.session import Opening
from app.inference.threads import cores
from app.layout import NAME, Entry, Snapshot, State, Version, find_entry, folders, scan, snapshot, snapshots
from app.manifest import PAGE, ModelConfig, read_manifest
from app.metrics import Metrics

log = structlog.get_logger("headrace.repository")


@dataclass(frozen=True)
class Listed:
    """One line of the index. version: None for a model of which no version is known."""

    name: str
    version: int | None
    state: State
    reason: str


@dataclass(frozen=True)
class LoadLimits:
    """What a model may take, so that one that asks for too much fails alone.

    cores:     of this worker; each model's instances x threads stays within them.
    timeout_s: to be opened, proven and measured.
    """

    cores: int
    timeout_s: float
    room: Room

    @classmethod
    def of_a_command(cls) -> "LoadLimits":
        """For a command that opens one model after the other: all there is."""
        return cls(cores(), inf, Room(0, 1))


SeeOf = Callable[[str, int, Opened, Sequence[str]], See]
"""What is shown a version's runs: of its name, its number, itself, and what `redact` in its config.yaml names. Raises
ModelLoadFailed."""


class Repository:
    """Every model of one folder: known from the start, serving once `load` has opened them."""

    def __init__(
        self,
        folder: Path,
        metrics: Metrics,
        limits: LoadLimits,
        see_of: SeeOf | None = None,
        settle: Callable[[], None] = collect,
    ) -> None:
        """settle: the memory, once models have come or gone."""
        self._folder, self._metrics, self._limits = folder, metrics, limits
        self._see_of, self._settle = see_of, settle
        self._entries = {entry.name: entry for entry in scan(folder)}
        self._gate = asyncio.Semaphore(limits.cores)
        self._given_up: set[asyncio.Task[Opened]] = set()
        self._changes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.generation = 0
        self._watchers: list[Callable[[], None]] = []
        self._tried: dict[str, Snapshot] = {}
        self._seen: dict[str, Snapshot] = {}

    async def load(self) -> None:
        """Open every version that its model's policy names now, as many at a time as there are cores."""
        self._tried = self._seen = await asyncio.to_thread(snapshots, self._folder)
        self._entries = {entry.name: entry for entry in await asyncio.to_thread(scan, self._folder)}
        for entry in self._entries.values():
            if entry.reason:
                log.error("model_failed", model=entry.name, reason=entry.reason)
        await asyncio.gather(*map(self._load_first, self.entries()))
        self._settle()

    async def _load_first(self, entry: Entry) -> None:
        """At the start; whoever wants to change the model waits until this is done."""
        async with self._change_of(entry.name):
            await self._open(entry.versions.values())

    async def load_model(self, name: str, config: ModelConfig | None = None) -> None:
        """Serve what the model's folder holds now, in place of what was served before.

        config: instead of the folder's config.yaml, until the next load.

        Raises ModelNotFound, and ModelLoadFailed with the reason of each version that cannot be served; what it was to
        take over from serves on, under the labels that it had.
        """
        async with self._change_of(name):
            if NAME.fullmatch(name) and (place := self._folder / name).is_dir():
                self._tried = self._tried | {name: await asyncio.to_thread(snapshot, place)}
            entry = await asyncio.to_thread(find_entry, self._folder, name, config)
            before = self._entries.get(name, Entry(name, False, {}))
            old, awaited = before.serving, name in self.waiting()
            for version in entry.versions.values():
                version.awaited = awaited
            if entry.reason:
                entry.required = awaited
                for version in old:
                    version.reason = entry.reason
                self._entries[name] = before if old else entry
                raise ModelLoadFailed(f"model {name}: {entry.reason}")
            self._show(before if old else entry, entry.versions | {version.number: version for version in old})
            await self._open(entry.versions.values())
            failed = {n: version.reason for n, version in entry.versions.items() if version.model is None}
            if failed:
                kept = [v for v in old if v.number not in entry.versions or v.number in failed]
                for version in kept:
                    version.reason = failed.get(version.number, "")
                    self._metrics.model_ready.labels(version.name, version.number).set(1)
                self._show(entry, entry.versions | {version.number: version for version in kept})
                entry.labels = before.labels if old else entry.labels
            else:
                self._show(entry, entry.versions)
            await self._retire(old)
        if failed:
            told = "; ".join(f"version {number}: {reason}" for number, reason in failed.items())
            raise ModelLoadFailed(f"model {name}: {told}")

    async def unload_model(self, name: str) -> None:
        """Take the model out of service, once all that it has accepted is answered. Raises ModelNotFound."""
        async with self._change_of(name):
            entry = self._entry(name)
            old = entry.serving
            gone = {
                v.number: Version(name, v.number, v.config, v.file, reason="unloaded", awaited=False)
                for v in entry.versions.values()
            }
            self._show(entry, gone)
            await self._retire(old)
        log.info("model_unloaded", model=name)

    async def poll(self) -> None:
        """Serve what the folders hold now, if that is not what they held when they were last tried. A folder that has
        changed since the last look is left alone: somebody may still be copying."""
        found, before = await asyncio.to_thread(snapshots, self._folder), self._seen
        self._seen = found
        for name in sorted(found.keys() | self._tried.keys()):
            held = found.get(name)
            if held == self._tried.get(name) or held != before.get(name):
                continue
            with suppress(ServingError):  # it is in the log and in the index
                if held is None:
                    del self._tried[name]
                    await self.unload_model(name)
                else:
                    self._tried = self._tried | {name: held}
                    await self.load_model(name)

    def watch(self, changed: Callable[[], None]) -> None:
        """changed: called whenever a version comes or goes, before the memory of the old ones is collected."""
        self._watchers.append(changed)

    def _changed(self) -> None:
        self.generation += 1
        for changed in self._watchers:
            changed()

    def _change_of(self, name: str) -> asyncio.Lock:
        """Held by one change of a model at a time."""
        return self._changes.setdefault(name, asyncio.Lock())

    def _show(self, entry: Entry, versions: dict[int, Version]) -> None:
        """From now on the model is this entry, with these versions."""
        entry.versions = dict(sorted(versions.items()))
        self._entries[entry.name] = entry
        self._changed()

    async def _retire(self, old: Iterable[Version]) -> None:
        """Wait for the answers of versions that are no longer shown, and let go of their sessions."""
        for version in old:
            shown = self._entries[version.name].versions.get(version.number)
            if version is shown or version.model is None:
                continue
            await version.model.drained()
            nodes, version.model = version.model.nodes, None
            if shown is None or shown.model is None:
                self._metrics.tell_place(version.name, version.number, dict.fromkeys(nodes, 0), 0, 0)
            self._metrics.model_ready.labels(version.name, version.number).set(shown is not None and bool(shown.model))
        await asyncio.to_thread(self._settle)

    async def _open(self, versions: Iterable[Version]) -> None:
        await asyncio.gather(*map(self._open_version, versions))

    async def _open_version(self, version: Version) -> None:
        try:
            async with self._gate:
                opened = await self._opened(version)
            name, number, config = version.name, version.number, version.config
            see = self._see_of(name, number, opened, config.redact) if self._see_of else None
            self._metrics.model_loads.labels(name, "success").inc()
            version.model = Model(name, number, opened, config, self._metrics, see)
            size = sum(file.stat().st_size for file in opened.session.files)
            self._metrics.tell_place(version.name, version.number, opened.session.nodes, opened.share.total, size)
            log.info("model_ready", **described(version.model))
            _warn(version.model, version.config)
        except ModelLoadFailed as error:
            version.reason = str(error)
            log.error("model_failed", model=version.name, version=version.number, reason=version.reason)
        except Exception:
            version.reason = "it cannot be loaded; the server's log has the reason"
            log.exception("model_failed", model=version.name, version=version.number)
        if version.model is None:
            self._metrics.model_loads.labels(version.name, "fail").inc()
        self._metrics.model_ready.labels(version.name, version.number).set(version.state is State.READY)
        self._changed()

    async def _opened(self, version: Version) -> Opened:
        """In a thread, which is asked to end when the time is over or this is cancelled; it may be in a step that it
        ends first. Raises ModelLoadFailed."""
        opening, timeout_s = Opening(), self._limits.timeout_s
        work = asyncio.create_task(asyncio.to_thread(open_from, version, self._limits, opening))
        try:
            done, _ = await asyncio.wait({work}, timeout=timeout_s)
        finally:
            if not work.done():
                opening.give_up()
                self._given_up.add(work)
                work.add_done_callback(self._forget)
        if not done:
            raise ModelLoadFailed(f"it was not ready after {timeout_s:g} s, the time for a load (load_timeout_s)")
        return work.result()

    def _forget(self, work: "asyncio.Task[Opened]") -> None:
        """A load that was given up has ended; why is of no interest."""
        self._given_up.discard(work)
        if not work.cancelled():
            work.exception()

    def entries(self) -> list[Entry]:
        """Every model folder, by name, those that cannot serve too."""
        return list(self._entries.values())

    def versions(self) -> list[Version]:
        """Every version known, by name and number."""
        return [version for entry in self._entries.values() for version in entry.versions.values()]

    def models(self) -> list[Model]:
        """Every version that serves."""
        return [version.model for version in self.versions() if version.model is not None]

    async def index(self) -> list[Listed]:
        """Every version known, every model without one, and every folder that has not been loaded, by name."""
        listed = []
        for entry in self._entries.values():
            listed += [Listed(v.name, v.number, v.state, v.reason) for v in entry.versions.values()]
            if not entry.versions:
                listed.append(Listed(entry.name, None, State.UNAVAILABLE, entry.reason))
        present = await asyncio.to_thread(folders, self._folder)
        new = [name for name in present if name not in self._entries]
        return sorted(
            [*listed, *(Listed(name, None, State.UNAVAILABLE, "not loaded") for name in new)], key=lambda one: one.name
        )

    def serving(self, name: str) -> list[Model]:
        """The versions of one model that serve, by number; the last answers calls without a version.

        Raises ModelNotFound for an unknown name, ModelNotReady when none of its versions serves.
        """
        entry = self._entry(name)
        ready = [version.model for version in entry.serving if version.model is not None]
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

    def labels_of(self, name: str, number: int) -> list[str]:
        """The labels of config.yaml that stand for a version. Raises ModelNotFound for an unknown name."""
        return self._entry(name).labels_of(number)

    def labelled(self, name: str, label: str) -> int:
        """The version that a label of config.yaml stands for. Raises ModelNotFound."""
        labels = self._entry(name).labels
        if label not in labels:
            told = ", ".join(labels) or "none"
            raise ModelNotFound(f"model {name} has no version or label {label!r}; labels: {told}")
        return labels[label]

    def config(self, name: str, number: int) -> ModelConfig:
        """How a version of a model is served. Raises ModelNotFound."""
        return self._entry(name).versions[number].config

    def report(self, name: str, number: int) -> Path | None:
        """The page that stands beside a version, if there is a plain one in its folder. Raises ModelNotFound."""
        version = self._entry(name).versions[number]
        file = version.file.with_name(PAGE)
        try:
            check_place(file, version.file.parents[1], PAGE)
            check_links(file, version.file.parents[1])
        except ModelLoadFailed:
            return None
        return file if file.is_file() else None

    def waiting(self) -> dict[str, str]:
        """Required models that do not serve, each with the reason; empty when the service is ready."""
        return {
            entry.name: self._why_not(entry)
            for entry in self._entries.values()
            if entry.required
            and (not entry.versions or any(v.awaited and v.model is None for v in entry.versions.values()))
        }

    def places(self) -> dict[str, dict[str, int]]:
        """Models whose config.yaml names execution providers: how many nodes of each run on which."""
        return {
            version.name: version.model.nodes
            for version in self.versions()
            if version.model and version.config.providers
        }

    def missing_providers(self) -> dict[str, list[str]]:
        """Models that run without an execution provider that was asked for."""
        return {model.name: model.missing_providers for model in self.models() if model.missing_providers}

    async def close(self) -> None:
        """Answer what was accepted, then close every model; after the last load that was given up has ended."""
        await asyncio.gather(*(model.close() for model in self.models()))
        if self._given_up:
            await asyncio.wait(self._given_up)

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            told = ", ".join(self._entries) or "none"
            raise ModelNotFound(f"no model {name!r}; models: {told}")
        return self._entries[name]

    @staticmethod
    def _why_not(entry: Entry) -> str:
        reasons = [v.reason for v in entry.versions.values() if v.reason]
        return entry.reason or "; ".join(reasons) or "it is loading"


def open_from(version: Version, limits: LoadLimits, opening: Opening) -> Opened:
    """Reads the manifest and opens the graph of one version. Blocking; raises ModelLoadFailed.

    opening: by which another thread ends it; nobody else looks at the clock.
    """
    model = version.file.parents[1]
    for file in (version.file, version.file.with_name("manifest.json")):
        if file.exists() or file.is_symlink():
            check_place(file, model.parent, file.name)
            check_links(file, model)
    manifest = read_manifest(version.file.with_name("manifest.json"))
    with limits.room.taken():
        return open_version(version.file, manifest, version.config, limits.cores, opening)


def _warn(model: Model, config: ModelConfig) -> None:
    """What config.yaml asks for and this machine does not have."""
    if model.missing_providers:
        log.warning("provider_missing", model=model.name, missing=model.missing_providers, used=model.nodes)
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
        "batch_invariant": model.invariant,
        "providers": model.nodes,
        "missing_providers": model.missing_providers,
        "instances": model.share.instances,
        "threads": model.share.threads,
    }
