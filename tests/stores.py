"""Stores for tests, each a real server: S3 by rclone, which refuses a wrong key, and web servers that lie."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_connection

from app.sockets import listen
from tests import graphs
from tests.serving import wait_until

KEY, SECRET = "reader-of-models", "a-secret-for-tests"


@dataclass
class Bucket:
    """An S3 server on a port of its own. folder: each folder in it is a bucket."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        """By which the standard libraries find it and its key, and do not try again for long."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def start(self) -> None:
        """Once it takes connections."""
        command = ["serve", "s3", "--config", "", "--auth-key", f"{KEY},{SECRET}", "--dir-cache-time", "1ns"]
        program = Path(sys.executable).with_name("rclone")
        self.process = subprocess.Popen(
            [program, *command, "--addr", f"127.0.0.1:{self.port}", self.folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def connects() -> bool:
            with suppress(OSError), create_connection(("127.0.0.1", self.port)):
                return True
            return False

        wait_until(connects, "the S3 server never listened")

    def kill(self) -> None:
        """In the middle of whatever it does."""
        if self.process:
            self.process.kill()
            self.process.wait()


@contextmanager
def bucket_server(folder: Path) -> Iterator[Bucket]:
    """An S3 server that runs."""
    with listen("127.0.0.1", 0, shared=False) as free:
        port = free.getsockname()[1]
    folder.mkdir()
    bucket = Bucket(folder, port)
    bucket.start()
    try:
        yield bucket
    finally:
        bucket.kill()


def upload(models: Path, name: str, graph: bytes, version: int = 1, config: str = "") -> Path:
    """A version folder, there at once; the folder."""
    made = graphs.add_to_repository(models.parent.parent / "uploads", name, graph, version, config)
    place = models / name / str(version)
    place.parent.mkdir(parents=True, exist_ok=True)
    if config:
        shutil.copyfile(made.parent / "config.yaml", place.parent / "config.yaml")
    return made.rename(place)


@dataclass
class Pages:
    """What a web server shows: an index page of links for each folder, files, and how it goes wrong.

    short:   files whose bodies end before the length that is told.
    refused: paths that it answers with 500.
    instead: bodies that are sent in place of the next files that are asked for.
    status:  of every answer.
    """

    links: dict[str, list[str]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    short: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    instead: list[bytes] = field(default_factory=list)
    status: int = 200
    address: str = ""

    def show(self, path: str, body: bytes) -> None:
        """A file, with a link in the page of each folder above it."""
        self.bodies[path] = body
        parts = path.strip("/").split("/")
        for depth in range(len(parts)):
            folder = "/".join(["", *parts[:depth], ""])
            self.links.setdefault(folder, []).append(parts[depth] + "/" * (depth + 1 < len(parts)))


@contextmanager
def web_server() -> Iterator[Pages]:
    """A web server over `Pages`, which hold its address."""
    pages = Pages()

    class Shown(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            index = self.path.endswith("/")
            links = "".join(f'<a href="{link}">a file</a>' for link in pages.links.get(self.path, ()))
            body = links.encode() if index else pages.bodies.get(self.path)
            found = 404 if body is None else pages.status
            self.send_response(500 if self.path in pages.refused else found)
            self.send_header("Content-Type", "text/html" if index else "application/octet-stream")
            self.send_header("Content-Length", str(len(body or b"")))
            for name, value in pages.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body and pages.instead and not index:
                body = pages.instead.pop(0)
            if with_body and body:
                self.wfile.write(body[:-7] if self.path in pages.short else body)
            self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Shown) as server:
        pages.address = f"http://127.0.0.1:{server.server_address[1]}/models/"
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield pages
        finally:
            server.shutdown()
            thread.join()
