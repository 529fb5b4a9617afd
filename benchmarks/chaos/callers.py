"""Many callers at once, each with a connection of its own, who come back when they are told to.

    python -m benchmarks.chaos.callers PORT CALLERS SECONDS < request > answers.json

answers: status -> milliseconds of each answer, and "lost": requests that got none.
"""

import asyncio
import json
import random
import re
import resource
import sys
from collections import defaultdict
from time import perf_counter
from typing import Any

import uvloop

LENGTH, RETRY = (re.compile(rb"\r\n" + name + rb": (\d+)") for name in (b"content-length", b"retry-after"))

RAMP_S = 0.5
"""Connections are opened over so long; then all callers send at once."""


class Caller(asyncio.Protocol):
    """Sends, waits for the answer, and sends again: after a refusal when the service said."""

    def __init__(self, request: bytes, seen: dict[str, list[float]], chance: random.Random) -> None:
        self._request, self._seen, self._chance = request, seen, chance
        self._read = bytearray()
        self._sent = 0.0
        self.done = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self) -> None:
        """If the time is not over."""
        if not self.done:
            self._sent = perf_counter()
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found or len(body) < int(LENGTH.search(head)[1]):  # type: ignore[index]
            return
        self._seen[head[9:12].decode()].append(1000 * (now - self._sent))
        asked = RETRY.search(head)
        self._read.clear()
        pause = float(asked[1]) if asked else 0.0
        asyncio.get_running_loop().call_later(pause + self._chance.random() * min(pause, 1), self.send)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's)
        if not self.done:
            self._seen["lost"].append(0)


async def run(port: int, count: int, seconds: float, request: bytes) -> dict[str, list[float]]:
    """What all of them saw."""
    seen: defaultdict[str, list[float]] = defaultdict(list)
    loop, chance = asyncio.get_running_loop(), random.Random(7)  # noqa: S311
    callers = []
    for _ in range(count):
        _, caller = await loop.create_connection(lambda: Caller(request, seen, chance), "127.0.0.1", port)
        callers.append(caller)
    await asyncio.sleep(RAMP_S)
    for caller in callers:
        caller.send()
    await asyncio.sleep(seconds)
    for caller in callers:
        caller.done = True
    return seen


def main() -> None:
    """Read the request, call, write what was seen."""
    port, count, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
    json.dump(uvloop.run(run(port, count, seconds, sys.stdin.buffer.read())), sys.stdout)


if __name__ == "__main__":
    main()
