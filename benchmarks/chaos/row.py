"""A line of the table, and what several checks use."""

import http.client
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from time import perf_counter

import httpx

PREDICTION = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}


@dataclass(frozen=True)
class Row:
    """What was promised, what was wanted of it, what was seen, and whether that is it."""

    promise: str
    wanted: str
    measured: str
    kept: bool


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; infinite without values."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)] if values else float("inf")


def whole_request(model: str, body: object = PREDICTION) -> bytes:
    """A V2 prediction as it goes over the wire."""
    text = json.dumps(body).encode()
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


class Watch(threading.Thread):
    """Calls again and again, at a pace, and remembers how long each answer took."""

    def __init__(self, address: httpx.URL, method: str, path: str, body: object, pause_s: float) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(address.host, address.port, timeout=30)
        self._call = method, path, json.dumps(body) if body else None
        self._pause_s, self._over = pause_s, threading.Event()
        self.seen_ms: list[tuple[float, float]] = []
        self.wrong: list[str] = []

    def run(self) -> None:
        """Until `end`. On a core before everything else, where the system allows it: a caller on another machine waits
        for no core of the service's."""
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # of this thread
        while not self._over.wait(self._pause_s):
            began = perf_counter()
            try:
                self._connection.request(*self._call)
                answer = self._connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    self.wrong.append(f"{answer.status} {text[:200].decode(errors='replace')}")
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                self._connection.close()
            self.seen_ms.append((began, 1000 * (perf_counter() - began)))

    def end(self) -> None:
        """No more calls."""
        self._over.set()
        self.join()

    def between(self, begin: float, end: float) -> list[float]:
        """Milliseconds of the calls that began then, by perf_counter."""
        return [taken for began, taken in self.seen_ms if begin <= began < end]


@contextmanager
def watching(*watches: Watch) -> Iterator[None]:
    """While the body runs."""
    for watch in watches:
        watch.start()
    try:
        yield
    finally:
        for watch in watches:
            watch.end()
