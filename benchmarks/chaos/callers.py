"""Many callers at once, each with a connection of its own, who come back when they are told to.

    python -m benchmarks.chaos.callers PORT CALLERS SECONDS < request > answers.json

answers: "began" and "ended", of the whole but for this program's own start and end, by the system's monotonic clock;
"seen", status -> milliseconds of each answer, and "lost": requests that got none.

One loop over epoll, no framework: what it costs a call is a part of what it measures.
"""

import heapq
import json
import random
import re
import resource
import select
import socket
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from time import perf_counter, sleep

LENGTH, RETRY = (re.compile(rb"\r\n" + name + rb": (\d+)") for name in (b"content-length", b"retry-after"))

REST_S = 0.5
"""Between the last connection and the requests, which all callers send at once."""

READ_BYTES = 65536

MOST_EVENTS = 1024


@dataclass
class Caller:
    """Sends, waits for the answer, and sends again: after a refusal when the service said."""

    socket: socket.socket
    sent: float = 0.0
    read: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes) -> None:
        """The next request."""
        self.sent = perf_counter()
        self.socket.sendall(request)

    def answer(self) -> bytes | None:
        """The head of an answer that is there whole. Raises OSError where the connection has ended."""
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError
        self.read += data
        head, found, body = bytes(self.read).partition(b"\r\n\r\n")
        if not found or len(body) < int(LENGTH.search(head)[1]):  # type: ignore[index]
            return None
        self.read.clear()
        return head


class Callers:
    """All of them."""

    def __init__(self, port: int, count: int, request: bytes) -> None:
        self._request, self._chance = request, random.Random(7)  # noqa: S311
        self._callers = [Caller(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        self._by_file = {caller.socket.fileno(): caller for caller in self._callers}
        self._epoll = select.epoll()
        for file in self._by_file:
            self._epoll.register(file, select.EPOLLIN)
        self._due: list[tuple[float, int]] = []
        self.seen: defaultdict[str, list[float]] = defaultdict(list)

    def call(self, seconds: float) -> None:
        """All at once, then each again and again."""
        for caller in self._callers:
            caller.send(self._request)
        end = perf_counter() + seconds
        while (now := perf_counter()) < end:
            while self._due and self._due[0][0] <= now:
                self._by_file[heapq.heappop(self._due)[1]].send(self._request)
            until = min(end, self._due[0][0]) if self._due else end
            for file, _ in self._epoll.poll(max(0.0, until - now), MOST_EVENTS):
                self._read(file)

    def _read(self, file: int) -> None:
        caller = self._by_file[file]
        try:
            head = caller.answer()
        except OSError:
            self._epoll.unregister(file)
            self.seen["lost"].append(0)
            return
        if head is None:
            return
        now = perf_counter()
        self.seen[head[9:12].decode()].append(1000 * (now - caller.sent))
        asked = RETRY.search(head)
        pause = float(asked[1]) if asked else 0.0
        heapq.heappush(self._due, (now + pause + self._chance.random() * min(pause, 1), file))


def main() -> None:
    """Read the request, call, write what was seen."""
    port, count, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
    request = sys.stdin.buffer.read()
    began = perf_counter()
    callers = Callers(port, count, request)
    sleep(REST_S)
    callers.call(seconds)
    json.dump({"began": began, "ended": perf_counter(), "seen": callers.seen}, sys.stdout)


if __name__ == "__main__":
    main()
