"""One closed-loop run on one server: what wrk saw, what the server took, whether its answers were right."""

from dataclasses import dataclass
from math import nan

from benchmarks import limits, processes, wrk
from benchmarks.cases import Case
from benchmarks.probe import probing
from benchmarks.servers import Running


@dataclass(frozen=True)
class Measured:
    """One round. NaN stands for what does not apply.

    processor_us: of the server's processes, for one request.
    problem:      why the run does not count.
    """

    case: str
    server: str
    round: int
    rows_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    processor_us: float
    memory_mib: float
    problem: str | None = None


def measure(case: Case, running: Running, round_number: int, seconds: int) -> Measured:
    """Load on one server, while nobody loads the others."""
    request = running.server.request(case.traffic, seed=0)
    before = processes.processor_s(running.pid)
    with probing(running, case.traffic) as wrong:
        seen = wrk.load(running.port, request, case.connections, max(seconds, case.least_s))
    used_s = processes.processor_s(running.pid) - before
    if seen.failures:
        wrong.append(f"{seen.failures} requests failed of {seen.requests}")
    if not seen.requests:
        wrong.append("no request was answered")
    return Measured(
        case=case.name,
        server=running.server.name,
        round=round_number,
        rows_per_s=seen.requests * case.traffic.rows / seen.seconds,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        p999_ms=seen.p999_ms,
        processor_us=1e6 * used_s / max(1, seen.requests),
        memory_mib=processes.memory_mib(running.pid),
        problem=wrong[0] if wrong else None,
    )


def limit(case: Case, setting: limits.Setting, round_number: int, seconds: int) -> Measured:
    """What the network gives without any server."""
    rows = limits.rows_per_s(case.traffic.model, setting, seconds)
    return Measured(case.name, str(setting), round_number, rows, nan, nan, nan, nan, nan)
