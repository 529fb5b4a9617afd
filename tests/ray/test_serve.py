"""The service as a deployment of Ray Serve: spread over nodes, one of which dies, and as many replicas as it takes."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import httpx
import pytest
from ray import serve

from app.cluster import deployed
from tests import graphs
from tests.ray.conftest import Nodes
from tests.serving import wait_until

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}
CALLERS = 16
LOOKS = 20
"""At /metrics, each of which some replica answers."""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HEADRACE_MODELS", str(tmp_path))
    graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(40))
    yield
    serve.delete("default")


class Calls:
    """What callers see who ask again, until they are answered or told to stop."""

    def __init__(self, url: str, model: str) -> None:
        self._path, self._url, self.over = f"/v2/models/{model}/infer", url, Event()
        self.failures = Counter[str]()
        self.answered, self.lost, self.longest_s = 0, 0, 0.0

    def call(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self.over.is_set():
                began = time.monotonic()
                answered = self._is_answered(client)
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                self.answered += answered
                self.lost += not answered

    def _is_answered(self, client: httpx.Client) -> bool:
        for attempt in range(10):
            try:
                answer = client.post(self._path, json=ROW)
            except httpx.TransportError as error:
                self.failures[type(error).__name__] += 1
            else:
                if answer.status_code == 200:
                    return True
                self.failures[str(answer.status_code)] += 1
            time.sleep(0.1 * 2**attempt)
        return False


@pytest.mark.usefixtures("models")
def test_a_node_dies_in_full_flight_and_no_caller_who_asks_again_is_left(nodes: Nodes) -> None:
    serve.run(deployed(autoscaling_config=None, num_replicas=2, max_replicas_per_node=1))
    calls = Calls(nodes.url, "m")
    with ThreadPoolExecutor(CALLERS) as pool:
        told = [pool.submit(calls.call) for _ in range(CALLERS)]
        try:
            wait_until(lambda: len(asked(nodes.url)) == 2, "one node was never asked")
            before, answered = asked(nodes.url), calls.answered
            nodes.kill_last()
            died = time.monotonic()
            wait_until(lambda: calls.answered > answered + 500, "the other was left")
            nodes.add()
            wait_until(lambda: bool(asked(nodes.url).keys() - before.keys()), "a new node was never asked")
            taken_s = time.monotonic() - died
        finally:
            calls.over.set()
        for one in told:
            one.result()
    print(
        f"before the kill {sorted(before.values())} by each; {calls.answered} in all; "
        f"tries that failed: {dict(calls.failures) or 'none'}; "
        f"longest answer {calls.longest_s:.1f} s; a new node took part {taken_s:.1f} s after the kill"
    )
    assert calls.lost == 0
    assert sum(calls.failures.values()) <= 2 * CALLERS


@pytest.mark.usefixtures("models")
def test_replicas_come_with_the_queue_and_go_with_it(nodes: Nodes) -> None:
    scaling = {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 4,
        "upscale_delay_s": 1,
        "downscale_delay_s": 2,
        "look_back_period_s": 2,
    }
    serve.run(deployed(autoscaling_config=scaling))
    assert running() == 1
    calls = Calls(nodes.url, "slow")
    with ThreadPoolExecutor(CALLERS) as pool:
        told = [pool.submit(calls.call) for _ in range(CALLERS)]
        try:
            wait_until(lambda: running() == 2, "there was never a second")
            wait_until(lambda: len(asked(nodes.url)) == 2, "the second was never asked")
        finally:
            calls.over.set()
        for one in told:
            one.result()
    wait_until(lambda: running() == 1, "the second never went")
    assert calls.lost == 0
    assert not calls.failures


def asked(url: str) -> dict[str, float]:
    """Replica -> predictions that it has answered, of those that have answered some. One is known by the moment at
    which it had loaded a model."""
    found = {}
    for _ in range(LOOKS):
        with suppress(httpx.TransportError):
            answer = httpx.get(f"{url}/metrics", timeout=30)
            if answer.status_code == 200:
                loaded = re.search(r"headrace_inference_seconds_created\{.*\} (.+)", answer.text)
                counts = re.findall(r'headrace_requests_total\{model="[a-z]+".*\} (.+)', answer.text)
                assert loaded
                found[loaded[1]] = sum(map(float, counts))
    return {replica: count for replica, count in found.items() if count}


def running() -> int:
    states = serve.status().applications["default"].deployments["headrace"].replica_states
    return int(states.get("RUNNING", 0))
