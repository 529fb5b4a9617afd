"""Many callers with rows of their own: every answer is checked, and speed stands beside its limits.

`make bench` runs it: 1, 16 and 64 callers on kept-alive connections against `python -m app serve` and against a bare
ASGI application on the same uvicorn, in turn, three times each; beside them one thread of onnxruntime in a loop.
The callers are one Python process on the same machine, so they cost more than the service: read the ratios.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

from app.inference.session import Session
from app.manifest import Manifest, read_manifest
from app.workers import listen

CALLERS = (1, 16, 64)
REPEATS = 3
SECONDS = 3.0
MODEL = "breast-cancer"
PATH = f"/v1/models/{MODEL}:predict"


class Row:
    """One caller's instance, as bytes of a request, and the answer that onnxruntime gives in this process."""

    def __init__(self, manifest: Manifest, session: Session, golden: np.ndarray, seed: int) -> None:
        factors = np.random.default_rng(seed).uniform(0.9, 1.1, golden.shape[1])
        values = (golden[seed % len(golden)] * factors).astype(np.float32)
        instance = {f.name: float(value) for f, value in zip(manifest.features, values, strict=True)}
        body = json.dumps({"instances": [instance]}).encode()
        self.request = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        self.probability = float(session.run({"features": values[None]})["probabilities"].max())


Answers = list[tuple[float, bytes]]
"""Latency in seconds, head and body of each answer of one caller."""


async def call(port: int, row: Row, until: float) -> Answers:
    """One caller in a closed loop."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers: Answers = []
    while (started := perf_counter()) < until:
        writer.write(row.request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        answers.append((perf_counter() - started, head + body))
    writer.close()
    return answers


async def load(port: int, rows: list[Row]) -> list[Answers]:
    """Every row's caller at one time."""
    until = perf_counter() + SECONDS
    return await asyncio.gather(*(call(port, row, until) for row in rows))


def check(rows: list[Row], answers: list[Answers]) -> None:
    """Raises AssertionError at an answer that is not its caller's own."""
    for row, own in zip(rows, answers, strict=True):
        for _, answer in own:
            head, body = answer.split(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), answer
            assert abs(json.loads(body)["predictions"][0]["probability"] - row.probability) < 1e-5, answer


def latencies(answers: list[Answers]) -> list[float]:
    """Of all callers, in seconds."""
    return [latency for own in answers for latency, _ in own]


@contextmanager
def running(*command: str) -> Iterator[int]:
    """The port of a server that has been started with `{port}` filled in, and answers."""
    with listen("127.0.0.1", 0, shared=False) as free:
        port = free.getsockname()[1]
    words = [sys.executable, *(word.format(port=port) for word in command)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        wait_until_ready(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(port: int) -> None:
    """Until the server answers 200."""
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1).close()
            return
        except OSError:
            asyncio.run(asyncio.sleep(0.1))
    raise TimeoutError(f"nothing answers on port {port}")


def rows_per_run(port: int) -> tuple[float, float]:
    """Rows and runs so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    values = {line.split("{")[0]: float(line.split()[-1]) for line in lines if f'{{model="{MODEL}",version=' in line}
    return values["headrace_batch_rows_sum"], values["headrace_batch_rows_count"]


def onnxruntime_rows_per_second(session: Session, golden: np.ndarray) -> float:
    """One thread, one row a run: the compute floor of a caller who gets no company."""
    feed = {"features": golden[:1]}
    started, runs = perf_counter(), 0
    while perf_counter() - started < SECONDS:
        session.run(feed)
        runs += 1
    return runs / SECONDS


class Figures:
    """What was measured: latencies of every run by server and callers, and rows a run by callers."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
        self.company: dict[int, list[float]] = defaultdict(list)

    def requests_per_second(self, server: str, callers: int) -> float:
        """Median over the runs."""
        return statistics.median(len(run) for run in self.runs[server, callers]) / SECONDS

    def milliseconds(self, callers: int, percentile: int) -> float:
        """Median over the runs of Headrace."""
        found = [float(np.percentile(run, percentile)) for run in self.runs["headrace", callers]]
        return 1000 * statistics.median(found)

    def line(self, callers: int) -> str:
        """One row of the table."""
        ours, bare = (self.requests_per_second(server, callers) for server in ("headrace", "bare"))
        p50, p99 = self.milliseconds(callers, 50), self.milliseconds(callers, 99)
        company = statistics.median(self.company[callers])
        return f"| {callers} | {ours:,.0f} | {p50:.2f} | {p99:.2f} | {company:.1f} | {bare:,.0f} | {ours / bare:.2f} |"


def measure(rows: list[Row]) -> Figures:
    """Load on Headrace and on the bare application in turn."""
    serve = ("-m", "app", "serve", "--models", "models", "--port", "{port}", "--no-log-requests")
    figures = Figures()
    with running(*serve) as ours, running("-m", "benchmarks.bare", "{port}") as bare:
        for callers in tqdm([c for _ in range(REPEATS) for c in CALLERS], desc="load", file=sys.stderr):
            rows_before, runs_before = rows_per_run(ours)
            answers = asyncio.run(load(ours, rows[:callers]))
            rows_after, runs_after = rows_per_run(ours)
            check(rows[:callers], answers)
            figures.runs["headrace", callers].append(latencies(answers))
            figures.company[callers].append((rows_after - rows_before) / (runs_after - runs_before))
            figures.runs["bare", callers].append(latencies(asyncio.run(load(bare, rows[:callers]))))
    return figures


def main() -> None:
    """Measure and print the table."""
    folder = max(Path("models", MODEL).glob("[0-9]*"), key=lambda place: int(place.name))
    manifest, session = read_manifest(folder / "manifest.json"), Session(folder / "model.onnx")
    assert manifest is not None
    golden = np.array(manifest.golden.inputs["features"], np.float32)
    figures = measure([Row(manifest, session, golden, seed) for seed in range(max(CALLERS))])
    print("| callers | requests/s | p50 ms | p99 ms | rows a run | bare uvicorn, requests/s | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for callers in CALLERS:
        print(figures.line(callers))
    print(f"\nonnxruntime in a loop, one row a run: {onnxruntime_rows_per_second(session, golden):,.0f} rows/s")
    answers = sum(len(run) for (server, _), runs in figures.runs.items() if server == "headrace" for run in runs)
    print(f"{answers:,} answers checked against onnxruntime in this process, none wrong")


if __name__ == "__main__":
    main()
