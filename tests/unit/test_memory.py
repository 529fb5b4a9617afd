"""What loading may take of the memory: read from the cgroup, and held by the kernel."""

import resource
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from app.inference.memory import Room, free_bytes

MIB = 2**20


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    "files",
    [
        {
            "memory.max": f"{100 * MIB}\n",
            "memory.current": f"{70 * MIB}\n",
            "memory.stat": f"anon 1\ninactive_file {20 * MIB}\nactive_file 3\n",
        },
        {
            "memory/memory.limit_in_bytes": f"{100 * MIB}\n",
            "memory/memory.usage_in_bytes": f"{70 * MIB}\n",
            "memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {20 * MIB}\n",
        },
    ],
    ids=["version 2", "version 1"],
)
def test_what_is_free_is_what_the_cgroup_has_left_caches_of_files_among_it(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert free_bytes(write(tmp_path, files)) == 50 * MIB


@pytest.mark.parametrize(
    "files",
    [{}, {"memory.max": "max\n"}, {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, {"memory.max": "?"}],
    ids=["none", "version 2", "version 1", "unreadable"],
)
def test_without_a_limit_it_is_what_the_machine_has_left(tmp_path: Path, files: dict[str, str]) -> None:
    free = free_bytes(write(tmp_path, files))
    assert psutil.virtual_memory().total / 100 < free <= psutil.virtual_memory().total


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts what a process may write to")
def test_what_goes_beyond_the_room_is_refused_until_the_last_load_has_ended() -> None:
    room, before = Room(64 * MIB, workers=1), resource.getrlimit(resource.RLIMIT_DATA)
    with room.taken():
        with room.taken():
            np.ones(4 * MIB)
        with pytest.raises(MemoryError):
            np.ones(64 * MIB)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    np.ones(16 * MIB)
