"""The KServe SDK, unmodified and in an environment of its own: its REST client gets what it expects, and its classes
have every field of the examples."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import graphs
from tests.serving import serving

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-kserve" / "bin" / "python"

EXAMPLES = [yaml.safe_load(file.read_text()) for file in sorted((ROOT / "deploy" / "kserve").glob("*.yaml"))]

Report = dict[str, Any]


def misspelt() -> dict[str, Any]:
    """An example with a field that is none, and one of another type."""
    runtime: dict[str, Any] = json.loads(json.dumps(next(one for one in EXAMPLES if one["kind"] == "ServingRuntime")))
    runtime["spec"]["containers"][0]["readynessProbe"] = {}
    runtime["spec"]["multiModel"] = "yes"
    return runtime


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    assert PYTHON.exists(), f"no {PYTHON}: `make develop` makes the environment of the KServe SDK"
    folder = tmp_path_factory.mktemp("models")
    for datatype in graphs.ONNX_TYPES:
        graphs.add_to_repository(folder, f"same-{datatype}", graphs.identity(datatype))
    graphs.add_to_repository(folder, "add", graphs.add())
    with serving(folder) as client:
        command = [str(PYTHON), "-m", "tests.clients.kserve_calls", str(client.base_url)]
        resources = json.dumps([*EXAMPLES, misspelt()])
        called = subprocess.run(command, cwd=ROOT, input=resources, capture_output=True, text=True, timeout=120)
    assert called.returncode == 0, called.stderr
    yield json.loads(called.stdout)


def test_it_finds_the_server_and_its_models(report: Report) -> None:
    status, sentence = report["health"].pop("v1 nobody")
    assert status == 404
    assert sentence.startswith("no model 'nobody'; models: add, same-BOOL")
    assert report["health"] == {
        "v2 live": True,
        "v2 ready": True,
        "v1 live": True,
        "v2 model": True,
        "v1 model": True,
        "v2 nobody": False,
    }


def test_every_datatype_goes_both_ways_in_binary_and_in_json(report: Report) -> None:
    trips = report["round trips"]
    assert len(trips) == 4 * len(graphs.ONNX_TYPES) - 2
    assert trips == {trip: [True, trip.split()[0], [2, 2]] for trip in trips}
    assert report["v2 as a dict"] == [2**53 + 1, 2]


def test_many_callers_at_once_get_their_own_answers(report: Report) -> None:
    assert report["at once"] == [True] * 100
    assert report["v1 at once"] == [{"predictions": [[place, 0]]} for place in range(50)]


def test_v1_predicts(report: Report) -> None:
    assert report["v1"] == {"predictions": [{"total": [4, 6], "difference": [-2, -2]}]}


def test_a_tensor_without_rows_as_it_sends_them_is_answered(report: Report) -> None:
    assert report["empty"] == [[0, 2], []]


@pytest.mark.parametrize(
    ("mistake", "status", "sentence"),
    [
        ("missing input", 400, "missing input b; the model takes a, b, '400 Bad Request'"),
        ("unknown model", 404, "no model 'nobody'; models: "),
        ("v1 mistake", 400, "instances: a number, wanted a list, '400 Bad Request'"),
    ],
)
def test_its_errors_carry_the_status_and_the_sentence(report: Report, mistake: str, status: int, sentence: str) -> None:
    assert report[mistake][0] == status
    assert report[mistake][1].startswith(sentence)


def test_its_classes_have_every_field_of_the_examples_and_know_a_wrong_one(report: Report) -> None:
    *examples, wrong = report["resources"]
    assert examples == [[]] * len(EXAMPLES) == [[], []]
    assert wrong == [
        "ServingRuntime.spec.containers[0].readynessProbe: V1Container has no such field",
        "ServingRuntime.spec.multiModel: 'yes', wanted bool",
    ]
