"""A mirror on a plain folder as its store: what is shown, when, and what a kill leaves."""

import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.remote.cache import Cache
from app.remote.mirror import Look, Mirror
from app.remote.store import Store, StoreFailed, Told
from app.remote.upstream import arranged
from tests import graphs
from tests.manifests import manifest

ANY = Told(1, "tag", "")


class Killed(BaseException):
    """As a signal would: nothing is tidied up that a kill would leave."""


def nothing() -> None:
    """Nobody listens."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "cache")
    made.prepare()
    return made


def mirror(store: Path, cache: Cache) -> Mirror:
    return Mirror(Store(f"file://{store}", nothing), cache, nothing)


def looked(mirror: Mirror) -> Look:
    """The look after which nothing waits for the next."""
    while (look := mirror.look()).pending:
        pass
    return look


def shown(cache: Cache) -> set[str]:
    """Every file that the service sees, but for the mirror's own."""
    found = (file.relative_to(cache.models) for file in cache.models.rglob("*") if file.is_file())
    return {str(file) for file in found if not file.name.startswith(".")}


def plain(folder: Path) -> dict[str, int]:
    """The inode of each file, but for the mirror's own."""
    return {file.name: file.stat().st_ino for file in folder.glob("*") if not file.name.startswith(".")}


def test_a_version_is_shown_whole_once_two_looks_have_found_the_same(store: Path, cache: Cache) -> None:
    place = graphs.add_to_repository(store, "m", graphs.times(2), config="deadline_ms: 5")
    (place / "report.html").write_text("a page")
    looking = mirror(store, cache)
    assert looking.look().pending
    assert shown(cache) == set()
    (place / "late.txt").write_text("still being uploaded")
    assert looking.look().pending
    assert shown(cache) == set()
    assert looking.look().shown == ["m/1", "m/config.yaml"]
    assert shown(cache) == {"m/config.yaml", "m/1/model.onnx", "m/1/report.html", "m/1/late.txt"}
    assert (cache.models / "m/1/model.onnx").read_bytes() == graphs.times(2)
    again = looking.look()
    assert (again.shown, again.pending) == ([], False)
    (place / "report.html").write_text("another page")  # what stays the same is copied
    assert looked(looking).shown == ["m/1"]
    assert (cache.models / "m/1/report.html").read_text() == "another page"
    assert (cache.models / "m/1/model.onnx").read_bytes() == graphs.times(2)


def test_a_graph_is_not_shown_before_the_weights_that_it_reads(store: Path, cache: Cache) -> None:
    place = graphs.add_to_repository(store, "m", graphs.with_external_weights("weights.bin"))
    looking = mirror(store, cache)
    assert looked(looking).incomplete == {"m/1": "missing: weights.bin"}
    (place / "weights.bin").write_bytes(b"1234")
    assert looked(looking).incomplete == {}
    assert shown(cache) == {"m/1/model.onnx", "m/1/weights.bin"}


def test_a_file_that_is_not_the_manifests_is_not_shown_and_leaves_the_one_before(store: Path, cache: Cache) -> None:
    graph = graphs.double()
    place = graphs.add_to_repository(store, "m", graph)
    told = manifest(files={"model.onnx": hashlib.sha256(graph).hexdigest()}).model_dump_json()
    (place / "manifest.json").write_text(told)
    looking = mirror(store, cache)
    assert looked(looking).shown == ["m/1"]
    (place / "model.onnx").write_bytes(graph[:-7])
    look = looked(looking)
    assert look.incomplete == {"m/1": "not what manifest.json was written for: model.onnx"}
    assert looking.look().incomplete == look.incomplete
    assert (cache.models / "m/1/model.onnx").read_bytes() == graph
    (place / "model.onnx").write_bytes(graph)
    assert looked(looking).incomplete == {}


def test_what_the_store_has_no_more_goes_once_two_looks_have_missed_it(store: Path, cache: Cache) -> None:
    for name in ("m", "other"):
        graphs.add_to_repository(store, name, graphs.times(2), config="deadline_ms: 5\nversions: all")
    graphs.add_to_repository(store, "m", graphs.times(3), 2)
    looking = mirror(store, cache)
    looked(looking)
    before = shown(cache)
    shutil.rmtree(store / "m/2")
    shutil.rmtree(store / "other")
    (store / "m/config.yaml").unlink()
    assert looking.look().pending
    assert shown(cache) == before
    assert looking.look().removed == ["m/2", "m/config.yaml", "other"]
    assert shown(cache) == {"m/1/model.onnx"}
    graphs.add_to_repository(store, "m", graphs.times(3), 2, config="versions: all")
    looked(looking)
    assert shown(cache) == {"m/config.yaml", "m/1/model.onnx", "m/2/model.onnx"}


def test_a_store_with_nothing_in_it_is_taken_for_a_mistake(store: Path, cache: Cache) -> None:
    graphs.add_to_repository(store, "m", graphs.times(2))
    looking = mirror(store, cache)
    looked(looking)
    shutil.rmtree(store / "m")
    for _ in range(3):
        with pytest.raises(StoreFailed, match="there is no model in it"):
            looking.look()
    shutil.rmtree(store)
    with pytest.raises(StoreFailed, match="there is no such bucket, folder or file"):
        looking.look()
    assert shown(cache) == {"m/1/model.onnx"}


def test_a_look_at_one_model_leaves_the_others(store: Path, cache: Cache) -> None:
    for name in ("m", "other"):
        graphs.add_to_repository(store, name, graphs.times(2))
    looking = mirror(store, cache)
    looked(looking)
    for name in ("m", "other"):
        graphs.add_to_repository(store, name, graphs.times(3), 2)
        shutil.rmtree(store / name / "1")
    while looking.look("m").pending:
        pass
    assert shown(cache) == {"m/2/model.onnx", "other/1/model.onnx"}
    with pytest.raises(StoreFailed, match="no such"):
        looking.look("none")


def test_only_the_versions_that_the_policy_serves_are_fetched(store: Path, cache: Cache) -> None:
    for version in (1, 2, 10):
        graphs.add_to_repository(store, "m", graphs.times(version), version)
    looking = mirror(store, cache)
    looked(looking)
    assert shown(cache) == {"m/10/model.onnx"}
    (store / "m/config.yaml").write_text("versions: [1, 10]")
    looked(looking)
    assert shown(cache) == {"m/config.yaml", "m/1/model.onnx", "m/10/model.onnx"}
    for nonsense in (b"versions: nonsense", b"\xff\xfe\x00"):
        (store / "m/config.yaml").write_bytes(nonsense)
        looked(looking)
        assert (cache.models / "m/config.yaml").read_bytes() == nonsense  # the service tells what is wrong
        assert {"m/1/model.onnx", "m/10/model.onnx"} < shown(cache)


def test_a_kill_costs_the_file_that_was_under_way(store: Path, cache: Cache) -> None:
    place = graphs.add_to_repository(store, "m", graphs.times(2))
    for name in "abcd":
        (place / name).write_text(name * 1000)

    def killed_in_the_middle() -> None:
        if len(plain(cache.incoming / "m/1")) > 1:
            raise Killed

    with pytest.raises(Killed):
        Mirror(Store(f"file://{store}", killed_in_the_middle), cache, nothing).look()
    left = plain(cache.incoming / "m/1")
    assert len(left) == 2
    assert looked(mirror(store, cache)).shown == ["m/1"]
    whole = plain(cache.models / "m/1")
    assert len(whole) == 5
    done = [name for name in left if whole[name] == left[name]]
    assert len(done) >= 1  # the second may have come without its entry in the record


def test_a_kill_between_the_renames_of_a_replacement_loses_no_version(store: Path, cache: Cache) -> None:
    graphs.add_to_repository(store, "m", graphs.times(2))
    looked(mirror(store, cache))
    (cache.replaced / "m").mkdir(parents=True)
    (cache.models / "m/1").rename(cache.replaced / "m/1")
    mirror(store, cache)
    assert shown(cache) == {"m/1/model.onnx"}


def test_without_room_old_versions_go_and_what_is_served_stays(
    store: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = mirror(store, cache)
    for version in (1, 2):
        graphs.add_to_repository(store, "m", graphs.times(version), version)
        looked(looking)
    assert shown(cache) == {"m/1/model.onnx", "m/2/model.onnx"}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9))
    graphs.add_to_repository(store, "m", graphs.times(3), 3)
    look = looking.look()
    size = (store / "m/3/model.onnx").stat().st_size
    assert look.incomplete == {"m/3": f"no room for {size} bytes; 9 are free"}
    assert (look.failed, look.pending) == (True, False)
    assert shown(cache) == {"m/2/model.onnx"}
    monkeypatch.undo()
    assert looking.look().incomplete == look.incomplete  # it is tried again later, or at once when it is asked for
    assert looking.look("m").pending
    assert looked(looking).shown == ["m/3"]


@pytest.mark.parametrize(
    "path",
    [
        "m/1/../../../out",
        "../m/1/model.onnx",
        "/m/1/model.onnx",
        "m//1/model.onnx",
        "m/1//model.onnx",
        "m/1/.store.json",
        "m/1/.hidden/x",
        "m/1/a\\..\\b",
        "m/1/a\0b",
        "m/1/a\nb",
        "m/1/%2e%2e%2f%2e%2e%2fout",
        "m/0/model.onnx",
        "m/01/model.onnx",
        "m/1",
        "m/1/" + "x" * 256,
        ".git/1/model.onnx",
        "README.md",
    ],
)
def test_names_that_could_lead_elsewhere_or_are_no_models_are_passed_over(path: str) -> None:
    assert arranged({path: ANY}) == {}
    assert arranged({path: ANY, "m/1/model.onnx": ANY})["m"].versions == {1: {"model.onnx": ANY}}
