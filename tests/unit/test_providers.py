"""Which execution providers a model gets, decided from names alone: no GPU is needed to test that."""

import pytest

from app.errors import ModelLoadFailed
from app.inference.providers import missing, tried

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

KNOWN = [TENSORRT, CUDA, CPU]


@pytest.mark.parametrize(
    ("asked", "built_in", "wanted"),
    [
        ([], [CUDA, CPU], [CPU]),
        ([CUDA, CPU], [CPU], [CPU]),
        ([CUDA], [CPU], [CPU]),
        ([TENSORRT, CUDA, CPU], [CUDA, CPU], [CUDA, CPU]),
        ([CPU, CUDA], [CUDA, CPU], [CPU, CUDA]),
    ],
)
def test_a_session_tries_what_is_asked_for_and_built_in_or_else_the_cpu(
    asked: list[str], built_in: list[str], wanted: list[str]
) -> None:
    assert tried(asked, KNOWN, built_in) == wanted


def test_a_name_that_no_build_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ModelLoadFailed, match=f"no execution provider Cuda; known: {TENSORRT}, {CUDA}, {CPU}"):
        tried([CUDA, "Cuda"], KNOWN, KNOWN)


@pytest.mark.parametrize(
    ("asked", "nodes", "wanted"),
    [
        ([CPU], {CPU: 3}, []),
        ([CUDA, CPU], {CUDA: 3, CPU: 0}, []),
        ([CUDA, CPU], {CUDA: 2, CPU: 1}, []),
        ([CUDA, CPU], {CPU: 3}, [CUDA]),
        ([CUDA, CPU], {CUDA: 0, CPU: 3}, [CUDA]),
        ([TENSORRT, CUDA, CPU], {TENSORRT: 0, CUDA: 3, CPU: 0}, [TENSORRT]),
    ],
    ids=["cpu", "all", "shared", "not-loaded", "runs-nothing", "the-next-took-all"],
)
def test_a_provider_that_runs_no_node_is_missing_but_for_the_cpu_behind_others(
    asked: list[str], nodes: dict[str, int], wanted: list[str]
) -> None:
    assert missing(asked, nodes) == wanted
