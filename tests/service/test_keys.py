"""An API key, when one is set."""

import socket
from pathlib import Path

import pytest

from tests import graphs
from tests.serving import serving, wait_until


def test_a_key_is_never_logged_and_a_caller_who_hangs_up_within_a_body_is_no_fault_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graphs.add_to_repository(tmp_path, "double", graphs.double())
    key = {"x-api-key": "sesame"}
    with serving(tmp_path, api_key="sesame") as client:
        with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as raw:
            head = (
                "POST /v2/models/double/infer HTTP/1.1\r\nHost: x\r\nX-API-Key: sesame\r\nContent-Length: 99\r\n\r\n{"
            )
            raw.sendall(head.encode())
        gone = 'headrace_requests_total{model="double",protocol="v2",status="499"} 1.0'
        wait_until(lambda: gone in client.get("/metrics", headers=key).text, "the hang-up was not counted")
    told = capsys.readouterr().out
    assert "starting" in told
    assert "sesame" not in told


@pytest.mark.parametrize(
    "header",
    [
        {"authorization": "Bearer sesame"},
        {"authorization": "bearer sesame"},
        {"x-api-key": "sesame"},
        {"x-api-key": "wrong", "authorization": "Bearer sesame"},
    ],
)
def test_a_key_opens_everything_and_probes_and_pages_need_none(tmp_path: Path, header: dict[str, str]) -> None:
    graphs.add_to_repository(tmp_path, "double", graphs.double())
    with serving(tmp_path, api_key="sesame") as client:
        for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/", "/docs", "/redoc", "/static/page/main.js"):
            assert client.get(path).status_code == 200, "a page opens, and asks for the key"
        for path in (
            "/metrics",
            "/openapi.json",
            "/page/overview",
            "/v1/models",
            "/v1/models/double/metadata",
            "/v2/models/double",
            "/static/",
            "/static/../metrics",
            "/nowhere",
        ):
            for wrong in (
                {},
                {"x-api-key": "sesam"},
                {"authorization": "Bearer"},
                {"authorization": "Basic sesame"},
                {"authorization": "sesame"},
            ):
                refused = client.get(path, headers=wrong)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
                assert "wanted an API key" in refused.json()["error"]
        assert client.get("/v2/models/double", headers=header).status_code == 200
