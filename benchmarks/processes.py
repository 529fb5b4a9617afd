"""What a server and all its children take: processor time, and memory that nobody else shares with them."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

ANONYMOUS = re.compile(r"Pss_Anon: +([0-9]+) kB")


def tree(pid: int) -> Iterator[psutil.Process]:
    """A process and its descendants, those that have just ended left out."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def processor_s(pid: int) -> float:
    """Seconds of processor time that a tree has used so far, in the program and in the kernel."""
    used = 0.0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def memory_mib(pid: int) -> float:
    """Proportional set size of a tree: pages that several share are counted once, in parts."""
    used = 0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            used += process.memory_full_info().pss
    return used / 2**20


def own_memory_mib(pid: int) -> float:
    """Of that, what lies in no file: its share of libraries' pages grows when others end who had them open too."""
    used = 0
    for process in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            told = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            used += int(ANONYMOUS.findall(told)[0])
    return used / 2**10


def end(pid: int) -> None:
    """Ask a tree to stop; end what has not after five seconds."""
    processes = [*tree(pid)]
    for process in processes[:1]:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=5)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
