"""The quick half of `make chaos`: what is counted when things go wrong, and not timed."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def test_what_is_promised_when_things_go_wrong_is_kept() -> None:
    command = [sys.executable, "-m", "benchmarks.chaos", "--quick"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert told.returncode == 0, told.stdout + told.stderr
    kept = [line for line in told.stdout.splitlines() if line.endswith("| yes |")]
    assert len(kept) == 8
    assert "| NO |" not in told.stdout
