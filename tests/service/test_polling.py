"""Model folders that appear, change and go while the service runs and looks at them."""

import shutil
from pathlib import Path

import httpx

from tests import graphs
from tests.service.test_health_and_metrics import sample
from tests.serving import serving, wait_until

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}


def answer(client: httpx.Client, model: str = "m") -> float:
    """What the model makes of 3; 0 if it does not answer."""
    told = client.post(f"/v2/models/{model}/infer", json=ROW)
    return float(told.json()["outputs"][0]["data"][0]) if told.status_code == 200 else 0


def test_what_is_put_into_the_repository_serves_and_what_is_taken_out_goes(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    with serving(tmp_path, poll_s=0.1) as client:
        assert answer(client) == 6
        graphs.add_to_repository(tmp_path, "m", graphs.times(5), 2)
        wait_until(lambda: answer(client) == 15, "the new version never served")
        graphs.add_to_repository(tmp_path, "other", graphs.times(7))
        wait_until(lambda: answer(client, "other") == 21, "the new model never served")
        shutil.rmtree(tmp_path / "m" / "2")
        wait_until(lambda: answer(client) == 6, "the old version never came back")
        shutil.rmtree(tmp_path / "other")
        wait_until(lambda: answer(client, "other") == 0, "the model that is gone still serves")
        assert client.get("/health/ready").status_code == 200


def test_a_broken_version_leaves_the_old_one_serving_and_is_told_until_it_is_mended(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    with serving(tmp_path, poll_s=0.1) as client:
        graphs.add_to_repository(tmp_path, "m", graphs.times(5)[:-7], 2)

        def second() -> dict[str, str]:
            found = client.post("/v2/repository/index").json()
            return next((one for one in found if one["version"] == "2"), {"state": "", "reason": ""})

        wait_until(lambda: second()["state"] == "UNAVAILABLE", "the broken version is not told")
        assert second()["reason"] == "model.onnx: this is no ONNX model"
        assert answer(client) == 6
        assert sample(client, "headrace_model_ready", model="m", version="2") == 0
        assert sample(client, "headrace_model_loads_total", model="m", outcome="fail") == 1
        (tmp_path / "m" / "2" / "model.onnx").write_bytes(graphs.times(5))
        wait_until(lambda: answer(client) == 15, "the mended version never served")


def test_what_was_unloaded_by_order_stays_so_until_its_folder_changes(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.times(2))
    graphs.add_to_repository(tmp_path, "beacon", graphs.times(2))
    with serving(tmp_path, poll_s=0.1, repository_control=True) as client:
        assert client.post("/v2/repository/models/m/unload").status_code == 200
        graphs.add_to_repository(tmp_path, "beacon", graphs.times(3), 2)
        wait_until(lambda: answer(client, "beacon") == 9, "nobody looked")
        assert answer(client) == 0
        graphs.add_to_repository(tmp_path, "m", graphs.times(5), 2)
        wait_until(lambda: answer(client) == 15, "the change was not seen")
