"""Are answers right while others are being served? One more caller, with rows of its own, a few times a second."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

from benchmarks.servers import Running, exchange
from benchmarks.traffic import Traffic

EVERY_S = 0.05
SEEDS = range(1, 9)


@contextmanager
def probing(running: Running, traffic: Traffic) -> Iterator[list[str]]:
    """While this lasts, answers are compared with onnxruntime's; the list fills with what was wrong."""
    problems: list[str] = []
    stop = threading.Event()
    thread = threading.Thread(target=_probe, args=(running, traffic, problems, stop))
    thread.start()
    try:
        yield problems
    finally:
        stop.set()
        thread.join()


def _probe(running: Running, traffic: Traffic, problems: list[str], stop: threading.Event) -> None:
    requests = cycle([running.server.request(traffic, seed) for seed in SEEDS])
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    while not stop.wait(EVERY_S):
        try:
            problem = exchange(connection, next(requests), compare=running.server.answers)
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
            connection.close()
        if problem:
            problems.append(problem)
    connection.close()
