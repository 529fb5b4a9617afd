"""Open-loop load: requests arrive at a rate, whether or not earlier ones have been answered, as they do from strangers.

    python -m benchmarks.openloop PORT SECONDS < streams.json > latencies.json

Arrivals are a Poisson process with a fixed seed. A latency counts from the moment at which a request was due, so one
that waits for a free connection, or for this program, is not told as fast. Written here since wrk sends only after an
answer, and Debian has no vegeta.

One thread on raw sockets, which sleeps when nothing is due.
streams: [{"rate": 100, "request": BASE64 of the whole HTTP request}]; latencies: one list of milliseconds for each.
"""

import base64
import gc
import json
import random
import select
import socket
import sys
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter

CONNECTIONS = 64
"""For each stream; a request that finds none free waits, and its latency goes on counting."""


class Connection:
    """A kept-alive connection that waits for at most one answer."""

    def __init__(self, port: int, stream: "Stream") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = stream
        self.due = 0.0
        self._read = bytearray()

    def send(self, due: float) -> None:
        """A request that was due at that time."""
        self.due = due
        self.socket.sendall(self.stream.request)

    def answered(self) -> bool:
        """Read what is there; is the answer whole? Raises ConnectionError if it is not 200 or never will be whole."""
        read = self.socket.recv(1 << 20)
        if not read:
            raise ConnectionError("the server closed a connection")
        self._read += read
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found or len(body) < content_length(head):
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(self._read[:300].decode(errors="replace"))
        self._read.clear()
        return True


def content_length(head: bytearray) -> int:
    """Of an answer's body."""
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


@dataclass(eq=False)
class Stream:
    """One request that arrives at a rate. due: arrivals, in seconds from the start, that have not been sent."""

    rate: float
    request: bytes
    due: deque[float] = field(default_factory=deque)
    free: list[Connection] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def arrive(self, seconds: float, chance: random.Random) -> None:
        """Fill `due`."""
        at = chance.expovariate(self.rate)
        while at < seconds:
            self.due.append(at)
            at += chance.expovariate(self.rate)


def run(port: int, streams: list[Stream], seconds: float, patience_s: float = 10) -> None:
    """Send all that is due. Raises ConnectionError or TimeoutError."""
    chance = random.Random(7)  # noqa: S311
    poll = select.epoll()
    connections: dict[int, Connection] = {}
    for stream in streams:
        stream.arrive(seconds, chance)
        stream.free = [Connection(port, stream) for _ in range(CONNECTIONS)]
        connections |= {one.socket.fileno(): one for one in stream.free}
    for descriptor in connections:
        poll.register(descriptor, select.EPOLLIN)
    gc.disable()
    began = perf_counter()
    busy = 0
    while busy or any(stream.due for stream in streams):
        now = perf_counter() - began
        if now > seconds + patience_s:
            raise TimeoutError(f"{busy} requests are not answered")
        for stream in streams:
            while stream.due and stream.due[0] <= now and stream.free:
                stream.free.pop().send(stream.due.popleft())
                busy += 1
        select.select([poll], [], [], pause(streams, now))  # epoll's own timeout counts whole milliseconds
        for descriptor, _ in poll.poll(0):
            connection = connections[descriptor]
            if connection.answered():
                connection.stream.latencies_ms.append(1000 * (perf_counter() - began - connection.due))
                connection.stream.free.append(connection)
                busy -= 1


def pause(streams: list[Stream], now: float) -> float:
    """Seconds until the next request can be sent, unless an answer comes before."""
    return max(0.0, min((stream.due[0] - now for stream in streams if stream.due and stream.free), default=1.0))


def main() -> None:
    """Read streams, send, write latencies."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    streams = [Stream(one["rate"], base64.b64decode(one["request"])) for one in json.load(sys.stdin)]
    run(port, streams, seconds)
    json.dump([stream.latencies_ms for stream in streams], sys.stdout)


if __name__ == "__main__":
    main()
