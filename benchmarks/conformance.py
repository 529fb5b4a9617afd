"""Every case of the conformance suite against `python -m app serve`, with time to ready and memory.

    python -m benchmarks.conformance

generates the suite's repository, hundreds of models without a config file, and starts the service once over an empty
folder and once over that. Memory is the resident set of the process: of the empty service, of the loaded one, and after
every case has been answered to 16 callers at once; each answer is compared with onnxruntime's in this process.
"""

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import httpx
import psutil
from tqdm import tqdm

from app.sockets import listen
from tests.conformance.cases import CASES
from tests.conformance.models import MODELS, write_repository
from tests.conformance.wire import problem

CALLERS = 16
PATIENCE_S = 300


@contextmanager
def serving(models: Path) -> Iterator[tuple[httpx.Client, psutil.Popen, float]]:
    """A client of a service over `models`, its process, and the seconds that it took to be ready."""
    with listen("127.0.0.1", 0, shared=False) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app", "serve", "--models", str(models), "--port", str(port), "--no-log-requests"]
    started = perf_counter()
    with tempfile.TemporaryFile() as log, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        process = psutil.Popen(command, stdout=log, stderr=log)
        try:
            wait_until_ready(client, process, started + PATIENCE_S)
            yield client, process, perf_counter() - started
        finally:
            process.terminate()
            process.wait()


def wait_until_ready(client: httpx.Client, process: psutil.Popen, end: float) -> None:
    """Until the service answers that it is. Raises TimeoutError."""
    while perf_counter() < end:
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        try:
            process.wait(0.05)  # a pause, unless the service has ended
        except psutil.TimeoutExpired:
            continue
        break
    raise TimeoutError(f"the service is not ready within {PATIENCE_S} s, or has ended")


def resident_mib(process: psutil.Popen) -> float:
    """Memory of a process in MiB."""
    return float(process.memory_info().rss) / 2**20


def main() -> int:
    """Measure, compare and print; 1 if an answer is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty")
        empty.mkdir()
        with serving(empty) as (_, process, empty_s):
            before = resident_mib(process)
        with serving(write_repository(Path(folder, "models"))) as (client, process, ready_s):
            loaded = resident_mib(process)
            with ThreadPoolExecutor(CALLERS) as callers:
                asked = callers.map(lambda case: problem(client, case), CASES.values())
                problems = list(tqdm(asked, "cases", len(CASES), file=sys.stderr, disable=None))
            after = resident_mib(process)
    wrong = {name: told for name, told in zip(CASES, problems, strict=True) if told}
    for name, told in wrong.items():
        print(f"WRONG {name}: {told}")
    print("| models | cases | wrong | ready after s | empty MiB | loaded MiB | a model MiB | all answered MiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    each = (loaded - before) / len(MODELS)
    print(
        f"| {len(MODELS)} | {len(CASES):,} | {len(wrong)} | {ready_s:.1f} | {before:.0f} | {loaded:.0f} | {each:.2f} "
        f"| {after:.0f} |"
    )
    print(f"\nOf the seconds to ready, {empty_s:.1f} are the empty service's.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
