"""Processor instructions that one prediction costs: a figure that does not depend on what else the machine does.

    python -m benchmarks.instructions            beside benchmarks/instructions.json; fails if a call costs 2% more
    python -m benchmarks.instructions --write    and keeps the new figures there, to be committed with what changed them

`python -m app serve` runs under callgrind. One caller sends the same request over and over, and what 50 requests cost
is taken from what 150 cost, so that nothing but the request path is counted: parsing HTTP, decoding, scheduling, the
network of 30 -> 64 -> 2, encoding, metrics, the log line. Repeats lay within 0.7%, two runs
within 0.2%. Another Python, onnxruntime or
family of processors gives other figures, so the file names those that it was made with.
"""

import argparse
import http.client
import json
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from time import sleep

from tqdm import tqdm

from benchmarks.networks import repository
from benchmarks.servers import Running, Server, ours, running
from benchmarks.traffic import Traffic

FILE = Path(__file__).with_suffix(".json")
SHIPPED = Path(__file__).parents[1] / "models" / "breast-cancer"
FEW, MANY = 50, 150
WARM_UP = 100
REPEATS = 2
WORSE = 1.02
"""A figure of so many times the one in the file is a change for the worse."""


def under_callgrind(out: Path, port: int, models: Sequence[str], binary: bool) -> list[str | Path]:
    """The service, which counts nothing until it is told to, with the order of Python's sets fixed."""
    [python, _, _, *words] = ours(port, models, binary)
    add_shipped(repository(models) / SHIPPED.name)
    callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    return ["env", "PYTHONHASHSEED=0", *callgrind, python, "-m", "benchmarks.counted", *words]


def add_shipped(place: Path) -> None:
    """The model as it is now, without its summaries: what is counted of drift once a second is no part of a request,
    and under callgrind a second has few of those."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(SHIPPED, place)
    [manifest] = place.glob("*/manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"summaries": {}, "predictions": {}}))


def post(path: str, body: bytes) -> bytes:
    """A whole HTTP request, to be sent in one piece: a server that gets it in two does more."""
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def requests(port: int) -> dict[str, bytes]:
    """What is sent, by what it is called in the file."""
    v2 = Traffic("mlp").request(0)
    row = json.loads(v2.body)["inputs"][0]["data"]
    return {
        "V2, a tensor of 30": post(v2.path, v2.body),
        "V1, a list of 30": post("/v1/models/mlp:predict", json.dumps({"instances": [row]}).encode()),
        "V1, 30 named features": post(f"/v1/models/{SHIPPED.name}:predict", named_features(port)),
    }


def named_features(port: int) -> bytes:
    """The example of the shipped model, as the service itself gives it once that is loaded."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", f"/v1/models/{SHIPPED.name}/metadata")
        if (response := connection.getresponse()).status == HTTPStatus.OK:
            example: dict[str, object] = json.load(response)["example"]
            return json.dumps(example).encode()
        sleep(0.1)


class Caller:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))

    def send(self, request: bytes, times: int) -> None:
        """One after the other. Raises ValueError at an answer that is not 200."""
        for _ in range(times):
            self._socket.sendall(request)
            response = http.client.HTTPResponse(self._socket)
            response.begin()
            body = response.read()
            if response.status != 200:
                raise ValueError(f"{response.status}: {body[:200]!r}")


class Counter:
    """callgrind's counter of a running process. out: where it writes, with a number behind it that grows."""

    def __init__(self, pid: int, out: Path) -> None:
        self._pid, self._out = pid, out

    def start(self) -> None:
        """Begin to count."""
        self._control("--instr=on")

    def since_last(self) -> int:
        """Instructions since this was asked before."""
        self._control("--dump")
        newest = max(self._out.parent.glob(f"{self._out.name}.*"), key=lambda place: int(place.suffix[1:]))
        [totals] = [line for line in newest.read_text().splitlines() if line.startswith("totals:")]
        return int(totals.split()[1])

    def _control(self, order: str) -> None:
        command = ["callgrind_control", order, str(self._pid)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603


def count(service: Running, caller: Caller, out: Path, repeats: int = REPEATS) -> dict[str, list[float]]:
    """Instructions for one request of each kind, as often as they are counted."""
    counter = Counter(service.pid, out)
    kinds = requests(service.port)
    for request in kinds.values():
        caller.send(request, WARM_UP)
    counter.start()
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for name, request in tqdm([*kinds.items()] * repeats, desc="counting", file=sys.stderr, disable=None):
        caller.send(request, FEW)
        counter.since_last()
        few, many = (counted(counter, caller, request, times) for times in (FEW, MANY))
        found[name].append((many - few) / (MANY - FEW))
    return found


def counted(counter: Counter, caller: Caller, request: bytes, times: int) -> int:
    """Instructions of so many requests."""
    caller.send(request, times)
    return counter.since_last()


def compared(found: dict[str, list[float]], kept: dict[str, float]) -> list[str]:
    """A Markdown table of the medians, their spread, and the file's figures beside them."""
    lines = ["| request | instructions | spread | in the file | times that |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, counts in found.items():
        now, before = statistics.median(counts), kept.get(name)
        spread = (max(counts) - min(counts)) / now
        beside = f"{before:,.0f} | {now / before:.3f}" if before else "- | -"
        lines.append(f"| {name} | {now:,.0f} | {spread:.2%} | {beside} |")
    return lines


def made_with() -> dict[str, str]:
    """What the figures depend on besides our own code."""
    packages = ("onnxruntime", "uvicorn", "httptools", "uvloop", "orjson", "numpy")
    return {"python": platform.python_version(), "machine": platform.machine()} | {p: version(p) for p in packages}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="keep the new figures in benchmarks/instructions.json")
    return parser.parse_args()


def main() -> int:
    """Count, compare and print; 1 if a request has become dearer."""
    asked = arguments()
    kept = json.loads(FILE.read_text()) if FILE.exists() else {"instructions": {}, "made_with": {}}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind")
        with running(Server("callgrind", partial(under_callgrind, out)), [Traffic("mlp")]) as service:
            found = count(service, Caller(service.port), out)
    print("\n".join(compared(found, kept["instructions"])))
    if changed := {name: now for name, now in made_with().items() if kept["made_with"].get(name) != now}:
        print(f"\nThe file was made with another {', '.join(changed)}.")
    now = {name: round(statistics.median(counts)) for name, counts in found.items()}
    if asked.write:
        FILE.write_text(json.dumps({"instructions": now, "made_with": made_with()}, indent=2) + "\n")
        return 0
    return 1 if any(now[name] > WORSE * before for name, before in kept["instructions"].items()) else 0


if __name__ == "__main__":
    sys.exit(main())
