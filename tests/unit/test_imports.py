"""What a start does not import: in a process of its own, since the tests import all of it."""

import subprocess
import sys

import pytest


def imported_by(statement: str) -> set[str]:
    """The top packages that are there after the statement."""
    program = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_a_service_starts_without_the_libraries_for_images_and_sounds() -> None:
    assert not imported_by("import app.main") & {"PIL", "soundfile", "soxr"}


@pytest.mark.parametrize("command", ["app.__main__", "app.workers"])
def test_the_supervisor_of_several_workers_holds_no_model_library(command: str) -> None:
    assert not imported_by(f"import {command}") & {"onnxruntime", "numpy", "fastapi"}
