"""Every answer over a socket is the one that onnxruntime gives in this process, whatever the datatype, the rank, the
kind of model and the way it travelled; all from one service over one repository without a config file.

Bit for bit, but for matrix products, which add in another order when a batch has more rows.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conformance.cases import CASES, Case
from tests.conformance.models import DATATYPES, KINDS, MODELS, SHAPES, write_repository
from tests.conformance.wire import problem
from tests.serving import serving

CALLERS = 16


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(write_repository(tmp_path_factory.mktemp("models")), log_requests=False) as client:
        yield client


@pytest.mark.parametrize("name", MODELS)
def test_a_models_answers_are_onnxruntimes_in_every_encoding(client: httpx.Client, name: str) -> None:
    told = {case.name: problem(client, case) for case in CASES.values() if case.model.name == name}
    assert told
    assert not {case: wrong for case, wrong in told.items() if wrong}


def test_no_datatype_rank_kind_or_encoding_is_left_out() -> None:
    covered = defaultdict(set)
    for case in CASES.values():
        covered[case.model.name].add(case.encoding)
    for kind in KINDS:
        for shape in SHAPES:
            for datatype in DATATYPES:
                if (kind, shape) != ("batchable", "scalar"):
                    assert covered[f"{kind}-{shape}-{datatype}"] >= {"flat", "nested", "binary", "mixed", "gzip"}
    assert len(CASES) >= 1000


def test_callers_at_once_share_runs_and_keep_their_own_rows(client: httpx.Client) -> None:
    before = runs_and_requests(client)
    cases = [Case(MODELS[name], "binary", turn) for name in shared() for turn in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as callers:
        problems = list(callers.map(lambda case: problem(client, case), cases))
    assert not [f"{case.name}: {told}" for case, told in zip(cases, problems, strict=True) if told]
    runs, requests = (after - then for after, then in zip(runs_and_requests(client), before, strict=True))
    assert requests == len(cases)
    assert runs < requests


def shared() -> list[str]:
    """Models whose requests may share a run, some with tensors of several sizes and datatypes."""
    names = [f"{kind}-{shape}-{d}" for kind in KINDS for shape in ("rank-2", "rank-3") for d in DATATYPES]
    return [*(name for name in names if MODELS[name].batchable), "dense", "unnamed-axes"]


def runs_and_requests(client: httpx.Client) -> tuple[float, float]:
    """Of all models, so far."""
    text = client.get("/metrics").text

    def total(series: str) -> float:
        return sum(float(value) for value in re.findall(rf"^{series}{{[^}}]*}} (\S+)$", text, re.MULTILINE))

    return total("headrace_batch_rows_count"), total("headrace_queue_seconds_count")
