"""API keys: who may call, what for, and how often.

Only hashes are kept, in memory and in the file of keys. A key is 32 random bytes, so a plain SHA-256 is as good as a
slow hash: there is nothing to guess. Keys are found by their hash, so how long it takes says nothing of the keys.

The file of keys, YAML:

    - name: shop               # for the log
      sha256: 2c26b46b68ff...  # of the key, in hexadecimal digits
      scopes: [infer, read]
      requests_per_second: 50  # predictions; left out: no bound
      expires: 2027-01-31      # from this day on, UTC, it is none; left out: never

It is read again when it changes. `python -m app key NAME` makes a key and its entry.
"""

import hashlib
import secrets
import time as clock
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from math import inf
from pathlib import Path
from time import monotonic
from typing import Annotated, Literal

import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.errors import RateExceeded

Scope = Literal["infer", "read", "admin"]
"""Predictions; everything that only tells; loading and unloading models."""

SCOPES: tuple[Scope, ...] = ("infer", "read", "admin")

log = structlog.get_logger("headrace.keys")


class Entry(BaseModel):
    """One key of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]
    requests_per_second: Annotated[float, Field(gt=0)] | None = None
    expires: date | None = None

    @property
    def expires_s(self) -> float:
        """In seconds since 1970; infinite for never."""
        return datetime.combine(self.expires, time(), UTC).timestamp() if self.expires else inf


ENTRIES = TypeAdapter(tuple[Entry, ...])


class Caller:
    """Who holds a key.

    share: of the key's rate that this worker allows.
    """

    def __init__(self, entry: Entry, share: float) -> None:
        self.name, self.scopes, self.expires_s = entry.name, entry.scopes, entry.expires_s
        self._rate = None if entry.requests_per_second is None else entry.requests_per_second * share
        self._most = max(1.0, self._rate or 0.0)
        self._left, self._at = self._most, monotonic()

    @property
    def expired(self) -> bool:
        """Whether the key has been one, and is none any more."""
        return self.expires_s <= clock.time()

    def refusal(self) -> RateExceeded | None:
        """Why the caller's next prediction is not taken; None if it is, and is counted.

        A token bucket: what a second allows may be used at once.
        """
        if self._rate is None:
            return None
        now = monotonic()
        self._left = min(self._most, self._left + self._rate * (now - self._at))
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return None
        return RateExceeded(
            f"key {self.name}: more predictions than its rate allows", retry_after_s=(1 - self._left) / self._rate
        )


class Keys:
    """The keys of one worker.

    key:   one with every scope; empty for none. file: of further ones; None for none.
    share: of each key's rate that this worker allows.

    Raises OSError and ValueError, with a sentence, for a file that cannot be read or does not hold.
    """

    def __init__(self, key: str, file: Path | None, share: float) -> None:
        self._file, self._share = file, share
        own = [Entry(name="api-key", sha256=digest(key.encode()), scopes=frozenset(SCOPES))] if key else []
        self._own = {entry.sha256: Caller(entry, share) for entry in own}
        self._expired: set[str] = set()
        self._callers, self._stamp = dict(self._own), None if file is None else _stamp(file)
        if file is not None:
            self._take(read_keys(file))

    @property
    def wanted(self) -> bool:
        """Whether a call needs a key at all."""
        return bool(self._own) or self._file is not None

    def find(self, sent: bytes) -> Caller | None:
        """Whose key this is."""
        return self._callers.get(digest(sent)) if sent else None

    @property
    def expiries(self) -> dict[str, float]:
        """Name -> when it ends, in seconds since 1970, of those that do."""
        return {caller.name: caller.expires_s for caller in self._callers.values() if caller.expires_s < inf}

    def changed(self) -> bool:
        """Read the file again if it has changed; true if other keys count now. One that does not hold changes nothing,
        and is told in the log."""
        read, before = self._read_again(), self._expired
        self._expired = {caller.name for caller in self._callers.values() if caller.expired}
        if ended := self._expired - before:
            log.warning("keys_expired", names=sorted(ended))
        return read or self._expired != before

    def _read_again(self) -> bool:
        if self._file is None:
            return False
        try:
            stamp = _stamp(self._file)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            self._take(read_keys(self._file))
        except (OSError, ValueError) as error:
            log.error("keys_not_read", reason=str(error))
            return False
        log.info("keys_read", names=sorted(caller.name for caller in self._callers.values()))
        return True

    def _take(self, entries: Sequence[Entry]) -> None:
        self._callers = self._own | {entry.sha256: Caller(entry, self._share) for entry in entries}


def digest(key: bytes) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key).hexdigest()


def read_keys(file: Path) -> tuple[Entry, ...]:
    """The entries of a file. Raises OSError, and ValueError with a sentence that shows nothing of the file's values."""
    try:
        entries = ENTRIES.validate_python(yaml.safe_load(file.read_bytes()) or [])
    except yaml.YAMLError as error:
        raise ValueError(f"{file.name}: not YAML") from error
    except ValidationError as error:
        findings = error.errors(include_url=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in findings)
        raise ValueError(f"{file.name}: {told}") from None
    for what in ("name", "sha256"):
        values = [getattr(entry, what) for entry in entries]
        if len(set(values)) < len(values):
            raise ValueError(f"{file.name}: a {what} stands twice")
    return entries


def _stamp(file: Path) -> tuple[int, int, int]:
    told = file.stat()
    return told.st_mtime_ns, told.st_size, told.st_ino


def made(name: str, scopes: Sequence[Scope]) -> tuple[str, str]:
    """A new key, and its entry for the file of keys."""
    key = secrets.token_urlsafe(32)
    entry = Entry(name=name, sha256=digest(key.encode()), scopes=frozenset(scopes))
    listed = ", ".join(scope for scope in SCOPES if scope in entry.scopes)
    return key, f"- name: {entry.name}\n  sha256: {entry.sha256}\n  scopes: [{listed}]\n"
