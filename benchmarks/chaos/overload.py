"""2,000 callers on a model of 200 ms a row: who is refused hears it at once, and others do not suffer."""

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter, sleep

from benchmarks.chaos.row import PREDICTION, Row, Watch, percentile, watching, whole_request
from tests import graphs
from tests.serving import serving_process

CALLERS = 2000

SECONDS = 10.0

QUIET_S = 5.0
"""Before, for comparison, and after."""


def turns_of(folder: Path, seconds: float) -> int:
    """How many turns of `graphs.slow` take so long here."""
    graphs.add_to_repository(folder / "try", "slow", graphs.slow(100))
    with serving_process(folder / "try", folder / "try.log") as (client, _):
        taken = []
        for _ in range(5):
            began = perf_counter()
            client.post("/v2/models/slow/infer", json=PREDICTION).raise_for_status()
            taken.append(perf_counter() - began)
    return round(100 * seconds / min(taken))


def overload(folder: Path) -> list[Row]:
    """Five rows."""
    models = folder / "models"
    config = "batching: {max_rows: 1}\ndeadline_ms: 10000\n"
    graphs.add_to_repository(models, "slow", graphs.slow(turns_of(folder, 0.2)), config=config)
    graphs.add_to_repository(models, "fast", graphs.times(2))
    with serving_process(models, folder / "log") as (client, _):
        port = client.base_url.port
        fast = Watch(client.base_url, "POST", "/v2/models/fast/infer", PREDICTION, 0.01)
        health = Watch(client.base_url, "GET", "/health/ready", None, 0.05)
        with watching(fast, health):
            quiet = perf_counter()
            sleep(QUIET_S)
            command = [sys.executable, "-m", "benchmarks.chaos.callers", str(port), str(CALLERS), str(SECONDS)]
            until = perf_counter()
            done = subprocess.run(  # noqa: S603  (our own program)
                command, input=whole_request("slow"), capture_output=True, check=True
            )
            sleep(QUIET_S)
        told = json.loads(done.stdout)
    begun, ended, seen = told["began"], told["ended"], told["seen"]
    alone = percentile(fast.between(quiet, until), 0.99)
    beside = percentile(fast.between(begun, ended), 0.99)
    again = next((at for at, ms in fast.seen_ms if at > ended and ms <= 3 * alone), float("inf")) - ended
    refused, answered = seen.pop("429", []), seen.pop("200", [])
    others = {status: len(values) for status, values in seen.items()}
    late = percentile(refused, 0.99)
    worst = max(health.between(begun, ended))
    wrong = [*fast.wrong, *health.wrong]
    return [
        Row(
            f"{CALLERS} callers on a model of 200 ms a row: the surplus is refused at once",
            "429 within 100 ms (p99), nothing else but answers",
            f"{len(refused)} refused, p99 {late:.0f} ms; {len(answered)} answered; others {others or 'none'}",
            bool(refused) and late <= 100 and bool(answered) and not others,
        ),
        Row("health answers meanwhile", "within 100 ms", f"{worst:.0f} ms at most", worst <= 100 and not wrong),
        Row(
            "a fast model beside it keeps its latency",
            "p99 within 3 times of alone",
            f"{alone:.2f} ms alone, {beside:.2f} ms beside",
            beside <= 3 * alone,
        ),
        Row("back to normal", "within 2 s", f"{again:.2f} s", again <= 2),
    ]
