"""The OpenAPI document and the pages: every asset from here, every example a real prediction."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import docs
from app.inference.memory import Room
from app.metrics import Metrics
from app.openapi import Policy
from app.repository import LoadLimits, Repository
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
    graphs.add_to_repository(folder, "turned", graphs.identity("INT8", ("batch", 1)), config="versions: all")
    graphs.add_to_repository(folder, "turned", graphs.identity("BYTES"), version=2)
    graphs.add_to_repository(folder, "words", graphs.identity("BYTES"))
    graphs.add_to_repository(folder, "scalar", graphs.double(()))
    with serving(folder) as client:
        yield client


def examples(document: dict[str, Any]) -> dict[str, Any]:
    """The path of every operation that calls a model -> the body that it shows."""
    bodies = {
        path: operations["post"]["requestBody"]["content"]["application/json"]
        for path, operations in document["paths"].items()
        if "post" in operations
    }
    return {path: body["examples"]["real"]["value"] for path, body in bodies.items() if "examples" in body}


def test_the_document_is_valid_and_has_a_typed_operation_per_model_version_and_protocol(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    typed = set(examples(document))
    served = {"leaf": [1], "bare": [1, 2], "turned": [1, 2], "words": [1], "scalar": [1]}
    places = [place for m, numbers in served.items() for place in (m, *(f"{m}/versions/{n}" for n in numbers))]
    rows = [f"/v1/models/{place}:predict" for place in places if not place.startswith("scalar")]
    explained = [f"/v1/models/{place}:explain" for place in places if place.startswith(("leaf", "bare"))]
    explained.append("/v1/models/turned/versions/1:explain")  # the other one takes and gives texts
    assert typed == {*rows, *explained, *(f"/v2/models/{place}/infer" for place in places)}
    assert document["components"]["schemas"]["LeafInstance"]["properties"]["length"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 50,
        "description": "Of the leaf. [mm]",
        "examples": [4.5],
    }
    assert "It beats guessing." in next(tag["description"] for tag in document["tags"] if tag["name"] == "leaf")


def test_every_example_gives_a_prediction(client: httpx.Client) -> None:
    tried = examples(client.get("/openapi.json").json())
    for path, example in tried.items():
        answer = client.post(path, json=example)
        assert answer.status_code == 200, f"{path}: {answer.text}"
    assert len(tried) == 28


def test_a_section_starts_with_the_card_and_the_call_that_people_write_by_hand(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert [tag["name"] for tag in document["tags"]][:5] == ["bare", "leaf", "scalar", "turned", "words"]
    card = next(tag["description"] for tag in document["tags"] if tag["name"] == "leaf")
    for told in (
        "**Leaves.** Doubles three numbers.",
        "*Use:* Tests. *Limits:* Not for leaves.",
        "*Takes:* `length` (mm), `width` (mm), `height`. *Gives:* `label` (oak, elm, ash) and its `probability`.",
        "| accuracy | 0.5 | 0.3 |",
        "Version 1.",
    ):
        assert told in card
    calls = [
        path for path, operations in document["paths"].items() if "leaf" in operations.get("post", {}).get("tags", ())
    ]
    assert calls == [
        "/v1/models/leaf:predict",
        "/v1/models/leaf:explain",
        "/v2/models/leaf/infer",
        "/v1/models/leaf/versions/1:predict",
        "/v1/models/leaf/versions/1:explain",
        "/v2/models/leaf/versions/1/infer",
    ]


def test_versions_share_the_schemas_that_are_equal_and_have_their_own_where_they_differ(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {name for name in schemas if "BareInstance" in name or "BareVersion" in name} == {"BareInstance"}
    assert schemas["TurnedInstance"]["items"] == {"type": "string"}
    assert schemas["TurnedVersion1Instance"]["items"] == {"type": "integer", "minimum": -128, "maximum": 127}
    older = document["paths"]["/v1/models/turned/versions/1:predict"]["post"]
    body = older["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/TurnedVersion1PredictRequest"}


def test_every_operation_has_a_name_of_its_own_and_says_what_it_answers(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert "422" not in operation["responses"]
        for answer in operation["responses"].values():
            if "$ref" in answer:
                answer = document["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
            assert all("schema" in content for content in answer.get("content", {}).values())


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/health/live", ["200"]),
        ("/health/ready", ["200", "503"]),
        ("/metrics", ["200"]),
        ("/v2/models/{name}", ["200", "404", "503"]),
        ("/v1/models/leaf:predict", ["200", "400", "404", "413", "415", "429", "500", "503", "504"]),
        ("/v1/models/leaf:explain", ["200", "400", "404", "413", "415", "429", "500", "503", "504"]),
        ("/v2/models/leaf/infer", ["200", "400", "404", "413", "415", "429", "500", "501", "503", "504"]),
    ],
)
def test_an_operation_lists_every_status_that_it_may_end_in(
    client: httpx.Client, path: str, statuses: list[str]
) -> None:
    [operation] = client.get("/openapi.json").json()["paths"][path].values()
    assert list(operation["responses"]) == statuses


def test_an_overload_says_when_to_try_again(client: httpx.Client) -> None:
    responses = client.get("/openapi.json").json()["components"]["responses"]
    assert responses["QueueFull"]["headers"]["Retry-After"]["required"] is True
    assert "Retry-After" in responses["NotReady"]["headers"]


def test_a_key_is_asked_for_only_where_one_is_set_and_never_of_probes(client: httpx.Client, tmp_path: Path) -> None:
    document = client.get("/openapi.json").json()
    assert not {"security", "securitySchemes"} & {*document, *document["components"]}
    assert "401" not in document["paths"]["/metrics"]["get"]["responses"]
    graphs.add_to_repository(tmp_path, "m", graphs.double())
    with serving(tmp_path, api_key="sesame") as guarded:
        document = guarded.get("/openapi.json", headers={"x-api-key": "sesame"}).json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["security"] == [{"bearer": []}, {"header": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert ("401" in operation["responses"]) is ("/health/" not in path)
            assert operation.get("security") == ([] if "/health/" in path else None)


@pytest.mark.parametrize(
    ("nonfinite", "element"),
    [
        ("error", {"type": "number"}),
        ("null", {"type": ["number", "null"]}),
        ("string", {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}),
    ],
)
def test_the_document_tells_how_tensors_write_what_is_not_finite(
    tmp_path: Path, nonfinite: str, element: dict[str, Any]
) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.double())
    with serving(tmp_path, nonfinite=nonfinite) as client:
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["MOutputY"]["properties"]["data"]["items"] == schemas["MPrediction"]["items"] == element


def test_a_caller_who_has_the_document_is_told_so_and_one_who_takes_gzip_gets_it_so(client: httpx.Client) -> None:
    plain = client.get("/openapi.json", headers={"accept-encoding": "identity"})
    zipped = client.get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert plain.headers["cache-control"] == "no-cache"
    assert (zipped.headers["content-encoding"], zipped.content) == ("gzip", plain.content)
    assert plain.headers["etag"] == zipped.headers["etag"]
    for known in (plain.headers["etag"], f'"other", {plain.headers["etag"]}', "*"):
        again = client.get("/openapi.json", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", plain.headers["etag"])
    assert client.get("/openapi.json", headers={"if-none-match": '"other"'}).status_code == 200


async def _document_before_and_after_loading(folder: Path) -> list[httpx.Response]:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.repository = Repository(folder, Metrics(), LoadLimits(cores=1, timeout_s=60, room=Room(0, 1)))
    docs.mount(app, Policy())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        before = [await client.get("/openapi.json"), await client.get("/openapi.json")]
        await app.state.repository.load()
        known = {"if-none-match": before[0].headers["etag"]}
        after = await asyncio.gather(*(client.get("/openapi.json", headers=known) for _ in range(2)))
        await app.state.repository.close()
    return [*before, *after]


def test_the_document_changes_when_a_model_comes_and_only_then(tmp_path: Path) -> None:
    graphs.add_to_repository(tmp_path, "m", graphs.double())
    first, second, third, fourth = asyncio.run(_document_before_and_after_loading(tmp_path))
    assert first.content == second.content
    assert "/v2/models/m/infer" not in first.json()["paths"]
    assert third.status_code == 200
    assert "/v2/models/m/infer" in third.json()["paths"]
    assert third.content == fourth.content
    assert third.headers["etag"] != first.headers["etag"]


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
