"""What loading models may take of the memory, so that one that asks for absurdly much fails alone.

While models load, the process may grow by a share of what is free and no further: the kernel then refuses the
allocation that goes beyond (RLIMIT_DATA), which fails one model, and does not end the process a little later, which
fails all. Pages of files, such as weights that stay mapped, do not count.
"""

import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

FREE_SHARE = 0.9

CGROUP = Path("/sys/fs/cgroup")

UNLIMITED = 2**60
"""Version 1 of cgroups writes a number like this for no limit."""


class Room:
    """What loading may take. most_bytes: at one time; 0 for FREE_SHARE of what is free, shared between `workers`."""

    def __init__(self, most_bytes: int, workers: int) -> None:
        self._most_bytes, self._workers = most_bytes, workers
        self._lock, self._loading = threading.Lock(), 0
        self._before = (0, 0)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Around a load; several may go on at once, and the last one ends the limit."""
        if sys.platform != "linux":  # whose kernel alone counts like this
            yield
            return
        with self._lock:
            self._loading += 1
            if self._loading == 1:
                self._before = resource.getrlimit(resource.RLIMIT_DATA)
                _limit(self._before, self._most_bytes or int(FREE_SHARE * free_bytes() / self._workers))
        try:
            yield
        finally:
            with self._lock:
                self._loading -= 1
                if not self._loading:
                    resource.setrlimit(resource.RLIMIT_DATA, self._before)


def _limit(before: tuple[int, int], most_bytes: int) -> None:
    """The process may grow by so much, or up to the limit that it was started with if that is lower."""
    data_bytes = psutil.Process().memory_info().data + most_bytes
    lower = min([data_bytes, *(limit for limit in before if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_DATA, (lower, before[1]))


def free_bytes(cgroup: Path = CGROUP) -> int:
    """What the machine and the cgroup, of version 2 or 1, have left, the caches of files among it."""
    free = int(psutil.virtual_memory().available)
    for limit, used, idle in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = (cgroup / limit).read_text().strip()
            if most == "max" or int(most) > UNLIMITED:
                continue
            lines = (cgroup / limit).with_name("memory.stat").read_text().splitlines()
            cached = next(int(line.split()[1]) for line in lines if line.startswith(f"{idle} "))
            free = min(free, int(most) - int((cgroup / used).read_text()) + cached)
        except (OSError, ValueError, StopIteration):
            continue
    return max(0, free)
