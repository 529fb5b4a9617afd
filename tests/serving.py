"""The real service for tests: on a socket, in a thread of this process or as a process of its own."""

import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import httpx
import psutil

from app.main import create_app
from app.server import Server, configured
from app.settings import Settings
from app.sockets import listen

PATIENCE_S = 60


@contextmanager
def serving(models: Path, *, until: str = "/health/ready", **settings: object) -> Iterator[httpx.Client]:
    """A client of the service over `models`, in a thread, once `until` answers 200."""
    asked = Settings(models=models, **{"stop_timeout_s": PATIENCE_S, **settings})  # type: ignore[arg-type]
    service = create_app(asked)
    server = Server(configured(service, asked), service, drain_s=0, supervised=False)
    bound = listen("127.0.0.1", 0, shared=False)
    thread = threading.Thread(target=server.serve_on, args=[bound])
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", timeout=30) as client:
            wait_for(client, until)
            yield client
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


@contextmanager
def serving_process(
    models: Path | str,
    log: Path,
    *flags: str,
    until: str = "/health/ready",
    trusted: ssl.SSLContext | bool = True,
    **environment: str,
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A client of `python -m app serve` on a free port and the process, once `until` answers 200. log: its output.

    trusted: whose certificates the client takes.
    """
    command = [sys.executable, "-m", "app", "serve", "--models", str(models), "--port", "0", *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
        try:
            wait_until(lambda: b"listening" in log.read_bytes(), "the log has no address")
            address = re.search(rb"https?://[0-9.:]+", log.read_bytes())
            assert address
            with httpx.Client(base_url=address[0].decode(), timeout=30, verify=trusted) as client:
                wait_for(client, until)
                yield client, process
        finally:
            process.terminate()
            process.wait(timeout=60)


def listening(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The workers of a service that take connections; their figures are there some time before."""
    found = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.Error):
            if any(one.status == psutil.CONN_LISTEN for one in child.net_connections("tcp")):
                found.append(child)
    return found


def wait_for(client: httpx.Client, path: str) -> None:
    """Until the path answers 200."""

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return client.get(path).status_code == 200
        return False

    wait_until(answers, f"{path} did not answer 200")


def wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    """Until the condition holds. Raises TimeoutError if it does not within PATIENCE_S."""
    pause, end = threading.Event(), monotonic() + PATIENCE_S
    while not condition():
        if monotonic() > end:
            raise TimeoutError(f"{otherwise} within {PATIENCE_S} s")
        pause.wait(0.02)
