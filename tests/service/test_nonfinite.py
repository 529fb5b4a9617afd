"""NaN and infinity, which JSON has no numbers for, pass as the setting says, in both protocols and both ways."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from tritonclient import http as triton

from tests import graphs
from tests.serving import serving

INFER = "/v2/models/m/infer"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    graphs.add_to_repository(folder, "m", graphs.identity("FP32"))
    graphs.add_to_repository(folder, "logs", graphs.logarithm())
    return folder


def body(data: str) -> str:
    return f'{{"inputs":[{{"name":"x","shape":[2,2],"datatype":"FP32","data":{data}}}]}}'


def logs(client: httpx.Client, **parameters: object) -> httpx.Response:
    """The logarithms of -1, 0 and 1."""
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [-1, 0, 1]}
    return client.post("/v2/models/logs/infer", json={"inputs": [tensor], "parameters": parameters})


@pytest.mark.parametrize(
    ("policy", "read", "written"),
    [
        ("token", "[NaN,Infinity,-Infinity,0.1]", "[NaN,Infinity,-Infinity,0.10000000149011612]"),
        ("string", '["NaN","Infinity","-Infinity",0.5]', '["NaN","Infinity","-Infinity",0.5]'),
        ("null", "[null,1,2,0.5]", "[null,1.0,2.0,0.5]"),
    ],
)
def test_a_policy_reads_and_writes_the_same(models: Path, policy: str, read: str, written: str) -> None:
    with serving(models, nonfinite=policy) as client:
        answer = client.post(INFER, content=body(read))
        assert answer.status_code == 200, answer.text
        assert f'"data":{written}' in answer.text
        rows = read[:-1].replace(",", "],[", 2).replace("],[", ",", 1)
        by_rows = client.post("/v1/models/m:predict", content=f'{{"instances":[{rows}]]}}')
        assert written[1:-1].split(",") == by_rows.text.removeprefix('{"predictions":[[').removesuffix("]]}").replace(
            "],[", ","
        ).split(",")


@pytest.mark.parametrize(
    ("policy", "data", "sentence"),
    [
        ("string", "[NaN,1,2,3]", 'NaN and infinity are read as texts, such as "NaN"'),
        ("string", '["nan",1,2,3]', "x[0]: a string, wanted a number (FP32)"),
        ("null", "[NaN,1,2,3]", "NaN and infinity are read as null"),
        ("null", '["NaN",1,2,3]', "x[0]: a string, wanted a number (FP32)"),
        ("error", "[NaN,1,2,3]", "NaN and infinity are read in binary tensors alone"),
        ("error", "[null,1,2,3]", "x[0]: null, wanted a number (FP32)"),
        ("token", "[null,1,2,3]", "x[0]: null, wanted a number (FP32)"),
        ("token", '["NaN",1,2,3]', "x[0]: a string, wanted a number (FP32)"),
    ],
)
def test_what_another_policy_would_read_is_refused(models: Path, policy: str, data: str, sentence: str) -> None:
    with serving(models, nonfinite=policy) as client:
        refused = client.post(INFER, content=body(data))
        assert refused.status_code == 400
        assert sentence in refused.json()["error"]


def test_an_answer_that_json_cannot_hold_is_refused_and_passes_as_binary(models: Path) -> None:
    with serving(models, nonfinite="error") as client:
        refused = logs(client)
        assert refused.status_code == 400
        assert refused.json() == {
            "error": "the answer holds NaN or infinity, which are written in binary tensors alone"
        }
        with triton.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}") as made:
            x = triton.InferInput("x", [1, 3], "FP32")
            x.set_data_from_numpy(np.array([[-1, 0, 1]], np.float32))
            got = made.infer("logs", [x]).as_numpy("y")
        assert np.array_equal(got, np.array([[np.nan, -np.inf, 0]], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("policy", "written"),
    [("token", "NaN,-Infinity,0.0"), ("string", '"NaN","-Infinity",0.0'), ("null", "null,null,0.0")],
)
def test_what_a_model_computes_is_written_by_the_policy(models: Path, policy: str, written: str) -> None:
    with serving(models, nonfinite=policy) as client:
        assert f'"data":[{written}]' in logs(client).text
