"""Latencies of requests that arrive at a rate: half of what a server can answer, and four networks at the same time.

    python -m benchmarks.arrivals                     all servers
    python -m benchmarks.arrivals --servers mosec     Headrace and those with this in their name

A server's capacity is first measured in a closed loop of 32 connections. "Half" sends the tiny network half of that;
Headrace is also sent half of what the best peer can answer, to compare them at one rate. "Mixed" sends each of four
networks an eighth of its own capacity, first alone and then all together: nobody should pay for a slow neighbour.
Neither sends more than MOST_RATE.
Latencies of all rounds are pooled, so that a 99.9th percentile stands on enough of them.
"""

import argparse
import base64
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain

import numpy as np
from tqdm import tqdm

from benchmarks import wrk
from benchmarks.networks import CACHE
from benchmarks.servers import BARE, OURS, SERVERS, Running, Server, running
from benchmarks.traffic import Request, Traffic

TINY = Traffic("mlp")
MIXED = (Traffic("mlp"), Traffic("cnn"), Traffic("wide"), Traffic("encoder"))
CONNECTIONS = 32
CAPACITY_S = 3

MOST_RATE = 15_000
"""Requests a second of all streams together: beyond, the program that sends them is late itself. It sent 25,000 with
200 ms of its own, and takes one of the two cores then."""

HALF_SENT, ALONE, TOGETHER = "half of capacity", "alone", "together"
AT_BEST = ", at the best peer's rates"
SAME_SENT = "half of the best peer's capacity"
HALF = f"{HALF_SENT}, {TINY.model}"

Latencies = dict[tuple[str, str], list[float]]
"""Server and what was sent -> milliseconds, of all rounds."""


def capacity(one: Running, traffic: Traffic, seconds: int) -> float:
    """Requests a second in a closed loop. Raises RuntimeError if there is none."""
    seen = wrk.load(one.port, one.server.request(traffic, seed=0), CONNECTIONS, seconds)
    if not seen.requests or seen.failures:
        raise RuntimeError(f"{one.server.name}: {seen.requests} {traffic.model} in {seconds} s, {seen.failures} failed")
    return seen.requests / seen.seconds


def arrive(one: Running, rates: dict[Traffic, float], seconds: float) -> list[list[float]]:
    """Milliseconds of every request of each kind. Raises RuntimeError if one fails or the server cannot keep up."""
    streams = [{"rate": rate, "request": whole(one.server.request(kind, seed=0))} for kind, rate in rates.items()]
    command = [sys.executable, "-m", "benchmarks.openloop", str(one.port), str(seconds)]
    done = subprocess.run(command, input=json.dumps(streams), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{one.server.name}: {done.stderr.strip().splitlines()[-1]}")
    latencies: list[list[float]] = json.loads(done.stdout)
    return latencies


def whole(request: Request) -> str:
    """The HTTP request as it goes over the wire, in base64."""
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(request.body)), **request.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return base64.b64encode(f"POST {request.path} HTTP/1.1\r\n{head}\r\n".encode() + request.body).decode()


class Arrivals:
    """What arrived and how long it took. rates: requests a second by server and what was sent."""

    def __init__(self) -> None:
        self.rates: dict[tuple[str, str], float] = {}
        self.latencies: Latencies = defaultdict(list)
        self.problems: list[str] = []

    def send(self, one: Running, what: str, rates: dict[Traffic, float], seconds: float) -> None:
        """One round. what: names it; a name for each of several kinds follows from the model's."""
        try:
            found = arrive(one, rates, seconds)
        except RuntimeError as error:
            self.problems.append(f"WRONG {what}, {error}")
            return
        for (kind, rate), latencies in zip(rates.items(), found, strict=True):
            key = one.server.name, f"{what}, {kind.model}"
            self.rates[key] = rate
            self.latencies[key] += latencies

    def percentiles(self, server: str, what: str) -> list[float]:
        """50th, 99th and 99.9th, in milliseconds; NaN if nothing was measured."""
        found = self.latencies.get((server, what))
        return [float(p) for p in np.percentile(found, [50, 99, 99.9])] if found else [np.nan] * 3

    def both_ways(self, server: str, at: str, network: str) -> list[float]:
        """The 99th percentile alone and together."""
        return [self.percentiles(server, f"{how}{at}, {network}")[1] for how in (ALONE, TOGETHER)]


def half(arrivals: Arrivals, servers: Sequence[Server], rounds: int, seconds: int) -> None:
    """The tiny network at half of capacity."""
    with ExitStack() as stack:
        ready = [stack.enter_context(running(s, [TINY])) for s in servers if s.serves([TINY])]
        capacities = {one.server.name: capacity(one, TINY, CAPACITY_S) for one in ready}
        best = max((capacities[one.server.name] for one in ready if one.server.peer), default=0)
        for one in tqdm(ready * rounds, desc="half", file=sys.stderr, disable=None):
            arrivals.send(one, HALF_SENT, {TINY: min(capacities[one.server.name] / 2, MOST_RATE)}, seconds)
            if one.server is OURS and best:
                arrivals.send(one, SAME_SENT, {TINY: min(best / 2, MOST_RATE)}, seconds)


def mixed(arrivals: Arrivals, servers: Sequence[Server], rounds: int, seconds: int) -> None:
    """Four networks, each alone and all together; of Headrace at the rates of the best peer too."""
    peers: list[dict[Traffic, float]] = []
    able = sorted((server for server in servers if server.serves(MIXED)), key=lambda server: server is OURS)
    for server in tqdm(able, desc="mixed", file=sys.stderr, disable=None):
        try:
            with running(server, MIXED) as one:
                rates = eighths(one)
                alone_and_together(arrivals, one, rates, rounds, seconds)
                if server is not OURS:
                    peers.append(rates)
                elif peers:
                    best = {kind: max(rates[kind] for rates in peers) for kind in MIXED}
                    alone_and_together(arrivals, one, best, rounds, seconds, at=AT_BEST)
        except RuntimeError as error:
            arrivals.problems.append(f"WRONG mixed, {error}")


def eighths(one: Running) -> dict[Traffic, float]:
    """Of the server's capacity for each network, as far as so much can be sent."""
    rates = {kind: capacity(one, kind, CAPACITY_S) / (2 * len(MIXED)) for kind in MIXED}
    part = min(1.0, MOST_RATE / sum(rates.values()))
    return {kind: rate * part for kind, rate in rates.items()}


def alone_and_together(
    arrivals: Arrivals, one: Running, rates: dict[Traffic, float], rounds: int, seconds: int, *, at: str = ""
) -> None:
    """Each network at the same rate both ways. at: names the rates."""
    for _ in range(rounds):
        for kind, rate in rates.items():
            arrivals.send(one, ALONE + at, {kind: rate}, seconds)
        arrivals.send(one, TOGETHER + at, rates, seconds)


def report(arrivals: Arrivals) -> str:
    """Both as Markdown tables."""
    lines = ["| server | sent | requests/s | p50 ms | p99 ms | p99.9 ms |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for (server, what), rate in arrivals.rates.items():
        if what.startswith("half"):
            p50, p99, p999 = arrivals.percentiles(server, what)
            lines.append(f"| {server} | {what} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {p999:.2f} |")
    lines += ["", "| server | network | requests/s | p99 alone, ms | p99 together, ms | times that |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
    for (server, what), rate in arrivals.rates.items():
        how, network = what.rsplit(", ", 1)
        if how.startswith(TOGETHER):
            alone, together = arrivals.both_ways(server, how.removeprefix(TOGETHER), network)
            lines.append(
                f"| {server}{how.removeprefix(TOGETHER)} | {network} | {rate:,.0f} | {alone:.2f} | {together:.2f} "
                f"| {together / alone:.2f} |"
            )
    return "\n".join(chain(wanted(arrivals), [""], lines, [""], arrivals.problems))


def wanted(arrivals: Arrivals) -> list[str]:
    """What is wanted of Headrace and what was reached, as far as it was measured."""
    lines = ["| wanted of Headrace | measured | reached |", "| --- | ---: | --- |"]

    def told(what: str, value: float, most: float) -> None:
        if not np.isnan(value):
            lines.append(f"| {what} | {value:.2f} | {'yes' if value <= most else 'no'} |")

    p50, p99, p999 = arrivals.percentiles(OURS.name, HALF)
    peers = [arrivals.percentiles(server.name, HALF)[1] for server in SERVERS if server.peer]
    least = min((ms for ms in peers if not np.isnan(ms)), default=np.nan)
    told(f"at half of capacity a p99 below the best peer's, {least:.2f} ms", p99, least)
    same = arrivals.percentiles(OURS.name, f"{SAME_SENT}, {TINY.model}")[1]
    told(f"at half of the best peer's capacity a p99 below that, {least:.2f} ms", same, least)
    told("at half of capacity a p99.9 below 3 times the p50: times", p999 / p50, 3)
    bare50, _, bare999 = arrivals.percentiles(BARE.name, HALF)
    told("the same for bare uvicorn, which computes nothing: times", bare999 / bare50, 3)
    for at in ("", AT_BEST):
        for kind in MIXED:
            alone, together = arrivals.both_ways(OURS.name, at, kind.model)
            told(
                f"four networks at once{at}, {kind.model}: p99 at most 3 times its p99 alone: times",
                together / alone,
                3,
            )
    return lines


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.arrivals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--servers", nargs="*", default=[""], metavar="WORD", help="only servers with one of these")
    parser.add_argument("--only", choices=("half", "mixed"), help="one of the two")
    parser.add_argument("--rounds", type=int, default=3, help="each of so many seconds on each server (3)")
    parser.add_argument("--seconds", type=int, default=5, help="of arrivals in a round (5)")
    return parser.parse_args()


def main() -> int:
    """Measure and print; 1 if a request failed or a server fell behind."""
    asked = arguments()
    servers = [s for s in SERVERS if s is OURS or any(word in s.name for word in asked.servers)]
    arrivals = Arrivals()
    for measure in (half, mixed):
        if asked.only in (None, measure.__name__):
            measure(arrivals, servers, asked.rounds, asked.seconds)
    text = report(arrivals)
    (CACHE / "arrivals.md").write_text(text)
    print(text)
    return 1 if arrivals.problems else 0


if __name__ == "__main__":
    sys.exit(main())
