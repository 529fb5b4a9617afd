"""Memory that does not grow, and a service that rests when nobody calls."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep

import httpx
import numpy as np

from benchmarks.chaos.row import PREDICTION, Row
from benchmarks.processes import own_memory_mib, processor_s
from tests import graphs
from tests.serving import serving_process

WARM_UP_S = 60.0

IDLE_S = 20.0

MODELS = 20

ABSURD = ("memory", "time")


def soak(folder: Path, seconds: float) -> list[Row]:
    """Ever new batch sizes and lengths, in JSON and binary."""
    graphs.add_to_repository(folder / "models", "lengths", graphs.double(("batch", "length")))
    graphs.add_to_repository(folder / "models", "rows", graphs.double())
    chance = np.random.default_rng(7)
    times: list[float] = []
    sizes: list[float] = []
    asked = 0
    with serving_process(folder / "models", folder / "log") as (client, process):
        began = monotonic()
        while (now := monotonic() - began) < WARM_UP_S + seconds:
            _ask(client, chance)
            asked += 1
            if now >= WARM_UP_S and (not times or now - times[-1] >= 1):
                times.append(now)
                sizes.append(own_memory_mib(process.pid))
    slope = float(np.polyfit(np.array(times) / 60, np.array(sizes), 1)[0])
    return [
        Row(
            f"memory stays flat under changing batch sizes and lengths, {seconds / 60:.0f} minutes after a warm-up",
            "below 1 MiB a minute",
            f"{slope:+.2f} MiB a minute, {min(sizes):.0f} to {max(sizes):.0f} MiB, {asked} requests",
            slope < 1,
        )
    ]


def _ask(client: httpx.Client, chance: np.random.Generator) -> None:
    rows, length = (int(10 ** chance.uniform(0, 2.5)) for _ in range(2))
    model, shape = ("lengths", [rows, length]) if chance.random() < 0.5 else ("rows", [rows, 3])
    data = chance.standard_normal(shape).astype(np.float32)
    x = {"name": "x", "shape": shape, "datatype": "FP32"}
    if chance.random() < 0.5:
        answer = client.post(f"/v2/models/{model}/infer", json={"inputs": [{**x, "data": data.ravel().tolist()}]})
    else:
        head = httpx.Request(
            "POST", "http://x/", json={"inputs": [{**x, "parameters": {"binary_data_size": data.nbytes}}]}
        )
        headers = {"inference-header-content-length": str(len(head.content))}
        answer = client.post(f"/v2/models/{model}/infer", content=head.content + data.tobytes(), headers=headers)
    answer.raise_for_status()


def loads(folder: Path) -> list[Row]:
    """Models that would take all memory, or for ever, beside one that serves."""
    graphs.add_to_repository(folder / "models", "good", graphs.times(2))
    graphs.add_to_repository(folder / "models", "memory", graphs.greedy(2**40), config="required: false")
    graphs.add_to_repository(folder / "models", "time", graphs.slow(10**9), config="required: false")
    flags = ("--load-timeout-s", "3", "--repository-control")
    with serving_process(folder / "models", folder / "log", *flags) as (client, process):
        wrong, told = Counter[str](), dict[str, str]()
        with ThreadPoolExecutor() as pool:
            while len(told) < len(ABSURD) or any("loading" in one for one in told.values()):
                paths = {name: f"/v2/models/{name}/ready" for name in ABSURD}
                told = {name: client.get(path).json().get("error", "it serves") for name, path in paths.items()}
                wrong[str(client.post("/v2/models/good/infer", json=PREDICTION).status_code)] += 1
            again = list(pool.map(lambda n: client.post(f"/v2/repository/models/{n}/load"), ABSURD))
        alive = process.poll() is None and client.get("/health/ready").status_code == 200
    del wrong["200"]
    why = "; ".join(one.split(": ", 1)[-1] for one in told.values())
    return [
        Row(
            "a model that wants 4 TiB at load, and one that never ends, fail alone",
            "no request to another model lost",
            f"{why}; lost {dict(wrong) or 0}; asked again: {[one.status_code for one in again]}",
            alive and not wrong and "bad_alloc" in told["memory"] and "not ready after 3 s" in told["time"],
        )
    ]


def idle(folder: Path) -> list[Row]:
    """20 models and no callers."""
    for number in range(MODELS):
        graphs.add_to_repository(folder / "models", f"m{number}", graphs.times(2))
    with serving_process(folder / "models", folder / "log") as (_, process):
        sleep(2)
        before = processor_s(process.pid)
        sleep(IDLE_S)
        share = (processor_s(process.pid) - before) / IDLE_S
    return [Row(f"an idle service with {MODELS} models rests", "below 2% of a core", f"{share:.1%}", share < 0.02)]
