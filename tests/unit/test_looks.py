"""Look after look at a store: what is told of them, and what happens when the process that makes them hangs."""

import shutil
import threading
from multiprocessing import Pipe
from pathlib import Path

import pytest

from app.remote import process
from app.remote.backoff import MOST_S, wait_s
from app.remote.cache import Cache, State
from app.remote.process import Looks, Task
from tests import graphs


def nothing() -> None:
    """Nobody listens."""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "cache")
    made.prepare()
    return made


def looks(store: Path, cache: Cache) -> Looks:
    return Looks(Task(f"file://{store}", cache, 0, "json"), nothing)


def test_a_mirror_is_filled_by_the_look_that_shows_what_another_has_fetched(tmp_path: Path, cache: Cache) -> None:
    graphs.add_to_repository(tmp_path / "store", "m", graphs.times(2))
    looking = looks(tmp_path / "store", cache)
    looking.look()
    assert (cache.state().filled, cache.state().changes) == (False, 0)
    looking.look()
    assert (cache.state().filled, cache.state().changes) == (True, 1)
    looking.look()
    assert cache.state().changes == 1


def test_what_keeps_changing_does_not_keep_the_rest_from_its_start(tmp_path: Path, cache: Cache) -> None:
    graphs.add_to_repository(tmp_path / "store", "m", graphs.times(2))
    restless = graphs.add_to_repository(tmp_path / "store", "restless", graphs.times(2))
    looking = looks(tmp_path / "store", cache)
    for upload in range(process.FIRST_LOOKS):
        assert not cache.state().filled
        (restless / "weights").write_text("w" * upload)
        looking.look()
    assert cache.state().filled
    assert [model.name for model in cache.models.iterdir()] == ["m"]


def test_a_store_that_fails_is_told_and_what_was_mirrored_stays(tmp_path: Path, cache: Cache) -> None:
    looking = looks(tmp_path / "store", cache)
    looking.look()
    assert cache.state() == State(failed="there is no such bucket, folder or file")
    graphs.add_to_repository(tmp_path / "store", "m", graphs.times(2))
    for _ in range(2):
        looking.look()
    before = cache.state()
    assert (before.failed, before.filled) == ("", True)
    shutil.rmtree(tmp_path / "store")
    looking.look()
    assert cache.state() == before.model_copy(update={"failed": "there is no such bucket, folder or file"})
    assert (cache.models / "m/1/model.onnx").exists()
    assert Cache(cache.root).state() == cache.state()  # as the next process finds it


def test_a_state_that_cannot_be_read_is_none(cache: Cache) -> None:
    assert cache.state() == State()
    (cache.root / "state.json").write_text('{"filled": tr')
    assert cache.state() == State()


def test_an_ask_is_answered_once_and_leaves_nothing(cache: Cache) -> None:
    ask = cache.ask("m")
    assert cache.answer(ask) is None
    assert cache.asked() == [ask]
    cache.tell_answer(ask, "no room")
    assert cache.asked() == []
    assert cache.answer(ask) == "no room"
    cache.withdraw(ask)
    assert [file for file in cache.root.rglob("*") if file.is_file()] == []


def test_one_process_alone_writes_a_cache(cache: Cache) -> None:
    class Waits(Exception):
        pass

    def waits() -> None:
        raise Waits

    with cache.alone(nothing), pytest.raises(Waits), Cache(cache.root).alone(waits):
        pass
    with cache.alone(waits):
        pass


def test_a_process_that_says_nothing_hangs_and_one_that_ends_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STALL_S", 0)
    here, there = Pipe(duplex=False)
    assert process.watch(here, threading.Event())
    there.close()
    assert not process.watch(here, threading.Event())


def test_waits_grow_and_have_an_end() -> None:
    assert wait_s(0) < 1.3 < wait_s(1) < wait_s(3)
    assert MOST_S / 2 < wait_s(10_000) < MOST_S * 1.3
