"""The real service for tests: on a socket, in a thread of this process or as a process of its own."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from app.main import create_app
from app.settings import Settings
from app.workers import listen

START_S = 60


@contextmanager
def serving(models: Path, *, until: str = "/health/ready", **settings: object) -> Iterator[httpx.Client]:
    """A client of the service over `models`, in a thread, once `until` answers 200."""
    app = create_app(Settings(models=models, **settings))  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    bound = listen("127.0.0.1", 0, shared=False)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
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
    models: Path, log: Path, *flags: str, **environment: str
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A client of `python -m app serve` on a free port, ready, and the process; what it prints goes to `log`."""
    port = free_port()
    command = [sys.executable, "-m", "app", "serve", "--models", str(models), "--port", str(port), *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                wait_for(client, "/health/ready")
                yield client, process
        finally:
            process.terminate()
            process.wait(timeout=60)


def free_port() -> int:
    """A port that nobody has at the moment."""
    with listen("127.0.0.1", 0, shared=False) as bound:
        return int(bound.getsockname()[1])


def wait_for(client: httpx.Client, path: str) -> None:
    """Until the path answers 200."""
    patience = threading.Event()
    for _ in range(START_S * 20):
        try:
            if client.get(path).status_code == 200:
                return
        except httpx.TransportError:
            pass
        patience.wait(0.05)
    raise TimeoutError(f"{path} did not answer 200 within {START_S} s")
