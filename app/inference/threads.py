"""How many cores there really are, and how many of them one model's runs may take."""

import os
from dataclasses import dataclass
from pathlib import Path


def cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Whole cores that this process may use: the fewer of its affinity and of its cgroup's CPU quota, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(allowed, int(quota))) if quota else allowed


def _quota(cgroup: Path) -> float | None:
    """The cgroup's quota in cores: `cpu.max` of version 2, `cpu.cfs_*` of version 1; None for no limit."""
    try:
        if (unified := cgroup / "cpu.max").exists():
            quota, period = unified.read_text().split()
        else:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Share:
    """What one model may take of a worker's cores: runs at one time, and intra-op threads of each."""

    instances: int
    threads: int

    @property
    def total(self) -> int:
        """Threads that its runs may keep busy at one time."""
        return self.instances * self.threads


def share(instances: int | None, threads: int, cores_per_worker: int) -> Share:
    """As asked, or less where instances x threads would exceed the worker's cores; None takes all that fit."""
    threads = min(threads, cores_per_worker)
    fitting = cores_per_worker // threads
    return Share(min(instances or fitting, fitting), threads)
