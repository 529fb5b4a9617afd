"""On a machine with a GPU: what config.yaml asks to run there does, and is told node by node."""

from pathlib import Path

import pytest

from app.inference.session import available_providers
from tests import graphs
from tests.service.test_health_and_metrics import sample
from tests.serving import serving

CUDA = "CUDAExecutionProvider"

pytestmark = pytest.mark.skipif(CUDA not in available_providers(), reason="wants onnxruntime-gpu and an NVIDIA GPU")


def test_a_model_that_asks_for_the_gpu_runs_there(tmp_path: Path) -> None:
    config = f"providers: [{CUDA}, CPUExecutionProvider]\nstrict_providers: true"
    graphs.add_to_repository(tmp_path, "m", graphs.softmax(4), config=config)
    with serving(tmp_path) as client:
        ready = client.get("/health/ready").json()
        assert ready["providers"]["m"][CUDA] == 1
        assert "missing_providers" not in ready
        told = client.get("/v2/models/m/config").json()
        assert told["instance_group"][0]["kind"] == "KIND_GPU"
        assert told["parameters"][f"{CUDA} nodes"] == {"string_value": "1"}
        assert sample(client, "headrace_model_nodes", model="m", version="1", provider=CUDA) == 1
        body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]}]}
        answer = client.post("/v2/models/m/infer", json=body).json()
        assert answer["outputs"][0]["data"] == pytest.approx([0.25] * 4)


def test_a_graph_that_the_gpu_cannot_run_is_refused_where_it_is_wanted(tmp_path: Path) -> None:
    config = f"providers: [{CUDA}, CPUExecutionProvider]\nstrict_providers: true\nrequired: false"
    graphs.add_to_repository(tmp_path, "texts", graphs.identity("BYTES"), config=config)
    with serving(tmp_path) as client:
        refused = client.get("/v2/models/texts/ready")
        assert refused.status_code == 503
        assert f"{CUDA} was asked for and is not in use" in refused.json()["error"]
