"""Closed-loop load by wrk: so many connections, each with its next request as soon as it has an answer."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.traffic import Request

SCRIPT = Path(__file__).with_suffix(".lua")
PATIENCE_S = 10
"""An answer that takes longer is an error."""


@dataclass(frozen=True)
class Load:
    """What wrk saw. failures: connections that could not be made or used, and statuses of 400 and above."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    failures: int


def load(port: int, request: Request, connections: int, seconds: int) -> Load:
    """Post the request to 127.0.0.1 over and over. With one thread, since the server needs the other core."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body)
        body.flush()
        threads, timeout = "--threads=1", f"--timeout={PATIENCE_S}s"
        options = [threads, timeout, f"--connections={connections}", f"--duration={seconds}s", f"--script={SCRIPT}"]
        headers = [word for header in request.headers.items() for word in header]
        url = f"http://127.0.0.1:{port}{request.path}"
        command = ["wrk", *options, url, "--", body.name, *headers]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return read(json.loads(printed.splitlines()[-1]))


def read(seen: dict[str, int]) -> Load:
    """The line that the script prints."""
    return Load(
        requests=seen["requests"],
        seconds=seen["duration_us"] / 1e6,
        p50_ms=seen["p50_us"] / 1e3,
        p99_ms=seen["p99_us"] / 1e3,
        p999_ms=seen["p999_us"] / 1e3,
        failures=seen["sockets"] + seen["statuses"],
    )
