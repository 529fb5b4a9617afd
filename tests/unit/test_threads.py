"""How many cores there are, from what the kernel says, and what a model gets of them."""

import os
from pathlib import Path

import pytest

from app.inference.threads import Share, cores, share

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("max 100000", ALLOWED), ("150000 100000", 1), ("50000 100000", 1), ("6400000 100000", ALLOWED), ("?", ALLOWED)],
)
def test_a_cgroup_quota_of_version_two_bounds_the_cores(tmp_path: Path, text: str, wanted: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cores(tmp_path) == wanted


@pytest.mark.parametrize(("quota", "wanted"), [("-1", ALLOWED), ("100000", 1), ("6400000", ALLOWED)])
def test_a_cgroup_quota_of_version_one_bounds_the_cores(tmp_path: Path, quota: str, wanted: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert cores(tmp_path) == wanted


def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    assert cores(tmp_path) == ALLOWED


@pytest.mark.parametrize(
    ("instances", "threads", "cores_per_worker", "wanted"),
    [
        (None, 1, 4, Share(4, 1)),
        (None, 2, 4, Share(2, 2)),
        (1, 1, 4, Share(1, 1)),
        (9, 1, 4, Share(4, 1)),
        (2, 8, 4, Share(1, 4)),
        (None, 3, 4, Share(1, 3)),
    ],
)
def test_instances_times_threads_stay_within_the_workers_cores(
    instances: int | None, threads: int, cores_per_worker: int, wanted: Share
) -> None:
    assert share(instances, threads, cores_per_worker) == wanted
    assert wanted.instances * wanted.threads <= cores_per_worker
