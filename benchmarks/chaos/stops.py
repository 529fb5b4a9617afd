"""Stops under load, workers that die or hang, and versions that change: nothing that was accepted is lost."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import perf_counter

import httpx
import numpy as np
import onnx
import psutil
from onnx import helper

from benchmarks.chaos.row import PREDICTION, Row
from benchmarks.processes import memory_mib
from tests import graphs
from tests.serving import listening, serving_process, wait_until

CALLERS = 32

LARGE_MIB = 128


class Callers:
    """Call until they are told to end or nobody listens any more."""

    def __init__(self, address: httpx.URL, count: int) -> None:
        self._address, self._over = address, Event()
        self._pool = ThreadPoolExecutor(count)
        self.begun = [Event() for _ in range(count)]
        self._told = [self._pool.submit(self._call, begun) for begun in self.begun]

    def _call(self, begun: Event) -> tuple[list[float], Counter[str]]:
        answers: list[float] = []
        wrong: Counter[str] = Counter()
        with httpx.Client(base_url=self._address, timeout=30) as client:
            while not self._over.is_set():
                try:
                    answer = client.post("/v2/models/m/infer", json=PREDICTION)
                except httpx.ConnectError:
                    break
                except httpx.TransportError as error:
                    wrong[type(error).__name__] += 1
                    continue
                begun.set()
                if answer.status_code == 200:
                    answers.append(_answer(answer))
                else:
                    wrong[str(answer.status_code)] += 1
        return answers, wrong

    def end(self) -> tuple[list[list[float]], Counter[str]]:
        """The answers of each, in their order, and what went wrong."""
        self._over.set()
        return self.seen()

    def seen(self) -> tuple[list[list[float]], Counter[str]]:
        """The same, once nobody listens any more."""
        told = [one.result() for one in self._told]
        self._pool.shutdown()
        return [answers for answers, _ in told], sum((wrong for _, wrong in told), Counter())


@contextmanager
def called(
    folder: Path, callers: int, *flags: str
) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]", Callers]]:
    """A service of the model m, which doubles, in full flight."""
    folder.mkdir()
    graphs.add_to_repository(folder / "models", "m", graphs.times(2))
    with serving_process(folder / "models", folder / "log", *flags) as (client, process):
        if "2" in flags:  # of --workers; one alone tells no process's number
            wait_until(lambda: len(listening(process)) == 2, "a worker never served")
        calling = Callers(client.base_url, callers)
        wait_until(lambda: all(begun.is_set() for begun in calling.begun), "a caller was never answered")
        yield client, process, calling


def _answer(answer: httpx.Response) -> float:
    """What the model m made of 3."""
    return float(answer.json()["outputs"][0]["data"][0])


def stops(folder: Path, times: int = 10) -> list[Row]:
    """A row for one worker, and one for two."""
    rows = []
    for workers in (1, 2):
        answered, wrong, longest, codes = 0, Counter[str](), 0.0, Counter[int]()
        for number in range(times):
            place = folder / f"stop-{workers}-{number}"
            with called(place, CALLERS, "--workers", str(workers)) as (client, process, callers):
                client.close()  # a connection that rests is waited for
                began = perf_counter()
                process.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
                answers, failed = callers.seen()
                codes[process.wait(timeout=60)] += 1
                longest = max(longest, perf_counter() - began)
            answered, wrong = answered + sum(map(len, answers)), wrong + failed
        rows.append(
            Row(
                f"a stop with {CALLERS} callers in full flight, {workers} worker{'s' * (workers > 1)}, {times} times",
                "no request reset, none with a 5xx, exit code 0",
                f"{answered} answered, lost: {dict(wrong) or 'none'}; codes {dict(codes)}; {longest:.1f} s at most",
                not wrong and set(codes) == {0},
            )
        )
    return rows


def workers(folder: Path) -> list[Row]:
    """Killed with -9, and hanging."""
    rows = []
    for how, end in (("killed", psutil.Process.kill), ("hanging", psutil.Process.suspend)):
        flags = ("--workers", "2", "--worker-timeout-s", "3")
        with called(folder / how, 1, *flags) as (_, process, callers):
            victim = psutil.Process(process.pid).children()[-1]
            began = perf_counter()
            end(victim)
            wait_until(lambda: not victim.is_running(), "it was left")  # noqa: B023
            wait_until(lambda: len(listening(process)) == 2, "nobody took its place")
            taken = perf_counter() - began
            answers, wrong = callers.end()
        kept = sum(wrong.values()) <= 1  # what the victim itself had accepted goes with it
        rows.append(
            Row(
                f"a worker that is {how} is replaced, warm, while the other serves",
                "no failures of the other's",
                f"{taken:.1f} s; {sum(map(len, answers))} answered, failed {dict(wrong) or 'none'}",
                kept,
            )
        )
    return rows


def versions(folder: Path, changes: int = 20) -> list[Row]:
    """Changes under load, and the memory of what was unloaded."""
    with called(folder / "versions", 16, "--repository-control", "--workers", "2") as (client, _, callers):
        for factor in range(3, 3 + changes):
            graphs.add_to_repository(folder / "versions" / "models", "m", graphs.times(factor), factor)
            client.post("/v2/repository/models/m/load", timeout=60).raise_for_status()
            told = {
                client.post("/v2/models/m/infer", json=PREDICTION).json()["outputs"][0]["data"][0] for _ in range(4)
            }
            if told != {3.0 * factor}:
                break
        answers, wrong = callers.end()
    allowed = {3.0 * factor for factor in range(2, 3 + changes)}
    strange = sum(answer not in allowed for one in answers for answer in one)
    changed = len({answer for one in answers for answer in one}) - 1
    return [
        Row(
            f"{changes} changes of version under 16 callers, 2 workers",
            "no request lost, no answer of a version that is not whole",
            f"{sum(map(len, answers))} answered, {changed} changes seen; lost {dict(wrong) or 0}; {strange} strange",
            not wrong and not strange and changed == changes,
        ),
        _unloaded(folder / "unloaded"),
    ]


def _unloaded(folder: Path) -> Row:
    folder.mkdir()
    graphs.add_to_repository(folder / "models", "m", graphs.times(2))
    weights = np.ones((LARGE_MIB, 2**18), np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["row"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["weights", "row"], ["all"]),
        helper.make_node("ReduceSum", ["all", "last"], ["y"], keepdims=0),
    ]
    x, y = (graphs.value(name, ("batch", 1)) for name in "xy")
    constants: dict[str, np.ndarray] = {"weights": weights, "last": np.array([2], np.int64)}
    graphs.add_to_repository(folder / "models", "large", graphs.graph(nodes, [x], [y], constants))
    with serving_process(folder / "models", folder / "log", "--repository-control") as (client, process):
        seen = []
        for _ in range(5):
            client.post("/v2/repository/models/large/unload", timeout=60).raise_for_status()
            without = memory_mib(process.pid)
            client.post("/v2/repository/models/large/load", timeout=60).raise_for_status()
            seen.append((without, memory_mib(process.pid)))
        client.post("/v2/repository/models/large/unload", timeout=60).raise_for_status()
        after = memory_mib(process.pid)
    first, loaded = seen[0]
    return Row(
        f"the memory of an unloaded model of {LARGE_MIB} MiB comes back, 5 times",
        "within a quarter of that of before",
        f"{first:.0f} MiB without, {loaded:.0f} with, {after:.0f} after five loads and unloads",
        after - first <= LARGE_MIB / 4,
    )
