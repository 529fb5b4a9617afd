"""The OpenAPI document and the pages: every asset from here, every example a real prediction."""

import re
from collections.abc import Iterator

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests import graphs
from tests.manifests import manifest
from tests.serving import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    place = graphs.add_to_repository(folder, "leaf", graphs.double())
    (place / "manifest.json").write_text(manifest().model_dump_json())
    graphs.add_to_repository(folder, "bare", graphs.add(), version=1, config="versions: all")
    graphs.add_to_repository(folder, "bare", graphs.add(), version=2)
    graphs.add_to_repository(folder, "words", graphs.identity("BYTES"))
    graphs.add_to_repository(folder, "scalar", graphs.double(()))
    with serving(folder) as client:
        yield client


def test_the_document_is_valid_and_has_a_typed_operation_per_model_version_and_protocol(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    typed = {path for path, operations in document["paths"].items() if "post" in operations}
    assert typed == {
        *(f"/v1/models/{m}:predict" for m in ("leaf", "bare", "words")),
        *(
            f"/v1/models/{m}:predict"
            for m in ("leaf/versions/1", "bare/versions/1", "bare/versions/2", "words/versions/1")
        ),
        *(f"/v2/models/{m}/infer" for m in ("leaf", "bare", "words", "scalar")),
        *(f"/v2/models/{m}/versions/1/infer" for m in ("leaf", "bare", "words", "scalar")),
        "/v2/models/bare/versions/2/infer",
    }
    body = document["paths"]["/v1/models/leaf:predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    length = body["properties"]["instances"]["items"]["properties"]["length"]
    assert length == {
        "type": "number",
        "minimum": 0,
        "maximum": 50,
        "description": "Of the leaf. [mm]",
        "examples": [4.5],
    }
    assert "It beats guessing." in next(tag["description"] for tag in document["tags"] if tag["name"] == "leaf")


def test_every_example_gives_a_prediction(client: httpx.Client) -> None:
    tried = 0
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        if "post" in operations:
            example = operations["post"]["requestBody"]["content"]["application/json"]["examples"]["real"]["value"]
            answer = client.post(path, json=example)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            tried += 1
    assert tried == 16


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_loads_nothing_from_elsewhere(client: httpx.Client, page: str) -> None:
    answer = client.get(page)
    assert "default-src 'none'; script-src 'self';" in answer.headers["content-security-policy"]
    assets = re.findall(r'<(?:link|script) [^>]*(?:src|href)="([^"]+)"', answer.text)
    assert len(assets) >= 3
    for asset in assets:
        assert asset.startswith("/static/")
        assert client.get(asset).status_code == 200
    assert "<script>" not in answer.text
