"""How many machines, and how much money, for so many requests a second: measured costs, and queues made of them.

    python -m benchmarks.capacity [--cores 16] [--core-hour 0.05] [--write docs/capacity.md]

Each shipped model is served by one worker on one core and sent its own example over V1: at 64 connections for what a
request costs, at one for how long it takes when nothing waits. A queueing simulation (ciw) of workers with those times
and Poisson arrivals tells how busy a core may be before the 99th percentile passes its bound; three of its answers are
measured again with requests that arrive at that rate. The table follows from that.
"""

import argparse
import base64
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ciw
import httpx
import numpy as np
from cycler import cycler
from matplotlib import colormaps
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.processes import processor_s
from benchmarks.traffic import Request
from benchmarks.wrk import load
from tests.serving import serving_process

ROOT = Path(__file__).parents[1]
SECONDS = 5
CONNECTIONS = 64
RATES = (10**3, 10**4, 10**5, 10**6, 10**7)
SHARES = (0.5, 0.6, 0.7)
"""Of a core's time. Above the last a lost machine or a burst leaves no room."""

BOUND_S = 0.02
BOUND_TIMES = 5
"""p99 may be 20 ms, or for a slow model five times what a request takes alone."""

ARRIVALS = 40_000
"""Of a simulation."""

HOURS = 730
"""Of a month."""

CHECKED = ("breast-cancer", "diabetes", "digits")
BEGIN, END = "<!-- capacity -->\n", "<!-- /capacity -->\n"


@dataclass(frozen=True)
class Cost:
    """Of a request of a model: seconds of a core where many come, seconds alone and their spread, bytes in and out."""

    model: str
    core_s: float
    alone_s: float
    spread: float
    bytes_in: int
    bytes_out: int

    @property
    def bound_s(self) -> float:
        return max(BOUND_S, BOUND_TIMES * self.alone_s)


def measured(model: str, client: httpx.Client, pid: int) -> tuple[Cost, Request]:
    """One after the other, so that nothing else runs."""
    body = json.dumps({"instances": client.get(f"/v1/models/{model}/metadata").json()["example"]["instances"]}).encode()
    path = f"/v1/models/{model}:predict"
    answer = client.post(path, content=body)
    answer.raise_for_status()
    request = Request(path, {"Content-Type": "application/json"}, body, 1, np.empty(0))
    port = client.base_url.port
    assert port
    alone = load(port, request, 1, SECONDS)
    before = processor_s(pid)
    many = load(port, request, CONNECTIONS, SECONDS)
    spent = processor_s(pid) - before
    spread = math.log(max(alone.p99_ms / alone.p50_ms, 1.01)) / 2.326  # of a lognormal distribution
    cost = Cost(model, spent / many.requests, alone.p50_ms / 1e3, spread, len(body), len(answer.content))
    return cost, request


def simulated_s(cost: Cost, share: float, seed: int = 1) -> float:
    """The 99th percentile of what a request takes at a worker that is busy for this share of its time."""
    ciw.seed(seed)
    mean = math.log(cost.core_s) - cost.spread**2 / 2
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=share / cost.core_s)],
        service_distributions=[ciw.dists.Lognormal(mean, cost.spread)],
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(ARRIVALS, method="Finish")
    waits = [record.waiting_time for record in simulation.get_all_records()]
    return float(np.quantile(waits, 0.99)) + cost.alone_s


def busiest(cost: Cost) -> tuple[float, float]:
    """The largest share whose p99 is within the bound, and that p99; the smallest share where none is."""
    found = [(share, simulated_s(cost, share)) for share in SHARES]
    kept = [one for one in found if one[1] <= cost.bound_s]
    return kept[-1] if kept else found[0]


def arrived_s(request: Request, port: int, rate: float) -> float:
    """The 99th percentile as measured, of requests that arrive at random at this rate."""
    head = f"POST {request.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    whole = head.encode() + f"{len(request.body)}\r\n\r\n".encode() + request.body
    streams = json.dumps([{"rate": rate, "request": base64.b64encode(whole).decode()}])
    command = [sys.executable, "-m", "benchmarks.openloop", str(port), str(SECONDS)]
    told = subprocess.run(command, input=streams, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603
    return float(np.quantile(json.loads(told.stdout)[0], 0.99)) / 1e3


def machines(cost: Cost, share: float, rate: float, cores: int) -> int:
    """One more than it takes, so that one may be lost."""
    return math.ceil(rate * cost.core_s / (share * cores)) + 1


def tables(costs: Sequence[Cost], checks: Sequence[str], cores: int, core_hour: float) -> str:
    """In Markdown."""
    lines = [
        "| model | core time | alone | in / out | busy | p99 then | requests/s a core |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    shares = {cost.model: busiest(cost) for cost in costs}
    for cost in costs:
        share, p99 = shares[cost.model]
        lines.append(
            f"| {cost.model} | {1e3 * cost.core_s:.3f} ms | {1e3 * cost.alone_s:.2f} ms | {cost.bytes_in:,} / "
            f"{cost.bytes_out:,} B | {share:.0%} | {1e3 * p99:.1f} ms | {share / cost.core_s:,.0f} |"
        )
    lines += ["", "Simulated and measured, of one worker with requests that arrive at random:", "", *checks, ""]
    lines.append(
        f"Machines of {cores} cores, one of them to spare, and dollars a month at {core_hour} a core and hour:"
    )
    lines += ["", "| model | " + " | ".join(f"{rate:,}/s" for rate in RATES) + " |"]
    lines.append("| --- |" + " ---: |" * len(RATES))
    for cost in costs:
        share, _ = shares[cost.model]
        cells = []
        for rate in RATES:
            count = machines(cost, share, rate, cores)
            cells.append(f"{count:,} ({money(count * cores * core_hour * HOURS)})")
        lines.append(f"| {cost.model} | " + " | ".join(cells) + " |")
    lines += ["", "What goes over the wire at that rate, both ways, in Gbit/s:", ""]
    lines += ["| model | " + " | ".join(f"{rate:,}/s" for rate in RATES) + " |", "| --- |" + " ---: |" * len(RATES)]
    for cost in costs:
        bits = 8 * (cost.bytes_in + cost.bytes_out)
        lines.append(f"| {cost.model} | " + " | ".join(f"{rate * bits / 1e9:,.2f}" for rate in RATES) + " |")
    return "\n".join(lines) + "\n"


def money(dollars: float) -> str:
    return f"{dollars / 1e6:.1f} M" if dollars >= 1e6 else f"{dollars / 1e3:,.1f} k"


def plot(costs: Sequence[Cost], cores: int, place: Path) -> None:
    """Machines over requests a second, a line a model."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axis = figure.subplots()
    rates = np.logspace(2, 7, 101)
    axis.set_prop_cycle(cycler(linestyle=["-", "--"]) * cycler(color=colormaps["tab10"].colors))  # type: ignore[attr-defined]
    for cost in sorted(costs, key=lambda one: -one.core_s):
        share, _ = busiest(cost)
        axis.plot(rates, [machines(cost, share, rate, cores) for rate in rates], label=cost.model)
    axis.set(xscale="log", yscale="log", xlabel="requests a second", ylabel=f"machines of {cores} cores, one to spare")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.savefig(place, dpi=110)


def main() -> None:
    """Measure, simulate, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=16, help="of a machine (16)")
    parser.add_argument("--core-hour", type=float, default=0.05, help="dollars (0.05)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between its marks, a plot beside it")
    asked = parser.parse_args()
    models = sorted(place.name for place in (ROOT / "models").iterdir())
    costs, checks = [], ["| model | busy | simulated p99 | measured p99 |", "| --- | ---: | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as folder, serving_process(ROOT / "models", Path(folder) / "log") as served:
        client, process = served
        subprocess.run(["taskset", "-a", "-p", "-c", "0", str(process.pid)], check=True, capture_output=True)  # noqa: S603, S607
        for model in tqdm(models, file=sys.stderr):
            cost, request = measured(model, client, process.pid)
            costs.append(cost)
            for share in SHARES[::2] if model in CHECKED else ():
                port = client.base_url.port
                assert port
                got = arrived_s(request, port, share / cost.core_s)
                wanted = simulated_s(cost, share)
                checks.append(f"| {model} | {share:.0%} | {1e3 * wanted:.2f} ms | {1e3 * got:.2f} ms |")
    told = tables(costs, checks, asked.cores, asked.core_hour)
    print(told)
    if asked.write:
        text = asked.write.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        asked.write.write_text(before + BEGIN + told + END + after)
        plot(costs, asked.cores, asked.write.with_suffix(".png"))


if __name__ == "__main__":
    main()
