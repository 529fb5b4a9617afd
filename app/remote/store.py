"""A store through fsspec: what is in it, and one file of it, whole and checked.

fsspec knows many stores and each raises what its own library does: here all of that becomes StoreFailed, where nothing
can be had, and FileFailed, where one file cannot. The reasons are ours, for anyone; the log has the library's words.
"""

import binascii
import errno
import hashlib
import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
import structlog
from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem
from fsspec.callbacks import Callback

TAGS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "Last-Modified", "mtime", "updated")
"""What the stores tell of a file that changes when the file does."""

QUIET_S = 30.0
"""Of a web server, after which a file is given up."""

DEEPEST = 8
"""Folders within folders, in stores that are listed folder by folder."""

CHUNK = 1024 * 1024

log = structlog.get_logger("headrace.store")


class StoreFailed(Exception):
    """Nothing can be had of the store now, with the reason."""


class FileFailed(Exception):
    """One file, or the version folder that it is of, cannot be had or is not whole."""


class Broken(FileFailed):
    """The file did not come, for a reason that may be the store's."""


@dataclass(frozen=True)
class Told:
    """What a store tells of a file.

    size: in bytes, -1 if it does not say. tag: changes when the file does. md5: its digest, if the store tells one.
    """

    size: int
    tag: str
    md5: str


class Store:
    """One address. heard: called whenever the store has given a sign of life."""

    def __init__(self, address: str, heard: Callable[[], None]) -> None:
        """Raises StoreFailed if no library of this machine can read it."""
        protocol = address.partition("://")[0]
        try:
            self._system: Any
            self._system, root = fsspec.url_to_fs(
                address, skip_instance_cache=True, use_listings_cache=False, **_options(protocol)
            )
        except (ImportError, ValueError) as error:
            raise StoreFailed(str(error)) from error
        self._root, self._heard = root.rstrip("/"), heard
        self._tells_md5 = True

    def files(self, model: str = "") -> dict[str, Told]:
        """Every file, or those of one model, by its path below the address. Raises StoreFailed."""
        top = f"{self._root}/{model}".rstrip("/")
        with _translated():
            self._system.invalidate_cache()
            found = self._flat(top) if self._lists_flat() else [*self._walk(f"{top}/", DEEPEST)]
            told = {info["name"].removeprefix(f"{self._root}/"): self._told(info) for info in found}
        self._heard()
        return {path: one for path, one in told.items() if one}

    def fetch(self, path: str, told: Told, to: Path) -> None:
        """Bring one file: as long as the store told and, where it told a digest, with that.

        Raises FileFailed.
        """
        if told.size < 0:
            raise FileFailed(f"{path}: the store does not tell its size")
        part = to.with_name(f".{to.name}.part")
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            digest = self._read(path, told, part)
            if told.md5 not in ("", digest) and self._tells_md5:
                self._weigh(path, told, digest, self._read(path, told, part))
            part.replace(to)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise FileFailed("no room left" if full else f"{to.name} cannot be kept: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)

    def _weigh(self, path: str, told: Told, first: str, second: str) -> None:
        """Twice the same and not the ETag: then that is no digest, as of encrypted objects in S3."""
        if first == second:
            self._tells_md5 = False
            log.info("no_digests", told="the store's ETags are no digests of the files: sizes and manifests count")
        elif second != told.md5:
            raise FileFailed(f"{path} arrived damaged, twice")

    def _read(self, path: str, told: Told, part: Path) -> str:
        """The MD5 of what has arrived."""
        get, bound = self._system.get_file, _Bound(told.size, self._heard)
        if not isinstance(self._system, AsyncFileSystem):  # their own may say nothing until the end
            get = partial(AbstractFileSystem.get_file, self._system)
        with _translated(path):
            get(f"{self._root}/{path}", str(part), callback=bound)
        size = part.stat().st_size
        if size != told.size:
            raise FileFailed(f"{path}: {size} bytes arrived of {told.size}")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        return digest(part, "md5", self._heard)

    def _lists_flat(self) -> bool:
        """Whether one call lists all. The walk of all others, fsspec's, passes over what it cannot read as if it were
        gone, so it is not used."""
        return isinstance(self._system, AsyncFileSystem) and type(self._system)._find is not AsyncFileSystem._find

    def _flat(self, top: str) -> list[dict[str, Any]]:
        return [info for info in self._system.find(top, detail=True).values() if info["type"] == "file"]

    def _walk(self, top: str, deepest: int) -> Iterator[dict[str, Any]]:
        for info in self._system.ls(top, detail=True):
            self._heard()
            if not is_plain(info["name"].rstrip("/").rpartition("/")[2]):
                continue
            if info["type"] == "directory" and deepest:
                yield from self._walk(info["name"], deepest - 1)
            elif info["type"] == "file" and not info.get("islink"):
                yield info

    def _told(self, info: Mapping[str, Any]) -> Told | None:
        """None for a link that leads to nothing."""
        if info.get("size") is None:  # a listing of links
            self._heard()
            try:
                info = self._system.info(info["name"])
            except FileNotFoundError:
                return None
        size = info.get("size")
        return Told(-1 if size is None else size, " ".join(str(info[key]) for key in TAGS if key in info), _md5(info))


def _options(protocol: str) -> dict[str, object]:
    """What a file system is told beside what its own variables say."""
    if protocol in ("s3", "s3a"):  # ten parts of 50 MB at once otherwise; and the store's checksum is of the whole
        return {"max_concurrency": 1}
    if protocol in ("http", "https"):  # five minutes for a whole file otherwise; and sizes of what is sent
        from aiohttp import ClientTimeout

        waits = ClientTimeout(total=None, sock_connect=QUIET_S, sock_read=QUIET_S)
        return {"headers": {"Accept-Encoding": "identity"}, "timeout": waits}
    return {}


class _Bound(Callback):  # type: ignore[misc] # fsspec has no types
    """Sees every chunk that arrives."""

    def __init__(self, most: int, heard: Callable[[], None]) -> None:
        super().__init__()
        self._most, self._heard = most, heard

    def call(self, hook_name: str | None = None, **_: object) -> None:  # noqa: ARG002  (the names are fsspec's)
        self._heard()
        if self.value > self._most:
            raise FileFailed(f"more than the {self._most} bytes that the store told")


def digest(file: Path, algorithm: str, heard: Callable[[], None]) -> str:
    """A file's digest in hexadecimal. heard: called again and again, since this takes long for gigabytes."""
    found = hashlib.new(algorithm, usedforsecurity=algorithm != "md5")
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            found.update(chunk)
            heard()
    return found.hexdigest()


def is_plain(name: str) -> bool:
    """Whether a file or folder of this name stays in its folder, is not hidden, and can be kept; as it stands and as
    web servers may mean it."""
    return all(
        text.isprintable() and not {"/", "\\"} & set(text) and not text.startswith(".") and 0 < len(text.encode()) < 200
        for text in (name, unquote(name))
    )


def _md5(info: Mapping[str, Any]) -> str:
    """Of the whole file, where a store tells it: S3 as the ETag of what was not uploaded in parts, others by name."""
    etag = str(info.get("ETag", "")).strip('"')
    if re.fullmatch(r"[0-9a-f]{32}", etag):
        return etag
    given = info.get("md5Hash") or info.get("Content-MD5") or (info.get("content_settings") or {}).get("content_md5")
    if isinstance(given, bytes | bytearray):
        return given.hex()
    try:
        return b64decode(given or "", validate=True).hex()
    except binascii.Error:
        return ""


@contextmanager
def _translated(path: str = "") -> Iterator[None]:
    """Whatever a store's library raises, as one of ours. path: of the one file that is asked for, if it is one."""
    try:
        yield
    except (FileFailed, StoreFailed):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        told = _said(error)
        log.warning("store_said", reason=told, file=path, cause=f"{type(error).__name__}: {error}")
        if path:
            kind = FileFailed if isinstance(error, PermissionError | FileNotFoundError) else Broken
            raise kind(f"{path}: {told}") from error
        raise StoreFailed(told) from error


def _said(error: Exception) -> str:
    """In words for anyone who asks for the service's state; the address and the key are none of theirs."""
    status = next((getattr(error, name) for name in ("status", "status_code", "code") if hasattr(error, name)), None)
    if isinstance(error, PermissionError) or status in (401, 403):
        return "it refuses the key"
    if type(error).__name__ == "NoCredentialsError":
        return "there is no key for it in the environment"
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket, folder or file"
    return f"it cannot be read ({type(error).__name__})"
