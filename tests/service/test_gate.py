"""Who is let in, for what, how often, under which name, and from whose pages."""

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml

from app.keys import SCOPES, Scope, made
from tests import graphs
from tests.serving import serving, wait_until

INFER = "/v2/models/m/infer"

ROW = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [3]}]}

CALLS: list[tuple[Scope, str, str]] = [
    ("infer", "POST", INFER),
    ("infer", "POST", "/v2/models/m/versions/1/infer"),
    ("infer", "POST", "/v1/models/m:predict"),
    ("infer", "POST", "/v1/models/m/versions/1:predict"),
    ("infer", "POST", "/v1/models/m:explain"),
    ("infer", "POST", "/v1/models/m/versions/1:explain"),
    ("read", "GET", "/v2/models/m"),
    ("read", "GET", "/v1/models"),
    ("read", "GET", "/metrics"),
    ("read", "GET", "/openapi.json"),
    ("read", "POST", "/v2/repository/index"),
    ("read", "GET", "/v2/models/m/stats"),
    ("admin", "POST", "/v2/repository/models/m/load"),
    ("admin", "POST", "/v2/repository/models/m/unload"),
]


class KeyFile:
    """A file of keys, and the keys by their names."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.keys: dict[str, str] = {}
        self.entries: list[dict[str, Any]] = []

    def add(self, name: str, scopes: Sequence[Scope], **more: Any) -> dict[str, str]:
        """The header that shows the new key."""
        self.keys[name], entry = made(name, scopes)
        self.entries += [one | more for one in yaml.safe_load(entry)]
        self.write()
        return {"x-api-key": self.keys[name]}

    def write(self) -> None:
        """In one step, as an operator should."""
        new = self.file.with_suffix(".new")
        new.write_text(yaml.safe_dump(self.entries))
        new.replace(self.file)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.yaml")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    graphs.add_to_repository(tmp_path / "models", "m", graphs.times(2))
    return tmp_path / "models"


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_key_opens_what_its_scopes_say_and_nothing_else(models: Path, keys: KeyFile, fast_lane: bool) -> None:
    headers = {scope: keys.add(f"for-{scope}", [scope]) for scope in SCOPES}
    settings: dict[str, Any] = {"keys_file": keys.file, "repository_control": True, "fast_lane": fast_lane}
    with serving(models, api_key="sesame", **settings) as client:
        for wanted, method, path in CALLS:
            body = ROW if wanted == "infer" else {}
            assert client.request(method, path, json=body).status_code == 401
            for scope in SCOPES:
                answer = client.request(method, path, json=body, headers=headers[scope])
                if scope == wanted:
                    assert answer.status_code not in (401, 403), (scope, path)
                else:
                    assert answer.status_code == 403, (scope, path)
                    told = f"the key for-{scope} may not do this, which wants the scope {wanted}"
                    assert answer.json() == {"error": told}
            client.post("/v2/repository/models/m/load", headers={"x-api-key": "sesame"})
            assert client.request(method, path, json=body, headers={"x-api-key": "sesame"}).status_code < 401


@pytest.mark.parametrize("path", ["/v2/models/m%2Finfer", "/v2//models/m/infer", "/V2/models/m/infer", INFER + "/"])
def test_no_spelling_of_a_path_gets_around_a_scope(models: Path, keys: KeyFile, path: str) -> None:
    reader = keys.add("reader", ["read"])
    with serving(models, keys_file=keys.file) as client:
        assert client.post(path, json=ROW, headers=reader).status_code in (403, 404, 405)


def test_keys_are_exchanged_while_the_service_runs(
    models: Path, keys: KeyFile, capsys: pytest.CaptureFixture[str]
) -> None:
    old = keys.add("old", ["infer"])
    with serving(models, keys_file=keys.file) as client:

        def status(header: dict[str, str]) -> int:
            return client.post(INFER, json=ROW, headers=header).status_code

        assert [status(old) for _ in range(3)] == [200] * 3
        new = keys.add("new", ["infer"])
        wait_until(lambda: status(new) == 200, "the new key was never known")
        assert status(old) == 200
        keys.file.write_text("- name: [")
        seen = ""

        def is_told() -> bool:
            nonlocal seen
            seen += capsys.readouterr().out
            return "keys_not_read" in seen

        wait_until(is_told, "the broken file was not told")
        assert (status(old), status(new)) == (200, 200)
        del keys.entries[0]
        keys.write()
        wait_until(lambda: status(old) == 401, "the old key is still known")
        assert status(new) == 200
    seen += capsys.readouterr().out
    assert not [key for key in keys.keys.values() if key in seen]


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_key_has_its_rate(models: Path, keys: KeyFile, fast_lane: bool) -> None:
    slow = keys.add("slow", ["infer", "read"], requests_per_second=0.01)
    free = keys.add("free", ["infer"])
    with serving(models, keys_file=keys.file, fast_lane=fast_lane) as client:
        assert client.post(INFER, json=ROW, headers=slow).status_code == 200
        refused = client.post(INFER, json=ROW, headers=slow)
        assert refused.status_code == 429
        assert refused.json() == {"error": "key slow: more predictions than its rate allows"}
        assert 90 <= int(refused.headers["retry-after"]) <= 100
        assert client.get("/v2/models/m", headers=slow).status_code == 200
        assert [client.post(INFER, json=ROW, headers=free).status_code for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("fast_lane", [True, False])
def test_a_key_that_has_expired_is_none(models: Path, keys: KeyFile, fast_lane: bool) -> None:
    today = datetime.now(UTC).date()
    lasting = keys.add("lasting", ["infer", "read"], expires=(today + timedelta(days=2)).isoformat())
    expired = keys.add("expired", ["infer"], expires=today.isoformat())
    with serving(models, keys_file=keys.file, fast_lane=fast_lane) as client:
        assert client.post(INFER, json=ROW, headers=lasting).status_code == 200
        refused = client.post(INFER, json=ROW, headers=expired)
        assert (refused.status_code, refused.json()) == (
            401,
            {"error": "the key expired has expired, wanted one that has not"},
        )
        told = client.get("/metrics", headers=lasting).text
        ends = re.search(r'headrace_key_expiry_timestamp_seconds\{key="lasting"\} (\S+)', told)
        assert ends
        assert float(ends[1]) == datetime(today.year, today.month, today.day, tzinfo=UTC).timestamp() + 2 * 86400


def test_a_key_expires_while_the_service_runs_though_its_head_is_known(
    models: Path, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    soon = keys.add("soon", ["infer"], expires=tomorrow.isoformat())
    with serving(models, keys_file=keys.file) as client:
        assert [client.post(INFER, json=ROW, headers=soon).status_code for _ in range(3)] == [200] * 3
        monkeypatch.setattr("app.keys.clock", SimpleNamespace(time=lambda: time.time() + 86400))
        wait_until(
            lambda: client.post(INFER, json=ROW, headers=soon).status_code == 401, "a key that has expired still opens"
        )


def test_a_keys_name_is_in_the_log_and_the_key_is_not(
    models: Path, keys: KeyFile, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = keys.add("shop", ["infer"])
    with serving(models, keys_file=keys.file, log_requests=True) as client:
        client.post(INFER, json=ROW, headers=shop)
        client.post(INFER, json=ROW, headers={"authorization": f"Bearer {keys.keys['shop']}"})
        client.get("/v2/models/m", headers=shop)
    told = capsys.readouterr().out
    assert len(re.findall(r"request .*key=shop .*path=/v2/models/m/infer .*status=200", told)) == 2
    assert keys.keys["shop"] not in told


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("hosted")
    graphs.add_to_repository(folder, "m", graphs.times(2))
    hosts, origins = ("127.0.0.1", "*.example.org"), ("https://shop.example",)
    with serving(folder, api_key="sesame", hosts=hosts, cors_origins=origins, open_metrics=True) as client:
        yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("a.example.org", 200),
        ("a.b.EXAMPLE.org:8000", 200),
        ("127.0.0.1:1", 200),
        ("example.org", 421),
        ("aexample.org", 421),
        ("a.example.org.evil", 421),
        ("", 421),
    ],
)
def test_the_service_answers_under_its_own_names_alone(hosted: httpx.Client, host: str, status: int) -> None:
    headers = {"host": host, "x-api-key": "sesame"}
    for _ in range(2):
        assert hosted.post(INFER, json=ROW, headers=headers).status_code == status
        assert hosted.get("/health/live", headers=headers).status_code == status


def test_pages_of_the_origins_that_are_named_may_call_and_others_may_not(hosted: httpx.Client) -> None:
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key,content-type"}
    for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
        asked = hosted.options(INFER, headers={"origin": origin, **ask})
        assert asked.headers.get("access-control-allow-origin") == allowed
        for key, status in (("sesame", 200), ("wrong", 401)):
            answer = hosted.post(INFER, json=ROW, headers={"origin": origin, "x-api-key": key})
            assert answer.status_code == status
            assert answer.headers.get("access-control-allow-origin") == allowed


def test_no_page_of_another_origin_may_call_where_none_is_named(models: Path) -> None:
    with serving(models) as client:
        answer = client.post(INFER, json=ROW, headers={"origin": "https://shop.example"})
        assert "access-control-allow-origin" not in answer.headers


def test_metrics_and_the_document_are_open_where_the_operator_says_so(hosted: httpx.Client, models: Path) -> None:
    assert hosted.get("/metrics").status_code == 200
    assert hosted.get("/openapi.json").status_code == 401
    with serving(models, api_key="sesame", open_docs=True) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/openapi.json").status_code == 200
