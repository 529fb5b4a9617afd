"""An API key, when one is set."""

from pathlib import Path

import pytest

from tests import graphs
from tests.serving import serving


@pytest.mark.parametrize(
    "header",
    [
        {"authorization": "Bearer sesame"},
        {"authorization": "bearer sesame"},
        {"x-api-key": "sesame"},
        {"x-api-key": "wrong", "authorization": "Bearer sesame"},
    ],
)
def test_a_key_opens_everything_and_probes_need_none(tmp_path: Path, header: dict[str, str]) -> None:
    graphs.add_to_repository(tmp_path, "double", graphs.double())
    with serving(tmp_path, api_key="sesame") as client:
        for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/", "/metrics", "/docs", "/openapi.json", "/v1/models", "/v2/models/double", "/nowhere"):
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
