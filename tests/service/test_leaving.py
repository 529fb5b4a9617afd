"""Callers who hang up, and models that are too slow for their deadline."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests import graphs
from tests.service.test_health_and_metrics import sample
from tests.serving import serving, wait_until

BODY = b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}]}'
ONE_BY_ONE = "batching: {max_rows: 1}\ninstances: 1\n"


def call_and_hang_up(client: httpx.Client) -> None:
    """Sends a request and closes the connection once it waits."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as raw:
        head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
        raw.sendall(head.encode() + BODY)
        reach(client, "headrace_queue_rows", 1)


def reach(client: httpx.Client, series: str, value: float) -> None:
    """Wait until the model's series has this value."""
    wait_until(lambda: sample(client, series, model="slow") == value, f"{series} was never {value}")


def test_a_caller_who_hangs_up_leaves_the_queue_uncomputed(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=1000), config=ONE_BY_ONE)
    with serving(tmp_path) as client, ThreadPoolExecutor(1) as other:
        running = other.submit(client.post, "/v2/models/slow/infer", content=BODY)
        reach(client, "headrace_queue_seconds_count", 1)
        call_and_hang_up(client)
        reach(client, "headrace_queue_rows", 0)
        assert running.result().status_code == 200
        assert client.post("/v2/models/slow/infer", content=BODY).status_code == 200
        assert sample(client, "headrace_batch_rows_sum", model="slow") == 2
        assert sample(client, "headrace_requests_total", model="slow", status="499") == 1


def test_a_deadline_is_answered_with_504_and_a_full_queue_with_429(tmp_path: Path) -> None:
    bounded = "batching: {max_rows: 1, max_queue_rows: 1}\ninstances: 1\ndeadline_ms: 100\n"
    graphs.add_to_repository(tmp_path, "slow", graphs.slow(turns=1000), config=bounded)
    with serving(tmp_path) as client, ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: client.post("/v2/models/slow/infer", content=BODY), range(8)))
        refused = [answer for answer in answers if answer.status_code == 429]
        late = [answer for answer in answers if answer.status_code == 504]
        assert len(refused) + len(late) == 8
        assert refused
        assert late
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert "no answer from slow within 0.1 s" in late[0].json()["error"]
        assert client.get("/health/live").status_code == 200


def asked(turns: int) -> bytes:
    return BODY.replace(b'"data":[1]', b'"data":[%d]' % turns)


def test_a_run_that_outlives_the_deadline_makes_room_for_the_next(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.as_slow_as_asked(), config=f"{ONE_BY_ONE}deadline_ms: 500\n")
    with serving(tmp_path) as client:
        late = client.post("/v2/models/slow/infer", content=asked(10**7))  # hours
        assert (late.status_code, late.json()["error"]) == (504, "no answer from slow within 0.5 s")
        again = lambda: client.post("/v2/models/slow/infer", content=asked(1)).status_code == 200  # noqa: E731
        wait_until(again, "the run was never given up")


def test_a_run_whose_caller_has_hung_up_makes_room_for_the_next(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "slow", graphs.as_slow_as_asked(), config=ONE_BY_ONE)
    with serving(tmp_path) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as raw:
            body = asked(10**7)
            head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            raw.sendall(head.encode() + body)
            reach(client, "headrace_queue_seconds_count", 1)
        assert client.post("/v2/models/slow/infer", content=asked(1)).status_code == 200
        reach(client, "headrace_batch_rows_sum", 1)
