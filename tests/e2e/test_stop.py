"""How the service stops: nothing that was accepted is lost, and there is an end to it."""

import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from time import monotonic

import httpx
import psutil
import pytest

from tests import graphs
from tests.certificates import self_signed
from tests.e2e.test_process import total
from tests.serving import listening, serving_process, wait_until

pytestmark = pytest.mark.e2e

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}

CALLERS = 32

HOURS = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1e8]}]}
"""For `graphs.as_slow_as_asked`."""


def workers_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    found = psutil.Process(process.pid).children()
    return [child for child in found if "spawn_main" in " ".join(child.cmdline())]


def served(process: "subprocess.Popen[bytes]", count: int) -> Callable[[], bool]:
    """Whether so many workers serve."""
    return lambda: len(listening(process)) == count


def call_on_and_on(address: httpx.URL, begun: Event) -> tuple[int, list[str]]:
    """Calls until nobody listens any more: how often it was answered, and what went wrong besides."""
    answered, told = 0, monotonic()
    wrong: list[str] = []
    with httpx.Client(base_url=address, timeout=30) as client:
        while True:
            began = monotonic()
            try:
                answer = client.post("/v2/models/m/infer", json=ROW)
            except httpx.ConnectError:
                return answered, wrong
            except httpx.TransportError as error:
                wrong.append(f"{error!r}, {began - told:.2f} s after an answer, for {monotonic() - began:.2f} s")
                continue
            told = monotonic()
            begun.set()
            if answer.status_code == 200:
                answered += 1
            else:
                wrong.append(answer.text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("flags", [(), ("--no-fast-lane",), ("--workers", "2")], ids=["one", "asgi", "two"])
def test_a_stop_under_load_loses_no_request(tmp_path: Path, flags: tuple[str, ...], number: signal.Signals) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    begun = [Event() for _ in range(CALLERS)]
    with (
        serving_process(tmp_path / "models", tmp_path / "log", *flags) as (client, process),
        ThreadPoolExecutor(CALLERS) as callers,
    ):
        if flags == ("--workers", "2"):
            wait_until(served(process, 2), "the second worker never served")
        told = [callers.submit(call_on_and_on, client.base_url, one) for one in begun]
        wait_until(lambda: all(one.is_set() for one in begun), "some caller was never answered")
        process.send_signal(number)
        assert [one.result()[1] for one in told] == [[]] * CALLERS
        assert process.wait(timeout=30) == 0


def test_a_stop_is_seen_at_once_and_serves_on_while_it_drains(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    with serving_process(tmp_path / "models", tmp_path / "log", "--drain-s", "3") as (client, process):
        process.terminate()
        wait_until(lambda: client.get("/health/ready").status_code == 503, "readiness never turned")
        refused = client.get("/health/ready")
        assert refused.json() == {"ready": False, "error": "not ready: the service stops"}
        assert client.get("/v2/health/ready").status_code == 503
        assert httpx.get(f"{client.base_url}/health/live").status_code == 200
        for _ in range(3):  # over new connections too
            assert httpx.post(f"{client.base_url}/v2/models/m/infer", json=ROW).status_code == 200
        assert process.poll() is None
        assert process.wait(timeout=30) == 0


@contextmanager
def busy(folder: Path, *flags: str) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    """A service in a run that takes hours."""
    graphs.add_to_repository(folder / "models", "m", graphs.as_slow_as_asked(), config="deadline_ms: 600000")
    with (
        serving_process(folder / "models", folder / "log", *flags) as (client, process),
        socket.create_connection((client.base_url.host, client.base_url.port or 0)) as caller,
    ):
        body = httpx.Request("POST", "http://x/", json=HOURS).content
        head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        caller.sendall(head.encode() + body)
        computing = 'headrace_queue_seconds_count{model="m",version="1"} 1.0'
        wait_until(lambda: computing in client.get("/metrics").text, "the run never began")
        yield client, process


def test_a_connection_that_rests_in_a_stop_may_bring_one_more_request(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    with serving_process(tmp_path / "models", tmp_path / "log") as (client, process):
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: _refused(client.base_url), "new connections are still taken")
        answer = client.post("/v2/models/m/infer", json=ROW)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert process.wait(timeout=60) == 0


def _refused(address: httpx.URL) -> bool:
    try:
        socket.create_connection((address.host, address.port or 0)).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_second_signal_stops_now(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with busy(tmp_path, *flags) as (_, process):
        workers = workers_of(process)
        process.terminate()
        wait_until(lambda: b"stopping" in (tmp_path / "log").read_bytes(), "the stop never began")
        assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=10) == 1
        wait_until(lambda: not any(worker.is_running() for worker in workers), "a worker outlived its supervisor")


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_stop_has_an_end(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with busy(tmp_path, "--stop-timeout-s", "1", *flags) as (_, process):
        began = monotonic()
        process.terminate()
        assert process.wait(timeout=30) == 0
        assert monotonic() - began >= 1


def test_an_interrupt_from_the_terminal_reaches_all_processes_and_loses_nothing(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.as_slow_as_asked())
    body = {"inputs": [ROW["inputs"][0] | {"data": [2000]}]}
    with (
        serving_process(tmp_path / "models", tmp_path / "log", "--workers", "2") as (client, process),
        ThreadPoolExecutor(8) as callers,
    ):
        wait_until(served(process, 2), "the second worker never served")
        post = lambda: httpx.post(f"{client.base_url}/v2/models/m/infer", json=body, timeout=60)  # noqa: E731
        answers = [callers.submit(post) for _ in range(8)]

        def accepted() -> bool:
            metrics = client.get("/metrics").text
            return total(metrics, "headrace_queue_seconds_count") + total(metrics, "headrace_queue_rows") == 8

        wait_until(accepted, "some requests never arrived")
        for one in (process.pid, *(worker.pid for worker in workers_of(process))):
            os.kill(one, signal.SIGINT)
        assert [answer.result().status_code for answer in answers] == [200] * 8
        assert process.wait(timeout=30) == 0


def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    flags = ("--workers", "2", "--worker-timeout-s", "3")
    with serving_process(tmp_path / "models", tmp_path / "log", *flags) as (_, process):
        wait_until(served(process, 2), "the second worker never served")
        hung, other = workers_of(process)
        hung.suspend()
        wait_until(lambda: not hung.is_running(), "it was left to hang")
        wait_until(lambda: len(workers_of(process)) == 2, "nobody took its place")
        assert other in workers_of(process)
        wait_until(served(process, 2), "the new worker never served")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_connections_that_wait_for_a_worker_that_hangs_are_served_by_the_others(tmp_path: Path, tls: bool) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    flags: tuple[str, ...] = ("--workers", "2", "--worker-timeout-s", "3")
    trusted: ssl.SSLContext | bool = True
    if tls:
        made, key = self_signed(tmp_path)
        flags += ("--tls-certificate", str(made), "--tls-key", str(key))
        trusted = ssl.create_default_context(cafile=str(made))
    with serving_process(tmp_path / "models", tmp_path / "log", *flags, trusted=trusted) as (client, process):
        wait_until(served(process, 2), "the second worker never served")
        hung, _ = workers_of(process)
        hung.suspend()
        with ThreadPoolExecutor(CALLERS) as callers:
            url = f"{client.base_url}/v2/models/m/infer"
            answers = [callers.submit(httpx.post, url, json=ROW, timeout=30, verify=trusted) for _ in range(CALLERS)]
            wait_until(lambda: not hung.is_running(), "it was left to hang")
            assert [answer.result().status_code for answer in answers] == [200] * CALLERS


def test_workers_that_die_before_they_serve_end_the_service(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    with serving_process(tmp_path / "models", tmp_path / "log", "--workers", "2") as (_, process):
        wait_until(served(process, 2), "the second worker never served")
        old = set(workers_of(process))
        for victim in old:
            victim.kill()
        while process.poll() is None:
            with suppress(psutil.Error):
                for new in set(workers_of(process)) - old:
                    new.kill()
        assert process.wait() == 1
    assert b"worker_gave_up" in (tmp_path / "log").read_bytes()
