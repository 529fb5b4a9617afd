"""The servers that are measured: how each is started, asked whether it answers right, and stopped."""

import http.client
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep

from app.sockets import listen
from benchmarks import processes
from benchmarks.environments import python
from benchmarks.networks import CACHE, network, repository
from benchmarks.traffic import Request, Traffic

PATIENCE_S = 120
"""For a first right answer, of the slowest server and of ours under valgrind."""

Command = Callable[[int, Sequence[str], bool], list[str | Path]]
"""Port, models, and whether bodies are binary, to what starts the server."""


@dataclass(frozen=True)
class Server:
    """One server with its settings.

    peer:     stands in the comparison as what a user would pick instead.
    models:   the networks that it can serve.
    binary:   it has a binary body.
    bare_bytes: that body is the tensor's bytes alone, not the protocol's extension.
    answers:  it computes what it answers.
    several:  it can serve more than one network at a time.
    """

    name: str
    command: Command
    peer: bool = True
    models: frozenset[str] = frozenset({"mlp", "cnn", "wide", "encoder"})
    binary: bool = True
    bare_bytes: bool = True
    answers: bool = True
    several: bool = True

    def serves(self, traffic: Sequence[Traffic]) -> bool:
        """Can all of this be sent to it?"""
        one_model = len({one.model for one in traffic}) == 1
        return (self.several or one_model) and all(
            one.model in self.models and (self.binary or not one.binary) for one in traffic
        )

    def request(self, traffic: Traffic, seed: int) -> Request:
        """A request as this server wants it."""
        return traffic.request(seed, bare_bytes=self.bare_bytes)


def ours(port: int, models: Sequence[str], binary: bool) -> list[str | Path]:  # noqa: ARG001
    """Headrace as it is without a single setting."""
    return [sys.executable, "-m", "app", "serve", "--models", repository(models), "--port", str(port)]


def bare(port: int, models: Sequence[str], binary: bool) -> list[str | Path]:  # noqa: ARG001
    """The floor under every Python server on uvicorn."""
    return [sys.executable, "-m", "benchmarks.bare", str(port)]


def peer(port: int, models: Sequence[str], binary: bool, *, module: str, batching: int = 1) -> list[str | Path]:
    """A module of benchmarks/peers in its own environment."""
    options = [f"--port={port}", f"--batching={batching}", *(["--binary"] if binary else [])]
    return [python(module), "-m", f"benchmarks.peers.{module}", *options, *models]


OURS = Server("Headrace", ours, peer=False, bare_bytes=False)
BARE = Server("bare uvicorn", bare, peer=False, models=frozenset({"mlp"}), binary=False, answers=False)
SERVERS = (
    OURS,
    BARE,
    Server("mosec, 2 workers", partial(peer, module="mosec")),
    Server("mosec, batch 16", partial(peer, module="mosec", batching=16)),
    Server("PyTriton", partial(peer, module="pytriton"), bare_bytes=False),
    Server("MLServer", partial(peer, module="mlserver"), binary=False),
    Server("FastAPI by hand", partial(peer, module="fastapi")),
    Server("LitServe", partial(peer, module="litserve"), binary=False),
    Server("BentoML", partial(peer, module="bentoml"), binary=False, several=False),
)


@dataclass(frozen=True)
class Running:
    """A server that answers right. pid: of the process whose descendants all belong to it."""

    server: Server
    port: int
    pid: int


@contextmanager
def running(server: Server, traffic: Sequence[Traffic]) -> Iterator[Running]:
    """Start it with the models of this traffic, wait until it answers each right, and stop it at the end.

    Raises RuntimeError if it does not, with the end of what it printed.
    """
    models = sorted({one.model for one in traffic})
    for model in models:
        network(model)
    port = free_port()
    log = CACHE / "logs" / f"{server.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = server.command(port, models, any(one.binary for one in traffic))
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, env=environment())  # noqa: S603
    try:
        for one in traffic:
            wait_for_right_answer(server, server.request(one, seed=0), port, process, log)
        yield Running(server, port, process.pid)
    finally:
        processes.end(process.pid)
        process.wait()


def free_port() -> int:
    """A port that nobody listens on, and none of those that the kernel gives to callers: one of them that asks for a
    server which is not there yet could be given the very port it asks for, and would keep the server from it."""
    while True:
        port = secrets.choice(range(20000, 30000))
        with suppress(OSError), listen("127.0.0.1", port, shared=False):
            return port


def environment() -> dict[str, str]:
    """Ours without a setting that somebody left there: every server is measured as it is by itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "MOSEC_"))}


def wait_for_right_answer(
    server: Server, request: Request, port: int, process: subprocess.Popen[bytes], log: Path
) -> None:
    """Until the answer is the one of onnxruntime in this process. Raises RuntimeError if it never is."""
    until = monotonic() + PATIENCE_S
    while (problem := ask(port, request, compare=server.answers)) and monotonic() < until and process.poll() is None:
        sleep(0.1)
    if problem or process.poll() is not None:
        raise RuntimeError(f"{server.name}: {problem or 'has ended'}\n{log.read_text(errors='replace')[-2000:]}")


def ask(port: int, request: Request, *, compare: bool) -> str | None:
    """Send it once on a connection of its own; what is wrong with the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        return exchange(connection, request, compare=compare)
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def exchange(connection: http.client.HTTPConnection, request: Request, *, compare: bool) -> str | None:
    """Send it once; what is wrong with the answer. Raises OSError or HTTPException if there is none."""
    connection.request("POST", request.path, request.body, request.headers)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        return f"status {response.status}: {body[:200]!r}"
    return request.problem(body, {k.lower(): v for k, v in response.getheaders()}) if compare else None
