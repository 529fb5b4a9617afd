"""A model that asks for absurd memory or time at load fails alone, and the service goes on."""

import sys
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from tests import graphs
from tests.serving import serving, wait_until

BODY = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}

LOAD = "/v2/repository/models/{}/load"


def reasons(client: httpx.Client) -> dict[str, Any]:
    return {one["name"]: (one["state"], one["reason"]) for one in client.post("/v2/repository/index").json()}


def answers(client: httpx.Client, model: str = "good") -> bool:
    answer = client.post(f"/v2/models/{model}/infer", json=BODY)
    return answer.status_code == 200 and answer.json()["outputs"][0]["data"] == [6]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts what a process may write to")
def test_a_model_that_asks_for_absurd_memory_fails_alone(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "good", graphs.times(2))
    graphs.add_to_repository(tmp_path, "greedy", graphs.greedy(2**29), config="required: false")
    with serving(tmp_path, load_memory_bytes=2**30, repository_control=True) as client:
        state, reason = reasons(client)["greedy"]
        assert state == "UNAVAILABLE"
        assert "bad_alloc" in reason
        assert answers(client)
        refused = client.post(LOAD.format("greedy"))
        assert refused.status_code == 400
        assert "bad_alloc" in refused.json()["error"]
        assert client.post(LOAD.format("good")).status_code == 200
        assert answers(client)


def test_a_model_within_the_memory_for_loading_serves(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "greedy", graphs.greedy(2**22))
    with serving(tmp_path, load_memory_bytes=2**30) as client:
        assert reasons(client)["greedy"] == ("READY", "")


def test_a_model_that_takes_too_long_fails_alone_and_ends_running(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "good", graphs.times(2))
    graphs.add_to_repository(tmp_path, "endless", graphs.slow(10**9), config="required: false")
    with serving(tmp_path, load_timeout_s=1.5, repository_control=True, fast_lane=False) as client:
        wait_until(lambda: reasons(client)["endless"][0] == "UNAVAILABLE", "the load did not end")
        assert reasons(client)["endless"][1] == "it was not ready after 1.5 s, the time for a load (load_timeout_s)"
        assert answers(client)
        refused = client.post(LOAD.format("endless"))
        assert (refused.status_code, "not ready after 1.5 s" in refused.json()["error"]) == (400, True)
        stopped = monotonic()
    assert monotonic() - stopped < 5, "the runs of a load that was given up held up the stop"


def test_a_stop_does_not_wait_for_a_load_under_way(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "endless", graphs.slow(10**9))
    with serving(tmp_path, until="/health/live") as client:
        assert "it is loading" in client.get("/health/ready").json()["error"]
        stopped = monotonic()
    assert monotonic() - stopped < 5
