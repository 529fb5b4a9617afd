"""What stores say and do not say, over real sockets: an S3 server and web servers that lie."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.remote import address
from app.remote.cache import Cache, opened
from app.remote.mirror import Mirror
from app.remote.store import Broken, FileFailed, Store, StoreFailed
from tests import graphs
from tests.stores import SECRET, Bucket, Pages, bucket_server, web_server

GRAPH = graphs.times(2)


def nothing() -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with bucket_server(tmp_path_factory.mktemp("s3") / "buckets") as bucket:
        graphs.add_to_repository(bucket.folder / "b/models", "m", GRAPH)
        yield bucket


@pytest.fixture
def pages() -> Iterator[Pages]:
    with web_server() as pages:
        pages.show("/models/m/1/model.onnx", GRAPH)
        yield pages


def store_in(bucket: Bucket, where: str, monkeypatch: pytest.MonkeyPatch, **changes: str) -> Store:
    for name, value in (bucket.environment | changes).items():
        monkeypatch.setenv(name, value)
    return Store(where, nothing)


def test_a_bucket_tells_sizes_and_digests_and_gives_what_it_told(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = store_in(bucket, "s3://b/models", monkeypatch)
    [(path, told)] = store.files().items()
    assert (path, told.size) == ("m/1/model.onnx", len(GRAPH))
    assert told.md5 == hashlib.md5(GRAPH, usedforsecurity=False).hexdigest()
    store.fetch(path, told, tmp_path / "here" / "model.onnx")
    assert (tmp_path / "here" / "model.onnx").read_bytes() == GRAPH
    assert store.files("m") == store.files()
    assert store.files("other") == {}


@pytest.mark.parametrize(
    ("where", "changes", "told"),
    [
        ("s3://b/models", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "it refuses the key"),
        ("s3://b/models", {"AWS_ACCESS_KEY_ID": "somebody-else"}, "it refuses the key"),
        ("s3://none/models", {}, "there is no such bucket, folder or file"),
        ("s3://b/models", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "it cannot be read (EndpointConnectionError)"),
    ],
)
def test_a_bucket_that_gives_nothing_is_told_from_an_empty_one(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, where: str, changes: dict[str, str], told: str
) -> None:
    store = store_in(bucket, where, monkeypatch, **changes)
    with pytest.raises(StoreFailed) as failed:
        store.files()
    assert str(failed.value) == told


def test_pages_with_links_are_a_store_too(pages: Pages, tmp_path: Path) -> None:
    store = Store(pages.address, nothing)
    [(path, told)] = store.files().items()
    assert (path, told.size) == ("m/1/model.onnx", len(GRAPH))
    store.fetch(path, told, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == GRAPH


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_web_server_that_fails_is_told_from_an_empty_one(pages: Pages, status: int) -> None:
    store, pages.status = Store(pages.address, nothing), status
    with pytest.raises(StoreFailed, match="refuses the key" if status < 404 else "no such|cannot be read"):
        store.files()


def test_a_folder_that_cannot_be_read_is_no_folder_that_has_gone(pages: Pages) -> None:
    store = Store(pages.address, nothing)
    pages.refused.add("/models/m/1/")
    with pytest.raises(StoreFailed):
        store.files()


def test_a_file_that_ends_early_or_goes_on_is_not_kept(pages: Pages, tmp_path: Path) -> None:
    store = Store(pages.address, nothing)
    [(path, told)] = store.files().items()
    pages.short.add("/models/m/1/model.onnx")
    with pytest.raises(Broken):
        store.fetch(path, told, tmp_path / "model.onnx")
    pages.short.clear()
    for body, wrong in ((GRAPH[:-7], "bytes arrived of"), (GRAPH + b"more", "more than the")):
        pages.bodies["/models/m/1/model.onnx"] = body
        with pytest.raises(FileFailed, match=wrong):
            store.fetch(path, told, tmp_path / "model.onnx")
    assert [*tmp_path.iterdir()] == []


def test_an_etag_that_is_no_digest_refuses_nothing(pages: Pages, tmp_path: Path) -> None:
    pages.headers = {"ETag": '"0123456789abcdef0123456789abcdef"'}
    store = Store(pages.address, nothing)
    [(path, told)] = store.files().items()
    assert told.md5
    store.fetch(path, told, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == GRAPH


def test_a_file_that_arrives_damaged_is_read_again_and_refused_if_that_is_too(pages: Pages, tmp_path: Path) -> None:
    pages.headers = {"ETag": f'"{hashlib.md5(GRAPH, usedforsecurity=False).hexdigest()}"'}
    store = Store(pages.address, nothing)
    [(path, told)] = store.files().items()
    damaged = [GRAPH[:place] + b"?" + GRAPH[place + 1 :] for place in (5, 6, 7)]
    pages.instead = damaged[:2]
    with pytest.raises(FileFailed, match="arrived damaged, twice"):
        store.fetch(path, told, tmp_path / "model.onnx")
    assert [*tmp_path.iterdir()] == []
    pages.instead = damaged[2:]
    store.fetch(path, told, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == GRAPH


def test_no_link_of_a_page_leads_out_of_the_cache(pages: Pages, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.prepare()
    outside = ["../../../../out", "/models/m/1/../../../../out", "..\\out", "%2e%2e%2fout", "http://127.0.0.1:1/out"]
    pages.links["/models/m/1/"] = ["model.onnx", *outside]
    pages.links["/models/"] = ["m/", "../", "..", "%2e%2e/", "/"]
    mirror = Mirror(Store(pages.address, nothing), cache, nothing)
    while mirror.look().pending:
        pass
    shown = [file for file in cache.models.rglob("*") if file.is_file() and not file.name.startswith(".")]
    assert cache.models / "m/1/model.onnx" in shown
    assert {file.parent for file in shown} == {cache.models / "m/1"}
    assert [*tmp_path.iterdir()] == [tmp_path / "cache"]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("gs://bucket/models", "pip install gcsfs"),
        ("az://container/models", "pip install adlfs"),
        ("nowhere://x/models", "fsspec knows no nowhere://"),
        ("https://user:secret@host/models", "keys belong in the store's own variables"),
        ("https://host/models?sig=secret", "keys belong in the store's own variables"),
    ],
)
def test_an_address_that_cannot_be_read_here_says_what_to_do(where: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        address.check(where)
    assert "secret" not in str(refused.value)


def test_without_fsspec_an_address_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ValueError, match="pip install fsspec s3fs"):
        address.check("s3://bucket/models")


def test_a_folder_is_no_address() -> None:
    assert not address.is_remote("models")
    assert not address.is_remote(Path("/srv/models"))
    assert not address.is_remote("C:/models")
    assert address.is_remote("s3://bucket/models")


def test_the_users_own_folder_is_nobody_elses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache = opened(None, "s3://bucket/models")
    [own] = tmp_path.iterdir()
    assert own.stat().st_mode & 0o777 == 0o700
    assert cache.models.is_dir()
    assert opened(None, "s3://bucket/other").root != cache.root
    own.chmod(0o777)
    with pytest.raises(ValueError, match="can be written by others"):
        opened(None, "s3://bucket/models")


def test_the_secret_is_in_no_reason(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreFailed):
        store_in(bucket, "s3://b/models", monkeypatch, AWS_ACCESS_KEY_ID="somebody-else").files()
    assert SECRET not in "".join(capfd.readouterr())
