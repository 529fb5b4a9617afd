"""The folder that one store is mirrored to: one process writes it, every worker reads it.

models/<name>/<version>/    whole version folders alone: the model repository that is served
incoming/<name>/<version>/  what is being fetched; what a kill leaves is gone on with
replaced/<name>/<version>/  on its way out
asks/, answers/             a worker asks for a look at one model, and is told what was wrong with it
state.json                  what the looks found; lock is held by the process that writes all this
"""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from uuid import uuid4

import structlog
from pydantic import BaseModel, ValidationError

LOCK_INTERVAL_S = 1.0

log = structlog.get_logger("headrace.mirror")


class State(BaseModel, frozen=True):
    """What is known of a mirror.

    filled:     all that the store held has been brought once, now or by an earlier process.
    changes:    looks at the whole store that changed something.
    looked_at:  when the last of them that succeeded ended, in seconds since 1970.
    failed:     why the last one did not succeed.
    incomplete: version folders that the store has and the mirror does not take, `name/version`, each with the reason.
    """

    filled: bool = False
    changes: int = 0
    looked_at: float = 0
    failed: str = ""
    incomplete: dict[str, str] = {}


@dataclass(frozen=True)
class Ask:
    """A worker wants what the store has of a model now."""

    token: str
    model: str


class Cache:
    """The folder's parts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models, self.incoming, self.replaced = root / "models", root / "incoming", root / "replaced"
        self._asks, self._answers, self._state = root / "asks", root / "answers", root / "state.json"

    def prepare(self) -> None:
        """Make what is missing. Raises OSError."""
        for folder in (self.models, self.incoming, self.replaced, self._asks, self._answers):
            folder.mkdir(parents=True, exist_ok=True)

    def state(self) -> State:
        """As the mirror last told it."""
        try:
            return State.model_validate_json(self._state.read_bytes())
        except (OSError, ValidationError):
            return State()

    def tell(self, state: State) -> None:
        """For every reader. Raises OSError."""
        write_whole(self._state, state.model_dump_json().encode())

    def ask(self, model: str) -> Ask:
        """For `answer` to bring. Raises OSError."""
        ask = Ask(uuid4().hex, model)
        write_whole(self._asks / ask.token, model.encode())
        return ask

    def answer(self, ask: Ask) -> str | None:
        """What was wrong, nothing as an empty text; None as long as there is no answer."""
        try:
            return (self._answers / ask.token).read_text()
        except FileNotFoundError:
            return None

    def withdraw(self, ask: Ask) -> None:
        """Answered, or not wanted any more."""
        for folder in (self._asks, self._answers):
            with suppress(OSError):
                (folder / ask.token).unlink()

    def asked(self) -> list[Ask]:
        """What has not been answered."""
        found = []
        for file in self._asks.iterdir():
            if not file.name.startswith("."):
                with suppress(FileNotFoundError):  # it has just been withdrawn
                    found.append(Ask(file.name, file.read_text()))
        return found

    def tell_answer(self, ask: Ask, wrong: str) -> None:
        """To whoever asked, who takes it away."""
        write_whole(self._answers / ask.token, wrong.encode())
        (self._asks / ask.token).unlink(missing_ok=True)

    @contextmanager
    def alone(self, waits: Callable[[], None]) -> Iterator[None]:
        """While no other process writes here. waits: called as long as one does. Raises OSError."""
        with (self.root / "lock").open("w") as lock:
            told = False
            while not _locked(lock.fileno()):
                if not told:
                    log.info("mirror_waits", told="another process mirrors into this folder")
                told = True
                waits()
                sleep(LOCK_INTERVAL_S)
            for left in self._answers.iterdir():  # to those who do not wait any more
                left.unlink(missing_ok=True)
            yield


def opened(folder: Path | None, address: str) -> Cache:
    """The cache of one address. folder: of all caches; None for the user's own, below the temporary folder.

    Raises OSError, ValueError.
    """
    top = folder or Path(tempfile.gettempdir()) / f"headrace-{os.getuid()}"
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder is None:
        found = top.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise ValueError(f"{top} can be written by others; HEADRACE_MIRROR names a folder for models from a store")
    cache = Cache(top / hashlib.sha256(address.encode()).hexdigest()[:16])
    cache.prepare()
    return cache


def write_whole(file: Path, content: bytes) -> None:
    """At once, for whoever reads it meanwhile. Raises OSError."""
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    part.replace(file)


def remove(place: Path, by: Path) -> None:
    """Take a folder out of sight at once, then file by file. by: where to, on the same file system."""
    if place.exists():
        shutil.rmtree(by, ignore_errors=True)
        by.parent.mkdir(parents=True, exist_ok=True)
        place.rename(by)
        shutil.rmtree(by, ignore_errors=True)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
